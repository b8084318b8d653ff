"""Bringing a file of an earlier schema to the present one, when it is opened.

Events stay as they are, byte for byte, and so does what blobs hold, packed or
not: what is derived from them is made anew. Runs on the thread of the writer's
connection. Imports `errors`, `batch`, `editions`, `refolding` and `sqlite_files`.
"""

import sqlite3

from tract.errors import NewerSchemaError
from tract.log.batch import BatchRunner
from tract.log.editions import create_all, drop_all, in_use
from tract.log.refolding import Refold, write_or_undo
from tract.log.sqlite_files import CONTEXT_TABLES, SCHEMA, schema_of

STEPS: dict[int, tuple[str, ...]] = {
    1: (
        "scratch.create_partials",
        "scratch.create_leases",
        "log.put_blobs_aside",
        "log.create_blobs",
        "log.take_blobs_back",
        "log.drop_blobs_aside",
        "log.create_blobs_by_id",
        "log.create_blobs_by_fingerprint",
        "log.drop_events_by_operation",
        "log.create_events_by_operation",
    ),
    2: (
        "log.create_projections",
        "log.create_halts",
        "log.create_rebuilds",
        *CONTEXT_TABLES,
    ),
}
"""The statements that lead from a schema to the next one."""

KEPT = ("contexts.clear", "contexts.clear_leaves")
"""What goes when tables are made anew: it may have been computed from rows that were damaged."""


def migrate(connection: sqlite3.Connection, runner: BatchRunner) -> None:
    """Bring the file to the present schema, and its inline projections to their versions, in one transaction.

    Takes as long as reading the log once; nothing where there is nothing to
    do. Another process that opens the file meanwhile waits.

    Raises:
        NewerSchemaError: A later version was faster, or made the tables of
            an inline projection.
        sqlite3.Error: The file is as it was.
    """
    if schema_of(connection, runner.where) == SCHEMA and not _outdated(connection, runner):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster since the look without a lock.
        found = schema_of(connection, runner.where)
        for schema in range(found, SCHEMA):
            for name in STEPS[schema]:
                connection.execute(runner.statements[name])
        if found != SCHEMA or _outdated(connection, runner):
            _refold(connection, runner)
            _note_versions(connection, runner)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _outdated(connection: sqlite3.Connection, runner: BatchRunner) -> bool:
    """Say whether an older version of an inline projection made its tables.

    Raises:
        NewerSchemaError: A later one did.
    """
    versions = {row[0]: row[1] for row in connection.execute(runner.statements["log.projections"])}
    made = [(versions.get(projection.name, 0), projection.version) for projection in runner.projections]
    for version, ours in made:
        if version > ours:
            raise NewerSchemaError(runner.where, version, ours)
    return any(version < ours for version, ours in made)


def _refold(connection: sqlite3.Connection, runner: BatchRunner) -> None:
    """Make the inline projections anew from the log, within the transaction that is open.

    Raises:
        CorruptLogError: An event does not follow the one before.
    """
    sql, position = runner.book.look(connection), 0
    drop_all(connection, sql, runner.projections)
    create_all(connection, sql, runner.projections)
    for name in KEPT:
        connection.execute(sql[name])
    cleared = [connection.execute(sql["log.clear_halts"], (each.name,)).rowcount for each in runner.projections]
    if any(cleared):
        # What follows the log may have passed over families that stood still.
        connection.execute(sql["log.set_back"])
    refold, cursor = Refold(runner.where, runner.projections), connection.cursor()
    while True:
        portion = refold.read(lambda name, *row: connection.execute(sql[name], row).fetchall(), position, 500)
        if portion is None:
            return
        halts = write_or_undo(cursor, sql, portion)
        for halt in halts:
            cursor.execute(sql["log.halt"], (halt.projection, halt.stream, halt.position, halt.finding))
        refold.halt(halts)
        position = portion.after


def _note_versions(connection: sqlite3.Connection, runner: BatchRunner) -> None:
    editions = in_use(connection, runner.statements)
    for projection in runner.projections:
        row = (projection.name, projection.version, editions.get(projection.name, 0), None, None)
        connection.execute(runner.statements["log.put_projection"], row)
