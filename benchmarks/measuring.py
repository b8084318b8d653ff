"""Timing two sides in turns.

Imports nothing of ours. Read `alternate` first.
"""

import gc
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time
from typing import Any, TypeAlias

Side: TypeAlias = Callable[[], Awaitable[float]]
"""Does its work once and returns a figure, mostly seconds."""


async def alternate(rounds: int, *sides: Side) -> list[list[float]]:
    """Run the sides in turns, A B A B, and return the figures of each.

    What else the machine does then falls on all of them alike.
    """
    figures: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, figures, strict=True):
            found.append(await side())
    return figures


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Return the seconds that *work* takes."""
    start = perf_counter()
    await work()
    return perf_counter() - start


async def both_times(work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Return the seconds that *work* takes, and how many of them this process computed."""
    start, computed = perf_counter(), process_time()
    await work()
    return perf_counter() - start, process_time() - computed


def collected() -> None:
    """Leave no garbage of the side before to the one that is timed next."""
    gc.collect()
