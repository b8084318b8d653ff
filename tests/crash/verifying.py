"""Whether a file holds together, looked at from outside."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.builders import broken_links
from tract import AsyncTract
from tract.llm.counting import ApproximateCounter
from tract.log.protocol import Row

NOT_DERIVED = {"events", "blobs", "partials", "leases"}


def verified(path: Path) -> list[str]:
    """What is wrong with a store, which others may be writing to; nothing, if all is well.

    The file's pages and the chain of its events are looked at, and its tables
    against what a replay of those events makes of them.
    """
    copy = path.with_suffix(".copy")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, closing(sqlite3.connect(copy)) as target:
        # One step, so that it is one snapshot.
        source.backup(target)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = [f"integrity_check: {line}" for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
            found += broken_links(connection.execute("SELECT * FROM events ORDER BY position").fetchall())
            before = _derived(connection)
        asyncio.run(_replay(copy))
        with closing(sqlite3.connect(copy)) as connection:
            after = _derived(connection)
    finally:
        copy.unlink()
    return found + [f"the table {name} is not what a replay makes of it" for name in before if before[name] != after.get(name)]


def _derived(connection: sqlite3.Connection) -> dict[str, list[Row]]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
        for name in tables
        if name not in NOT_DERIVED and not name.startswith("sqlite_")
    }


async def _replay(path: Path) -> None:
    async with AsyncTract.open(str(path), create=False, tokens=ApproximateCounter()) as t:
        await t.collaborators.shared.store.replay()
