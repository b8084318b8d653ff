"""Projections that follow the log: their tables made, filled a chunk at a time, and stopped.

Runs on the thread of the writer's connection, under the lock between
processes. What is written here can be made again from the log, so nobody waits
for the disk. Imports `errors`, `protocol`, `batch`, `editions` and `sqlite_errors`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tract.errors import NewerSchemaError
from tract.log.batch import BatchRunner
from tract.log.editions import create_all, drop_all
from tract.log.halts import Halt
from tract.log.protocol import Checkpoint, Chunk, Projection, Row, Statement, UnfitStatementError
from tract.log.sqlite_errors import is_of_the_statement


@contextmanager
def lazy_transaction(connection: sqlite3.Connection, runner: BatchRunner) -> Iterator[None]:
    """Hold a transaction that is all or nothing, and does not wait for the disk.

    Raises:
        NewerSchemaError: A later version brought the file up, or its tables.
        sqlite3.Error: Nothing was written.
    """
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        runner.look(connection)
        yield
        if connection.in_transaction:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(f"PRAGMA synchronous = {level}")


def adopt(connection: sqlite3.Connection, runner: BatchRunner, projection: Projection) -> int:
    """Return up to which position a projection has read, 0 for tables that were made just now.

    They are made anew where one is missing, where an older version of the
    projection made them, and where the log was rolled back behind them.

    Raises:
        NewerSchemaError: A later version of the projection made them.
        sqlite3.Error: Nothing was changed.
    """
    with lazy_transaction(connection, runner):
        sql = runner.book.now
        row = connection.execute(sql["log.checkpoint"], (projection.name,)).fetchone()
        edition = 0
        if row is not None:
            version, edition, position, digest = row
            if version > projection.version:
                raise NewerSchemaError(runner.where, version, projection.version)
            is_there = _are_there(connection, runner, projection, edition)
            if version == projection.version and is_there and _follows(connection, runner, position, digest):
                return int(position)
        # Also where no row tells of them: somebody may have removed that alone.
        drop_all(connection, sql, (projection,))
        create_all(connection, sql, (projection,))
        connection.execute(sql["log.put_projection"], (projection.name, projection.version, edition, 0, None))
        connection.execute(sql["log.clear_halts"], (projection.name,))
    return 0


def _are_there(connection: sqlite3.Connection, runner: BatchRunner, projection: Projection, edition: int) -> bool:
    sql = runner.book.now["log.has_table"]
    return all(connection.execute(sql, (table, edition)).fetchone() for table, _ in projection.tables)


def _follows(connection: sqlite3.Connection, runner: BatchRunner, position: int, digest: bytes | None) -> bool:
    if position == 0:
        return True
    row: Row | None = connection.execute(runner.book.now["log.digest_at"], (position,)).fetchone()
    return row is not None and row[0] == digest


def advance(connection: sqlite3.Connection, runner: BatchRunner, chunk: Chunk) -> bool:
    """Apply a chunk, if its projections still are what it takes them for; say whether they were.

    Raises:
        UnfitStatementError: A statement cannot be applied; nothing was changed.
        NewerSchemaError: A later version brought the file up.
        sqlite3.Error: Nothing was changed.
    """
    with lazy_transaction(connection, runner):
        cursor = connection.cursor()
        for each in chunk.projections:
            row = (each.name, each.version, each.edition, chunk.before, chunk.after, chunk.digest)
            if cursor.execute(runner.book.now["log.advance"], row).rowcount != 1:
                connection.execute("ROLLBACK")
                return False
        _execute(cursor, runner, chunk.statements)
    return True


def _execute(cursor: sqlite3.Cursor, runner: BatchRunner, statements: Sequence[Statement]) -> None:
    sql = runner.book.now
    try:
        for each in statements:
            cursor.execute(sql[each.name], each.parameters)
    except Exception as exc:
        if not is_of_the_statement(exc):
            raise
        raise UnfitStatementError from exc


def halt(connection: sqlite3.Connection, runner: BatchRunner, checkpoint: Checkpoint, before: int, given: Halt) -> bool:
    """Note where a projection met an event that it could not fold, if it still is where it was; say whether it is.

    Else somebody made it anew meanwhile, or got over the event.

    Raises:
        sqlite3.Error: Nothing was changed.
    """
    row = (given.projection, given.stream, given.position, given.finding, checkpoint.version, checkpoint.edition, before)
    with lazy_transaction(connection, runner):
        return connection.execute(runner.book.now["log.halt_at"], row).rowcount == 1
