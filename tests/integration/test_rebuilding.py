"""Rebuilding beside those who read and write: what stops it, what it stops, and how it goes on."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec.structs import astuple

from tests.builders import canonical, linked, uuid_of
from tests.integration.test_projections import Dump, close_all, dump, write_program
from tract import AsyncTract, LLMConfig, SearchHit, admin
from tract.admin import Progress
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId
from tract.errors import CorruptLogError, ProjectionError, RebuildRunningError
from tract.log.protocol import Row, Statement
from tract.log.shadows import KEY
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import FOLLOWING, INLINE, SQL
from tract.projections.running import Runner

ROOT = Path(__file__).parents[2]
ALL = tuple(projection.name for projection in INLINE)


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')")}


def append_raw(path: Path, family: str, change: Callable[[Row], tuple[str, int, str]]) -> int:
    """Append an event to a family that follows the one before, made of its newest commit; return its position."""
    with closing(sqlite3.connect(path)) as connection, connection:
        (stream,) = connection.execute("SELECT stream_id FROM events WHERE tract_id = ?", (bytes.fromhex(family),)).fetchone()
        newest = "SELECT * FROM events WHERE stream_id = ? {} ORDER BY version DESC LIMIT 1"
        last = connection.execute(newest.format(""), (stream,)).fetchone()
        model = connection.execute(newest.format("AND type = 'commit.recorded'"), (stream,)).fetchone()
        tag, schema, data = change(model)
        head = [uuid_of(stream), last[2] + 1, uuid_of(model[3]), tag, schema, uuid_of(model[7]), model[8], last[9]]
        (position,) = connection.execute("SELECT max(position) + 1 FROM events").fetchone()
        digest = linked(last[10], canonical(head), data.encode())
        row = (position, stream, last[2] + 1, model[3], tag, schema, data, model[7], model[8], last[9], digest)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return int(position)


POISONS: dict[str, tuple[Callable[[Row], tuple[str, int, str]], str]] = {
    "a shape of a later version": (lambda _: ("tract.configured", 99, "{}"), "settings"),
    "a commit that is there already": (lambda row: (row[4], row[5], row[6]), "commits"),
    "an id that is none": (lambda row: (row[4], row[5], row[6].replace('"blob":"', '"blob":"zz')), "commits"),
}
every_poison = pytest.mark.parametrize(("poison", "projection"), POISONS.values(), ids=POISONS)


async def two_families(path: Path) -> dict[str, str]:
    """Write two families and return the ids of their roots."""
    families = {}
    for name in ("sound", "poisoned"):
        async with AsyncTract.open(path, name=name, durability="normal") as t:
            await asyncio.gather(*(t.user(f"{name} {number}") for number in range(40)))
            families[name] = t.id.replace("-", "")
    return families


async def poisoned(path: Path, poison: Callable[[Row], tuple[str, int, str]]) -> int:
    """Write two families, one of them with an event that cannot be folded and more behind it; return its position."""
    families = await two_families(path)
    position = append_raw(path, families["poisoned"], poison)
    async with AsyncTract.open(path, name="poisoned") as t, AsyncTract.open(path, name="sound") as other:
        await t.user("behind it")
        await other.user("behind it too")
    return position


def of_family(found: Dump, path: Path, name: str) -> list[Row]:
    """The commits of a family."""
    with closing(sqlite3.connect(path)) as connection:
        (stream,) = connection.execute("SELECT stream_id FROM events WHERE json_extract(data, '$.name') = ?", (name,)).fetchone()
        positions = {one for (one,) in connection.execute("SELECT position FROM events WHERE stream_id = ?", (stream,))}
    return [row for row in found["commits"] if row[0] in positions]


@every_poison
async def test_an_event_that_cannot_be_folded_stops_its_family_alone(
    tmp_path: Path, poison: Callable[[Row], tuple[str, int, str]], projection: str
) -> None:
    path = tmp_path / "log.db"
    position = await poisoned(path, poison)
    before = dump(path)
    rebuilt = await admin.rebuild(path)
    assert [(one.projection, one.position) for one in rebuilt.halted] == [(projection, position)]
    after = dump(path)
    assert of_family(after, path, "sound") == of_family(before, path, "sound")
    assert [row[0] for row in of_family(after, path, "poisoned")] == [
        row[0] for row in of_family(before, path, "poisoned") if row[0] < position
    ]
    async with AsyncTract.open(path, name="sound") as t:
        await t.user("is served")


@every_poison
async def test_a_tract_of_a_family_that_stands_still_is_not_opened(
    tmp_path: Path, poison: Callable[[Row], tuple[str, int, str]], projection: str
) -> None:
    path = tmp_path / "log.db"
    position = await poisoned(path, poison)
    ((halted),) = (await admin.rebuild(path)).halted
    with pytest.raises(ProjectionError, match="stands still") as refused:
        await AsyncTract.open(path, name="poisoned")
    error = refused.value
    assert (error.path, error.projection, error.family, error.position) == (str(path), projection, halted.family, position)
    assert error.finding == halted.finding


async def test_nothing_is_appended_to_a_family_that_stands_still_by_whoever_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await poisoned(path, POISONS["a shape of a later version"][0])
    async with AsyncTract.open(path, name="poisoned") as t, AsyncTract.open(path, name="sound") as other:
        await admin.rebuild(path)
        with pytest.raises(ProjectionError, match="stands still"):
            await t.user("refused")
        await other.user("appended")


@pytest.mark.parametrize("verb", ["compile", "log", "status", "branches", "search", "timeline", "usage"])
async def test_nothing_is_read_of_a_family_that_stands_still_by_whoever_has_it_open(tmp_path: Path, verb: str) -> None:
    path = tmp_path / "log.db"
    position = await poisoned(path, POISONS["a shape of a later version"][0])
    async with AsyncTract.open(path, name="poisoned") as t:
        await admin.rebuild(path)
        with pytest.raises(ProjectionError, match="stands still") as refused:
            await getattr(t, verb)(*(("word",) if verb == "search" else ()))
        assert (refused.value.family, refused.value.position) == (t.place.stream, position)


async def test_the_timeline_of_a_store_tells_of_families_that_stand_still(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await poisoned(path, POISONS["a shape of a later version"][0])
    async with AsyncTract.open(path, name="sound") as t:
        before = await t.timeline(200, scope="store")
        await admin.rebuild(path)
        after = await t.timeline(200, scope="store")
    assert [one.operation_id for one in after] == [one.operation_id for one in before]
    assert [one.did for one in after] == [one.did for one in before]


async def test_what_a_tract_was_configured_with_is_known_again_once_damaged_rows_were_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=LLMConfig(model="large"))
    run_sql(path, "DELETE FROM settings")
    async with AsyncTract.open(path) as t:
        await admin.rebuild(path)
        await t.status()
        assert t.config.model == "large"


async def test_a_family_whose_first_event_cannot_be_folded_is_not_taken_for_none(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    # As a later version would have begun it: the id of the family stands in no table.
    with closing(sqlite3.connect(path)) as connection, connection:
        stream, operation = bytes(15) + b"\x01", bytes(15) + b"\x02"
        head = [uuid_of(stream), 1, uuid_of(stream), "tract.created", 99, uuid_of(operation), None, 5]
        digest = linked(bytes(32), canonical(head), b"{}")
        (position,) = connection.execute("SELECT max(position) + 1 FROM events").fetchone()
        row = (position, stream, 1, stream, "tract.created", 99, "{}", operation, None, 5, digest)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    await admin.rebuild(path)
    with pytest.raises(ProjectionError):
        await AsyncTract.open(path, name="a third")
    async with AsyncTract.open(path, name="sound") as t:
        await t.user("is served")


async def test_a_rebuild_of_one_projection_is_one_of_all_while_a_family_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await poisoned(path, POISONS["a shape of a later version"][0])
    everything = await admin.rebuild(path)
    assert (await admin.rebuild(path, "settings")).projections == everything.projections


async def test_a_family_is_served_again_once_its_events_can_be_folded(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    families = await two_families(path)
    before = dump(path)
    position = append_raw(path, families["poisoned"], POISONS["a shape of a later version"][0])
    assert not (await admin.rebuild(path)).is_clean
    run_sql(path, "DROP TRIGGER events_refuse_delete", f"DELETE FROM events WHERE position = {position}")
    assert (await admin.rebuild(path)).is_clean
    assert dump(path) == before
    async with AsyncTract.open(path, name="poisoned") as t:
        await t.user("is served")


def test_a_family_that_stands_still_gives_exit_code_1_and_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    position = asyncio.run(poisoned(path, POISONS["a shape of a later version"][0]))
    command = [sys.executable, "-m", "tract.admin", "rebuild", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"stands still at position {position} (settings): tract.configured of schema 99 cannot be read" in done.stdout


async def test_of_two_rebuilds_at_once_the_second_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    done = await asyncio.gather(admin.rebuild(path), admin.rebuild(path), return_exceptions=True)
    (refused,) = [one for one in done if isinstance(one, RebuildRunningError)]
    assert str(path) in str(refused)
    assert [type(one).__name__ for one in done if one is not refused] == ["Rebuilt"]
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"]


class EnoughError(Exception):
    """The caller wants no more."""


async def stop_half_way(path: Path) -> None:
    """Begin a rebuild and give it up when it has come some way."""

    def tell(done: int, _: int) -> None:
        if done:
            raise EnoughError

    async with AsyncTract.open(path) as t:
        with pytest.raises(EnoughError):
            await t.collaborators.shared.store.rebuild(None, tell)


async def some_history(path: Path) -> Dump:
    """A store that takes several portions."""
    async with AsyncTract.open(path, durability="normal") as t:
        for _ in range(10):
            await asyncio.gather(*(t.user(f"{number}") for number in range(200)))
    return dump(path)


def is_resumable(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("SELECT position FROM rebuilds WHERE position > 0").fetchall())


async def test_a_rebuild_that_was_given_up_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = await some_history(path)
    await stop_half_way(path)
    assert is_resumable(path)
    assert dump(path) == before
    rebuilt = await admin.rebuild(path)
    assert 0 < rebuilt.resumed < rebuilt.events
    assert dump(path) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rebuilds SET digest = zeroblob(32)",
        "UPDATE rebuilds SET projections = 'tracts:1'",
        "UPDATE rebuilds SET projections = replace(projections, ':1', ':2')",
    ],
    ids=["another log", "other projections", "another version of them"],
)
async def test_a_rebuild_that_does_not_fit_any_more_is_begun_anew(tmp_path: Path, change: str) -> None:
    path = tmp_path / "log.db"
    before = await some_history(path)
    await stop_half_way(path)
    run_sql(path, change)
    rebuilt = await admin.rebuild(path)
    assert rebuilt.resumed == 0
    assert dump(path) == before
    assert not [name for name in tables(path) if name.endswith("__1")]


async def test_a_rebuild_of_another_projection_leaves_nothing_of_the_one_that_was_given_up(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = await some_history(path)
    await stop_half_way(path)
    assert (await admin.rebuild(path, "refs")).projections == ("tracts", "commits", "refs")
    assert dump(path) == before
    assert not is_resumable(path)


async def test_rows_that_were_damaged_are_read_right_by_those_who_have_the_store_open(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        await t.user("one")
        before = await t.status()
        run_sql(path, "UPDATE commits SET tokens = 999")
        assert await t.status() != before
        command = [sys.executable, "-m", "tract.admin", "rebuild", str(path)]
        assert (await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=False)).returncode == 0
        assert await t.status() == before
        await t.user("two")
    assert (await admin.verify(path)).is_clean


async def test_what_was_compiled_from_damaged_rows_is_compiled_again_by_those_who_have_the_store_open(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        await asyncio.gather(*(t.user(f"{number}") for number in range(5)))
    run_sql(path, "DELETE FROM commits WHERE number = (SELECT min(number) + 2 FROM commits)")
    async with AsyncTract.open(path) as t:
        assert len((await t.compile()).messages) == 4
        await admin.rebuild(path)
        assert len((await t.compile()).messages) == 5


async def test_a_rebuild_of_a_log_that_is_broken_leaves_the_tables_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before, made = await some_history(path), tables(path)
    run_sql(path, "DROP TRIGGER events_refuse_update", "UPDATE events SET actor = 'x' WHERE position = 1500")
    with pytest.raises(CorruptLogError):
        await admin.rebuild(path)
    assert (dump(path), tables(path)) == (before, made)


async def test_rebuilding_again_and_again_leaves_one_set_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    program = await write_program(str(path), 4, 60)
    await close_all(program)
    before, made = dump(path), len(tables(path))
    for _ in range(3):
        await admin.rebuild(path)
    assert (dump(path), len(tables(path))) == (before, made)
    assert (await admin.status(path)).tables[0].rows == len(before["tracts"])


async def test_progress_comes_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    told: list[Progress] = []
    rebuilt = await admin.rebuild(path, progress=told.append)
    assert (told[0].done, told[-1].done, told[-1].total, told[-1].unit) == (0, rebuilt.events, rebuilt.events, "events")


class Lengths:
    """A projection that follows the log: how long each text is."""

    name = "lengths"
    version = 1
    is_inline = False
    folds = (CommitRecorded,)
    create = ("lengths.create",)
    drop = ("lengths.drop",)
    tables = (("lengths", "lengths.rows"),)
    reads = ()

    def __init__(self, poison: int = 0, failure: type[Exception] = ZeroDivisionError) -> None:
        self.poison = poison
        self.failure = failure

    def words(self, event: Event) -> Iterable[BlobId]:
        content = event.body.commit.content if isinstance(event.body, CommitRecorded) else None
        return () if content is None else (content.blob,)

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        for event in events:
            if event.position == self.poison:
                raise self.failure
            yield Statement("lengths.insert", (event.position, sum(len(blobs[blob]) for blob in self.words(event))))


LENGTHS = {
    "lengths.create": "CREATE TABLE lengths (position INTEGER PRIMARY KEY, length INTEGER NOT NULL) STRICT",
    "lengths.drop": "DROP TABLE IF EXISTS lengths",
    "lengths.rows": "SELECT * FROM lengths ORDER BY position",
    "lengths.insert": "INSERT INTO lengths VALUES (?, ?)",
}


@asynccontextmanager
async def store_with(path: Path, projection: Lengths) -> AsyncIterator[SqliteStore]:
    statements = {**load(*SQL), **LENGTHS}
    store = await SqliteStore.open(
        str(path),
        create=False,
        durability="normal",
        clock=lambda: 0,
        statements=statements,
        projections=(*INLINE, projection),
    )
    try:
        yield store
    finally:
        await store.aclose()


async def lengths(store: SqliteStore) -> list[Row]:
    return await store.read(lambda query: query("lengths.rows"))


async def checkpoint(store: SqliteStore) -> Row:
    ((row),) = await store.read(lambda query: query("log.checkpoint", "lengths"))
    return row


async def test_a_projection_that_follows_the_log_is_rebuilt_up_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    async with store_with(path, Lengths()) as store:
        await store.adopt(Lengths())
        done = await store.rebuild()
        assert done.projections == (*ALL, "lengths")
        assert len(await lengths(store)) == 80
        version, edition, position, digest = await checkpoint(store)
        ((newest,),) = await store.read(lambda query: query("log.digest_at", done.events))
        assert (version, edition, position, digest) == (1, 1, done.events, newest)


async def test_a_projection_that_was_kept_up_and_rebuilt_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    async with store_with(path, Lengths()) as store:
        runner = Runner(store)
        runner.follow(Lengths())
        await runner.caught_up("lengths")
        before = await lengths(store)
        await store.rebuild(["lengths"])
        assert await lengths(store) == before
        await runner.caught_up("lengths")
        assert await store.adopt(Lengths()) == (await checkpoint(store))[2]


async def test_what_nobody_ever_followed_is_not_made_by_a_rebuild_of_everything(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    async with store_with(path, Lengths()) as store:
        assert (await store.rebuild()).projections == ALL
    assert not [name for name in tables(path) if name.startswith("lengths")]


async def test_an_event_that_a_projection_which_follows_cannot_fold_stops_it_there_and_no_family(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    before = dump(path)
    async with store_with(path, Lengths(poison=30)) as store:
        await store.adopt(Lengths())
        done = await store.rebuild()
        halt = ("lengths", b"", 30, "commit.recorded cannot be folded")
        assert [astuple(one) for one in done.halts] == [halt]
        assert {row[0] for row in await lengths(store)} == {row[0] for row in before["commits"] if row[0] < 30}
        assert (await checkpoint(store))[2] == 29
        assert await store.read(lambda query: query("log.halts")) == [halt]
    after = dump(path)
    assert {name: rows for name, rows in after.items() if name != "lengths"} == before


def damage_a_page(path: Path, table: str) -> None:
    """Overwrite a leaf of a table's tree."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    data = bytearray(path.read_bytes())
    page = data[(root - 1) * size : root * size]
    # An inner page of a table, and its first cell, which begins with a page's number: https://sqlite.org/fileformat2.html#b_tree_pages
    assert page[0] == 5
    cell = int.from_bytes(page[12:14], "big")
    child = int.from_bytes(page[cell : cell + 4], "big")
    data[(child - 1) * size : child * size] = b"\xff" * size
    path.write_bytes(data)


async def test_a_page_that_is_damaged_stops_no_rebuild_and_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await some_history(path)
    async with AsyncTract.open(path) as t:
        before = await t.log(3_000)
    damage_a_page(path, "commits")
    for _ in range(2):
        rebuilt = await admin.rebuild(path)
        assert rebuilt.leftovers == ("commits",)
        assert "Not removed, as the file is damaged there: commits." in str(rebuilt)
        async with AsyncTract.open(path) as t:
            assert await t.log(3_000) == before
    assert not is_resumable(path)


async def test_a_sound_store_has_no_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    assert (await admin.rebuild(path)).leftovers == ()


async def searched(path: Path, word: str) -> int:
    """How many texts a search finds."""
    async with AsyncTract.open(path, name="sound") as t:
        return len(await t.search(word, limit=100))


@pytest.mark.parametrize(
    "damage",
    ["UPDATE search_texts_config SET v = 99", "DROP TABLE search_texts_data", "DROP TABLE search_texts_config"],
    ids=["of another format", "without its data", "without its configuration"],
)
async def test_a_search_index_that_cannot_be_opened_is_made_anew_and_its_parts_are_removed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    found = await searched(path, "sound")
    run_sql(path, damage)
    rebuilt = await admin.rebuild(path)
    assert set(rebuilt.leftovers) <= {"search_texts"}
    assert not [name for name in tables(path) if name.startswith("search_texts_") and not name.startswith("search_texts__1")]
    assert await searched(path, "sound") == found > 0
    assert (await admin.rebuild(path)).leftovers == rebuilt.leftovers


@pytest.mark.parametrize("table", ["rebuilds", "contexts", "context_leaves"])
async def test_a_rebuild_makes_what_it_needs_and_somebody_removed(tmp_path: Path, table: str) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    before, made = dump(path), {name for name in tables(path) if name.startswith(table)}
    run_sql(path, f"DROP TABLE {table}")
    await admin.rebuild(path)
    assert dump(path) == before
    assert {name for name in tables(path) if name.startswith(table)} == made


async def halted_by_an_earlier_version(path: Path) -> tuple[SearchHit, ...]:
    """Write what a rebuild of a version leaves that stopped at the first commit; return what a search found before."""
    await two_families(path)
    async with AsyncTract.open(path, name="poisoned") as t:
        found = await t.search("poisoned", limit=100)
    position = min(row[0] for row in of_family(dump(path), path, "poisoned"))
    halt = f"SELECT 'commits', stream_id, position, 'commit.recorded cannot be folded' FROM events WHERE position = {position}"
    run_sql(path, f"INSERT INTO halts {halt}", f"DELETE FROM commits WHERE number >= {position}", "DELETE FROM search_entries")
    with pytest.raises(ProjectionError):
        await AsyncTract.open(path, name="poisoned")
    return found


async def test_a_family_that_is_served_again_is_found_again_whichever_projection_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    found = await halted_by_an_earlier_version(path)
    assert found
    assert (await admin.rebuild(path, "commits")).is_clean
    async with AsyncTract.open(path, name="poisoned") as t:
        assert await t.search("poisoned", limit=100) == found


async def test_a_family_that_stood_still_is_served_and_found_again_by_a_version_that_folds_its_events(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    found = await halted_by_an_earlier_version(path)
    run_sql(path, "UPDATE projections SET version = 0 WHERE name = 'commits'")
    async with AsyncTract.open(path, name="poisoned") as t:
        assert await t.search("poisoned", limit=100) == found
        await t.user("is served")
    assert (await admin.verify(path)).is_clean


def words(number: int, of: int) -> str:
    """A text of so many words that no other number has."""
    return " ".join(f"w{number:03}x{each}" for each in range(of))


async def test_the_write_ahead_log_of_a_rebuild_is_bounded_however_long_the_texts_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path, durability="normal") as t:
        for number in range(40):
            await t.user(words(number, 4_000))
        await t.search("anything")
    pages = 500
    for limit in ("CHECKPOINT_PAGES", "WAL_LIMIT_PAGES", "FILLING_PAGES"):
        monkeypatch.setattr(f"tract.log.write_connection.{limit}", pages)
    longest = 0

    def look(_: Progress) -> None:
        nonlocal longest
        longest = max(longest, Path(f"{path}-wal").stat().st_size)

    await admin.rebuild(path, progress=look)
    assert 0 < longest < 2 * pages * 4096


LONG_TEXTS = """
import asyncio, sys
from tract import AsyncTract

async def main():
    async with AsyncTract.open(sys.argv[1], name="other") as t:
        for number in range(10):
            await t.user(f"{number} " * 10_000)

asyncio.run(main())
"""


async def test_long_texts_that_come_before_the_swap_are_not_folded_while_it_holds_the_lock(tmp_path: Path) -> None:
    path, told = tmp_path / "log.db", list[int]()

    def tell(done: int, _: int) -> None:
        if not told:
            subprocess.run([sys.executable, "-c", LONG_TEXTS, str(path)], cwd=ROOT, check=True)
        told.append(done)

    async with AsyncTract.open(path) as t:
        await t.user("short")
        await t.search("short")
        done = await t.collaborators.shared.store.rebuild(None, tell)
    # Of two and more bytes a word, the last three texts at the most.
    assert done.events - told[-1] <= 3


async def test_memory_that_runs_out_fails_a_rebuild_and_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await two_families(path)
    async with store_with(path, Lengths(30, MemoryError)) as store:
        await store.adopt(Lengths())
        with pytest.raises(MemoryError):
            await store.rebuild()
    async with store_with(path, Lengths()) as store:
        assert (await store.rebuild()).halts == ()
        assert len(await lengths(store)) == 80


@pytest.mark.parametrize(("table", "rows"), [each for one in (*INLINE, *FOLLOWING) for each in one.tables])
def test_every_table_has_a_key_in_whose_order_it_is_emptied_before_it_is_dropped(table: str, rows: str) -> None:
    found = KEY.search(load(*SQL)[rows])
    assert found is not None
    with closing(sqlite3.connect(":memory:")) as connection:
        for name, statement in load(*SQL).items():
            if any(name in one.create for one in (*INLINE, *FOLLOWING)):
                connection.execute(statement)
        connection.execute(f"SELECT {found[1]} FROM {table}")
