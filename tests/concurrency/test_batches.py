"""Batches of many tasks, handles and processes on one branch: each is there as a whole, in one piece."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest

from tests.builders import broken_links
from tract import AsyncTract

ROOT = Path(__file__).parents[2]
SIZE = 5


def check(path: Path, batches: int) -> None:
    """Every operation stands in the log in one piece, and the chain holds."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    assert broken_links(rows) == []
    written = [operation for _, _, _, _, tag, _, _, operation, *_ in rows if tag == "commit.recorded"]
    pieces = [(operation, len(list(piece))) for operation, piece in groupby(written)]
    assert len({operation for operation, _ in pieces}) == len(pieces) == batches
    assert {length for _, length in pieces} == {SIZE}


async def write(t: AsyncTract, words: str) -> None:
    async with t.batch():
        slot = await t.user(words)
        await t.edit(slot.id, f"{words} again")
        await t.pin("HEAD~1")
        await asyncio.gather(t.user(f"{words} one"), t.assistant(f"{words} other"))


async def test_batches_of_many_tasks_and_handles_stand_in_one_piece_each(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as one, AsyncTract.open(str(path)) as two:
        await asyncio.gather(*(write((one, two)[number % 2], f"{number}") for number in range(30)))
        assert (await one.status()).slots == 90
    check(path, 30)


WRITING = """
import asyncio, sys
from tract import AsyncTract
from tract.errors import HeadMovedError
async def main(path, who):
    lost = 0
    async with AsyncTract.open(path) as t:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(20):
            while True:
                try:
                    async with t.batch():
                        slot = await t.user(f"{who} {number}")
                        await t.edit(slot.id, f"{who} {number} again")
                        for step in range(3):
                            await t.user(f"{who} {number} {step}")
                except HeadMovedError:
                    lost += 1
                else:
                    break
    print(lost)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_that_write_batches_to_one_branch_get_them_whole_or_a_conflict(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "log.db"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, str(path), str(number)],
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
    check(path, 20 * processes)
