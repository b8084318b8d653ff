"""Whether a file holds together, looked at from outside."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.builders import broken_links
from tract import admin


def verified(path: Path) -> list[str]:
    """What is wrong with a store, which others may be writing to; nothing, if all is well.

    What `tract.admin verify` finds, and the chain of its events by rules that
    were written a second time, for this.
    """
    found = [str(finding) for finding in asyncio.run(admin.verify(str(path))).findings]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return found + broken_links(connection.execute("SELECT * FROM events ORDER BY position").fetchall())
