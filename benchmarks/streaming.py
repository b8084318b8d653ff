"""Many answers at once, beside the bare client of the provider.

Run as a program it is the server: in a process of its own, so that what is
compared is the work of the clients. Imports `measuring`, `table` and `workload`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median
from time import perf_counter
from typing import TypeAlias

from openai import AsyncOpenAI

from benchmarks.measuring import both_times, collected
from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop
from tract import AsyncTract
from tract.domain.events import UsageFigures
from tract.testing.server import Reply, serve

DELTAS = 200
ANSWER = Reply("".join(f"word{number:04} " for number in range(DELTAS)), usage=UsageFigures(prompt=10, completion=DELTAS))

Read: TypeAlias = Callable[[], Awaitable[float]]
"""Reads one answer to its end and returns the seconds until its first delta."""


async def streams(workshop: Workshop) -> list[Result]:
    """Many answers of 200 deltas at once, each delta written before it is handed on, against the bare openai client.

    One server in a process of its own, and the sides in turns. The first
    delta of an answer alone shows what it costs that all is written first:
    question and start, durably, and the delta.
    """
    many = 50 if workshop.is_quick else 200
    ours, floor, first, bare_first = [], [], [], []
    async with _server() as url, AsyncExitStack() as opened:
        client = await opened.enter_async_context(AsyncOpenAI(api_key="k", base_url=url, max_retries=0))
        t = await opened.enter_async_context(AsyncTract.open(str(workshop.file()), model="m", api_key="k", base_url=url))
        handles = [await opened.enter_async_context(await _agent(t, f"agent{number}")) for number in range(many)]
        # What is imported and connected first does not count.
        await _ours(handles[0])
        await _bare(client)
        for _ in range(3):
            ours.append(await _rates([partial(_ours, handle) for handle in handles]))
            floor.append(await _rates([partial(_bare, client)] * many))
        for _ in range(workshop.rounds(40)):
            first.append(await _ours(handles[0]))
            bare_first.append(await _bare(client))
    (wall, computed), (bare_wall, bare_computed) = (map(median, zip(*rates, strict=True)) for rates in (ours, floor))
    against = "bare openai client"
    return [
        Row(f"{many} streams at once, deltas", wall, "/s", bare_wall, against, Target(0.7, is_least=True)),
        Row("  deltas a second computed", computed, "/s", bare_computed, against),
        Row("one stream, until its first delta", median(first), "s", median(bare_first), against),
    ]


async def _agent(t: AsyncTract, name: str) -> AsyncTract:
    await t.branch(name, switch=False)
    return await t.worktree(name)


async def _rates(reads: Sequence[Read]) -> tuple[float, float]:
    """Return the deltas of all that were read at once, by the second, and by the second computed."""
    collected()
    wall, computed = await both_times(lambda: asyncio.gather(*(read() for read in reads)))
    return len(reads) * DELTAS / wall, len(reads) * DELTAS / computed


async def _ours(t: AsyncTract) -> float:
    start, first, deltas = perf_counter(), 0.0, 0
    async with t.stream("Count.") as stream:
        async for _ in stream:
            deltas += 1
            first = first or perf_counter() - start
    assert deltas == DELTAS
    return first


async def _bare(client: AsyncOpenAI) -> float:
    start, first, deltas = perf_counter(), 0.0, 0
    answer = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Count."}], stream=True, stream_options={"include_usage": True}
    )
    async for chunk in answer:
        if chunk.choices and chunk.choices[0].delta.content:
            deltas += 1
            first = first or perf_counter() - start
    assert deltas == DELTAS
    return first


@asynccontextmanager
async def _server() -> AsyncIterator[str]:
    """Run the server as long as the block lasts; yield its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.streaming", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def _serve() -> None:
    async with serve(lambda _: ANSWER) as server:
        print(server.base_url, flush=True)
        # Until whoever started it is done, or dead.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
