"""Rebuilding a store's tables: alone, beside writers, how long others wait for it, and the memory it takes.

Every rebuild has a process of its own, as from the command line. Imports
`beside`, `floors`, `measuring`, `table` and `workload`. Read `rebuilding` first.
"""

import asyncio
import multiprocessing
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

from attrs import frozen

from benchmarks.beside import WRITERS, most_memory, writers_at_work
from benchmarks.floors import Change, written
from benchmarks.measuring import alternate
from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop
from tract import admin

BATCH = 250
"""Events of a transaction of the floor, about as many as a rebuild takes."""
BESIDE = 10_000
"""Events of the store that is rebuilt with its search index, alone and beside others."""
BEGINNING = 3
"""Events before the first commit."""
_TABLES = ("commits", "movements", "refs")


async def rebuilding(workshop: Workshop) -> list[Result]:
    """Rebuild a long store: against bare sqlite3 writing the same rows, with search, beside 20 writers, and its memory."""
    return [*await _alone(workshop), *await _beside_writers(workshop), *await _memory(workshop)]


async def _alone(workshop: Workshop) -> list[Result]:
    size = workshop.sizes[-1]
    path = await workshop.history(size, search=False)
    changes = [
        [change for change in append if any(f" {table} " in change[0] for table in _TABLES)]
        for append in written(path, BEGINNING)
    ]
    done: list[_Seen] = []

    async def ours() -> float:
        done.append(await _rebuilt(path))
        return done[-1].rate

    async def floor() -> float:
        return await asyncio.to_thread(_write_rows, workshop.copied(path), changes)

    rates, bare = await alternate(workshop.rounds(3), ours, floor)
    what = f"rebuild of {size:,} events"
    return [
        Row(what, median(rates), "/s", median(bare), "bare sqlite3, the same rows", Target(0.5, is_least=True)),
        *_waits(what, done),
    ]


async def _beside_writers(workshop: Workshop) -> list[Result]:
    size = BESIDE
    plain = await _rebuilt(await workshop.history(size, search=False))
    path = await workshop.history(size)
    alone = await _rebuilt(path)
    beside: list[_Seen] = []

    async def work() -> None:
        beside.append(await _rebuilt(path))

    quiet = await writers_at_work(path, lambda: asyncio.sleep(3))
    during = await writers_at_work(path, work)
    what = f"rebuild beside {WRITERS} writers"
    return [
        # Its rows are not among those of the floor above; to index the words takes most of the time.
        Row(f"rebuild of {size:,} events and the search index", alone.rate, "/s", plain.rate, "without the index"),
        Row(what, beside[0].rate, "/s", alone.rate, "nobody beside", Target(0.5, is_least=True)),
        *_waits(what, beside),
        Row("  append of theirs, p99", during.p99, "s", quiet.p99, "writers alone", Target(0.025, of="ours")),
        Row("  their write-ahead log at most", during.wal, "B", quiet.wal, "writers alone"),
    ]


async def _memory(workshop: Workshop) -> list[Result]:
    sizes = workshop.lengths
    grown = {size: (await _rebuilt(await workshop.history(size, search=False))).memory for size in sizes}
    return [
        Row(f"memory of rebuild, {size:,} events", grown[size], "B", grown[sizes[0]], f"at {sizes[0]:,}", Target(1.5))
        for size in sizes[1:]
    ]


@frozen
class _Seen:
    """What a process saw that rebuilt a store, and bytes of memory at the most."""

    rate: float
    holds: tuple[float, float, float]
    swap: float
    memory: int


def _waits(what: str, done: Sequence[_Seen]) -> list[Result]:
    halves, most, longest = ([seen.holds[place] for seen in done] for place in range(3))
    return [
        Row(f"  {what}: write lock held, p50", median(halves), "s", target=Target(0.004, of="ours")),
        Row(f"  {what}: write lock held, p99", median(most), "s", target=Target(0.020, of="ours")),
        Row(f"  {what}: write lock held, longest", max(longest), "s"),
        Row(f"  {what}: swap", max(seen.swap for seen in done), "s", target=Target(0.010, of="ours")),
    ]


async def _rebuilt(path: Path) -> _Seen:
    """Rebuild a store in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _rebuild, str(path))


def _rebuild(path: str) -> _Seen:
    done = asyncio.run(admin.rebuild(path))
    if not done.is_clean:
        raise AssertionError(str(done))
    return _Seen(done.events / done.seconds, done.holds, done.swap, most_memory())


def _write_rows(path: Path, changes: Sequence[Sequence[Change]]) -> float:
    """Write the rows into empty tables with bare sqlite3; return how many events' a second."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("commits", "movements"):
            connection.execute(f"DELETE FROM {_in_use(connection, table)}")
        names = {table: _in_use(connection, table) for table in _TABLES}
        meant = {sql: _on(sql, names) for sql in {sql for append in changes for sql, _ in append}}
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        start, cursor = perf_counter(), connection.cursor()
        for first in range(0, len(changes), BATCH):
            cursor.execute("BEGIN IMMEDIATE")
            for append in changes[first : first + BATCH]:
                for sql, row in append:
                    cursor.execute(meant[sql], row)
            cursor.execute("COMMIT")
            if first % 30_000 == 0:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return len(changes) / (perf_counter() - start)


def _in_use(connection: sqlite3.Connection, table: str) -> str:
    (name,) = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND (name = ?1 OR name GLOB ?1 || '__[0-9]*')", (table,)
    ).fetchone()
    return str(name)


def _on(sql: str, names: dict[str, str]) -> str:
    for table, name in names.items():
        sql = sql.replace(f" {table} ", f" {name} ")
    return sql
