"""The runner over real files: what is found when one is opened, what stands in the way, and what becomes of it when it dies."""

import asyncio
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import noise, tract_id
from tests.children import started
from tests.following import STATEMENTS, Tally, creating, look_at, rows_of, tallied
from tests.integration.test_projections import write_program
from tract import AsyncTract, LLMConfig
from tract.errors import NewerSchemaError, ProjectionError, ProjectionLagError, StoreFailedError, StoreFullError, StoreLockedError
from tract.log.locking import WriteLock
from tract.log.protocol import Chunk, EventStore, FollowingProjection
from tract.log.store import SqliteStore
from tract.projections import FOLLOWING, INLINE
from tract.projections.running import Runner
from tract.testing import FixedClock, ScriptedLLM

Process: TypeAlias = "subprocess.Popen[str]"
NAMES = [projection.name for projection in FOLLOWING]


async def opened(path: Path, projection: Tally | None = None) -> SqliteStore:
    return await SqliteStore.open(
        str(path),
        create=True,
        durability="normal",
        clock=FixedClock(),
        statements=STATEMENTS,
        projections=(*INLINE, projection or Tally()),
    )


async def write(path: Path, *branches: str) -> None:
    """Have branches created and counted, and the file closed."""
    store = await opened(path)
    await store.append(creating(*branches))
    await caught_up(store)
    await store.aclose()


async def caught_up(store: EventStore, projection: Tally | None = None) -> Runner:
    runner = Runner(store)
    runner.follow(projection or Tally())
    await runner.caught_up("tally")
    return runner


def executed(path: Path, sql: str, *parameters: object) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, parameters).fetchall()


async def test_a_file_that_is_opened_again_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a", "b")
    executed(path, "UPDATE tally SET name = 'not read again' WHERE position = 1")
    await write(path, "c")
    assert executed(path, "SELECT name FROM tally ORDER BY position") == [("not read again",), ("b",), ("c",)]


async def test_opening_a_file_that_is_caught_up_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a")
    store = await opened(path)
    with closing(sqlite3.connect(path)) as watch:
        before = watch.execute("PRAGMA data_version").fetchone()
        await caught_up(store)
        assert watch.execute("PRAGMA data_version").fetchone() == before
    await store.aclose()


async def test_tables_that_an_older_version_made_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a", "b")
    executed(path, "UPDATE tally SET name = 'as it was made before'")
    store = await opened(path, Tally(2))
    await caught_up(store, Tally(2))
    assert await tallied(store) == [("a", 0), ("b", 0)]
    await store.aclose()
    assert executed(path, "SELECT version, position FROM projections WHERE name = 'tally'") == [(2, 2)]


async def test_tables_that_a_later_version_made_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a")
    executed(path, "UPDATE projections SET version = 9 WHERE name = 'tally'")
    store = await opened(path)
    await store.append(creating("b"))
    with pytest.raises(NewerSchemaError):
        await caught_up(store)
    assert await tallied(store) == [("a", 0)]
    await store.aclose()


async def test_a_log_that_was_rolled_back_is_read_anew(tmp_path: Path) -> None:
    path, copy = tmp_path / "log.db", tmp_path / "copy.db"
    await write(path, "a")
    shutil.copy(path, copy)
    await write(path, "b", "c")
    # The older log, beside tables that have read the newer one.
    with closing(sqlite3.connect(copy, isolation_level=None)) as older:
        older.execute("ATTACH ? AS newer", (str(path),))
        older.execute("DELETE FROM tally")
        older.execute("INSERT INTO tally SELECT * FROM newer.tally")
        (checkpoint,) = older.execute("SELECT position, digest FROM newer.projections WHERE name = 'tally'").fetchall()
        older.execute("UPDATE projections SET position = ?, digest = ? WHERE name = 'tally'", checkpoint)
    shutil.copy(copy, path)
    await write(path, "x", "y", "z")
    assert executed(path, "SELECT name FROM tally ORDER BY position") == [("a",), ("x",), ("y",), ("z",)]


async def test_an_older_copy_put_in_the_place_of_the_file_is_followed_from_there(tmp_path: Path) -> None:
    path, copy = tmp_path / "log.db", tmp_path / "copy.db"
    await write(path, "a")
    shutil.copy(path, copy)
    await write(path, "b")
    shutil.copy(copy, path)
    await write(path, "x")
    assert executed(path, "SELECT name FROM tally ORDER BY position") == [("a",), ("x",)]


async def test_a_checkpoint_that_was_lost_has_the_tables_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a", "b")
    executed(path, "DELETE FROM projections WHERE name = 'tally'")
    await write(path, "c")
    assert executed(path, "SELECT name FROM tally ORDER BY position") == [("a",), ("b",), ("c",)]


async def test_an_event_that_cannot_be_read_stops_the_projection_and_no_append(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a")
    executed(path, "DROP TRIGGER events_refuse_update")
    store = await opened(path)
    await store.append(creating("b", "c"))
    executed(path, "UPDATE events SET data = '{}' WHERE position = 2")
    with pytest.raises(ProjectionError) as caught:
        await caught_up(store)
    assert (caught.value.position, caught.value.family) == (2, tract_id(1))
    assert await tallied(store) == [("a", 0)]
    await store.append(creating("d", stream=tract_id(2)))
    await store.aclose()


async def test_a_projection_that_stands_still_does_so_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    for _ in range(2):
        store = await opened(path)
        await store.append(creating("a", "code that raises"))
        with pytest.raises(ProjectionError) as caught:
            await caught_up(store)
        assert caught.value.position == 2
        await store.aclose()


async def test_a_projection_goes_on_once_its_halt_was_cleared(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = await opened(path)
    runner = Runner(store)
    runner.follow(Tally())
    executed(path, "DROP TRIGGER events_refuse_update")
    await store.append(creating("code that raises"))
    with pytest.raises(ProjectionError):
        await runner.caught_up("tally")
    ((sound,),) = executed(path, "SELECT replace(data, 'code that raises', 'sound') FROM events")
    executed(path, "UPDATE events SET data = ?", sound)
    executed(path, "DELETE FROM halts")
    await runner.caught_up("tally")
    assert await tallied(store) == [("sound", 0)]
    await store.aclose()


class Stumbling(Tally):
    """A projection that asks for more than its code: whatever it is asked for fails once, where nobody expects that."""

    def __init__(self) -> None:
        super().__init__()
        self.is_well = False

    @property
    def tables(self) -> tuple[tuple[str, str], ...]:  # type: ignore[override]
        if not self.is_well:
            self.is_well = True
            raise OSError("hush")
        return (("tally", "tally.rows"),)


async def test_an_error_that_nobody_expected_is_told_to_who_waits_and_the_runner_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path, "a")
    store = await opened(path)
    runner = Runner(store)
    runner.follow(Stumbling())
    with pytest.raises(StoreFailedError, match="OSError"):
        await runner.caught_up("tally")
    await runner.caught_up("tally")
    await store.append(creating("b"))
    await runner.caught_up("tally")
    assert await tallied(store) == [("a", 0), ("b", 0)]
    await store.aclose()


async def test_tables_that_are_swapped_for_new_ones_are_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = await opened(path)
    await store.append(creating("a"))
    runner = await caught_up(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute(STATEMENTS["tally.create"].replace("tally", "tally__4"))
        other.execute("INSERT INTO tally__4 VALUES (1, 'rebuilt', 0)")
        other.execute("UPDATE projections SET edition = 4 WHERE name = 'tally'")
        other.execute("COMMIT")
    await store.append(creating("b"))
    await runner.caught_up("tally")
    assert await tallied(store) == [("rebuilt", 0), ("b", 0)]
    await store.aclose()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The write lock, in other hands."""
    lock = WriteLock(str(path), 10)
    with lock:
        yield
    lock.close()


async def test_a_lock_that_is_not_to_be_had_is_told_to_who_waits_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteStore, "patience", 0.05)
    path = tmp_path / "log.db"
    store = await opened(path)
    await store.append(creating("a"))
    runner = Runner(store)
    with locked(path):
        runner.follow(Tally())
        for _ in range(2):
            with pytest.raises(StoreLockedError):
                await runner.caught_up("tally")
    await runner.caught_up("tally")
    assert await tallied(store) == [("a", 0)]
    await store.aclose()


async def test_a_full_disk_is_told_to_who_waits_and_tried_again(tmp_path: Path) -> None:
    store = await opened(tmp_path / "log.db")
    await store.append(creating(*(f"{noise(200, number)}" for number in range(200))))
    writing = store._writing.connection  # noqa: SLF001 - the limit is that of a connection
    ((count,),) = await writing.execute_fetchall("PRAGMA page_count")
    await writing.execute_fetchall(f"PRAGMA max_page_count = {count}")
    runner = Runner(store)
    runner.follow(Tally())
    with pytest.raises(StoreFullError):
        await runner.caught_up("tally")
    await writing.execute_fetchall(f"PRAGMA max_page_count = {count + 1000}")
    await runner.caught_up("tally")
    assert len(await tallied(store)) == 200
    await store.aclose()


async def test_a_reader_that_waited_long_enough_is_told_how_far_behind_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "patience", 0.05)
    path = tmp_path / "log.db"
    store = await opened(path)
    await store.append(creating("a", "b", "c"))
    runner = Runner(store)
    with locked(path):
        runner.follow(Tally())
        with pytest.raises(ProjectionLagError) as caught:
            await runner.caught_up("tally")
    assert (caught.value.path, caught.value.projection, caught.value.behind) == (str(path), "tally", 3)
    await store.aclose()


async def test_closing_waits_for_no_lock_of_others(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store = await opened(path)
    await store.append(creating("a"))
    runner = Runner(store)
    runner.follow(Tally())
    with locked(path):
        waiting = asyncio.create_task(runner.caught_up("tally"))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await store.aclose()
    await asyncio.wait((waiting,))
    await write(path, "b")
    assert executed(path, "SELECT name FROM tally") == [("a",), ("b",)]


async def test_closing_waits_a_second_for_the_lock_of_others_whatever_there_is_to_write(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    t = await AsyncTract.open(path)
    async with t.batch():
        for number in range(600):
            await t.user(f"{number}")
    await t.compile()
    with locked(path):
        start = time.monotonic()
        await t.aclose()
        assert time.monotonic() - start < 1.6


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_closing_at_any_moment_leaves_no_task_and_whole_tables(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "log.db"
    store = await opened(path)
    runner = Runner(store)
    runner.follow(Tally())
    await store.append(creating(*(f"b{number}" for number in range(300))))
    waiting = asyncio.create_task(runner.caught_up("tally"))
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    await store.aclose()
    await asyncio.wait((waiting,))
    assert asyncio.all_tasks() == {asyncio.current_task()}
    found = executed(path, "SELECT coalesce(max(position), 0) FROM projections WHERE name = 'tally'")
    made = executed(path, "SELECT name FROM sqlite_schema WHERE name = 'tally'")
    assert (executed(path, "SELECT coalesce(max(position), 0) FROM tally") if made else [(0,)]) == found
    await write(path, "last")
    assert len(executed(path, "SELECT * FROM tally")) == 301


CARELESS = """
import asyncio, sys
from tract import AsyncTract
async def main():
    t = await AsyncTract.open(sys.argv[1])
    await t.user("hello")
    await t.usage()
asyncio.run(main())
"""


def test_a_loop_that_ends_with_the_store_open_ends_the_runner_with_a_warning_alone(tmp_path: Path) -> None:
    with started(CARELESS, tmp_path / "log.db") as process:
        assert process.wait(30) == 0


COUNTING = """
import asyncio, sys
from tract import AsyncTract, TokenUsage
async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        await t.user("begin")
        while True:
            await asyncio.gather(*(t.record_usage(TokenUsage(prompt=1)) for _ in range(20)))
            print("20 more", flush=True)
asyncio.run(main())
"""


def hear(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


@pytest.mark.parametrize("batches", [3, 12, 25, 40, 60])
async def test_a_process_that_is_killed_leaves_rows_and_checkpoint_that_agree(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "log.db"
    with started(COUNTING, path) as process:
        for _ in range(batches):
            assert await asyncio.to_thread(hear, process) == "20 more"
        process.kill()
        process.wait()
    position = executed(path, "SELECT position FROM projections WHERE name = 'usage_sums'")[0][0]
    counted = executed(path, "SELECT coalesce(sum(calls), 0) FROM usage_sums")
    assert counted == executed(path, "SELECT count(*) FROM events WHERE type = 'usage.recorded' AND position <= ?", position)
    async with AsyncTract.open(str(path)) as t:
        total = (await t.usage()).total
        assert [(total.calls,)] == executed(path, "SELECT count(*) FROM events WHERE type = 'usage.recorded'")


TAKING_TURNS = """
import asyncio, sys
from tract import AsyncTract, TokenUsage
async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(60):
            await t.record_usage(TokenUsage(prompt=1))
            await t.usage()
        print("done", flush=True)
        sys.stdin.readline()
        print((await t.usage()).total.calls, flush=True)
asyncio.run(main())
"""


async def test_two_processes_that_follow_at_once_count_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("begin")
    with started(TAKING_TURNS, path) as one, started(TAKING_TURNS, path) as two:
        heard = []
        for _ in range(3):
            heard.append([await asyncio.to_thread(hear, process) for process in (one, two)])
            if len(heard) < 3:
                say(one)
                say(two)
    assert heard == [["ready", "ready"], ["done", "done"], ["120", "120"]]
    assert executed(path, "SELECT sum(calls), sum(prompt) FROM usage_sums") == [(120, 120)]


ONE_MORE = """
import asyncio, sys
from tract import AsyncTract
async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        await t.user("more")
asyncio.run(main())
"""


async def test_what_another_process_wrote_is_read_though_nobody_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("begin")
        with started(ONE_MORE, path) as process:
            assert await asyncio.to_thread(process.wait, 60) == 0
        ((last,),) = executed(path, "SELECT max(position) FROM events")
        async with asyncio.timeout(20):
            while True:
                mark = t.mark()
                if executed(path, "SELECT position FROM projections WHERE name = 'usage_sums'") == [(last,)]:
                    break
                await t.changed(mark)


async def bring_on(store: EventStore, projections: Sequence[FollowingProjection], sizes: Sequence[int]) -> None:
    """Have projections read the log in chunks of the sizes, over and over, up to its end."""
    number = 0
    while True:
        seen = await look_at(store, *projections, most=sizes[number % len(sizes)])
        for projection in seen.unmade:
            await store.adopt(projection)
        for stretch in seen.stretches:
            statements = tuple(each for group in stretch.statements.values() for each in group)
            checkpoints = tuple(each.checkpoint() for each in stretch.group)
            assert await store.advance(Chunk(checkpoints, stretch.before, stretch.after, stretch.digest, statements))
        if not seen.unmade and not seen.stretches:
            return
        number += 1


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a random history, and none of the projections that follow it."""
    path = tmp_path_factory.mktemp("history") / "log.db"

    async def write_it() -> None:
        program = await write_program(str(path), 11, 120)
        for handle in program.handles:
            await handle.aclose()

    asyncio.run(write_it())
    for projection in FOLLOWING:
        for name in projection.drop:
            executed(path, STATEMENTS[name])
        executed(path, "DELETE FROM projections WHERE name = ?", projection.name)
    return path


async def read_in_chunks(path: Path, sizes: Sequence[int]) -> list[Any]:
    projections = (*FOLLOWING, Tally())
    store = await SqliteStore.open(
        str(path),
        create=False,
        durability="normal",
        clock=FixedClock(),
        statements=STATEMENTS,
        projections=(*INLINE, *projections),
    )
    try:
        await bring_on(store, projections, sizes)
        return [await rows_of(store, rows) for projection in projections for _, rows in projection.tables]
    finally:
        await store.aclose()


@given(st.lists(st.integers(1, 90), min_size=1, max_size=5))
def test_the_rows_are_the_same_in_whatever_chunks_the_log_is_read(history: Path, sizes: list[int]) -> None:
    copy = history.with_name("copy.db")
    whole = history.with_name("whole.db")
    found = []
    for path, chunks in ((copy, sizes), (whole, [100_000])):
        shutil.copy(history, path)
        found.append(asyncio.run(read_in_chunks(path, chunks)))
    assert found[0] == found[1]
    assert all(found[1])


async def test_what_is_followed_live_is_what_one_pass_makes(tmp_path: Path, history: Path) -> None:
    path = tmp_path / "log.db"
    program = await write_program(str(path), 5, 120)
    for handle in program.handles:
        for name in NAMES:
            await handle.collaborators.shared.runner.caught_up(name)
        await handle.aclose()
    statements = [(table, rows) for projection in FOLLOWING for table, rows in projection.tables]
    live = [executed(path, STATEMENTS[rows]) for _, rows in statements]
    executed(path, "UPDATE projections SET version = 0 WHERE position IS NOT NULL")
    async with AsyncTract.open(str(path), name="one") as t:
        for name in NAMES:
            await t.collaborators.shared.runner.caught_up(name)
    assert [executed(path, STATEMENTS[rows]) for _, rows in statements] == live
    assert all(live)


async def test_a_turn_in_flight_is_no_hindrance(tmp_path: Path) -> None:
    llm = ScriptedLLM(["An answer."])
    async with AsyncTract.open(str(tmp_path / "log.db"), llm=llm, llm_config=LLMConfig(model="m")) as t:
        async with t.stream("Ask") as answer:
            async for _ in answer:
                assert (await t.usage()).total.calls == 0
        assert (await t.usage()).total.calls == 1
