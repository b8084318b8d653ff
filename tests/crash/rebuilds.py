"""Rebuilding in a process that is killed: `python -m tests.crash.rebuilds FOLDER COUNT` prints what was not equal.

Makes so many random histories, has a rebuild of each killed half-way by
`kill -9`, and goes on with it beside live writers. Run under more than one
`PYTHONHASHSEED`, since nothing may depend on it.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.crash.processes import Process, Voice
from tests.integration.test_projections import close_all, dump, write_program
from tract import AsyncTract, admin
from tract.llm.counting import ApproximateCounter

STEPS = 20
"""Verbs of a history, and as many while its rebuild is gone on with."""


def half(voice: Voice, path: str) -> None:
    """Rebuild the first portion of the log, say so, and wait to be killed."""

    def tell(done: int, _: int) -> None:
        if done:
            voice.say("filled", done)
            time.sleep(60)

    asyncio.run(_rebuild(voice, path, tell))


def whole(voice: Voice, path: str) -> None:
    """Rebuild again and again."""

    def tell(done: int, _: int) -> None:
        voice.say("filled", done)

    while True:
        asyncio.run(_rebuild(voice, path, tell))


async def _rebuild(voice: Voice, path: str, tell: Callable[[int, int], None]) -> None:
    async with AsyncTract.open(path, name="one", tokens=ApproximateCounter()) as t:
        voice.say("opened")
        done = await t.collaborators.shared.store.rebuild(None, tell)
        voice.say("rebuilt", done.events)


async def history(path: Path, seed: int) -> list[str]:
    """Return what is wrong after a history was written, and rebuilt half by one process and half by another."""
    program = await write_program(str(path), seed, STEPS)
    before = dump(path)
    with Process(half, str(path)) as process:
        await asyncio.to_thread(process.killed, 2, 0.0)
    wrong = [] if dump(path) == before else [f"{seed}: the tables in use are others after the kill"]
    rebuilt, _ = await asyncio.gather(admin.rebuild(path), program.run(STEPS))
    await close_all(program)
    wrong += [] if rebuilt.resumed else [f"{seed}: it was not gone on with"]
    # A replay of the log beside the store, and a comparison of every row.
    found = await admin.verify(path)
    return wrong + [f"{seed}: {finding}" for finding in found.findings]


def main(folder: str, count: str) -> None:
    """Print what is wrong, a line each."""
    for seed in range(int(count)):
        for line in asyncio.run(history(Path(folder) / f"{seed}.db", seed)):
            print(line, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
