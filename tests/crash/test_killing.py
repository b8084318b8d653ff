"""kill -9 at any moment: what was acknowledged is there, and a turn that died leaves no trace on its branch."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import broken_links
from tract import AsyncTract, CommitInfo, LLMConfig
from tract.testing import ScriptedLLM

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")

AGENTS = """
import asyncio, os, sys
from tract import AsyncTract
async def agent(path, number):
    async with AsyncTract.open(path, durability=sys.argv[2]) as t:
        async with await t.worktree(f"agent{number % 4}", name=f"worktree{number}") as mine:
            for step in range(100_000):
                info = await mine.user(f"agent {number}, step {step} " * (1 + step % 20))
                os.write(1, f"{mine.current_branch} {info.id}\\n".encode())
                if step % 5 == 0:
                    info = await mine.edit(info.id, f"agent {number}, step {step}, better")
                    os.write(1, f"{mine.current_branch} {info.id}\\n".encode())
async def main():
    await asyncio.gather(*(agent(sys.argv[1], number) for number in range(8)))
asyncio.run(main())
"""


async def make_branches(path: Path) -> None:
    async with AsyncTract.open(str(path)) as t:
        for number in range(4):
            await t.branch(f"agent{number}", switch=False)


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


def killed(path: Path, lines: int, durability: str) -> list[tuple[str, str]]:
    """What eight agents had acknowledged when they were killed, after about so many lines."""
    command = [sys.executable, "-c", AGENTS, str(path), durability]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b""
        while said.count(b"\n") < lines:
            more = os.read(process.stdout.fileno(), 65_536)
            assert more, "the agents ended by themselves"
            said += more
        process.kill()
        said += process.stdout.read()
    told = [tuple(line.split()) for line in said.decode().splitlines(keepends=True) if line.endswith("\n")]
    return [(branch, id) for branch, id in told]


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_no_acknowledged_commit_is_lost_by_kill_9(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "log.db"
    asyncio.run(make_branches(path))
    chance = random.Random(durability)
    acknowledged: list[tuple[str, str]] = []
    for _ in range(4):
        acknowledged += killed(path, chance.randrange(1, 300), durability)
        found = asyncio.run(branches_of(path))
        on_branch = {(branch, info.id) for branch, line in found.items() for info in line}
        assert set(acknowledged) <= on_branch
        check_chain(path)
    assert len(acknowledged) > 100


TURN = """
import asyncio, sys
from tract import AsyncTract, LLMConfig
from tract.testing import ScriptedLLM
async def deltas():
    yield "Half "
    yield "an "
    await asyncio.Event().wait()
async def main():
    llm = ScriptedLLM(lambda _: deltas())
    async with AsyncTract.open(sys.argv[1], llm=llm, llm_config=LLMConfig(model="scripted")) as t:
        print((await t.user("base")).id, flush=True)
        async with t.stream("question") as answer:
            async for delta in answer:
                print("delta", flush=True)
asyncio.run(main())
"""


def test_a_turn_that_was_killed_leaves_its_branch_at_the_base(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with subprocess.Popen([sys.executable, "-c", TURN, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base = process.stdout.readline().strip()
        assert [process.stdout.readline() for _ in range(2)] == ["delta\n"] * 2
        process.kill()

    async def reopen() -> tuple[str | None, list[str]]:
        llm = ScriptedLLM(["A whole answer."])
        async with AsyncTract.open(str(path), llm=llm, llm_config=LLMConfig(model="scripted")) as t:
            head = await t.head()
            await t.chat("question")
            return head, [message["content"] for message in (await t.compile()).to_dicts()]

    head, contents = asyncio.run(reopen())
    assert head == base
    assert contents == ["base", "question", "A whole answer."]
    check_chain(path)


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
from tract import AsyncTract
from tract.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def agent(t, number):
    for step in range(1000):
        print((await t.user(f"{number} {step} " * 200)).id, flush=True)
async def main():
    t = await AsyncTract.open(sys.argv[1])
    await t.user("before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
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
from tract import AsyncTract
from tract.errors import StoreError
from tract.llm.counting import ApproximateCounter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def opened():
    return AsyncTract.open(sys.argv[1], durability="normal", tokens=ApproximateCounter())
async def main():
    async with opened() as t:
        await t.user("x" * 40_000_000)
    t = await opened()
    # The write-ahead log may grow up to here, but the file itself no more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(sys.argv[1]).st_size + 50_000, resource.RLIM_INFINITY))
    try:
        for number in range(250):
            print((await asyncio.wait_for(t.user(f"{number} " + "y" * 100_000), 10)).id, flush=True)
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
