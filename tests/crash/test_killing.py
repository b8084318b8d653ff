"""A store whose making was killed, and a disk that is full: nothing acknowledged is lost. `test_kills` has the rest."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import broken_links
from tract import AsyncTract, CommitInfo

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")


async def branches_of(path: Path) -> dict[str, list[CommitInfo]]:
    """Every branch, oldest commit first; each must be a chain, and work must go on."""
    async with AsyncTract.open(str(path), create=False) as t:
        found = {}
        for branch in await t.branches():
            line = list(reversed(await t.log(1_000_000, at=branch.name))) if branch.head else []
            assert [info.parents for info in line] == [
                () if before is None else (before.id,) for before in [None, *line][: len(line)]
            ]
            found[branch.name] = line
        await t.user("work goes on")
        await t.compile()
    return found


def check_chain(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert broken_links(connection.execute("SELECT * FROM events ORDER BY position").fetchall()) == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


CREATING = """
import asyncio, sys
from tract import AsyncTract
async def main():
    print("ready", flush=True)
    for number in range(10_000):
        async with AsyncTract.open(f"{sys.argv[1]}/{number}.db") as t:
            print(number, (await t.user("first")).id, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 2, 5, 9])
def test_a_store_whose_making_was_killed_opens_as_a_new_one(tmp_path: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CREATING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.readlines()
    acknowledged = dict(line.split() for line in said[1:] if line.endswith("\n"))

    async def reopen(path: Path) -> list[str]:
        async with AsyncTract.open(str(path)) as t:
            return [info.id for info in await t.log()]

    for path in sorted(tmp_path.glob("*.db")):
        found = asyncio.run(reopen(path))
        if path.stem in acknowledged:
            assert found == [acknowledged[path.stem]]
        check_chain(path)


FULL = """
import asyncio, resource, signal, sys
from tests.builders import noise
from tract import AsyncTract
from tract.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def agent(t, number):
    for step in range(1000):
        print((await t.user(noise(1_600, 1_000 * number + step))).id, flush=True)
async def main():
    t = await AsyncTract.open(sys.argv[1])
    await t.user("before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    outcomes = await asyncio.wait_for(asyncio.gather(*(agent(t, number) for number in range(4)), return_exceptions=True), 20)
    assert all(isinstance(outcome, StoreError) for outcome in outcomes), outcomes
    await asyncio.wait_for(t.aclose(), 10)
    print("closed", flush=True)
asyncio.run(main())
"""


def test_a_file_that_cannot_grow_gives_typed_errors_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    *acknowledged, last = done.stdout.split()
    assert last == "closed"
    assert len(acknowledged) > 10
    found = asyncio.run(branches_of(path))
    assert set(acknowledged) <= {info.id for info in found["main"]}
    check_chain(path)


FULL_AT_CHECKPOINT = """
import asyncio, os, resource, signal, sys
from tests.builders import noise
from tract import AsyncTract
from tract.errors import StoreError
from tract.llm.counting import ApproximateCounter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def opened():
    return AsyncTract.open(sys.argv[1], durability="normal", tokens=ApproximateCounter())
async def main():
    async with opened() as t:
        await t.user(noise(40_000_000))
    t = await opened()
    # The write-ahead log may grow up to here, but the file itself no more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(sys.argv[1]).st_size + 50_000, resource.RLIM_INFINITY))
    try:
        for number in range(250):
            print((await asyncio.wait_for(t.user(noise(100_000, number)), 10)).id, flush=True)
    except StoreError:
        pass
    await asyncio.wait_for(t.aclose(), 10)
    print("closed", flush=True)
asyncio.run(main())
"""


def test_a_checkpoint_that_fails_stops_nobody_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    done = subprocess.run(
        [sys.executable, "-c", FULL_AT_CHECKPOINT, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    *acknowledged, last = done.stdout.split()
    assert last == "closed"
    assert len(acknowledged) > 10
    found = asyncio.run(branches_of(path))
    assert set(acknowledged) <= {info.id for info in found["main"]}
    check_chain(path)
