"""What must cost the same at a hundred commits and at a hundred thousand.

Imports `measuring`, `table` and `workload`. Read `verbs` first.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from benchmarks.measuring import collected, timed
from benchmarks.table import Growth, Result
from benchmarks.workload import Workshop, text
from tract import AsyncTract


async def verbs(workshop: Workshop) -> list[Result]:
    """Append, branch, switch, status and show at growing lengths of the history.

    With `durability="normal"`, so that a slow disk does not hide what grows;
    the append alone once more as it is by default.
    """
    figures: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for durability, steps in (("full", _appends), ("normal", _steps)):
        tracts = {size: await workshop.opened(size, durability) for size in workshop.sizes}
        ids = {size: [(await t.user(text(-place - 1))).id for place in range(8)] for size, t in tracts.items()}
        collected()
        for number in range(workshop.rounds(200)):
            for size, t in tracts.items():
                for name, work in steps(t, number, ids[size]).items():
                    figures[name][size].append(await timed(work))
        for t in tracts.values():
            await t.aclose()
    return [Growth(f"{name}, p50", _medians(by_size)) for name, by_size in figures.items()]


async def opening(workshop: Workshop) -> list[Result]:
    """Open a store that was closed, up to the handle; closing it is not timed."""
    paths = {size: await workshop.history(size) for size in workshop.sizes}
    figures: dict[int, list[float]] = {size: [] for size in paths}
    for _ in range(workshop.rounds(60)):
        for size, path in paths.items():
            figures[size].append(await _open(path))
    return [Growth("open, p50", _medians(figures))]


async def forks(workshop: Workshop) -> list[Result]:
    """Status, compile, switch and branches on a branch from which others were forked, by their number.

    Each fork has a commit of its own, and the branch went on after it.
    """
    figures: dict[str, dict[int, float]] = defaultdict(dict)
    for number in (10, 100) if workshop.is_quick else (10, 100, 1_000):
        async with AsyncTract.open(str(workshop.file()), durability="normal") as t:
            await _fork(t, number)
            await t.compile()
            works: Steps = {"status": t.status, "compile again": t.compile, "switch": partial(t.switch, "main")}
            for name, work in works.items():
                figures[name][number] = median([await timed(work) for _ in range(workshop.rounds(40))])
            figures["branches(), each"][number] = await timed(t.branches) / (number + 1)
    return [Growth(f"{name}, by forks", by_number) for name, by_number in figures.items()]


async def _fork(t: AsyncTract, number: int) -> None:
    await t.user(text(0))
    for place in range(number):
        await t.branch(f"b{place}")
        await t.user(text(2 * place + 1))
        await t.switch("main")
        await t.user(text(2 * place + 2))


async def _open(path: Path) -> float:
    opened: list[AsyncTract] = []

    async def work() -> None:
        opened.append(await AsyncTract.open(str(path)))

    seconds = await timed(work)
    await opened[0].aclose()
    return seconds


Steps: TypeAlias = dict[str, Callable[[], Awaitable[Any]]]


def _appends(t: AsyncTract, number: int, _: Sequence[str]) -> Steps:
    said = text(-number - 1)
    return {"append, durable": lambda: t.user(said)}


def _steps(t: AsyncTract, number: int, ids: Sequence[str]) -> Steps:
    said = text(-number - 1)
    return {
        "append": lambda: t.user(said),
        "branch": lambda: t.branch(f"b{number}"),
        "switch": lambda: t.switch("main"),
        "status": t.status,
        "show by id": lambda: t.show(ids[number % len(ids)]),
    }


def _medians(figures: dict[int, list[float]]) -> dict[int, float]:
    return {size: median(found) for size, found in figures.items()}
