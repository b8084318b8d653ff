"""Appending: one after another, a hundred agents at once, many on one branch.

Imports `floors`, `measuring`, `table` and `workload`. Read `sequential` first.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import fmean, median
from time import perf_counter

from benchmarks.floors import Append, BareAiosqlite, Disk, last_position, snapshot, write_in_batches, written
from benchmarks.measuring import collected, timed
from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop, text
from tract import AsyncTract

AGENTS = 100
TASKS = 20
TURN = 20
"""Sequential appends of one side before the other has its turn."""


async def sequential(workshop: Workshop) -> list[Result]:
    """One durable append after another, against the same rows through bare aiosqlite.

    The floor writes ready-made rows: one transaction and one function call on
    the connection's thread for each. Once more without waiting for the disk,
    which shows what an append costs where the disk is not the slowest part.
    """
    return [*await _sequential(workshop, "full"), *await _sequential(workshop, "normal")]


async def _sequential(workshop: Workshop, durability: str) -> list[Result]:
    total = workshop.rounds(800) // TURN * TURN
    ours_file, floor_file, rows = await _rows_of_appends(workshop, total)
    disk, floor = Disk(workshop.folder), await BareAiosqlite.open(floor_file, durability.upper())
    ours: list[float] = []
    theirs: list[float] = []
    syncs: list[float] = []
    collected()
    async with AsyncTract.open(str(ours_file), durability=durability) as t:
        for first in range(0, total, TURN):
            texts = [text(number + 1) for number in range(first, first + TURN)]
            ours += [await timed(partial(t.user, said)) for said in texts]
            theirs += [await timed(partial(floor.append, append)) for append in rows[first : first + TURN]]
            await floor.checkpoint()
            if durability == "full":
                syncs += (disk.sync() for _ in range(TURN))
    await floor.aclose()
    disk.close()
    bare = "bare aiosqlite, same rows"
    if durability != "full":
        return [Row("append, durability normal, p50", median(ours), "s", median(theirs), bare)]
    return [
        Row("sequential append, p50", median(ours), "s", median(theirs), bare, Target(2.0)),
        Row("sequential append, mean", fmean(ours), "s", fmean(theirs), bare, Target(2.0)),
        Row("  write and fdatasync of 12 pages alone, p50", median(syncs), "s"),
    ]


async def _rows_of_appends(workshop: Workshop, total: int) -> tuple[Path, Path, list[Append]]:
    """Return two stores with one message each, and what so many more write to such a store."""
    empty = workshop.file()
    await _append_in_turn(empty, range(1))
    made = workshop.copied(empty)
    await _append_in_turn(made, range(1, total + 1))
    return empty, workshop.copied(empty), written(made, last_position(empty))


async def agents(workshop: Workshop) -> list[Result]:
    """A hundred agents appending at once, against one agent, and against bare sqlite3.

    First one tract each in one store, then one branch each of one tract. The
    floor is a thread of bare sqlite3 that writes the same rows, a hundred a
    transaction.
    """
    return [*await _hundred(workshop, "tracts"), *await _hundred(workshop, "branches")]


async def tasks(workshop: Workshop) -> list[Result]:
    """Twenty tasks on one branch, against twenty tasks on a branch each."""
    each = workshop.rounds(100)
    numbers = count()
    together: list[float] = []
    apart: list[float] = []
    async with AsyncTract.open(str(workshop.file())) as t:
        await t.system("Twenty tasks.")
        others = await _branched(t, TASKS)
        for _ in range(workshop.rounds(9)):
            together.append(await _all_at_once([t] * TASKS, each, numbers))
            apart.append(await _all_at_once(others, each, numbers))
        for other in others:
            await other.aclose()
    done = TASKS * each
    target = Target(0.5, is_least=True)
    what, against = f"{TASKS} tasks on one branch", f"{TASKS} tasks on {TASKS} branches"
    return [Row(what, done / median(together), "/s", done / median(apart), against, target)]


async def _hundred(workshop: Workshop, kind: str) -> list[Result]:
    each = workshop.rounds(40)
    empty = workshop.file()
    for agent in await _agents(empty, kind):
        await agent.aclose()
    ours: list[float] = []
    alone: list[float] = []
    floor: list[float] = []
    for _ in range(workshop.rounds(7)):
        path, numbers = workshop.copied(empty), count()
        opened = await _agents(path, kind)
        floor_file = snapshot(path, workshop.file())
        collected()
        ours.append(await _all_at_once(opened, each, numbers))
        alone.append(await _all_at_once(opened[:1], 100, numbers))
        for agent in opened:
            await agent.aclose()
        rows = written(path, last_position(floor_file))[: AGENTS * each]
        floor.append(await asyncio.to_thread(write_in_batches, floor_file, rows))
    done = AGENTS * each
    rate = done / median(ours)
    name = f"{AGENTS} agents, a {'tract' if kind == 'tracts' else 'branch'} each"
    return [
        Row(name, rate, "/s", 100 / median(alone), "one agent, one append after another", Target(4.0, is_least=True)),
        Row(name, rate, "/s", done / median(floor), "bare sqlite3, batches of 100", Target(1 / 3, is_least=True)),
    ]


async def _agents(path: Path, kind: str) -> Sequence[AsyncTract]:
    """Return a hundred handles on a store, making what is missing."""
    if kind == "tracts":
        return [await AsyncTract.open(str(path), name=f"agent-{number}") for number in range(AGENTS)]
    t = await AsyncTract.open(str(path))
    if await t.head() is None:
        await t.system("A hundred agents.")
    others = await _branched(t, AGENTS)
    await t.aclose()
    return others


async def _branched(t: AsyncTract, number: int) -> Sequence[AsyncTract]:
    known = {branch.name for branch in await t.branches()}
    names = [f"b{place}" for place in range(number)]
    for name in names:
        if name not in known:
            await t.branch(name, switch=False)
    return [await t.worktree(name) for name in names]


async def _all_at_once(handles: Sequence[AsyncTract], each: int, numbers: "count[int]") -> float:
    """Let each handle append so often, all of them at once; return the seconds."""
    said = [[text(next(numbers)) for _ in range(each)] for _ in handles]

    async def work(t: AsyncTract, texts: Sequence[str]) -> None:
        for one in texts:
            await t.user(one)

    start = perf_counter()
    await asyncio.gather(*map(work, handles, said))
    return perf_counter() - start


async def _append_in_turn(path: Path, numbers: range) -> None:
    async with AsyncTract.open(str(path), durability="normal") as t:
        for number in numbers:
            await t.user(text(number))
