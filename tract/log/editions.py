"""Which tables the statements of a projection mean.

A rebuild fills new tables beside those in use, and then they are in use: the
tables and indexes of edition 3 of a projection are called as its statements
call them with `__3` behind, those of edition 0 just so. The table
`projections` says which edition is in use. Everybody looks there after a
change of the schema, which a number of SQLite's tells, so nothing is renamed
and a swap is one row. Imports `protocol`.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from tract.log.halts import Halt, InUse
from tract.log.protocol import Projection

_made = re.compile(r"\bCREATE (?:VIRTUAL TABLE|TABLE|UNIQUE INDEX|INDEX) (?:IF NOT EXISTS )?(\w+)")
_edition = re.compile(r"^(.+)__([1-9][0-9]*)$")


def in_edition(name: str, edition: int) -> str:
    """Return what a table or index is called in an edition."""
    return f"{name}__{edition}" if edition else name


def without_edition(name: str) -> tuple[str, int]:
    """Return what a table or index is called in statements, and its edition."""
    found = _edition.match(name)
    return (found[1], int(found[2])) if found else (name, 0)


class Editions:
    """The statements of a store, for any editions of its projections.

    Args:
        statements: SQL by name.
        projections: Whose tables have editions.
    """

    def __init__(self, statements: Mapping[str, str], projections: Iterable[Projection]) -> None:
        self.statements = statements
        self._made = {
            projection.name: tuple(name for each in projection.create for name in _made.findall(statements[each]))
            for projection in projections
        }
        self._known: dict[tuple[tuple[str, int], ...], Mapping[str, str]] = {(): statements}

    def names(self, projection: str) -> tuple[str, ...]:
        """Return the tables and indexes that a projection makes, as its statements call them."""
        return self._made[projection]

    def using(self, editions: Mapping[str, int]) -> Mapping[str, str]:
        """Return the statements, each on the tables of those editions; 0 where none is given."""
        key = tuple(sorted((name, edition) for name, edition in editions.items() if edition and name in self._made))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = MappingProxyType(self._renamed(dict(key)))
        return known

    def _renamed(self, editions: Mapping[str, int]) -> dict[str, str]:
        names = {name: in_edition(name, edition) for projection, edition in editions.items() for name in self._made[projection]}
        # A name behind a point is a column's.
        found = re.compile(rf"(?<![.\w])(?:{'|'.join(sorted(names, key=len, reverse=True))})\b")
        return {key: found.sub(lambda match: names[match[0]], sql) for key, sql in self.statements.items()}


class Book:
    """The statements as one connection means them.

    Attributes:
        editions: Those of the store.
        now: The statements, on the tables that were in use when it looked.
        in_use: Those tables, and what families stand still in them.
        versions: Which version of each projection made its tables.

    Args:
        editions: Those of the store.
    """

    def __init__(self, editions: Editions) -> None:
        self.editions = editions
        self.now = editions.statements
        self.in_use = InUse()
        self.versions: Mapping[str, int] = {}
        self._seen: int | None = None

    @property
    def halted(self) -> Mapping[bytes, Halt]:
        """Where the families stand still that do, by their 16 bytes."""
        return self.in_use.halted

    def look(self, connection: sqlite3.Connection) -> Mapping[str, str]:
        """Return the statements to use in the transaction that is open; a microsecond.

        What families stand still changes only together with the schema, as
        tables are made together with their versions, so `halted` and
        `versions` are looked up here too.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        (seen,) = connection.execute("PRAGMA schema_version").fetchone()
        if seen != self._seen:
            editions = in_use(connection, self.editions.statements)
            self.now = self.editions.using(editions)
            self.in_use = InUse(editions, _halted(connection, self.editions.statements))
            self.versions = _versions(connection, self.editions.statements)
            self._seen = seen
        return self.now


def in_use(connection: sqlite3.Connection, statements: Mapping[str, str]) -> dict[str, int]:
    """Return the edition in use of each projection; none in a file of a schema that had no editions."""
    if not connection.execute(statements["log.has_editions"]).fetchone():
        return {}
    return dict(connection.execute(statements["log.editions"]).fetchall())


def _halted(connection: sqlite3.Connection, statements: Mapping[str, str]) -> dict[bytes, Halt]:
    if not connection.execute(statements["log.has_editions"]).fetchone():
        return {}
    halts = [Halt(*row) for row in connection.execute(statements["log.halts"])]
    # Those of an edition that is being filled bear its number.
    return {halt.stream: halt for halt in halts if halt.stream and not without_edition(halt.projection)[1]}


def _versions(connection: sqlite3.Connection, statements: Mapping[str, str]) -> dict[str, int]:
    if not connection.execute(statements["log.has_editions"]).fetchone():
        return {}
    return {row[0]: row[1] for row in connection.execute(statements["log.projections"])}


def create_all(connection: sqlite3.Connection, statements: Mapping[str, str], projections: Sequence[Projection]) -> None:
    """Make the tables of projections, empty."""
    for projection in projections:
        for name in projection.create:
            connection.execute(statements[name])


def drop_all(connection: sqlite3.Connection, statements: Mapping[str, str], projections: Sequence[Projection]) -> None:
    """Remove the tables of projections."""
    for projection in reversed(projections):
        for name in projection.drop:
            connection.execute(statements[name])
