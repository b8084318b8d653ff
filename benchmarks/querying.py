"""Commits by their config: what a query costs at growing lengths of the history.

Imports `measuring`, `table` and `workload`. Read `querying` first.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

from attrs import frozen

from benchmarks.measuring import collected, timed
from benchmarks.table import Growth, Result, Row, Target
from benchmarks.workload import CHUNK, Workshop
from tract import AsyncTract, LLMConfig
from tract.errors import ProjectionLagError
from tract.llm.counting import ApproximateCounter

LIMIT = 0.020
"""Seconds that a query may take."""
BESIDE = 5
"""Commits of a branch that begins at the first one."""


@frozen
class _Shape:
    """A history in which each commit has a config, one of so many.

    Attributes:
        name: For people.
        configs: How many; None for one each.
    """

    name: str
    configs: int | None

    def config(self, number: int, size: int) -> LLMConfig:
        """Return the config of a commit; in the first half of the history another model is asked."""
        kind = number if self.configs is None else number * self.configs // size
        total = size if self.configs is None else self.configs
        model = "old" if 2 * kind < total else "new"
        return LLMConfig(model=model, temperature=kind % 10 / 5, seed=kind, extra={"effort": ["low", "high"][kind % 2]})


_SHAPES = (_Shape("one config", 1), _Shape("a config each", None))


@frozen
class _Question:
    """Arguments of `query_by_config`."""

    what: tuple[Any, ...]
    more: Mapping[str, Any] = MappingProxyType({})


def _questions(size: int) -> Mapping[str, _Question]:
    """Return queries that fit few commits, most of them, the far half of them, and none."""
    return {
        "=, rare": _Question(("seed", "=", size // 3)),
        "=, the far half": _Question(("model", "=", "old")),
        "!=": _Question(("seed", "!=", size // 3)),
        ">": _Question(("temperature", ">", 0.5)),
        "<, the far half": _Question(("seed", "<", size // 2)),
        ">=, none": _Question(("seed", ">=", size)),
        "<=": _Question(("seed", "<=", size)),
        "in": _Question(("extra.effort", "in", ["low", "medium"])),
        "not in": _Question(("seed", "not in", list(range(size - 10, size)))),
        "between": _Question(("seed", "between", (size // 4, size // 4 + 5))),
        "between, the far half": _Question(("seed", "between", (0, size // 2))),
        "exists": _Question(("seed", "exists")),
        "exists, none": _Question(("seed", "exists", False)),
        "several": _Question(([("model", "=", "old"), ("temperature", "<", 0.5), ("extra.effort", "!=", "high")],)),
        "a config": _Question((LLMConfig(model="old", temperature=0.2, extra={"effort": "high"}),)),
        "oldest first": _Question(("seed", ">=", size // 2), {"order": "oldest"}),
        "of a branch": _Question(("model", "=", "old"), {"branch": "main"}),
    }


async def querying(workshop: Workshop) -> list[Result]:
    """Ask for commits by their config, with each operator, where all commits share one and where each has its own."""
    slowest, rare = list[Result](), list[Result]()
    for shape in _SHAPES:
        tracts = {size: await _filled(workshop.file(), size, shape) for size in workshop.sizes}
        size = max(tracts)
        medians: dict[str, float] = {}
        for name, asked in _questions(size).items():
            medians[name] = (await _medians({size: tracts[size]}, asked, workshop.rounds(20)))[size]
        name = max(medians, key=lambda each: medians[each])
        what = f"query_by_config at {size:,} commits, {shape.name}, the slowest"
        slowest.append(Row(what, medians[name], "s", against=name, target=Target(LIMIT, "ours")))
        figures = await _medians(tracts, _Question(("seed", "=", 0), {"order": "oldest", "limit": 1}), workshop.rounds(100))
        rare.append(Growth(f"query_by_config, {shape.name}, the first one", figures, LIMIT))
        for t in tracts.values():
            await _branched(t, shape)
        figures = await _medians(tracts, _Question(("model", "exists"), {"branch": "side"}), workshop.rounds(100))
        rare.append(Growth(f"query_by_config, {shape.name}, a branch of {BESIDE + 1} commits", figures, LIMIT))
        for t in tracts.values():
            await t.aclose()
    return [*slowest, *rare]


async def _medians(tracts: Mapping[int, AsyncTract], asked: _Question, rounds: int) -> dict[int, float]:
    """Return the median of the seconds that a question takes in each tract, asked in turns."""
    works = {size: partial(t.query_by_config, *asked.what, **asked.more) for size, t in tracts.items()}
    figures = dict[int, list[float]]((size, []) for size in tracts)
    for work in works.values():
        await work()
    collected()
    for _ in range(rounds):
        for size, work in works.items():
            figures[size].append(await timed(work))
    return {size: median(found) for size, found in figures.items()}


async def _filled(path: Path, size: int, shape: _Shape) -> AsyncTract:
    """Return a tract with such a history, whose index has read all of it."""
    async with AsyncTract.open(str(path), tokens=ApproximateCounter(), search=False) as t:
        for first in range(0, size, CHUNK):
            async with t.batch():
                for number in range(first, min(first + CHUNK, size)):
                    await t.commit(f"Message {number}", generation_config=shape.config(number, size))
    t = await AsyncTract.open(str(path), search=False)
    while not await _has_caught_up(t):
        pass
    return t


async def _branched(t: AsyncTract, shape: _Shape) -> None:
    """Make a branch of a few commits beside all of the history but its first commit."""
    (first,) = await t.query_by_config("seed", "=", 0, order="oldest", limit=1)
    await t.branch("side", at=first.id)
    for number in range(BESIDE):
        await t.commit(f"Beside {number}", generation_config=shape.config(number, BESIDE))


async def _has_caught_up(t: AsyncTract) -> bool:
    try:
        await t.query_by_config("model", "exists")
    except ProjectionLagError:
        return False
    return True
