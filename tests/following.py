"""Projections of the tests' own that follow the log, and a way to see what they made.

`Tally` numbers the branches of each name in the order that they came, so that
an event that is missed, comes twice or comes too early shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from tests.builders import request, tract_id
from tract.domain.events import BranchCreated, Event, TractCreated
from tract.domain.ids import BlobId, OperationId, TractId
from tract.log.protocol import EventStore, FollowingProjection, Request, Row, Statement
from tract.log.statements import load
from tract.projections import SQL
from tract.projections.stretches import Look, look

STATEMENTS = MappingProxyType(
    {
        **load(*SQL),
        "tally.create": "CREATE TABLE tally (position INTEGER PRIMARY KEY, name TEXT NOT NULL, count INTEGER NOT NULL) STRICT",
        "tally.drop": "DROP TABLE IF EXISTS tally",
        "tally.rows": "SELECT * FROM tally ORDER BY position",
        "tally.insert": "INSERT INTO tally SELECT ?1, ?2, (SELECT count(*) FROM tally WHERE name = ?2)",
        "tally.nowhere": "INSERT INTO nowhere VALUES (1)",
        "echo.create": "CREATE TABLE echo (position INTEGER PRIMARY KEY, tag TEXT NOT NULL) STRICT",
        "echo.drop": "DROP TABLE IF EXISTS echo",
        "echo.rows": "SELECT * FROM echo ORDER BY position",
        "echo.insert": "INSERT INTO echo VALUES (?1, ?2)",
        "unmade.create": "CREATE VIRTUAL TABLE unmade USING a_module_that_nobody_has (text)",
        "unmade.drop": "DROP TABLE IF EXISTS unmade",
    }
)
FAILURES: Mapping[str, Statement | Exception] = MappingProxyType(
    {
        "code that raises": ZeroDivisionError("hush"),
        "code that raises what a reader takes for damage": LookupError("hush"),
        "a statement that nobody wrote": Statement("tally.nobodys"),
        "a table that is gone": Statement("tally.nowhere"),
        "a parameter too few": Statement("tally.insert", (1,)),
        "a number beyond 64 bits": Statement("tally.insert", (2**63, "x")),
        "null where there is none": Statement("tally.insert", (7_000, None)),
        "a row that is there": Statement("tally.insert", (1, "x")),
    }
)
"""What goes wrong at a branch of such a name."""
UNASKED = "blobs that cannot be told"
"""A branch of this name goes wrong when it is asked for its blobs."""


class Tally:
    """The branches that were created, each with how many of its name came before."""

    is_inline = False
    name = "tally"
    folds = (BranchCreated,)
    create = ("tally.create",)
    drop = ("tally.drop",)
    tables = (("tally", "tally.rows"),)
    reads = ()

    def __init__(self, version: int = 1) -> None:
        self.version = version

    def words(self, event: Event) -> Iterable[BlobId]:
        if isinstance(event.body, BranchCreated) and event.body.branch == UNASKED:
            raise LookupError("hush")
        return ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        for event in events:
            assert isinstance(event.body, BranchCreated)
            failure = FAILURES.get(event.body.branch)
            if isinstance(failure, Exception):
                raise failure
            yield failure or Statement("tally.insert", (event.position, event.body.branch))


class Failing(Tally):
    """Fails once, as nothing in the log is the reason for."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failures = [failure]

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        if self.failures:
            raise self.failures.pop()
        return super().apply(events, blobs)


class Echo:
    """Every event of two kinds, by position."""

    name = "echo"
    version = 1
    is_inline = False
    folds = (TractCreated, BranchCreated)
    create = ("echo.create",)
    drop = ("echo.drop",)
    tables = (("echo", "echo.rows"),)
    reads = ()

    def words(self, event: Event) -> Iterable[BlobId]:
        return ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        return [Statement("echo.insert", (event.position, event.body.tag)) for event in events]


class Unmade(Echo):
    """A projection whose table SQLite cannot make."""

    name = "unmade"
    create = ("unmade.create",)
    drop = ("unmade.drop",)
    tables = (("unmade", "unmade.rows"),)


def creating(*branches: str, stream: TractId | None = None, operation: OperationId | None = None) -> Request:
    return request(*(BranchCreated(name, None) for name in branches), stream=stream or tract_id(1), operation=operation)


async def rows_of(store: EventStore, statement: str) -> list[Row]:
    return [tuple(row) for row in await store.read(lambda query: query(statement))]


async def tallied(store: EventStore) -> list[tuple[str, int]]:
    """The names in the table, in order, each with its number."""
    return [row[1:] for row in await rows_of(store, "tally.rows")]


async def look_at(store: EventStore, *projections: FollowingProjection, most: int = 256) -> Look:
    return await store.read(lambda query: look(query, store.where, projections, most))
