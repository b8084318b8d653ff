"""Looking after a store: damaged files are named, sound ones are not, and tables are made anew."""

import asyncio
import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import pytest

from tests.builders import operation_id, tract_id, uuid
from tract import AsyncTract, LLMConfig, TractError, admin
from tract.admin.__main__ import main
from tract.admin.references import blobs_of, commits_of
from tract.admin.threads import on_thread
from tract.domain.commits import Commit, CommitOperation, ContentRef
from tract.domain.events import BranchCreated, CommitRecorded, ContextCompiled, Event, EventBody, OperationRecorded
from tract.domain.ids import BlobId, CommitId, GenerationId
from tract.errors import (
    ConfigError,
    CorruptLogError,
    ModelConnectionError,
    NewerSchemaError,
    NotAStoreError,
    StoreNotFoundError,
)
from tract.log.editions import Editions, in_use
from tract.log.protocol import Row
from tract.log.statements import load
from tract.projections import FOLLOWING, INLINE, SQL, with_what_it_reads
from tract.testing import Cut, FixedClock, ScriptedLLM

ROOT = Path(__file__).parents[2]
STATEMENTS = load(*SQL)
SECRET = "my secret plan"
ALL = tuple(projection.name for projection in (*INLINE, *FOLLOWING))

Damage: TypeAlias = Callable[[sqlite3.Connection], object]


async def write_history(path: Path) -> None:
    """A store with a bit of everything, written by the public API."""
    llm = ScriptedLLM(["Good day.", Cut(["Half an "], ModelConnectionError()), "Better."])
    config = LLMConfig(model="scripted", temperature=0.5)
    async with AsyncTract.open(path, llm=llm, llm_config=config, actor="Änne", metadata={"n": 7}, clock=FixedClock()) as t:
        await t.system(SECRET, message=SECRET)
        asked = await t.user(f"{SECRET}? " * 500, metadata={"n": [1, 2.5, None]})
        await t.edit(asked.id, "How are you?")
        await t.chat("Good day?")
        with pytest.raises(ModelConnectionError):
            await t.chat("And now?")
        await t.chat("And now?")
        await t.branch("try", at="HEAD~1")
        await t.user("Elsewhere", operation_id=uuid(77))
        await t.pin("HEAD", reason="it matters")
        await t.switch("main")
    async with AsyncTract.open(path, name="other", clock=FixedClock()) as other:
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


def damage(path: Path, *statements: str) -> None:
    """Run SQL past the triggers, and put them back so that nothing shows but the damage."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Change bytes in the file itself, where they stand first."""
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new, 1))


def dump(path: Path) -> dict[str, list[Row]]:
    """Every row of every projection table."""
    with closing(sqlite3.connect(path)) as connection:
        statements = Editions(STATEMENTS, INLINE).using(in_use(connection, STATEMENTS))
        return {
            table: connection.execute(statements[statement]).fetchall()
            for projection in INLINE
            for table, statement in projection.tables
        }


def kinds(found: admin.Verification) -> set[str]:
    return {finding.kind for finding in found.findings}


async def test_a_sound_store_is_clean(path: Path) -> None:
    found = await admin.verify(path)
    assert (found.findings, found.is_clean, found.is_replayed) == ((), True, True)
    with closing(sqlite3.connect(path)) as connection:
        assert (found.events, found.blobs) == (
            *connection.execute("SELECT count(*) FROM events").fetchone(),
            *connection.execute("SELECT count(*) FROM blobs").fetchone(),
        )
        tables = [table for projection in (*INLINE, *FOLLOWING) for table, _ in projection.tables]
        rows = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    assert found.rows == sum(rows)


async def test_looking_leaves_no_file_and_changes_no_byte(path: Path) -> None:
    before = path.read_bytes()
    await admin.status(path)
    await admin.verify(path)
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]
    assert path.read_bytes() == before


FLIPPED_DATA = 'UPDATE events SET data = replace(data, \'"branch":"main"\', \'"branch":"maim"\') WHERE position = 5'
DAMAGES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a byte of an event's data": ((FLIPPED_DATA,), "chain", "version 5: its digest"),
    "an event's actor": (("UPDATE events SET actor = 'mallory' WHERE position = 3",), "chain", "version 3: its digest"),
    "an event's time": (
        ("UPDATE events SET recorded_at = 1 WHERE position = 4",),
        "chain",
        "version 4: its time is before",
    ),
    "a digest": (("UPDATE events SET digest = zeroblob(32) WHERE position = 4",), "chain", "version 4: its digest"),
    "an event that is gone": (("DELETE FROM events WHERE position = 4",), "chain", "version 5: it follows version 3"),
    "the first event gone": (("DELETE FROM events WHERE position = 1",), "chain", "position 2: it follows position 0"),
    "an event whose type is unknown": (
        ("UPDATE events SET type = 'secret plan' WHERE position = 5",),
        "event",
        "version 5: its type is unknown",
    ),
    "an id that is none": (
        ("UPDATE events SET data = replace(data, '\"head\":\"', '\"head\":\"zz') WHERE type = 'branch.created'",),
        "event",
        "a value in it is out of its range",
    ),
    "a number that is too large": (
        ("UPDATE events SET data = json_replace(data, '$.token_delta', 9223372036854775808) WHERE position = 5",),
        "event",
        "version 5: ",
    ),
    "an event without a key": (
        ("UPDATE events SET data = json_remove(data, '$.tokens') WHERE type = 'commit.recorded'",),
        "event",
        "the data of commit.recorded",
    ),
    "two events that were swapped": (
        (
            "UPDATE events SET position = -4 WHERE position = 4",
            "UPDATE events SET position = 4 WHERE position = 5",
            "UPDATE events SET position = 5 WHERE position = -4",
        ),
        "chain",
        "it follows version",
    ),
    "data that were swapped": (
        ("UPDATE events AS e SET data = (SELECT data FROM events WHERE position = 9 - e.position) WHERE position IN (4, 5)",),
        "chain",
        "its digest",
    ),
    "a byte of a blob": (
        ("UPDATE blobs SET data = CAST('x' || substr(CAST(data AS TEXT), 2) AS BLOB) WHERE number = 3",),
        "blob",
        "its data cannot be unpacked",
    ),
    "other words in a blob": (
        ("UPDATE blobs SET data = CAST(char(0) || '{}' AS BLOB) WHERE number = 3",),
        "blob",
        "its id is not",
    ),
    "a blob's salt": (("UPDATE blobs SET salt = zeroblob(16) WHERE number = 3",), "blob", "its id is not"),
    "a blob's fingerprint": (("UPDATE blobs SET fingerprint = zeroblob(32) WHERE number = 3",), "blob", "its fingerprint is not"),
    "a blob that is half erased": (("UPDATE blobs SET data = NULL WHERE number = 3",), "blob", "its data is gone, and"),
    "a blob that is gone": (("DELETE FROM blobs WHERE number = 3",), "blob", "which is not there"),
    "a row of a projection gone": (("DELETE FROM commits WHERE depth = 3",), "projection", "table commits, row 4: a replay"),
    "a row of a projection changed": (
        ("UPDATE refs SET head = 5 WHERE name = 'try'",),
        "projection",
        "a replay makes another head",
    ),
    "a row of a projection too many": (
        ("INSERT INTO movements VALUES (9999, 9999, NULL, NULL, NULL, NULL)",),
        "projection",
        "no event makes it",
    ),
    "the last row of a projection gone": (
        ("DELETE FROM usage WHERE number = (SELECT max(number) FROM usage)",),
        "projection",
        "it is missing",
    ),
    "every row of a projection gone": (("DELETE FROM generations",), "projection", "table generations, row 1: it is missing"),
    "a projection's table gone": (("DROP TABLE refs",), "schema", "table refs: it is missing"),
    "an index gone": (("DROP INDEX events_by_operation",), "schema", "index events_by_operation: it is missing"),
    "the table of events gone": (("ALTER TABLE events RENAME TO other",), "schema", "table events: it is missing"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(DAMAGES))
async def test_damage_is_named(path: Path, what: str) -> None:
    statements, kind, said = DAMAGES[what]
    if "table of events" in what:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(*statements)
    else:
        damage(path, *statements)
    found = await admin.verify(path)
    assert [finding for finding in found.findings if finding.kind == kind and said in f"{finding.where}: {finding.what}"]
    assert SECRET not in str(found)
    assert "mallory" not in str(found)


ALONE = ["an event's actor", "a digest", "a blob's salt", "an index gone", "every row of a projection gone"]


@pytest.mark.parametrize("what", ALONE)
async def test_one_damage_is_one_finding(path: Path, what: str) -> None:
    damage(path, *DAMAGES[what][0])
    assert len((await admin.verify(path)).findings) == 1


@pytest.mark.parametrize("trigger", ["events_guard", "events_refuse_update", "events_refuse_delete"])
async def test_a_trigger_that_was_dropped_is_named(path: Path, raw: sqlite3.Connection, trigger: str) -> None:
    raw.execute(f"DROP TRIGGER {trigger}")
    assert [str(finding) for finding in (await admin.verify(path)).findings] == [f"schema: trigger {trigger}: it is missing"]


@pytest.mark.parametrize(
    ("statements", "thing"),
    [
        (
            (
                "DROP TRIGGER events_guard",
                "CREATE TRIGGER events_guard BEFORE INSERT ON events WHEN 0 BEGIN SELECT 1; END",
            ),
            "trigger events_guard",
        ),
        (("DROP TABLE partials", "CREATE TABLE partials (x)"), "table partials"),
        (
            ("DROP INDEX events_by_operation", "CREATE INDEX events_by_operation ON events (actor)"),
            "index events_by_operation",
        ),
    ],
    ids=["trigger", "table", "index"],
)
async def test_what_is_declared_otherwise_than_by_us_is_found(
    path: Path, raw: sqlite3.Connection, statements: tuple[str, ...], thing: str
) -> None:
    for statement in statements:
        raw.execute(statement)
    assert [str(finding) for finding in (await admin.verify(path)).findings] == [f"schema: {thing}: it is declared otherwise"]


async def test_a_byte_that_flipped_in_the_file_is_named(path: Path) -> None:
    overwrite(path, b'"worktree":"main"', b'"worktree":"maim"')
    found = await admin.verify(path)
    assert "chain" in kinds(found)


async def test_a_digest_whose_length_is_another_is_named(path: Path) -> None:
    damage(path, "UPDATE events SET digest = zeroblob(31) WHERE position = 4")
    assert "event: position 4: its columns have not their types" in map(str, (await admin.verify(path)).findings)


async def test_a_byte_that_is_no_text_any_more_is_named(path: Path) -> None:
    overwrite(path, b'"worktree":"main"', b'"worktree":"ma\xffn"')
    found = await admin.verify(path)
    assert {"chain", "event"} <= kinds(found)
    assert not found.is_replayed


async def test_an_erased_blob_is_no_finding(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM projections WHERE name = 'search'")
    raw.execute("UPDATE blobs SET salt = NULL, fingerprint = NULL, data = NULL WHERE number = 3")
    assert (await admin.verify(path)).is_clean


async def test_a_page_that_cannot_be_read_is_named(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(data)
    found = await admin.verify(path)
    assert "file" in kinds(found)
    assert not found.is_replayed


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
async def test_a_truncated_file_is_named(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "file" in kinds(await admin.verify(path))


async def test_what_is_wrong_everywhere_is_counted_beyond_the_first_thousand(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path, durability="normal") as t:
        await asyncio.gather(*(t.user(f"{number}") for number in range(1100)))
    damage(path, "UPDATE blobs SET salt = zeroblob(16)")
    found = await admin.verify(path)
    assert (len(found.findings), found.more) == (1000, 100)
    assert "1,100 findings" in str(found)


async def test_an_unfinished_log_of_a_killed_process_is_read(path: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.db"
    async with AsyncTract.open(path, name="main") as t:
        await t.user("in the write-ahead log")
        shutil.copy(path, copied)
        shutil.copy(f"{path}-wal", f"{copied}-wal")
        expected = (await admin.status(path)).events
    found = await admin.verify(copied)
    assert (found.is_clean, found.events) == (True, expected)


WRITING = """
import asyncio, sys
from tract import AsyncTract
async def agent(path, name):
    async with AsyncTract.open(path, name=name, durability="normal") as t:
        for number in range(100_000):
            said = await t.user(f"{number}")
            if number % 10 == 0:
                await t.edit(said.id, "edited")
                await t.branch(f"b{number}")
            if number == 20:
                print("writing", flush=True)
async def main():
    await asyncio.gather(*(agent(sys.argv[1], name) for name in ("one", "two", "three")))
asyncio.run(main())
"""


def test_beside_processes_that_write_nothing_is_found(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert [writer.stdout.readline() for _ in range(3)] == ["writing\n"] * 3
        try:
            found = [asyncio.run(admin.verify(path)) for _ in range(5)]
            assert writer.poll() is None
        finally:
            writer.kill()
    assert [str(finding) for one in found for finding in one.findings] == []
    events = [one.events for one in found]
    assert events == sorted(events)
    assert events[0] < events[-1]
    assert asyncio.run(admin.verify(path)).is_clean


def test_beside_processes_that_open_and_close_nothing_is_found(path: Path) -> None:
    script = WRITING.replace("range(100_000)", "range(3)").replace("asyncio.run(main())", "while True:\n    asyncio.run(main())")
    script = script.replace("number == 20", "number == 2 and name == 'one'")
    with subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            for _ in range(10):
                writer.stdout.readline()
                assert asyncio.run(admin.verify(path)).findings == ()
        finally:
            writer.kill()


async def test_a_verification_that_is_cancelled_ends_and_leaves_nothing(path: Path) -> None:
    verifying = asyncio.create_task(admin.verify(path))
    await asyncio.sleep(0)
    verifying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await verifying
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]


async def test_work_that_was_stopped_ends_before_its_caller_and_complains_to_nobody(path: Path) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    begun, ended = threading.Event(), threading.Event()

    def work(_: str, stop: threading.Event) -> None:
        begun.set()
        stop.wait(30)
        ended.set()
        raise CorruptLogError("", None, None, "interrupted")

    working = asyncio.create_task(on_thread(work, path))
    await asyncio.to_thread(begun.wait, 30)
    working.cancel()
    await asyncio.wait((working,))
    assert (working.cancelled(), ended.is_set()) == (True, True)
    del working
    gc.collect()
    assert complaints == []


async def test_status_tells_what_there_is(path: Path) -> None:
    found = await admin.status(path)
    tables = {one.table: one.rows for one in found.tables}
    assert (found.path, found.schema, found.size, found.wal_size) == (str(path), found.schema, path.stat().st_size, 0)
    assert (found.families, found.tracts, found.running) == (2, 2, 0)
    assert tables == {name: len(rows) for name, rows in dump(path).items()}
    assert f"{found.events:,}" in str(found)


async def test_status_tells_how_large_the_write_ahead_log_is(path: Path) -> None:
    async with AsyncTract.open(path, name="main", search=False) as t:
        await t.user("more")
        assert (await admin.status(path)).wal_size == Path(f"{path}-wal").stat().st_size > 0


async def test_status_tells_of_calls_without_an_end(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE generations SET status = 'running' WHERE number = (SELECT min(number) FROM generations)")
    assert (await admin.status(path)).running == 1


async def test_status_tells_of_a_table_that_is_missing(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("DROP TABLE tracts")
    found = await admin.status(path)
    assert found.tracts is None
    assert "table tracts            missing" in str(found)


async def test_status_tells_how_far_a_projection_that_follows_the_log_has_read(path: Path, raw: sqlite3.Connection) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.usage()
    (in_step,) = (one for one in (await admin.status(path)).following if one.projection == "usage_sums")
    raw.execute("UPDATE projections SET position = position - 3 WHERE name = 'usage_sums'")
    (behind,) = (one for one in (await admin.status(path)).following if one.projection == "usage_sums")
    raw.execute("INSERT INTO halts VALUES ('usage_sums', x'', 7, 'usage.recorded cannot be folded')")
    (halted,) = (one for one in (await admin.status(path)).following if one.projection == "usage_sums")
    raw.execute("DELETE FROM projections WHERE name = 'usage_sums'")
    raw.execute("DELETE FROM halts")
    (gone,) = (one for one in (await admin.status(path)).following if one.projection == "usage_sums")
    assert [f"{each}" for each in (in_step, behind, halted, gone)] == [
        "in step",
        "3 events behind",
        "stands still at position 7; rebuild it",
        "not followed yet",
    ]
    assert (in_step.lag, behind.lag, gone.position) == (0, 3, None)


async def test_status_tells_of_a_projection_that_has_read_what_the_log_has_lost(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.usage()
    damage(path, "DELETE FROM events WHERE position > (SELECT max(position) - 2 FROM events)")
    (ahead,) = (one for one in (await admin.status(path)).following if one.projection == "usage_sums")
    assert (ahead.lag, f"{ahead}") == (-2, "2 events ahead of the log, which has lost them; run verify")


async def test_status_counts_no_event_as_unread_for_one_that_is_lost_in_mid_log(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.usage()
    damage(path, "DELETE FROM events WHERE position = 5")
    (in_step,) = (one for one in (await admin.status(path)).following if one.projection == "usage_sums")
    assert (in_step.lag, f"{in_step}") == (0, "in step")


async def test_a_store_may_be_named_as_open_names_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.db"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await admin.status(f"sqlite:///{path}")).path == str(path)
    assert (await admin.status("~/log.db")).path == str(path)
    assert (await admin.backup(f"sqlite:///{path}", f"sqlite:///{copy}")).copy == str(copy)


async def test_status_tells_first_what_stands_still(path: Path, raw: sqlite3.Connection) -> None:
    (stream,) = raw.execute("SELECT stream_id FROM events WHERE position = 1").fetchone()
    halts = [("refs", stream, 4, "branch.created cannot be folded"), ("usage_sums", b"", 7, "usage.recorded cannot be folded")]
    raw.executemany("INSERT INTO halts VALUES (?, ?, ?, ?)", halts)
    found = await admin.status(path)
    assert [(one.projection, one.family, one.position) for one in found.halted] == [
        ("refs", str(UUID(bytes=stream)), 4),
        ("usage_sums", None, 7),
    ]
    said = str(found).splitlines()
    assert said[1:3] == [f"  {one}" for one in found.halted]
    assert said[1].startswith(f"  family {UUID(bytes=stream)} stands still at position 4 (refs)")


async def test_status_leaves_out_what_stops_a_rebuild_that_runs(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("INSERT INTO halts SELECT 'refs__2', stream_id, 4, 'it cannot be folded' FROM events WHERE position = 1")
    assert (await admin.status(path)).halted == ()


TABLE_DAMAGES = [what for what, (_, kind, _) in DAMAGES.items() if kind == "projection"] + ["a projection's table gone"]


@pytest.mark.parametrize("what", TABLE_DAMAGES)
async def test_a_rebuild_heals_the_tables(path: Path, what: str) -> None:
    before = dump(path)
    damage(path, *DAMAGES[what][0])
    rebuilt = await admin.rebuild(path)
    assert (rebuilt.projections, rebuilt.events) == (ALL, (await admin.status(path)).events)
    assert (await admin.verify(path)).is_clean
    assert dump(path) == before


@pytest.mark.parametrize("projection", INLINE, ids=lambda projection: projection.name)
async def test_one_projection_is_rebuilt_right_whatever_became_of_the_others(path: Path, projection: object) -> None:
    (one,) = [each for each in INLINE if each is projection]
    before = dump(path)
    damage(path, *(f"DELETE FROM {table}" for each in INLINE for table, _ in each.tables))
    rebuilt = await admin.rebuild(path, one.name)
    assert one.name in rebuilt.projections
    after, names = dump(path), rebuilt.projections
    for each in INLINE:
        for table, _ in each.tables:
            assert after[table] == (before[table] if each.name in names else [])


def test_what_a_projection_reads_comes_before_it() -> None:
    order = [projection.name for projection in INLINE]
    for projection in INLINE:
        assert all(order.index(read) < order.index(projection.name) for read in projection.reads)
        assert set(with_what_it_reads(projection.name)) >= {projection.name, *projection.reads}


def test_a_projection_declares_every_table_that_it_makes() -> None:
    for projection in INLINE:
        with closing(sqlite3.connect(":memory:")) as connection:
            for name in projection.create:
                connection.execute(STATEMENTS[name])
            made = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
        assert [table for table, _ in projection.tables] == [name for (name,) in made]


async def test_a_projection_that_does_not_exist_is_refused_with_those_that_do(path: Path) -> None:
    with pytest.raises(ConfigError, match="tracts, commits, refs"):
        await admin.rebuild(path, "timelines")


async def test_a_rebuild_of_a_damaged_log_changes_nothing(path: Path) -> None:
    damage(path, "DELETE FROM refs", "UPDATE events SET data = '{}' WHERE position = 9")
    before = dump(path)
    with pytest.raises(CorruptLogError):
        await admin.rebuild(path)
    assert dump(path) == before


async def test_a_rebuild_names_the_event_that_cannot_be_replayed(path: Path) -> None:
    damage(path, "UPDATE events SET data = replace(data, '\"head\":\"', '\"head\":\"zz') WHERE type = 'branch.created'")
    before = dump(path)
    with pytest.raises(CorruptLogError, match="it does not follow what is before it"):
        await admin.rebuild(path)
    assert dump(path) == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE position = 7",
        "UPDATE events SET digest = zeroblob(32) WHERE position = 7",
        "UPDATE events SET actor = 'somebody' WHERE position = 7",
    ],
)
async def test_a_log_that_was_changed_is_never_rebuilt_from(path: Path, statement: str) -> None:
    damage(path, statement)
    before = dump(path)
    with pytest.raises(CorruptLogError, match="restore a backup"):
        await admin.rebuild(path)
    assert dump(path) == before


async def test_a_verification_says_what_to_do(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM usage")
    assert "rebuild makes the tables anew" in str(await admin.verify(path))
    damage(path, "UPDATE events SET digest = zeroblob(32) WHERE position = 7")
    assert "restore a backup" in str(await admin.verify(path))


async def test_a_log_that_is_wholly_another_is_read_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path, durability="normal", search=False) as t:
        await asyncio.gather(*(t.user(f"{number}") for number in range(2000)))
    damage(path, "UPDATE events SET digest = zeroblob(32)")
    found = await admin.verify(path)
    with closing(sqlite3.connect(path)) as connection:
        (following,) = connection.execute("SELECT count(*) FROM projections WHERE position > 0").fetchone()
    # The places of what follows the log are in it no more either.
    assert (len(found.findings) + found.more, kinds(found)) == (found.events + following, {"chain"})


async def test_a_rebuild_beside_an_open_tract_disturbs_it_not(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        before = await t.log(100)
        await admin.rebuild(path)
        assert await t.log(100) == before
        await t.user("goes on")
    assert (await admin.verify(path)).is_clean


def test_processes_that_write_wait_for_a_rebuild_and_go_on(path: Path) -> None:
    script = WRITING.replace("range(100_000)", "range(60)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(5):
            asyncio.run(admin.rebuild(path))
        _, errors = writer.communicate(timeout=60)
    assert (writer.returncode, errors) == (0, "")
    assert asyncio.run(admin.verify(path)).is_clean


def text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 400, encoding="utf-8")


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def foreign_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def newer_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def stump(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:70])


NO_STORES: dict[Callable[[Path], None], type[TractError]] = {
    text_file: NotAStoreError,
    empty_file: NotAStoreError,
    foreign_database: NotAStoreError,
    newer_schema: NewerSchemaError,
    missing: StoreNotFoundError,
    folder: NotAStoreError,
    stump: NotAStoreError,
}


def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tract.admin", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("verb", ["status", "verify", "rebuild"])
@pytest.mark.parametrize("make", NO_STORES, ids=lambda make: make.__name__)
async def test_what_is_no_store_is_refused_and_left_untouched(path: Path, make: Callable[[Path], None], verb: str) -> None:
    make(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(NO_STORES[make]):
        await getattr(admin, verb)(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("path", ["a\x00b", "a\ud800", 5], ids=ascii)
@pytest.mark.parametrize("verb", ["status", "verify", "rebuild"])
async def test_what_cannot_be_a_path_is_refused(verb: str, path: object) -> None:
    with pytest.raises(ConfigError) as caught:
        await getattr(admin, verb)(path)
    assert caught.value.field == "path"


@pytest.mark.parametrize("verb", ["status", "verify", "rebuild"])
@pytest.mark.parametrize("make", NO_STORES, ids=lambda make: make.__name__)
def test_the_command_says_in_one_line_why_it_cannot_open(
    path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], verb: str
) -> None:
    make(path)
    assert main([verb, str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1


def test_the_commands_work_as_programs_and_need_no_extra(path: Path) -> None:
    done = [command(verb, str(path)) for verb in ("status", "verify", "rebuild")]
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3
    assert "newest event" in done[0].stdout
    assert done[1].stdout.startswith(f"{path}: clean; ")
    assert f"rebuilt {', '.join(ALL)} from" in done[2].stdout


def test_findings_come_a_line_each_and_give_exit_code_1(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM usage")
    raw.execute("DROP TRIGGER events_guard")
    done = command("verify", str(path))
    *findings, advice, summary = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(findings)) == (1, "", 2)
    assert "restore a backup" in advice
    assert summary.startswith(f"{path}: 2 findings; ")


def test_one_projection_is_rebuilt_by_its_name(path: Path) -> None:
    done = command("rebuild", str(path), "--projection", "refs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "rebuilt tracts, commits, refs from" in done.stdout


def test_a_rebuild_that_meets_a_damaged_event_gives_exit_code_1(path: Path) -> None:
    damage(path, "UPDATE events SET data = '{}' WHERE position = 9")
    done = command("rebuild", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "version 9: it does not follow what is before it" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["mend"], ["verify"], ["rebuild", "x", "--projection", "timelines"]])
def test_a_command_that_makes_no_sense_gives_exit_code_2(arguments: list[str]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m tract.admin")


def test_a_path_that_the_terminal_cannot_show_is_shown_escaped(path: Path) -> None:
    named = path.rename(path.with_name("猫.db"))
    done = command("verify", str(named), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u732b.db: clean" in done.stdout


def test_a_reader_that_leaves_is_no_traceback(path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [sys.executable, "-m", "tract.admin", "status", str(path)], cwd=ROOT, stdout=write, stderr=subprocess.PIPE
    ) as process:
        os.close(write)
        _, errors = process.communicate(timeout=60)
    assert errors == b""


COMMIT = Commit(
    parents=(CommitId("a"),),
    operation=CommitOperation.EDIT,
    time=1,
    operation_id=operation_id(1),
    targets=(CommitId("b"), CommitId("c")),
    content=ContentRef("dialogue", BlobId("1")),
    details=BlobId("2"),
    config=BlobId("3"),
)
NAMED: list[tuple[EventBody, list[str], list[str]]] = [
    (CommitRecorded(COMMIT, "main", before=CommitId("d")), ["1", "2", "3"], ["a", "b", "c", "d"]),
    (BranchCreated("main", None), [], []),
    (BranchCreated("main", CommitId("a")), [], ["a"]),
    (OperationRecorded("gc", None, (CommitId("a"),), (CommitId("b"),), parameters=BlobId("1")), ["1"], ["a", "b"]),
    (ContextCompiled(GenerationId(uuid(1)), CommitId("a"), BlobId("1")), ["1"], ["a"]),
]


@pytest.mark.parametrize(("body", "blobs", "commits"), NAMED, ids=lambda value: getattr(value, "tag", ""))
def test_what_an_event_names_is_seen_from_its_types(body: EventBody, blobs: list[str], commits: list[str]) -> None:
    event = Event(1, tract_id(1), 1, tract_id(1), body, operation_id(1), None, 1, b"", BlobId("9"))
    assert (blobs_of(event), sorted(commits_of(event))) == ([*blobs, "9"], commits)
