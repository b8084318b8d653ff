"""Waiting for a change: by this process or another, without a miss, leaving nothing behind."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tract import AsyncTract
from tract.errors import ClosedError, StoreFailedError
from tract.log.changes import Changes
from tract.log.protocol import EventStore

ROOT = Path(__file__).parents[2]

WRITING = """
import asyncio, sys
from tract import AsyncTract
async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        print("ready", flush=True)
        for line in sys.stdin:
            print((await t.user(line)).id, flush=True)
asyncio.run(main())
"""


class Others:
    """What other processes wrote, and how often somebody looked."""

    def __init__(self) -> None:
        self.number = 0
        self.looks = 0
        self.looked = asyncio.Event()
        self.error: Exception | None = None

    async def look(self) -> int:
        self.looks += 1
        self.looked.set()
        if self.error is not None:
            raise self.error
        return self.number

    async def looks_again(self) -> None:
        self.looked.clear()
        await self.looked.wait()


@pytest.fixture
async def others() -> Others:
    return Others()


@pytest.fixture
async def changes(others: Others) -> AsyncIterator[Changes]:
    made = Changes(others.look, interval=0.001)
    # The first look cannot know what there was before it, so it is a change.
    await made.changed(made.mark())
    yield made
    await made.aclose()


def watches() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if "watch" in task.get_name()]


async def test_what_others_write_wakes_who_waits(others: Others, changes: Changes) -> None:
    waiting = asyncio.create_task(changes.changed(changes.mark()))
    await others.looks_again()
    assert not waiting.done()
    others.number += 1
    await asyncio.wait_for(waiting, 10)


async def test_what_others_wrote_while_nobody_waited_is_not_missed(others: Others, changes: Changes) -> None:
    mark = changes.mark()
    others.number += 1
    await asyncio.wait_for(changes.changed(mark), 10)


async def test_what_is_told_wakes_everybody_at_once(changes: Changes) -> None:
    waiting = [asyncio.create_task(changes.changed(changes.mark())) for _ in range(5)]
    await asyncio.sleep(0)
    changes.note()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)


async def test_a_change_after_the_mark_needs_no_waiting(changes: Changes) -> None:
    mark = changes.mark()
    changes.note()
    await changes.changed(mark)
    assert changes.mark() > mark


async def test_nobody_looks_when_nobody_waits(others: Others, changes: Changes) -> None:
    waiting = asyncio.create_task(changes.changed(changes.mark()))
    await others.looks_again()
    waiting.cancel()
    await asyncio.wait([waiting, *watches()])
    assert watches() == []


async def test_who_waits_after_a_pause_is_woken_too(others: Others, changes: Changes) -> None:
    for _ in range(3):
        await asyncio.gather(*watches())
        waiting = asyncio.create_task(changes.changed(changes.mark()))
        await others.looks_again()
        others.number += 1
        await asyncio.wait_for(waiting, 10)


async def test_one_watch_looks_for_all(others: Others, changes: Changes) -> None:
    waiting = [asyncio.create_task(changes.changed(changes.mark())) for _ in range(20)]
    await others.looks_again()
    assert len(watches()) == 1
    others.number += 1
    await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def test_who_leaves_takes_nobody_along(others: Others, changes: Changes) -> None:
    left, stays = [asyncio.create_task(changes.changed(changes.mark())) for _ in range(2)]
    await others.looks_again()
    left.cancel()
    await asyncio.wait([left])
    others.number += 1
    await asyncio.wait_for(stays, 10)
    assert left.cancelled()


async def test_a_look_that_fails_is_told_and_the_next_wait_looks_again(others: Others, changes: Changes) -> None:
    others.error = StoreFailedError("log.db", "SQLITE_IOERR")
    with pytest.raises(StoreFailedError):
        await changes.changed(changes.mark())
    others.error = None
    others.number += 1
    await asyncio.wait_for(changes.changed(changes.mark()), 10)


async def test_closing_wakes_everybody_with_an_error_and_stops_looking(changes: Changes) -> None:
    waiting = [asyncio.create_task(changes.changed(changes.mark())) for _ in range(3)]
    await asyncio.sleep(0)
    await changes.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClosedError] * 3
    assert watches() == []


async def head_moved(t: AsyncTract, store: EventStore, to: str) -> None:
    """Follow the branch as a reader does: mark, read, wait."""
    while True:
        mark = store.mark()
        if await t.head() == to:
            return
        await store.changed(mark)


async def test_no_commit_of_another_process_is_missed(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITING, path, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    async with AsyncTract.open(path) as t:
        store = t.collaborators.shared.store
        for number in range(20):
            process.stdin.write(f"{number}\n".encode())
            id = (await process.stdout.readline()).decode().strip()
            await asyncio.wait_for(head_moved(t, store, id), 10)
        waiting = asyncio.create_task(store.changed(store.mark()))
        process.stdin.write(b"last\n")
        await asyncio.wait_for(waiting, 10)
    process.stdin.close()
    assert await process.wait() == 0


async def test_who_is_patient_has_it_looked_rarely(others: Others, changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.log.changes.PATIENT_INTERVAL", 3600)
    patient = asyncio.create_task(changes.changed(changes.mark(), is_patient=True))
    await asyncio.sleep(0.1)
    assert others.looks <= 3
    assert not patient.done()
    changes.note()
    await asyncio.wait_for(patient, 10)


async def test_who_is_not_has_it_looked_at_once(others: Others, changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.log.changes.PATIENT_INTERVAL", 3600)
    patient = asyncio.create_task(changes.changed(changes.mark(), is_patient=True))
    await asyncio.sleep(0.02)
    others.number += 1
    impatient = asyncio.create_task(changes.changed(changes.mark()))
    await asyncio.wait_for(asyncio.gather(patient, impatient), 10)
