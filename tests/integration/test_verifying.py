"""What a verification understands of the log: forged chains, the graph, places of projections, and reading beside writers."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from os import urandom
from pathlib import Path
from threading import Event as Stop
from typing import Any
from uuid import UUID

import pytest

from tests.builders import canonical, linked
from tract import AsyncTract, admin
from tract.admin.chaining import ChainCheck
from tract.admin.findings import Findings
from tract.admin.results import Progress
from tract.admin.snapshots import Slices, read_in_slices
from tract.core.keeping import keep_contexts
from tract.llm.counting import ApproximateCounter
from tract.testing import FixedClock

NOWHERE = "ab" * 32


async def write_history(path: Path) -> None:
    """Two families; one with two branches."""
    async with AsyncTract.open(path, clock=FixedClock()) as t:
        await t.system("Be brief.")
        await t.user("Good day.")
        await t.branch("try", at="HEAD~1")
        await t.user("Elsewhere.")
        await t.switch("main")
        await t.user("Last words.")
    async with AsyncTract.open(path, name="other", clock=FixedClock()) as other:
        await other.user("Another family.")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write_history(found))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


def change(path: Path, *statements: str) -> None:
    """Run SQL past the triggers, and put them back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)


def one(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute(sql).fetchone()
    return found


def forge(path: Path, position: int, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change what an event says, and every digest behind it, as who can rewrite the whole file could."""
    data = json.loads(one(path, f"SELECT data FROM events WHERE position = {position}"))
    edit(data)
    change(path, f"UPDATE events SET data = '{canonical(data).decode()}' WHERE position = {position}")
    ends: dict[bytes, bytes] = {}
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    digests = []
    for place, stream, version, tract, tag, schema, text, operation, actor, recorded_at, _ in rows:
        ids = [str(UUID(bytes=id)) for id in (stream, tract, operation)]
        head = canonical([ids[0], version, ids[1], tag, schema, ids[2], actor, recorded_at])
        ends[stream] = linked(ends.get(stream, bytes(32)), head, text.encode())
        digests.append(f"UPDATE events SET digest = x'{ends[stream].hex()}' WHERE position = {place}")
    change(path, *digests)


def commit_on(path: Path, branch: str) -> tuple[int, str]:
    """Position and id of the commit that a branch is at."""
    with closing(sqlite3.connect(path)) as connection:
        number, id = connection.execute(
            "SELECT c.number, hex(c.id) FROM refs r JOIN commits c ON c.number = r.head WHERE r.kind = 'branch' AND r.name = ?"
            " ORDER BY r.number LIMIT 1",
            (branch,),
        ).fetchone()
    return number, id.lower()


async def found(path: Path) -> list[str]:
    return [str(finding) for finding in (await admin.verify(path)).findings]


async def test_a_forged_parent_that_was_never_recorded_is_named_by_its_event(path: Path) -> None:
    position, _ = commit_on(path, "main")
    forge(path, position, lambda data: data["commit"].update(parents=[NOWHERE]))
    version = one(path, f"SELECT version FROM events WHERE position = {position}")
    (said,) = [line for line in await found(path) if line.startswith("commit: ")]
    assert f"version {version}: its parent {NOWHERE[:12]} is not recorded before it" in said


async def test_a_parent_that_comes_later_is_named_so_that_there_is_no_cycle(path: Path) -> None:
    position, _ = commit_on(path, "try")
    _, later = commit_on(path, "main")
    forge(path, position, lambda data: data["commit"].update(parents=[later]))
    assert any(f"its parent {later[:12]} is not recorded before it" in line for line in await found(path))


async def test_a_parent_of_another_family_is_named(path: Path) -> None:
    async with AsyncTract.open(path, name="other") as other:
        last = await other.user("The last event of the store.")
    position = one(path, "SELECT max(position) FROM events")
    _, foreign = commit_on(path, "main")
    forge(path, position, lambda data: data["commit"].update(parents=[foreign]))
    assert last.id != foreign
    assert any(f"it names commit {foreign[:12]}, which is of another family" in line for line in await found(path))


@pytest.mark.parametrize("family", ["its own", "another"])
async def test_a_head_that_is_no_commit_of_the_family_is_named(path: Path, family: str) -> None:
    position = one(path, "SELECT position FROM events WHERE type = 'branch.created' AND data LIKE '%try%'")
    head = NOWHERE if family == "its own" else one(path, "SELECT lower(hex(id)) FROM commits ORDER BY number DESC LIMIT 1")
    forge(path, position, lambda data: data.update(head=head))
    wrong = "which is not recorded" if family == "its own" else "which is of another family"
    assert any(f"it names commit {head[:12]}, {wrong}" in line for line in await found(path))


async def test_a_cycle_in_a_table_is_named_by_its_row(path: Path) -> None:
    change(path, "UPDATE commits SET parent = (SELECT max(number) FROM commits) WHERE depth = 1")
    (said, *_) = await found(path)
    assert said == "projection: table commits, row 2: a replay makes another parent"


async def test_a_head_in_a_table_that_is_no_commit_is_named_by_its_row(path: Path) -> None:
    change(path, "UPDATE refs SET head = 9999 WHERE name = 'try'")
    row = one(path, "SELECT count(*) FROM refs WHERE number <= (SELECT number FROM refs WHERE name = 'try')")
    assert await found(path) == [f"projection: table refs, row {row}: a replay makes another head"]


async def test_a_blob_that_was_erased_is_no_finding_where_events_name_it(path: Path) -> None:
    change(path, "DELETE FROM projections WHERE name = 'search'")
    change(path, "UPDATE blobs SET salt = NULL, fingerprint = NULL, data = NULL")
    assert await found(path) == []


async def test_tables_of_another_edition_are_those_that_are_compared(path: Path) -> None:
    renamed = ["ALTER TABLE refs RENAME TO refs__3", "UPDATE projections SET edition = 3 WHERE name = 'refs'"]
    # A copy that a rebuild has not put in use yet says nothing.
    change(path, *renamed, "CREATE TABLE refs__4 (x)")
    sql = one(path, "SELECT sql FROM sqlite_schema WHERE name = 'refs__3'").replace('"refs__3"', "refs__3")
    change(
        path,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_schema SET sql = '{sql.replace(chr(39), chr(39) * 2)}' WHERE name = 'refs__3'",
    )
    assert await found(path) == []
    change(path, "UPDATE refs__3 SET head = 1 WHERE number = (SELECT min(number) FROM refs__3)")
    assert await found(path) == ["projection: table refs__3, row 1: a replay makes another head"]


@pytest.mark.parametrize("name", ["commits", "usage_sums"])
async def test_a_projection_that_a_later_version_made_is_named_as_it_cannot_be_compared(path: Path, name: str) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.usage()
    change(path, f"UPDATE projections SET version = 9 WHERE name = '{name}'")
    assert await found(path) == [f"projection: projection {name}: a later version of Tract made it, which can verify it"]


async def test_a_projection_that_an_older_version_made_is_made_anew_by_the_next_open(path: Path) -> None:
    change(path, "UPDATE projections SET version = 0 WHERE name = 'commits'", "UPDATE commits SET depth = depth + 1")
    assert await found(path) == []
    async with AsyncTract.open(path, name="main") as t:
        await t.user("Opened.")
    assert one(path, "SELECT version FROM projections WHERE name = 'commits'") > 0
    assert await found(path) == []


async def test_it_is_named_where_no_projection_is_noted(path: Path) -> None:
    change(path, "DELETE FROM projections")
    said = await found(path)
    assert "projection: projection commits: it is not noted which version made it" in said


@pytest.mark.parametrize(
    ("sql", "thing"),
    [
        ("CREATE TRIGGER mine AFTER INSERT ON commits BEGIN DELETE FROM blobs; END", "trigger mine"),
        ("CREATE TRIGGER mine AFTER INSERT ON events BEGIN SELECT 1; END", "trigger mine"),
        ("CREATE UNIQUE INDEX mine ON events (actor)", "index mine"),
        ("CREATE VIEW commits__9 AS SELECT 1", "view commits__9"),
        ("CREATE TABLE commits__x (y)", None),
        ("CREATE TABLE notes (text)", None),
        ("CREATE TRIGGER mine AFTER INSERT ON Commits BEGIN SELECT 1; END", "trigger mine"),
        ("CREATE TRIGGER sqlitemine AFTER INSERT ON refs BEGIN SELECT 1; END", "trigger sqlitemine"),
    ],
)
async def test_what_nothing_of_ours_declares_is_named_where_it_meddles_with_ours(path: Path, sql: str, thing: str | None) -> None:
    change(path, sql)
    assert await found(path) == ([] if thing is None else [f"schema: {thing}: it is nothing that Tract makes"])


async def test_a_trigger_on_a_table_that_bears_no_name_of_ours_is_its_owners(path: Path) -> None:
    change(path, "CREATE TABLE notes (text)", "CREATE TRIGGER mine AFTER INSERT ON notes BEGIN SELECT 1; END")
    assert await found(path) == []


async def test_what_a_rebuild_left_is_named_and_no_finding(path: Path) -> None:
    change(
        path,
        "CREATE TABLE commits__7 (number INTEGER PRIMARY KEY)",
        "CREATE INDEX commits_by_id__7 ON commits__7 (number)",
        "CREATE VIRTUAL TABLE search_texts__7 USING fts5 (text)",
    )
    checked = await admin.verify(path)
    assert (checked.is_clean, checked.left_over) == (True, ("commits__7", "search_texts__7"))
    assert "commits__7, search_texts__7: a rebuild left this; the next one removes it" in str(checked)
    await admin.rebuild(path)
    assert (await admin.verify(path)).left_over == ()


async def test_what_a_rebuild_fills_just_now_is_not_left_over(path: Path) -> None:
    change(
        path,
        "CREATE TABLE commits__7 (number INTEGER PRIMARY KEY)",
        "CREATE VIRTUAL TABLE search_texts__7 USING fts5 (text)",
        "INSERT INTO rebuilds VALUES (7, 'commits:1,search:1', 0, NULL)",
    )
    checked = await admin.verify(path)
    assert (checked.is_clean, checked.left_over) == (True, ())


async def test_after_a_rebuild_nothing_is_left_over(path: Path) -> None:
    await admin.rebuild(path)
    checked = await admin.verify(path)
    assert (checked.is_clean, checked.left_over) == (True, ())


async def kept(path: Path) -> None:
    """Write something, and keep its context."""
    async with AsyncTract.open(path, name="main", clock=FixedClock()) as t:
        for number in range(9):
            await t.user(f"Number {number}.")
        together = t.collaborators.shared
        assert await keep_contexts(together.store, together.contexts, stride=1)


async def test_contexts_that_are_kept_are_what_their_commits_compile_to(path: Path) -> None:
    await kept(path)
    assert await found(path) == []


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("UPDATE contexts SET data = x'00'", "it is damaged or not whole"),
        ("UPDATE contexts SET run = run + 1000", "it is of no commit"),
    ],
)
async def test_a_context_that_is_kept_and_damaged_is_named_and_healed(path: Path, damage: str, wrong: str) -> None:
    await kept(path)
    change(path, damage)
    checked = await admin.verify(path)
    assert [finding.kind for finding in checked.findings] == ["context"] * one(path, "SELECT count(*) FROM contexts")
    number = one(path, "SELECT min(number) FROM contexts")
    assert str(checked.findings[0]).startswith(f"context: table contexts, number {number}")
    assert checked.findings[0].what == wrong
    assert "rebuild makes the tables anew" in str(checked)
    await admin.rebuild(path)
    assert await found(path) == []


async def test_a_projection_that_stands_still_is_named(path: Path) -> None:
    family = one(path, "SELECT hex(stream_id) FROM events WHERE position = 1")
    change(path, f"INSERT INTO halts VALUES ('refs', x'{family}', 4, 'branch.created cannot be folded')")
    said = f"projection: projection refs, family {UUID(family)}: it stands still at position 4: branch.created cannot be folded"
    assert await found(path) == [said]


async def test_what_stops_a_rebuild_that_runs_is_no_finding(path: Path) -> None:
    change(path, "INSERT INTO halts VALUES ('refs__3', zeroblob(16), 4, 'branch.created cannot be folded')")
    assert await found(path) == []


async def test_the_log_is_checked_although_the_table_of_editions_is_damaged(path: Path) -> None:
    change(path, "DROP TABLE projections", "CREATE TABLE projections (x)", "UPDATE events SET actor = 'x' WHERE position = 3")
    said = await found(path)
    assert any(line.startswith("chain: ") for line in said)
    assert "schema: table projections: it is declared otherwise" in said


async def test_the_chain_alone_is_checked_where_nothing_else_is_asked_for(path: Path) -> None:
    change(path, "DELETE FROM refs", "UPDATE blobs SET salt = zeroblob(16)")
    assert not (await admin.verify(path)).is_clean
    checked = await admin.verify(path, chain_only=True)
    assert (checked.is_clean, checked.is_chain_only) == (True, True)
    assert (checked.events, checked.blobs, checked.rows) == (one(path, "SELECT count(*) FROM events"), 0, 0)
    assert "nothing else was looked at" in str(checked)


async def test_the_chain_alone_names_a_digest_as_the_whole_does(path: Path) -> None:
    change(path, "UPDATE events SET digest = zeroblob(32) WHERE position = 4")
    checked = await admin.verify(path, chain_only=True)
    assert [str(finding) for finding in checked.findings] == await found(path)


async def test_progress_is_told_in_stretches_that_all_end(path: Path) -> None:
    told: list[Progress] = []
    checked = await admin.verify(path, progress=told.append)
    ends = {one.unit: one.done for one in told}
    assert list(ends) == ["tables", "digests", "events", "blobs", "rows"]
    assert (ends["digests"], ends["events"], ends["blobs"]) == (checked.events, checked.events, checked.blobs)


def test_streams_whose_ends_are_forgotten_are_looked_up_again(path: Path) -> None:
    asyncio.run(take_turns(path))
    assert chain_of(path, streams=1) == ([], one(path, "SELECT count(*) FROM events"))
    middle = one(path, "SELECT max(position) FROM events") - 2
    change(path, f"UPDATE events SET recorded_at = recorded_at + 1 WHERE position = {middle}")
    remembered, _ = chain_of(path, streams=1000)
    assert chain_of(path, streams=1)[0] == remembered != []


async def take_turns(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t, AsyncTract.open(path, name="other") as other:
        for _ in range(3):
            await t.user("One.")
            await other.user("The other.")


def chain_of(path: Path, *, streams: int) -> tuple[list[str], int]:
    def check(slices: Slices) -> tuple[list[str], int]:
        chain = ChainCheck(slices, Findings(), streams)
        while chain.read():
            pass
        return [str(finding) for finding in chain.findings.kept], chain.events

    return read_in_slices(str(path), Stop(), check)


async def test_between_two_slices_the_write_ahead_log_can_be_emptied(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.user("In the write-ahead log.")

        def emptied(slices: Slices) -> list[int]:
            with slices.snapshot() as snapshot:
                snapshot("log.last_position").fetchone()
                inside = is_busy(path)
            return [inside, is_busy(path)]

        assert await asyncio.to_thread(read_in_slices, str(path), Stop(), emptied) == [1, 0]


def is_busy(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return int(busy)


def test_who_comes_to_a_store_that_was_closed_is_seen(path: Path) -> None:
    counts: list[int] = []

    def count(slices: Slices) -> int:
        with slices.snapshot() as snapshot:
            (last,) = snapshot("log.last_position").fetchone()
        counts.append(last)
        if len(counts) == 1:
            asyncio.run(take_turns(path))
        with slices.snapshot() as snapshot:
            (last,) = snapshot("log.last_position").fetchone()
        return int(last)

    assert read_in_slices(str(path), Stop(), count) == counts[1] > counts[0]


async def test_blobs_that_are_too_heavy_to_be_read_at_once_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path, tokens=ApproximateCounter(), durability="normal") as t:
        for _ in range(4):
            await t.user(urandom(2_500_000).hex())
    numbers = one(path, "SELECT count(*) FROM blobs")
    assert (await admin.verify(path)).blobs == numbers
    change(
        path, "UPDATE blobs SET salt = zeroblob(16) WHERE number = (SELECT max(number) FROM blobs WHERE length(data) > 1000000)"
    )
    (said,) = await found(path)
    assert said.startswith("blob: ")
    assert said.endswith(": its id is not that of its salt and data")


async def test_beside_tasks_of_the_same_process_nothing_is_found(path: Path) -> None:
    async with AsyncTract.open(path, name="main", durability="normal") as t:
        verifying = asyncio.create_task(verified_often(path))
        while not verifying.done():
            said = await t.user("On and on.")
            await t.edit(said.id, "And on.")
        counts = await verifying
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


async def verified_often(path: Path) -> list[int]:
    counts = []
    for _ in range(4):
        checked = await admin.verify(path)
        assert checked.findings == ()
        counts.append(checked.events)
    return counts


def relink(path: Path, position: int, column: str, value: Any) -> None:
    """Change a column of an event, and every digest behind it."""
    change(path, f"UPDATE events SET {column} = {value} WHERE position = {position}")
    forge(path, position, lambda _: None)


async def test_a_time_that_no_clock_shows_is_named_and_status_goes_on(path: Path) -> None:
    last = one(path, "SELECT max(position) FROM events")
    relink(path, last, "recorded_at", 2**63 - 1)
    version = one(path, f"SELECT version FROM events WHERE position = {last}")
    assert any(line.endswith(f"version {version}: its time is out of its range") for line in await found(path))
    assert "newest event            9999-12-31" in str(await admin.status(path))


@pytest.mark.parametrize("tract", ["unknown", "of another family"])
async def test_an_event_of_a_tract_that_is_not_of_its_family_is_named(path: Path, tract: str) -> None:
    last = one(path, "SELECT max(position) FROM events")
    id = "zeroblob(16)" if tract == "unknown" else f"x'{one(path, 'SELECT hex(id) FROM tracts WHERE number = 1')}'"
    relink(path, last, "tract_id", id)
    version = one(path, f"SELECT version FROM events WHERE position = {last}")
    assert any(line.endswith(f"version {version}: its tract is not created before it") for line in await found(path))


INDEX_DAMAGES = {
    "a word that is not found": "UPDATE search_texts_data SET block = replace_word(block) WHERE id > 10",
    "an index that is wiped": "UPDATE search_texts_data SET block = zeroblob(length(block)) WHERE id > 10",
    "pages of the index gone": "DELETE FROM search_texts_data WHERE id > 10",
    "the length of a text": "UPDATE search_texts_docsize SET sz = x'0101' WHERE id = (SELECT max(id) FROM search_texts_docsize)",
    "the length of all texts": "UPDATE search_texts_data SET block = x'000000' WHERE id = 1",
    "the lengths gone": "DELETE FROM search_texts_docsize",
    "how it is read": "UPDATE search_texts_config SET v = 99",
    "another setting": "INSERT INTO search_texts_config VALUES ('rank', 'bm25(9.0)')",
}


@pytest.mark.parametrize("damage", INDEX_DAMAGES.values(), ids=INDEX_DAMAGES)
@pytest.mark.parametrize("is_rebuilt", [False, True], ids=["as it was made", "rebuilt"])
async def test_a_full_text_index_that_finds_something_else_is_named(path: Path, damage: str, *, is_rebuilt: bool) -> None:
    if is_rebuilt:
        await admin.rebuild(path)
        damage = damage.replace("search_texts", "search_texts__1")
    assert await found(path) == []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("replace_word", 1, lambda block: block.replace(b"rief", b"rjef"))
        connection.execute(damage)
    said = await found(path)
    assert said
    assert all("search" in line or "SQLite" in line for line in said)
    assert not any("rief" in line or "rjef" in line for line in said)
    await admin.rebuild(path)
    assert await found(path) == []
