"""What we are compared with: the same rows, written and read by bare SQLite.

Floors work on files made by us, so tables, indexes, triggers and page size are
ours; the rows are read out of a file that we wrote, so nothing is computed
while they are written. Read `written` first.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tract.formats.reading import decode_content
from tract.log.packing import add_functions
from tract.log.sqlite_files import connect, on_thread
from tract.log.statements import load
from tract.projections import SQL

if TYPE_CHECKING:
    import aiosqlite

Change: TypeAlias = tuple[str, tuple[Any, ...]]
"""A statement with its parameters."""
Append: TypeAlias = list[Change]
"""What one verb call wrote."""

_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_BLOB = "INSERT INTO blobs VALUES (?, ?, ?, ?, ?)"
_COMMIT = "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REF = "UPDATE refs SET head = ? WHERE number = ?"
_MOVEMENT = "INSERT INTO movements VALUES (?, ?, ?, ?, ?, ?)"


def last_position(path: Path) -> int:
    """Return where the log of a store ends."""
    connection = sqlite3.connect(path)
    try:
        (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    finally:
        connection.close()
    return int(position)


def snapshot(path: Path, to: Path) -> Path:
    """Copy a store that is open, as it stands."""
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    return to


def written(path: Path, after: int) -> list[Append]:
    """Return what was written behind a position, an item an operation.

    Only plain commits are looked for: a row each in events, blobs, commits and
    movements, and the branch's row in refs.
    """
    connection = sqlite3.connect(path)
    try:
        blobs = {row[0]: row for row in connection.execute("SELECT * FROM blobs")}
        commits = {row[0]: row for row in connection.execute("SELECT * FROM commits WHERE number > ?", (after,))}
        moves = {row[1]: row for row in connection.execute("SELECT * FROM movements WHERE position > ?", (after,))}
        events = connection.execute("SELECT * FROM events WHERE position > ? ORDER BY position", (after,)).fetchall()
        known = {row[0] for row in connection.execute("SELECT content FROM commits WHERE number <= ?", (after,))}
    finally:
        connection.close()

    def changes(event: tuple[Any, ...]) -> Iterator[Change]:
        commit, move = commits[event[0]], moves[event[0]]
        if commit[6] not in known:
            known.add(commit[6])
            yield _BLOB, blobs[commit[6]]
        yield _EVENT, event
        yield _COMMIT, commit
        yield _REF, (move[3], move[0])
        yield _MOVEMENT, move

    return [[change for event in group for change in changes(event)] for _, group in groupby(events, key=lambda row: row[7])]


def _prepare(connection: sqlite3.Connection, synchronous: str = "FULL") -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA synchronous = {synchronous}")


def _transaction(connection: sqlite3.Connection, appends: Sequence[Append]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for append in appends:
        for sql, row in append:
            connection.execute(sql, row)
    connection.execute("COMMIT")


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


class BareAiosqlite:
    """Appends through aiosqlite, each a transaction and one function call on its thread."""

    def __init__(self, connection: "aiosqlite.Connection") -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path, synchronous: str = "FULL") -> "BareAiosqlite":
        """Return it, with the settings of a store."""
        connection = await connect(str(path), mode="rwc")
        await on_thread(connection, _prepare, synchronous)
        return cls(connection)

    async def append(self, append: Append) -> None:
        """Write one append, durable."""
        await on_thread(self._connection, _transaction, [append])

    async def checkpoint(self) -> None:
        """Move what was written into the file, as our writer does while it rests."""
        await on_thread(self._connection, _checkpoint)

    async def aclose(self) -> None:
        """Close the file."""
        await self._connection.close()


def write_in_batches(path: Path, appends: Sequence[Append], batch: int = 100) -> float:
    """Write the appends with bare sqlite3, so many a transaction; return the seconds.

    A checkpoint after every thousand, about as often as our writer makes one.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        _prepare(connection)
        start = perf_counter()
        for first in range(0, len(appends), batch):
            _transaction(connection, appends[first : first + batch])
            if (first + batch) % 1_000 == 0:
                _checkpoint(connection)
        return perf_counter() - start
    finally:
        connection.close()


class _Content(msgspec.Struct):
    type: str
    blob: str


class _Commit(msgspec.Struct):
    operation: str
    targets: tuple[str, ...]
    content: _Content
    priority: str | None
    rendering: int | None


class _Recorded(msgspec.Struct):
    commit: _Commit
    tokens: int | None


_event = msgspec.json.Decoder(_Recorded)


def read_and_decode(path: Path) -> float:
    """Read the rows of a linear history and decode event and content; return the seconds.

    The same query and the same decoders as a compile has, from a connection
    that has nothing in its cache.
    """
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    try:
        add_functions(connection)
        run, last = connection.execute("SELECT run, max(number) FROM commits").fetchone()
        start = perf_counter()
        rows = connection.execute(load(*SQL)["commits.steps"], (run, 0, last)).fetchall()
        decoded = []
        for row in rows:
            recorded = _event.decode(row[4])
            decoded.append((recorded, decode_content(recorded.commit.content.type, row[5])))
        return perf_counter() - start
    finally:
        connection.close()


class Disk:
    """A file beside the stores, to see what the disk alone takes."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "fsync").open("wb", buffering=0)
        self._sync = getattr(os, "fdatasync", os.fsync)

    def sync(self, pages: int = 12) -> float:
        """Append as many pages as a commit does and make them durable; return the seconds."""
        start = perf_counter()
        self._file.write(bytes(4096 * pages))
        self._sync(self._file.fileno())
        return perf_counter() - start

    def close(self) -> None:
        """Close the file."""
        self._file.close()
