"""Many tasks, handles and processes append: everything is there, once, in one chain."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import broken_links
from tract import AsyncTract, CommitInfo
from tract.errors import ClosedError
from tract.log.writer import CAPACITY
from tract.testing import FixedClock, ScriptedLLM

ROOT = Path(__file__).parents[2]


async def line(t: AsyncTract, at: str | None = None) -> list[CommitInfo]:
    """The first parents of HEAD, oldest first; fails if they are no chain."""
    found = list(reversed(await t.log(100_000, at=at)))
    assert [info.parents for info in found] == [(), *((info.id,) for info in found[:-1])]
    return found


def broken(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return broken_links(connection.execute("SELECT * FROM events ORDER BY position").fetchall())


async def test_a_hundred_tasks_on_one_branch_land_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        said = await asyncio.gather(*(t.user(f"task {number}") for number in range(100)))
        assert sorted(info.id for info in await line(t)) == sorted(info.id for info in said)
        assert (await t.status()).slots == 100
    assert broken(path) == []


async def test_a_hundred_tasks_in_memory_land_in_one_line() -> None:
    async with AsyncTract.open() as t:
        said = await asyncio.gather(*(t.user(f"task {number}") for number in range(100)))
        assert {info.id for info in await line(t)} == {info.id for info in said}


async def test_each_task_sees_its_own_commits_in_its_own_order() -> None:
    async with AsyncTract.open() as t:

        async def say(task: int) -> list[str]:
            return [(await t.user(f"{task} says {number}")).id for number in range(10)]

        said = await asyncio.gather(*(say(task) for task in range(10)))
        order: dict[str, int] = {info.id: place for place, info in enumerate(await line(t))}
        assert all([order[id] for id in ids] == sorted(order[id] for id in ids) for ids in said)


async def test_a_hundred_tasks_on_a_hundred_branches_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        root = await t.user("root")

        async def work(number: int) -> None:
            await t.branch(f"b{number}", switch=False)
            async with await t.worktree(f"b{number}") as mine:
                said = [(await mine.user(f"{number}: {step}")).id for step in range(3)]
                assert [info.id for info in await line(mine)] == [root.id, *said]

        await asyncio.gather(*(work(number) for number in range(100)))
        assert await t.head() == root.id
        assert len(await t.branches()) == 101
    assert broken(path) == []


async def test_a_hundred_tracts_of_one_store_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def work(number: int) -> None:
        async with AsyncTract.open(str(path), name=f"tract {number}") as t:
            for step in range(3):
                await t.user(f"{number}: {step}")
            messages = (await t.compile()).to_dicts()
            assert [message["content"] for message in messages] == [f"{number}: {step}" for step in range(3)]

    await asyncio.gather(*(work(number) for number in range(100)))
    assert broken(path) == []


async def test_two_handles_on_one_branch_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path) as one, AsyncTract.open(path) as two:
        said = await asyncio.gather(*((one if number % 2 else two).user(f"{number}") for number in range(200)))
        assert {info.id for info in await line(one)} == {info.id for info in said}
        assert await one.head() == await two.head()


async def test_of_tasks_that_create_one_branch_one_does(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        outcomes = await asyncio.gather(*(t.branch("try", switch=False) for _ in range(20)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["BranchExistsError"] * 19 + ["BranchInfo"]


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["as they came", "with some that left the line"])
async def test_more_tasks_than_the_queue_has_places_are_written_in_the_order_in_which_they_came(*, is_cancelled: bool) -> None:
    async with AsyncTract.open() as t:
        tasks = [asyncio.create_task(t.user(f"{number}")) for number in range(CAPACITY + 600)]
        await asyncio.sleep(0)
        leaving = tasks[CAPACITY + 100 :: 3] if is_cancelled else []
        for task in leaving:
            task.cancel()
        tasks += [asyncio.create_task(t.user("late")) for _ in range(600)]
        await asyncio.wait(tasks)
        assert [info.id for info in await line(t)] == [(await task).id for task in tasks if task not in leaving]


async def test_a_turn_waits_for_the_appends_that_wait_for_a_place_in_the_queue() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["Hello."]), model="tiny") as t:
        tasks = [asyncio.create_task(t.user(f"{number}")) for number in range(CAPACITY + 600)]
        await asyncio.sleep(0)
        answer = await t.chat("Hi")
        await asyncio.gather(*tasks)
        assert (await t.head()) == answer.commit_info.id


async def test_closing_ends_the_wait_for_a_place_in_the_queue() -> None:
    t = await AsyncTract.open()
    tasks = [asyncio.create_task(t.user(f"{number}")) for number in range(CAPACITY + 600)]
    await asyncio.sleep(0)
    await t.aclose()
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, CommitInfo | ClosedError) for each in ended)


async def test_one_operation_called_by_many_tasks_is_written_once(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db"), clock=FixedClock(step=0)) as t:
        operation = "01928c5e-0000-7000-8000-000000000007"
        said = await asyncio.gather(*(t.user("once", operation_id=operation) for _ in range(20)))
        assert len({info.id for info in said}) == 1
        assert len(await line(t)) == 1


async def test_edits_annotations_and_appends_of_twenty_tasks_all_land(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:

        async def work(number: int) -> str:
            mine = await t.user(f"{number}: first")
            await t.edit(mine.id, f"{number}: second")
            await t.pin(mine.id)
            await t.edit(mine.id, f"{number}: third")
            return mine.id

        slots = await asyncio.gather(*(work(number) for number in range(20)))
        assert len(await line(t)) == 80
        compiled = await t.compile()
        assert sorted(message["content"] for message in compiled.to_dicts()) == sorted(f"{number}: third" for number in range(20))
        assert {priority.value for priority in compiled.priorities} == {"pinned"}
        assert len(slots) == (await t.status()).slots
    assert broken(path) == []


async def test_readers_see_whole_appends_while_others_write(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        done = asyncio.Event()

        async def read() -> int:
            looks = 0
            while not done.is_set():
                status = await t.status()
                length = len(await t.log(1000, at=status.head)) if status.head else 0
                assert length == status.slots
                looks += 1
            return looks

        readers = [asyncio.create_task(read()) for _ in range(4)]
        await asyncio.gather(*(t.user(f"{number}") for number in range(200)))
        done.set()
        assert all(await asyncio.gather(*readers))


APPENDING = """
import asyncio, sys
from tract import AsyncTract
async def main(path, who):
    async with AsyncTract.open(path) as one, AsyncTract.open(path) as two:
        print("ready", flush=True)
        sys.stdin.readline()
        said = []
        for number in range(10):
            handles = [one, two] * 5
            said += await asyncio.gather(*(t.user(f"{who} {number} {place}") for place, t in enumerate(handles)))
    for info in said:
        print(info.id)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_on_one_branch_lose_nothing_and_never_find_it_locked(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "log.db"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    done = [process.communicate(timeout=60) for process in running]
    assert [error for _, error in done] == [""] * processes
    said = [id for out, _ in done for id in out.split()]
    assert len(set(said)) == 100 * processes

    async def read() -> list[CommitInfo]:
        async with AsyncTract.open(str(path)) as t:
            return await line(t)

    assert {info.id for info in asyncio.run(read())} == set(said)
    assert broken(path) == []
