"""Verifying a store: the chain of digests alone, everything, beside writers, and the memory it takes.

Every verification has a process of its own, as from the command line.
Imports `beside`, `measuring`, `table` and `workload`. Read `verifying` first.
"""

import asyncio
import multiprocessing
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter

from attrs import frozen

from benchmarks.beside import WRITERS, most_memory, writers_at_work
from benchmarks.measuring import alternate
from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop
from tract import admin


async def verifying(workshop: Workshop) -> list[Result]:
    """Verify a long store: the chain against bare hashing, everything, beside 20 writers, and its memory."""
    return [*await _alone(workshop), *await _beside_writers(workshop), *await _memory(workshop)]


async def _alone(workshop: Workshop) -> list[Result]:
    path = await workshop.history(workshop.sizes[-1])

    async def floor() -> float:
        return await asyncio.to_thread(_read_and_hash, path)

    ours, bare = await alternate(workshop.rounds(5), lambda: _rate(path, chain_only=True), floor)
    whole = await _rate(path, chain_only=False)
    chain, size = median(ours), f"{workshop.sizes[-1]:,} events"
    target = Target(100_000, of="ours", is_least=True)
    return [
        Row(f"verify, the chain of {size}", chain, "/s", median(bare), "bare sqlite3 and as many hashes", target),
        Row(f"verify, everything of {size}", whole, "/s", chain, "the chain alone"),
    ]


async def _beside_writers(workshop: Workshop) -> list[Result]:
    path = await workshop.history(workshop.sizes[-1])
    alone = await _rate(path, chain_only=True)
    beside: list[float] = []

    async def chain() -> None:
        beside.extend([await _rate(path, chain_only=True) for _ in range(3)])

    async def everything() -> None:
        await _rate(path, chain_only=False)

    quiet = await writers_at_work(path, lambda: asyncio.sleep(3))
    during = {"the chain": await writers_at_work(path, chain), "everything": await writers_at_work(path, everything)}
    half = Target(0.5, is_least=True)
    rows: list[Result] = [Row(f"verify, the chain beside {WRITERS} writers", median(beside), "/s", alone, "nobody beside", half)]
    for what, found in during.items():
        rows.append(
            Row(f"  append of theirs beside {what}, p99", found.p99, "s", quiet.p99, "writers alone", Target(0.025, of="ours"))
        )
        rows.append(Row("  their write-ahead log at most", found.wal, "B", quiet.wal, "writers alone"))
    return rows


async def _memory(workshop: Workshop) -> list[Result]:
    sizes = workshop.lengths
    grown = {size: (await _verified(await workshop.history(size), chain_only=False)).memory for size in sizes}
    first, *others = grown.values()
    against = f"at {sizes[0]:,}"
    return [
        Row(f"memory of verify, {size:,} events", grown[size], "B", first, against, Target(1.5)) for size in sizes[1:] if others
    ]


@frozen
class _Seen:
    """What a process saw that verified a store: events, seconds, and bytes of memory at the most."""

    events: int
    seconds: float
    memory: int


async def _rate(path: Path, *, chain_only: bool) -> float:
    seen = await _verified(path, chain_only=chain_only)
    return seen.events / seen.seconds


async def _verified(path: Path, *, chain_only: bool) -> _Seen:
    """Verify a store in a process of its own, which has to find nothing."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _verify, str(path), chain_only)


def _verify(path: str, chain_only: bool) -> _Seen:  # noqa: FBT001 - called in another process
    found = asyncio.run(admin.verify(path, chain_only=chain_only))
    if not found.is_clean:
        raise AssertionError(str(found))
    return _Seen(found.events, found.seconds, most_memory())


def _read_and_hash(path: Path) -> float:
    """Read every event with bare sqlite3 and make three hashes of each; return how many a second."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        connection.text_factory = bytes
        start, events, digest = perf_counter(), 0, b""
        for row in connection.execute("SELECT * FROM events ORDER BY position"):
            digest = sha256(digest + sha256(row[1] * 10).digest() + sha256(row[6]).digest()).digest()
            events += 1
        return events / (perf_counter() - start)
