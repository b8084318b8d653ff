"""What every store makes of a projection that cannot take an event: that call fails by its name, and no other."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.builders import request, tract_id
from tests.contract.test_stores import STORES, A, B, Store, branches_in_log, creating, in_one_batch, logged
from tests.memory_store import MemoryStore
from tract.domain.events import BranchCreated, Event, TractCreated
from tract.domain.ids import BlobId
from tract.errors import ProjectionError
from tract.log.protocol import Statement
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import FixedClock

STATEMENTS = MappingProxyType(
    {
        **load(*SQL),
        "picky.create": "CREATE TABLE IF NOT EXISTS picky (name TEXT NOT NULL UNIQUE, size INTEGER) STRICT",
        "picky.drop": "DROP TABLE IF EXISTS picky",
        "picky.insert": "INSERT INTO picky VALUES (?1, ?2)",
        "picky.gone": "INSERT INTO nowhere VALUES (1)",
        "picky.wrong": "INSERT INTO picky FROM",
    }
)
FAILING: dict[str, Statement | Exception] = {
    "code that raises": ZeroDivisionError("hush"),
    "code that raises as a database would": UnicodeDecodeError("utf-8", b"hush", 0, 1, "hush"),
    "a statement that nobody wrote": Statement("picky.nobodys"),
    "a table that is gone": Statement("picky.gone"),
    "a statement that is no SQL": Statement("picky.wrong"),
    "a parameter too few": Statement("picky.insert", ("x",)),
    "a parameter of no type of SQLite's": Statement("picky.insert", ("x", object())),
    "a number beyond 64 bits": Statement("picky.insert", ("x", 2**63)),
    "a value of another type than its column": Statement("picky.insert", ("x", "hush")),
    "null where there is none": Statement("picky.insert", (None, 1)),
    "a row that is there": Statement("picky.insert", ("there", 1)),
}


class Picky:
    """A projection that fails at the branches called after a failure, behind all the others."""

    name = "picky"
    version = 1
    is_inline = True
    folds = (BranchCreated,)
    create = ("picky.create",)
    drop = ("picky.drop",)
    tables = ()
    reads = ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        for event in events:
            assert isinstance(event.body, BranchCreated)
            failure = FAILING.get(event.body.branch)
            if isinstance(failure, Exception):
                raise failure
            yield failure or Statement("picky.insert", (event.body.branch, 1))


async def opened(kind: str, folder: Path) -> Store:
    projections = (*INLINE, Picky())
    if kind == "plain memory":
        return MemoryStore(FixedClock(), STATEMENTS, projections)
    where = str(folder / "log.db") if kind == "sqlite file" else ":memory:"
    return await SqliteStore.open(
        where, create=True, durability="full", clock=FixedClock(), statements=STATEMENTS, projections=projections
    )


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store with two families, one of which has a branch."""
    opened_store = await opened(request.param, tmp_path)
    await opened_store.append(creating("there", stream=A))
    await opened_store.append(creating("other", stream=B))
    yield opened_store
    await opened_store.aclose()


every_failure = pytest.mark.parametrize("failure", list(FAILING))


@every_failure
async def test_a_projection_that_fails_is_named_with_the_event(store: Store, failure: str) -> None:
    with pytest.raises(ProjectionError) as caught:
        await store.append(creating(failure, stream=A))
    error = caught.value
    assert (error.path, error.projection, error.family, error.finding) == (
        store.where,
        "picky",
        A,
        "branch.created cannot be folded",
    )


@every_failure
async def test_the_error_says_nothing_of_what_is_in_the_event_and_has_what_failed_as_its_cause(
    store: Store, failure: str
) -> None:
    with pytest.raises(ProjectionError) as caught:
        await store.append(creating(failure, stream=A))
    assert failure not in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is not None


@every_failure
async def test_nothing_of_its_call_is_written(store: Store, failure: str) -> None:
    before = await logged(store)
    blob = store.draft(b'"a blob of the call"')
    bodies = (BranchCreated("first", None), BranchCreated(failure, None))
    with pytest.raises(ProjectionError):
        await store.append(request(*bodies, stream=A, blobs=[blob]))
    assert await logged(store) == before
    assert await store.read(lambda query: query("log.blob", bytes.fromhex(blob.id))) == []
    # Were the branch in some projection's table, it could not be made again.
    await store.append(creating("first", stream=A))


@every_failure
async def test_the_other_calls_of_its_batch_are_written(store: Store, failure: str) -> None:
    wanted = [creating("a", stream=A), creating(failure, stream=A), creating("b", stream=B), creating("c", stream=A)]
    outcomes = await in_one_batch(store, *wanted)
    assert [isinstance(outcome, ProjectionError) for outcome in outcomes] == [False, True, False, False]
    assert await branches_in_log(store) == ["there", "other", "a", "b", "c"]


@every_failure
async def test_the_store_is_read_and_written_afterwards_by_every_family(store: Store, failure: str) -> None:
    for _ in range(2):
        with pytest.raises(ProjectionError):
            await store.append(creating(failure, stream=A))
    events: list[Any] = [
        await store.append(creating("next", stream=A)),
        await store.append(creating("next of the other", stream=B)),
        await store.append(request(TractCreated("third"), stream=tract_id(3))),
    ]
    assert [event.version for (event,) in events] == [2, 2, 1]
