"""Events of a type that only a later version knows: kept, chained, handed on, and folded by nobody."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import frozen
from msgspec.structs import replace

from tests.builders import broken_links, uuid
from tract import AsyncTract, admin
from tract.core.opening import Opening
from tract.domain.events import Event, NewEvent, UnknownEvent
from tract.errors import CorruptLogError, NewerEventError, OperationMismatchError
from tract.log.editions import Editions, in_use
from tract.log.protocol import Request, Row
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import ScriptedLLM

OPERATION = uuid(77)


@frozen
class PlanetFound:
    """What a later version records."""

    tag: ClassVar[str] = "planet.found"
    schema: ClassVar[int] = 2
    moons: int


FOUND: Any = PlanetFound(3)


@contextmanager
def a_later_version(place: str) -> Iterator[None]:
    """Have every append within the block record such an event: first or last of its events, or in their place."""
    original = SqliteStore.append

    async def append(self: SqliteStore, request: Request, then: Callable[[], None] | None = None) -> tuple[Event, ...]:
        def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
            drafts = list(request.decide(rows))
            if not drafts:
                return drafts
            found = NewEvent(drafts[0].tract, FOUND)
            if place == "last":
                return [*drafts, found]
            known = [replace(drafts[0], request=None), *drafts[1:]] if place == "first" else []
            return [replace(found, request=drafts[0].request), *known]

        events = await original(self, replace(request, decide=decide), then)
        return tuple(event for event in events if event.body != FOUND)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "append", append)
        yield


def opened(path: Path) -> Opening[AsyncTract]:
    return AsyncTract.open(str(path), model="tiny", llm=ScriptedLLM(["Hello."]))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store in which one event is unknown, with known ones before and behind it."""
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
        await t.record(t.operation(), lambda _: [NewEvent(t.id, FOUND)])
        await t.user("behind")
    return path


def log_of(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


def tables_of(path: Path) -> dict[str, list[Row]]:
    with closing(sqlite3.connect(path)) as connection:
        statements = Editions(load(*SQL), INLINE).using(in_use(connection, load(*SQL)))
        return {
            table: connection.execute(statements[rows]).fetchall() for projection in INLINE for table, rows in projection.tables
        }


async def first(events: AsyncIterator[Event], many: int) -> list[Event]:
    return [await anext(events) for _ in range(many)]


async def test_events_hands_it_on_with_its_place_and_what_it_holds(path: Path) -> None:
    async with AsyncTract.open(str(path)) as t:
        found = await first(t.events(), len(log_of(path)))
    (event,) = [event for event in found if event.body.tag == "planet.found"]
    assert event.body == UnknownEvent("planet.found", 2, '{"moons":3}')
    assert [event.version for event in found] == list(range(1, len(found) + 1))


async def test_what_is_around_it_is_read_as_ever(path: Path) -> None:
    async with AsyncTract.open(str(path)) as t:
        assert (await t.compile()).to_openai() == [
            {"role": "user", "content": "before"},
            {"role": "user", "content": "behind"},
        ]
        assert len(await t.log()) == 2


async def test_work_goes_on_and_the_chain_with_it(path: Path) -> None:
    async with opened(path) as t:
        await t.chat("Hi")
        await t.branch("try")
    assert broken_links(log_of(path)) == []


async def test_a_rebuild_goes_over_it_and_makes_the_same_tables(path: Path) -> None:
    before = tables_of(path)
    rebuilt = await admin.rebuild(path)
    assert (rebuilt.events, tables_of(path)) == (len(log_of(path)), before)


async def test_a_replay_of_the_open_store_goes_over_it(path: Path) -> None:
    before = tables_of(path)
    async with AsyncTract.open(str(path)) as t:
        assert (await t.collaborators.shared.store.rebuild()).events == len(log_of(path))
    assert tables_of(path) == before


async def test_it_is_no_finding(path: Path) -> None:
    found = await admin.verify(path)
    assert (found.findings, found.events, found.is_replayed) == ((), len(log_of(path)), True)


async def test_a_byte_of_it_that_changed_is_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("""UPDATE events SET data = '{"moons":4}' WHERE type = 'planet.found'""")
    found = await admin.verify(path)
    assert ["chain" for finding in found.findings if "its digest" in finding.what] == ["chain"]


async def commit(t: AsyncTract) -> Any:
    return await t.user("Hi", operation_id=OPERATION)


async def edit(t: AsyncTract) -> Any:
    return await t.edit((await t.log())[-1].id, "other", operation_id=OPERATION)


async def branch(t: AsyncTract) -> Any:
    return await t.branch("try", at="HEAD", switch=False, operation_id=OPERATION)


async def batch(t: AsyncTract) -> Any:
    async with t.batch(operation_id=OPERATION):
        return [await t.user("one"), await t.user("two")]


async def turn(t: AsyncTract) -> Any:
    return await t.chat("Hi", operation_id=OPERATION)


async def usage(t: AsyncTract) -> Any:
    return await t.record_usage({"prompt": 7}, operation_id=OPERATION)


async def switch(t: AsyncTract) -> Any:
    await t.switch("main", operation_id=OPERATION)
    return t.current_branch


VERBS = [commit, edit, branch, batch, turn, usage, switch]


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
async def test_an_operation_with_one_in_it_is_repeated_as_ever(path: Path, verb: Any, place: str) -> None:
    async with opened(path) as t:
        with a_later_version(place):
            made = await verb(t)
        count = len(log_of(path))
        assert await verb(t) == made
    assert len(log_of(path)) == count


@pytest.mark.parametrize("place", ["first", "last"])
async def test_an_operation_with_one_in_it_is_refused_to_another_call(path: Path, place: str) -> None:
    async with opened(path) as t:
        with a_later_version(place):
            await commit(t)
        with pytest.raises(OperationMismatchError):
            await t.user("another", operation_id=OPERATION)


@pytest.mark.parametrize("verb", [usage, switch], ids=lambda verb: verb.__name__)
async def test_an_operation_of_nothing_else_names_the_later_version(path: Path, verb: Any) -> None:
    async with opened(path) as t:
        with a_later_version("instead"):
            await verb(t)
        with pytest.raises(NewerEventError) as caught:
            await verb(t)
    assert (caught.value.file, caught.value.event, caught.value.schema) == (str(path), "planet.found", 2)


async def test_a_commit_that_says_it_is_of_a_later_schema_is_refused_by_name_and_nothing_is_written(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET schema = 9 WHERE type = 'commit.recorded'")
    before = log_of(path)
    async with AsyncTract.open(str(path)) as t:
        with pytest.raises(NewerEventError) as caught:
            await t.log()
    assert (caught.value.file, caught.value.event, caught.value.schema) == (str(path), "commit.recorded", 9)
    # Its digest says that it was another one.
    with pytest.raises(CorruptLogError):
        await admin.rebuild(path)
    assert log_of(path) == before


async def test_verify_goes_on_behind_a_commit_of_a_later_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET schema = 9 WHERE type = 'commit.recorded'")
    found = await admin.verify(path)
    assert len([finding for finding in found.findings if "a later version of Tract wrote it" in finding.what]) == 2
    assert found.events == len(log_of(path))


async def test_an_unknown_event_where_a_table_has_a_commit_is_a_damaged_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET type = 'planet.found' WHERE type = 'commit.recorded'")
    async with AsyncTract.open(str(path)) as t:
        with pytest.raises(CorruptLogError):
            await t.log()
