"""A stream whose store fails in its midst, or whose process is killed while others work on the file."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.reading import texts
from tests.children import ROOT, streaming
from tests.crash.test_killing import check_chain
from tract import AsyncTract

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")

FULL = """
import asyncio, json, resource, signal, sys
from tract import AsyncTract
from tract.errors import StoreError
from tract.testing import ScriptedLLM
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def tell(value):
    print(json.dumps(value), flush=True)
async def deltas():
    for number in range(400):
        yield f"{number} " * 400
async def main():
    t = await AsyncTract.open(sys.argv[1], llm=ScriptedLLM(lambda _: deltas()), model="tiny")
    await t.user("before")
    error = None
    try:
        async with t.stream("Count") as stream:
            async for delta in stream:
                tell(delta)
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    except StoreError as exc:
        error = type(exc).__name__
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await asyncio.wait_for(t.aclose(), 10)
    tell([error])
asyncio.run(main())
"""


@pytest.mark.parametrize("limit", [150_000, 300_000, 600_000])
def test_a_file_that_cannot_grow_in_the_midst_of_a_stream_loses_nothing_that_was_seen(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "log.db"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    *seen, last = [json.loads(line) for line in done.stdout.splitlines()]
    # To SQLite the limit of a process is an I/O error, and no full disk.
    assert last == ["StoreFailedError"]

    async def reopen() -> tuple[str, list[str | None]]:
        async with AsyncTract.open(str(path), create=False) as t:
            (info,) = await t.generations()
            assert info.status != "running"
            return info.text, await texts(t)

    text, said = asyncio.run(reopen())
    assert text.startswith("".join(seen))
    assert said == ["before"]
    check_chain(path)


def test_a_stream_that_is_killed_while_another_process_works_on_the_file_loses_nothing(tmp_path: Path) -> None:
    path, chance = tmp_path / "log.db", random.Random(0)

    async def run() -> None:
        async with AsyncTract.open(str(path)) as t:
            await t.system("Be kind.")
            await t.branch("other", switch=False)
            async with await t.worktree("other") as mine:
                seen, working = [], True

                async def work() -> int:
                    count = 0
                    while working:
                        await mine.user(f"{count}")
                        count += 1
                    return count

                worker = asyncio.create_task(work())
                for _ in range(4):
                    seen.append(await asyncio.to_thread(stream_and_die, chance.randrange(1, 30)))
                    async with AsyncTract.open(str(path)):
                        pass
                working = False
                count = await worker
                assert await texts(mine) == ["Be kind.", *map(str, range(count))]
            assert await texts(t) == ["Be kind."]
            found = list(reversed(await t.generations()))
            assert [info.status for info in found] == ["interrupted"] * 4
            for info, handed in zip(found, seen, strict=True):
                assert info.text.startswith(handed)
                assert await texts(t, info.answer) == ["Be kind.", "Count", info.text]

    def stream_and_die(words: int) -> str:
        with streaming(str(path)) as child:
            child.stream(*(f"word{number}" for number in range(words)))
            child.tell("more", "and", "more")
            child.kill()
            return child.seen

    asyncio.run(run())
    check_chain(path)
