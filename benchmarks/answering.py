"""A server that answers every request at once, in a process of its own.

So the time that it computes, and what it throws out of the caches, is nobody's
who talks to it. Imports nothing of ours but the test server. Read `answering`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tract.domain.events import UsageFigures
from tract.testing.server import Received, Reply, serve


@asynccontextmanager
async def answering() -> AsyncIterator[str]:
    """Run the server, and give its base URL."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.answering", stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


def _answer(_: Received) -> Reply:
    return Reply("Yes.", usage=UsageFigures(prompt=100_000, completion=2))


async def _main() -> None:
    async with serve(_answer) as server:
        print(server.base_url, flush=True)
        # Until whoever started it closes the pipe, or is gone.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
