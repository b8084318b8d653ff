"""Processes that keep contexts of one history at the same time do not hurt each other."""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from tract import AsyncTract
from tract.core.checking import ContextFinding, check_contexts
from tract.core.contexts import ContextCache
from tract.core.graph import find_head
from tract.core.keeping import keep_contexts
from tract.log.protocol import Query
from tract.operations.comparing import find_difference

ROOT = Path(__file__).parents[2]

KEEPING = """
import asyncio, random, sys
from tract import AsyncTract
from tract.core.keeping import keep_contexts

async def main(path, who):
    chance = random.Random(who)
    async with AsyncTract.open(path, durability="normal") as t:
        print("ready", flush=True)
        sys.stdin.readline()
        shared = t.collaborators.shared
        for round in range(12):
            for number in range(chance.randint(1, 40)):
                said = await t.user(f"{who} {round} {number}")
            context = await t.compile()
            await t.edit(chance.choice(list(context.slot_ids)), f"{who} edits {round}")
            if chance.random() < 0.3:
                await t.branch(f"{who}-{round}", switch=False)
            await keep_contexts(shared.store, shared.contexts, stride=1)

asyncio.run(main(*sys.argv[1:]))
"""


async def keep(t: AsyncTract) -> int:
    shared = t.collaborators.shared
    return await keep_contexts(shared.store, shared.contexts, stride=1)


def found_wrong(query: Query) -> list[ContextFinding]:
    return list(check_contexts(query, "a store"))


def difference(t: AsyncTract, query: Query) -> str | None:
    """Return what differs between the context as it is kept and the one from nothing."""
    head = find_head(query, t.place)
    return find_difference(
        ContextCache("a store").context(query, head), ContextCache("a store", reads_kept=False).context(query, head)
    )


def ran_at_once(path: Path, names: Sequence[str]) -> list[int]:
    """Run a process for each name, all of them at once; return how they ended."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", KEEPING, str(path), who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for who in names
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
    return [process.returncode for process in processes]


async def test_what_several_processes_keep_at_once_is_whole_and_right(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    async with AsyncTract.open(path, durability="normal") as t:
        async with t.batch():
            for number in range(400):
                await t.user(f"text {number}")
        await keep(t)
    assert ran_at_once(path, ("ann", "bob")) == [0, 0]
    async with AsyncTract.open(path, durability="normal") as t:
        assert await t.read(found_wrong) == []
        assert await t.read(partial(difference, t)) is None
        await t.edit("HEAD~200", "once more")
        assert await keep(t) == 1
        assert await t.read(found_wrong) == []
        assert await t.read(partial(difference, t)) is None
    with closing(sqlite3.connect(path)) as connection:
        unnamed = connection.execute(
            "SELECT count(*) FROM context_leaves"
            " WHERE key NOT IN (SELECT k.value FROM contexts x, json_each(CAST(x.leaves AS TEXT)) k)"
        ).fetchall()
    assert unnamed == [(0,)]
