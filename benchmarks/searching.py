"""The search index: how fast it is filled, what it takes on disk, and what a search costs.

Imports `measuring`, `table` and `workload`. Read `searching` first.
"""

from statistics import median

from benchmarks.measuring import timed
from benchmarks.table import Growth, Result, Row
from benchmarks.workload import Workshop, index, text
from tract import AsyncTract


async def searching(workshop: Workshop) -> list[Result]:
    """Fill the search index of a long history, weigh it, and search at growing lengths for rare and common words."""
    rare, common = dict[int, float](), dict[int, float]()
    for size in workshop.sizes:
        path = await workshop.history(size, search=False)
        without = path.stat().st_size
        seconds = await timed(lambda at=path: index(at))
        weight = path.stat().st_size - without
        async with AsyncTract.open(str(path)) as t:
            rounds = workshop.rounds(20)
            rare[size] = median([await timed(lambda at=size // 2: t.search(f'"message {at}"')) for _ in range(rounds)])
            common[size] = median([await timed(lambda: t.search("voucher")) for _ in range(rounds)])
    raw = sum(len(text(number).encode()) for number in range(size))
    return [
        Row(f"search, index {size:,} messages", size / seconds, "/s"),
        Row(f"search, the index of {size:,} messages", weight, "B", raw, "the raw text"),
        Row(f"search, a word in most of {size:,} messages", common[size], "s", rare[size], "a rare phrase"),
        Growth("search, a rare phrase, p50", rare),
    ]
