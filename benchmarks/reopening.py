"""What a restart costs: opening, compiling and the last messages of a history.

Imports `measuring`, `table` and `workload`. Read `reopen`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.measuring import alternate, collected, timed
from benchmarks.table import Result, Row
from benchmarks.workload import Workshop, forget, text
from tract import AsyncTract
from tract.core.keeping import keep_contexts

LAST = 20
"""Messages that are looked at."""


async def reopen(workshop: Workshop) -> list[Result]:
    """Open, compile and read the last 20 messages, with the context kept at the head and with none kept.

    Then the bytes that the kept context takes in the file, against the raw text.
    """
    rows: list[Result] = []
    for size in workshop.sizes[1:]:
        path = await workshop.history(size)
        kept = workshop.copied(path)
        await _keep(kept)
        forgetful = workshop.rounds(12 if size > 10_000 else 40)

        async def ours(kept: Path = kept) -> float:
            return await _reopened(kept)

        async def without(path: Path = path) -> float:
            seconds = await _reopened(path)
            # It is kept when the store is closed.
            forget(path)
            return seconds

        forget(path)
        mine, theirs = (median(found) for found in await alternate(forgetful, ours, without))
        rows.append(Row(f"open, compile, last {LAST} of {size:,} messages", mine, "s", theirs, "with no context kept"))
        raw = sum(len(text(number).encode()) for number in range(size))
        rows.append(Row("  what is kept for it", _size(kept), "B", raw, "the raw text"))
    return rows


async def _keep(path: Path) -> None:
    async with AsyncTract.open(str(path)) as t:
        shared = t.collaborators.shared
        await keep_contexts(shared.store, shared.contexts)


async def _reopened(path: Path) -> float:
    opened: list[AsyncTract] = []

    async def work() -> None:
        opened.append(await AsyncTract.open(str(path)))
        compiled = await opened[0].compile()
        assert len(compiled.messages[-LAST:]) == LAST

    collected()
    seconds = await timed(work)
    await opened[0].aclose()
    return seconds


def _size(path: Path) -> int:
    """Return the bytes of the pages that contexts take."""
    with closing(sqlite3.connect(path)) as connection:
        sql = (
            "SELECT sum(length(leaves) + length(data)) FROM contexts UNION ALL SELECT sum(length(data) + 24) FROM context_leaves"
        )
        return sum(size or 0 for (size,) in connection.execute(sql))
