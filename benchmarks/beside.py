"""Twenty agents that write while something else goes on, and what a process takes up.

Imports `measuring` and `workload`. Read `writers_at_work` first.
"""

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Any

from attrs import frozen

from benchmarks.measuring import timed
from benchmarks.workload import text
from tract import AsyncTract
from tract.llm.counting import ApproximateCounter

WRITERS = 20
_MEMORY = Path("/proc/self/status")


@frozen
class Writing:
    """How writers fared: seconds of their slowest append but one in a hundred, bytes of their write-ahead log at most."""

    p99: float
    wal: int


async def writers_at_work(path: Path, work: Callable[[], Awaitable[Any]]) -> Writing:
    """Let twenty agents write, a tract each, for as long as *work* takes."""
    agents = [await AsyncTract.open(str(path), name=f"agent-{number}", tokens=ApproximateCounter()) for number in range(WRITERS)]
    took: list[float] = []
    numbers = count()
    wal = Path(f"{path}-wal")
    most = 0
    working = asyncio.ensure_future(work())

    async def write(t: AsyncTract) -> None:
        nonlocal most
        while not working.done():
            took.append(await timed(partial(t.user, text(next(numbers)))))
            most = max(most, wal.stat().st_size)

    await asyncio.gather(working, *map(write, agents))
    for t in agents:
        await t.aclose()
    return Writing(quantiles(took, n=100)[-1], most)


def most_memory() -> int:
    """Return the most bytes of memory that this process ever had."""
    if _MEMORY.exists():
        # What `getrusage` says is that of the parent too, where it had more.
        line = next(line for line in _MEMORY.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
