"""The connections of a store that only read.

Imports `protocol`, `editions`, `sqlite_errors` and `sqlite_files`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tract.errors import CorruptLogError
from tract.log.editions import Book, Editions
from tract.log.halts import InUse
from tract.log.protocol import MISSHAPEN, Query, Row
from tract.log.sqlite_errors import DATABASE_ERRORS, translate
from tract.log.sqlite_files import connect, on_thread, prepare_reader

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")

READERS = 2


class Readers:
    """Runs each query on whichever connection has the least to do.

    Args:
        path: The file.
        editions: The statements.
    """

    def __init__(self, path: str, editions: Editions) -> None:
        self._path = path
        self._editions = editions
        self._books: list[Book] = []
        self._facts: tuple[Mapping[str, str], dict[Any, Any]] = (editions.statements, {})
        self._connections: list[aiosqlite.Connection] = []
        self._busy: list[int] = []
        self._is_shared = False

    async def open(self) -> None:
        """Connect, where the file is one.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        self._busy = [0] * READERS
        opened = await asyncio.gather(*(self._connect() for _ in range(READERS)), return_exceptions=True)
        for failure in filter(None, opened):
            raise failure

    def share(self, connection: "aiosqlite.Connection") -> None:
        """Read through the connection that writes, where the store is in memory and has no other."""
        self._connections, self._busy, self._is_shared = [connection], [0], True
        self._books = [Book(self._editions)]

    @property
    def busy(self) -> int:
        """How many connections have something to do."""
        return sum(reads > 0 for reads in self._busy)

    @property
    def waiting(self) -> int:
        """How many reads wait for a connection."""
        return sum(self._busy) - self.busy

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run a function over one snapshot, on the connection's thread.

        Raises:
            CorruptLogError: What it read has not the shape of anything that is stored.
            StoreError: The file could not be read.
        """
        reader = min(range(len(self._connections)), key=self._busy.__getitem__)
        self._busy[reader] += 1
        try:
            result: T = await on_thread(self._connections[reader], self._query, self._books[reader], query)
        except DATABASE_ERRORS as exc:
            raise translate(exc, self._path) from exc
        except MISSHAPEN as exc:
            raise CorruptLogError(self._path, None, None, "a row has not the shape of what is stored there") from exc
        finally:
            self._busy[reader] -= 1
        return result

    async def data_version(self) -> int:
        """Return a number that is another one after any other connection wrote.

        Raises:
            StoreError: The file could not be read.
        """
        # Always the same connection, for each has a number of its own: the
        # one that is asked last for anything else.
        try:
            version: int = await on_thread(self._connections[-1], _data_version)
        except DATABASE_ERRORS as exc:
            raise translate(exc, self._path) from exc
        return version

    async def aclose(self) -> None:
        """Close them."""
        if not self._is_shared:
            for connection in self._connections:
                await connection.close()

    async def _connect(self) -> None:
        connection = await connect(self._path, mode="ro")
        self._connections.append(connection)
        self._books.append(Book(self._editions))
        await on_thread(connection, prepare_reader)

    def _query(self, connection: sqlite3.Connection, book: Book, query: Callable[[Query], T]) -> T:
        connection.execute("BEGIN")
        try:
            statements = book.look(connection)
            return query(_Snapshot(connection.cursor(), statements, self._facts_of(statements), book.in_use))
        finally:
            connection.execute("ROLLBACK")

    def _facts_of(self, statements: Mapping[str, str]) -> dict[Any, Any]:
        """Return what is remembered of the tables that are in use now, and nothing of those before.

        They are made anew where rows were damaged, and what was remembered may come from such.
        """
        known = self._facts
        if known[0] is not statements:
            known = self._facts = (statements, {})
        return known[1]


class _Snapshot:
    """A `Query` over one transaction of a reader."""

    __slots__ = ("_cursor", "_statements", "facts", "in_use")

    def __init__(self, cursor: sqlite3.Cursor, statements: Mapping[str, str], facts: dict[Any, Any], in_use: InUse) -> None:
        self._cursor = cursor
        self._statements = statements
        self.facts = facts
        self.in_use = in_use

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        return self._cursor.execute(self._statements[name], parameters).fetchall()


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)
