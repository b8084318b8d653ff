"""The log in a SQLite file: what its triggers refuse, what its digests prove, what it does to the file."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from tests.builders import broken_links, noise, uuid
from tract import AsyncTract, LLMConfig
from tract.domain.ids import uuid_bytes
from tract.errors import ClosedError, CorruptLogError, ModelConnectionError, StoreFullError
from tract.llm.counting import ApproximateCounter
from tract.log.packing import unpack
from tract.log.protocol import Row
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import SQL
from tract.testing import Cut, FixedClock, ScriptedLLM

STATEMENTS = load(*SQL)


async def write_history(path: Path) -> None:
    """A store with a bit of everything, written by the public API."""
    llm = ScriptedLLM(["Good day.", Cut(["Half an "], ModelConnectionError()), "Better."])
    config = LLMConfig(model="scripted", temperature=0.5)
    async with AsyncTract.open(
        str(path), llm=llm, llm_config=config, actor="Änne", metadata={"team": 7}, clock=FixedClock()
    ) as t:
        await t.system("Be kind.")
        asked = await t.user("Wie geht's? 猫", message="a greeting", metadata={"n": [1, 2.5, None]})
        await t.edit(asked.id, "How are you?")
        await t.chat("Good day?")
        with pytest.raises(ModelConnectionError):
            await t.chat("And now?")
        await t.chat("And now?")
        await t.branch("try", at="HEAD~1")
        await t.user("Elsewhere", operation_id=uuid(77))
        await t.user("Elsewhere", operation_id=uuid(77))
        await t.pin("HEAD", reason="it matters")
        await t.switch("main")
    async with AsyncTract.open(str(path), name="other") as other:
        await other.user("Another family")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write_history(found))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


@pytest.fixture
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def events(connection: sqlite3.Connection) -> list[Row]:
    return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def following(connection: sqlite3.Connection) -> Row:
    """A row that may follow the last one of its stream."""
    last = connection.execute("SELECT * FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return (last[0] + 1, last[1], last[2] + 1, *last[3:])


def altered(row: Row, **columns: object) -> Row:
    names = (
        "position",
        "stream_id",
        "version",
        "tract_id",
        "type",
        "schema",
        "data",
        "operation_id",
        "actor",
        "recorded_at",
        "digest",
    )
    return tuple(columns.get(name, value) for name, value in zip(names, row, strict=True))


def test_an_event_that_follows_is_taken(raw: sqlite3.Connection) -> None:
    before = events(raw)
    raw.execute(INSERT, following(raw))
    assert len(events(raw)) == len(before) + 1


REFUSED: dict[str, Callable[[Row], Row]] = {
    "a gap in the versions": lambda row: altered(row, version=row[2] + 1),
    "a version twice": lambda row: altered(row, version=row[2] - 1),
    "version 0": lambda row: altered(row, version=0),
    "a new stream that begins at 2": lambda row: altered(row, stream_id=bytes(16), version=2),
    "a gap in the positions": lambda row: altered(row, position=row[0] + 1),
    "a position twice": lambda row: altered(row, position=row[0] - 1),
    "position 0": lambda row: altered(row, position=0),
    "a negative position": lambda row: altered(row, position=-5),
    "no position": lambda row: altered(row, position=None),
    "no version": lambda row: altered(row, version=None),
    "no stream": lambda row: altered(row, stream_id=None),
    "a stream of another length": lambda row: altered(row, stream_id=b"short"),
    "no digest": lambda row: altered(row, digest=None),
    "a digest of another length": lambda row: altered(row, digest=b"short"),
    "text for a digest": lambda row: altered(row, digest="x" * 32),
    "a number for the data": lambda row: altered(row, data=b"bytes"),
    "no operation": lambda row: altered(row, operation_id=None),
}


@pytest.mark.parametrize("wrong", list(REFUSED))
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "REPLACE"])
def test_an_event_that_does_not_follow_is_refused(raw: sqlite3.Connection, wrong: str, verb: str) -> None:
    before = events(raw)
    statement = INSERT.replace("INSERT", verb, 1)
    if "IGNORE" in verb and wrong == "no operation":
        raw.execute(statement, REFUSED[wrong](following(raw)))
    else:
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(statement, REFUSED[wrong](following(raw)))
    assert events(raw) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 1",
        "UPDATE OR REPLACE events SET version = version + 1",
        "UPDATE OR IGNORE events SET position = position + 100",
        "DELETE FROM events",
        "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
        "INSERT INTO events SELECT * FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events",
        "INSERT INTO events SELECT * FROM events WHERE true ON CONFLICT DO UPDATE SET data = '{}'",
    ],
)
def test_an_event_can_be_neither_changed_nor_removed(raw: sqlite3.Connection, statement: str) -> None:
    before = events(raw)
    with pytest.raises(sqlite3.IntegrityError, match="tract: an event"):
        raw.execute(statement)
    assert events(raw) == before


def test_several_events_are_checked_one_by_one(raw: sqlite3.Connection) -> None:
    row = following(raw)
    with pytest.raises(sqlite3.IntegrityError):
        raw.executemany(INSERT, [row, altered(row, position=row[0] + 1)])


def test_the_chain_of_a_file_holds(raw: sqlite3.Connection) -> None:
    rows = events(raw)
    assert {row[4] for row in rows} >= {"commit.recorded", "generation.completed", "generation.failed", "usage.recorded"}
    assert len({row[1] for row in rows}) == 2
    assert broken_links(rows) == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET data = replace(data, 'main', 'maim') WHERE position = 2",
        "UPDATE events SET actor = 'mallory' WHERE position = 3",
        "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 4",
        "UPDATE events SET type = 'head.moved' WHERE position = 2",
        "UPDATE events SET digest = zeroblob(32) WHERE position = 4",
        "DELETE FROM events WHERE position = 3",
        "DELETE FROM events WHERE position = 1",
    ],
)
def test_tampering_past_the_triggers_shows_in_the_chain(raw: sqlite3.Connection, tampering: str) -> None:
    raw.execute("DROP TRIGGER events_refuse_update")
    raw.execute("DROP TRIGGER events_refuse_delete")
    raw.execute(tampering)
    assert broken_links(events(raw))


def test_every_blob_has_the_id_of_its_salt_and_bytes(raw: sqlite3.Connection) -> None:
    blobs = raw.execute("SELECT id, salt, fingerprint, data FROM blobs").fetchall()
    assert blobs
    for id, salt, fingerprint, stored in blobs:
        data = unpack(stored)
        assert (id, fingerprint, len(salt)) == (sha256(salt + data).digest(), sha256(data).digest()[:8], 16)


def test_no_words_stand_in_the_events(raw: sqlite3.Connection) -> None:
    said = "\n".join(row[6] for row in events(raw))
    for words in ("kind", "geht", "greeting", "How are", "Good day", "Half an", "Better", "Elsewhere", "matters", "team"):
        assert words not in said


def test_no_plain_digest_of_a_text_stands_in_the_events(raw: sqlite3.Connection) -> None:
    said = "\n".join(row[6] for row in events(raw))
    for (fingerprint,) in raw.execute("SELECT fingerprint FROM blobs"):
        assert fingerprint.hex() not in said


def test_an_operation_that_came_twice_was_written_once(raw: sqlite3.Connection) -> None:
    found = raw.execute("SELECT count(*) FROM events WHERE operation_id = ?", (uuid_bytes(uuid(77)),)).fetchone()
    assert found == (1,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0192d3c0-0000-7000-8000-000000000001", "0192d3c0-0000-7000-8000-000000000002"),
        ("8f5b1c2e-9a3d-11ef-8c1f-0242ac120002", "8f5b1c2f-9a3d-11ef-8c1f-0242ac120002"),
    ],
    ids=["counted", "of a machine and a time"],
)
def test_operations_whose_ids_are_alike_are_looked_up_apart(raw: sqlite3.Connection, one: str, other: str) -> None:
    (sql,) = raw.execute("SELECT sql FROM sqlite_schema WHERE name = 'events_by_operation'").fetchone()
    columns = sql.partition(" ON events ")[2][1:-1].replace("operation_id", "?1")
    keys = {raw.execute(f"SELECT {columns}", (UUID(id).bytes,)).fetchone() for id in (one, other)}
    plan = raw.execute(f"EXPLAIN QUERY PLAN {STATEMENTS['log.operation_events']}", (UUID(one).bytes,)).fetchall()
    assert len(keys) == 2
    assert plan[0][3].count("<expr>=?") == len(next(iter(keys)))


def test_a_closed_store_leaves_one_file(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]


async def test_reading_writes_nothing(path: Path) -> None:
    before = path.read_bytes()
    # The search index is kept up in the background, whoever reads.
    async with AsyncTract.open(str(path), name="main", search=False) as t:
        await t.log()
        await t.status()
        await t.compile()
        await t.branches()
        await t.show("HEAD")
    assert path.read_bytes() == before


async def test_a_damaged_event_is_named_when_it_is_read(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("DROP TRIGGER events_refuse_update")
    raw.execute("UPDATE events SET data = json_remove(data, '$.commit.operation') WHERE type = 'commit.recorded'")
    async with AsyncTract.open(str(path), name="main") as t:
        with pytest.raises(CorruptLogError) as caught:
            await t.log()
    assert caught.value.tract == t.id


async def test_a_fork_by_another_program_stops_the_writer_with_a_typed_error(path: Path, raw: sqlite3.Connection) -> None:
    async with AsyncTract.open(str(path), name="main") as t:
        raw.execute("DROP TRIGGER events_guard")
        row = following(raw)
        raw.execute(INSERT, altered(row, position=row[0] + 10, version=row[2] + 10))
        raw.execute("CREATE TRIGGER events_guard BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'tract: no'); END")
        with pytest.raises(CorruptLogError):
            await t.user("more")


async def test_texts_that_are_said_again_share_a_blob(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    for _ in range(2):
        async with AsyncTract.open(str(path)) as t:
            await t.user("x" * 5000)
            await t.user("x" * 5000)
    with closing(sqlite3.connect(path)) as connection:
        stored = connection.execute("SELECT data FROM blobs").fetchall()
    assert len([data for (data,) in stored if len(unpack(data)) > 5000]) == 1


LONG_TEXT = "The agent asks the customer for the number of the order. " * 5


async def test_a_text_that_was_collected_is_there_again_when_it_is_said_again(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user(LONG_TEXT)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE blobs SET salt = NULL, fingerprint = NULL, data = NULL")
        await t.assistant("Once more, please.")
        await t.user(LONG_TEXT)
    async with AsyncTract.open(str(path)) as t:
        contents = [message["content"] for message in (await t.compile()).to_dicts()]
    assert contents == [LONG_TEXT, "Once more, please.", LONG_TEXT]


@pytest.mark.parametrize("damage", ["substr(data, 1, length(data) - 1)", "zeroblob(0)", "X'02' || data"])
async def test_a_damaged_blob_is_a_typed_error_when_it_is_read(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user(LONG_TEXT)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE blobs SET data = CAST({damage} AS BLOB) WHERE length(data) > 40")
    async with AsyncTract.open(str(path)) as t:
        with pytest.raises(CorruptLogError):
            await t.compile()


async def test_the_write_ahead_log_is_emptied_into_the_file_while_the_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    async with AsyncTract.open(str(path), durability="normal", tokens=ApproximateCounter()) as t:
        for number in range(20):
            await t.user(noise(2_000_000, number))
        size = path.stat().st_size
    assert size > 10_000_000


async def test_a_handle_that_is_closed_refuses_every_verb(path: Path) -> None:
    t = await AsyncTract.open(str(path), name="main")
    await t.aclose()
    await t.aclose()
    for verb in (t.user("x"), t.log(), t.status(), t.compile(), t.branches(), t.show("HEAD"), t.head(), t.switch("try")):
        with pytest.raises(ClosedError):
            await verb


class Room:
    """The pages that a store may still take, set on the only connection that writes."""

    def __init__(self, t: AsyncTract) -> None:
        store = t.collaborators.shared.store
        assert isinstance(store, SqliteStore)
        writing = store._writing.connection  # noqa: SLF001 - the limit is that of a connection
        self._writing = writing

    async def leave(self, pages: int) -> None:
        ((count,),) = await self._writing.execute_fetchall("PRAGMA page_count")
        await self._writing.execute_fetchall(f"PRAGMA max_page_count = {count + pages}")


LONG = [noise(40_000, number) for number in range(3)]


async def positions(t: AsyncTract) -> list[object]:
    rows = await t.read(lambda query: query("log.events_after", 0, 1000))
    return [row[0] for row in rows]


async def test_a_full_store_is_refused_by_name_and_nothing_is_half_done(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        await t.user("before")
        before = await t.log(), await t.status(), await positions(t)
        await Room(t).leave(1)
        for text in LONG:
            with pytest.raises(StoreFullError):
                await t.user(text)
        assert (await t.log(), await t.status(), await positions(t)) == before


async def test_a_store_that_has_room_again_goes_on(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        room = Room(t)
        first = await t.user("before")
        await room.leave(1)
        with pytest.raises(StoreFullError):
            await t.user(LONG[0])
        await room.leave(1000)
        said = await t.user(LONG[0])
        assert [info.id for info in await t.log()] == [said.id, first.id]
        assert broken_links(await t.read(lambda query: query("log.events_after", 0, 1000))) == []


async def test_what_is_refused_beside_others_in_a_full_store_is_refused_alone_or_with_all(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        room = Room(t)
        await t.user("before")
        await room.leave(1)
        outcomes = await asyncio.gather(*(t.user(text) for text in LONG), return_exceptions=True)
        landed = {outcome.id for outcome in outcomes if not isinstance(outcome, BaseException)}
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(each, StoreFullError) for each in failed)
        assert {info.id for info in (await t.log())[:-1]} == landed
        await room.leave(1000)
        await t.user("after")
