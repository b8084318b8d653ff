"""Compiling: from nothing, again, after one more append, after an edit; and digests.

Imports `floors`, `measuring`, `table` and `workload`. Read `cold` first.
"""

from statistics import median
from time import perf_counter

from benchmarks.floors import read_and_decode
from benchmarks.measuring import alternate, collected, timed
from benchmarks.table import Growth, Result, Row, Target
from benchmarks.workload import Workshop, forget, text
from tract import AsyncTract, Priority

AT_ONCE = 200e-6
"""What a compile of a known context may take."""


async def cold(workshop: Workshop) -> list[Result]:
    """The first compile of a long linear history, against reading and decoding its rows.

    The floor runs the same query on a fresh connection and decodes event and
    content with the same decoders, on one thread and without a hop.
    """
    path = await workshop.history(workshop.long)

    async def ours() -> float:
        forget(path)
        async with AsyncTract.open(str(path)) as t:
            collected()
            return await timed(t.compile)

    async def floor() -> float:
        collected()
        return read_and_decode(path)

    mine, theirs = (median(found) for found in await alternate(workshop.rounds(15), ours, floor))
    what = f"cold compile of {workshop.long:,} messages"
    return [Row(what, mine, "s", theirs, "read and decode the same rows", Target(2.0))]


async def again(workshop: Workshop) -> list[Result]:
    """Compile what was compiled before, and after one more append, at growing sizes."""
    tracts = {size: await workshop.opened(size) for size in workshop.sizes}
    rounds = workshop.rounds(300)
    known: dict[int, list[float]] = {size: [] for size in tracts}
    appended: dict[int, list[float]] = {size: [] for size in tracts}
    digests: dict[int, list[float]] = {size: [] for size in tracts}
    for t in tracts.values():
        _ = (await t.compile()).digest
    collected()
    for number in range(rounds):
        for size, t in tracts.items():
            known[size].append(await timed(t.compile))
            await t.user(text(-number - 1))
            start = perf_counter()
            compiled = await t.compile()
            middle = perf_counter()
            _ = compiled.digest
            digests[size].append(perf_counter() - middle)
            appended[size].append(middle - start)
    for t in tracts.values():
        await t.aclose()
    return [
        Growth("compile again, p50", _medians(known), AT_ONCE),
        Growth("compile after one more append, p50", _medians(appended), AT_ONCE),
        Growth("its digest, p50", _medians(digests), AT_ONCE),
    ]


async def changed(workshop: Workshop) -> list[Result]:
    """Edit or annotate a slot in the middle of a long context, then compile: both together."""
    size = workshop.long
    figures: dict[str, list[float]] = {"edit": [], "annotate": []}
    compiles: dict[str, list[float]] = {"edit": [], "annotate": []}
    async with await workshop.opened(size) as t:
        ids = list((await t.compile()).slot_ids)
        collected()
        for number in range(workshop.rounds(60)):
            target = ids[(number * 7919 + size // 2) % size]
            start = perf_counter()
            await t.edit(target, text(-number - 1))
            middle = perf_counter()
            await t.compile()
            figures["edit"].append(perf_counter() - start)
            compiles["edit"].append(perf_counter() - middle)
            start = perf_counter()
            await t.annotate(target, Priority.SKIP)
            middle = perf_counter()
            await t.compile()
            figures["annotate"].append(perf_counter() - start)
            compiles["annotate"].append(perf_counter() - middle)
    target_time = Target(5e-3, of="ours")
    rows: list[Result] = []
    for verb, found in figures.items():
        rows.append(Row(f"{verb}, then compile, at {size:,} messages", median(found), "s", target=target_time))
        rows.append(Row("  of which the compile", median(compiles[verb]), "s"))
    return rows


def _medians(figures: dict[int, list[float]]) -> dict[int, float]:
    return {size: median(found) for size, found in figures.items()}
