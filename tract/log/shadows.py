"""Tables that are filled beside those in use, put in their place, and cleared away.

Each function is one transaction, short enough that nobody waits long behind
it. Runs on the thread of the writer's connection, under the lock between
processes; `rebuilding` calls it. Nothing here is needed to survive power loss:
a prefix of it is there then, and what is missing is made again. Imports
`errors`, `protocol`, `advancing`, `editions`, `refolding` and
`sqlite_files`.
"""

import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from msgspec import Struct

from tract.errors import CorruptLogError, NewerSchemaError, RebuildRunningError, TractError
from tract.log.advancing import lazy_transaction
from tract.log.batch import BatchRunner
from tract.log.editions import create_all, in_edition, in_use, without_edition
from tract.log.halts import Halt
from tract.log.protocol import Projection, Row
from tract.log.refolding import Portion, Refold, write, write_carefully
from tract.log.sqlite_errors import DATABASE_ERRORS, DatabaseError, is_of_the_statement, translate
from tract.log.sqlite_files import CONTEXT_TABLES

NEEDED = ("log.create_rebuilds", *CONTEXT_TABLES)
"""What makes the tables that a rebuild writes to besides those that it fills, where somebody removed one."""
EMPTIED_PARTS = ("data", "content", "docsize")
"""The tables of a full-text index that hold much, each under a number."""
OTHER_PARTS = ("idx", "config")

KEY = re.compile(r"ORDER BY ([\w, ]+)(?:;|$)")
"""Finds the key of a table in the statement that reads its rows, behind which a comment may stand."""


class Shadow(Struct, frozen=True, eq=False):
    """An edition that is being filled.

    Attributes:
        edition: Its number.
        projections: Those whose tables it has, in their order.
        position: Up to where it is filled.
        halts: Where they stopped.
    """

    edition: int
    projections: tuple[Projection, ...]
    position: int
    halts: tuple[Halt, ...]


class Cleared(Struct, frozen=True, gc=False):
    """What a transaction removed.

    Attributes:
        seconds: How long it held the lock.
        stuck: What could not be removed, if that was so.
        is_more: Whether there may be more of the same.
    """

    seconds: float
    stuck: str = ""
    is_more: bool = False


class Held(Struct, frozen=True, gc=False):
    """What a transaction did.

    Attributes:
        seconds: How long it held the lock.
        halts: Where it stopped what.
        position: Up to where the edition is filled now.
    """

    seconds: float
    halts: tuple[Halt, ...]
    position: int


def begin(connection: sqlite3.Connection, runner: BatchRunner, names: Collection[str] | None) -> Shadow:
    """Return an edition to fill: the one that was left half-filled, or a new one.

    All projections are every one that has tables. A family that stands still
    does so in all of them, so then they are rebuilt together.

    One that was left is gone on with if it has the tables of the same
    projections in the same versions, and the log is still the one that it was
    filled from.

    Raises:
        NewerSchemaError: A later version made tables of one of them.
        sqlite3.Error: Nothing was changed.
    """
    with lazy_transaction(connection, runner):
        sql = runner.book.now
        for name in NEEDED:
            connection.execute(sql[name])
        projections = _chosen(connection, runner, names)
        _refuse_newer(connection, runner, projections)
        asked = ",".join(f"{each.name}:{each.version}" for each in projections)
        left = connection.execute(sql["log.rebuilds"]).fetchall()
        for edition, filled, position, digest in left:
            is_same = len(left) == 1 and filled == asked and _is_whole(connection, runner, projections, edition)
            if is_same and _is_from(connection, sql, position, digest):
                return Shadow(edition, projections, position, _halts(connection, sql, edition))
        for edition, *_ in left:
            _forget(connection, sql, edition)
        edition = 1 + max([0, *in_use(connection, sql).values(), *(row[0] for row in left), *_numbers(connection, runner)])
        create_all(connection, _statements(connection, runner, projections, edition), projections)
        connection.execute(sql["log.begin_rebuild"], (edition, asked))
    return Shadow(edition, projections, 0, ())


def fill(
    connection: sqlite3.Connection, runner: BatchRunner, shadow: Shadow, portion: Portion, *, is_careful: bool = False
) -> Held:
    """Apply the next portion of the log to an edition.

    Raises:
        RebuildRunningError: Another rebuild took the edition's place.
        sqlite3.Error: Nothing was changed.
    """
    started = perf_counter()
    try:
        with lazy_transaction(connection, runner):
            _require(connection, runner, shadow, portion.before)
            halts = _write(connection, runner, shadow, portion, is_careful=is_careful)
            row = (shadow.edition, portion.after, portion.digest)
            connection.execute(runner.book.now["log.advance_rebuild"], row)
    except TractError:
        raise
    except Exception as exc:
        if is_careful or not is_of_the_statement(exc):
            raise
        return fill(connection, runner, shadow, portion, is_careful=True)
    return Held(perf_counter() - started, tuple(halts), portion.after)


def swap(
    connection: sqlite3.Connection, runner: BatchRunner, shadow: Shadow, most: int, weight: int, *, is_careful: bool = False
) -> Held | None:
    """Fold in what came since and have everybody use the edition; None where more events came, or more bytes of blobs.

    Raises:
        CorruptLogError: An event does not follow the one before.
        NewerSchemaError: A later version made tables of one of them meanwhile.
        RebuildRunningError: Another rebuild took the edition's place.
        sqlite3.Error: Nothing was changed.
    """
    started = perf_counter()
    try:
        with lazy_transaction(connection, runner):
            sql, position = runner.book.now, shadow.position
            _require(connection, runner, shadow, position)
            _refuse_newer(connection, runner, shadow.projections)
            refold = Refold(runner.where, shadow.projections, shadow.halts)
            portion = refold.read(partial(_ask, connection, sql), position, most + 1, weight)
            if portion is not None and not (portion.is_last and portion.after - position <= most):
                return None
            halts: list[Halt] = []
            if portion is not None:
                halts = _write(connection, runner, shadow, portion, is_careful=is_careful)
                position = portion.after
            _put_in_use(connection, sql, shadow, position)
    except TractError:
        raise
    except Exception as exc:
        if is_careful or not is_of_the_statement(exc):
            raise
        return swap(connection, runner, shadow, most, weight, is_careful=True)
    return Held(perf_counter() - started, tuple(halts), position)


def discard(connection: sqlite3.Connection, runner: BatchRunner, shadow: Shadow) -> None:
    """Give an edition up, so that its tables are cleared away.

    Raises:
        sqlite3.Error: Nothing was changed.
    """
    with lazy_transaction(connection, runner):
        _forget(connection, runner.book.now, shadow.edition)


def clear(connection: sqlite3.Connection, runner: BatchRunner, rows: int, stuck: Collection[str]) -> Cleared | None:
    """Remove so many rows of a table that nobody uses any more, or it, or an index; None where there is nothing.

    A table that is dropped is walked, page by page, so it is emptied first.

    Args:
        connection: The writer's.
        runner: Of the store.
        rows: So many of them.
        stuck: What could not be removed and is passed over.

    Raises:
        sqlite3.Error: Nothing was changed, and not because of what was to be removed.
    """
    started, name, is_more = perf_counter(), "", False
    try:
        with lazy_transaction(connection, runner):
            left = _left_over(connection, runner, stuck)
            if not left:
                return None
            # An index is never removed before its table: to drop a full one takes long.
            kind, name, declared = min(left, key=lambda each: (each[0] == "index", each[1]))
            is_more = _remove(connection, runner, kind, name, declared, rows)
    except DATABASE_ERRORS as exc:
        if not name or not _is_of_the_thing(exc, runner):
            raise
        return Cleared(perf_counter() - started, name)
    return Cleared(perf_counter() - started, is_more=is_more)


def clear_contexts(connection: sqlite3.Connection, runner: BatchRunner, rows: int, stuck: Collection[str]) -> Cleared | None:
    """Remove so many parts of contexts that were kept before the swap; None where there is nothing.

    Raises:
        sqlite3.Error: Nothing was changed, and not because of what was to be removed.
    """
    started, name = perf_counter(), "context_leaves"
    if name in stuck:
        return None
    try:
        with lazy_transaction(connection, runner):
            removed = connection.execute(runner.book.now["contexts.clear_some_leaves"], (rows,)).rowcount
    except DATABASE_ERRORS as exc:
        if not _is_of_the_thing(exc, runner):
            raise
        return Cleared(perf_counter() - started, name)
    return Cleared(perf_counter() - started, is_more=True) if removed else None


def _chosen(connection: sqlite3.Connection, runner: BatchRunner, names: Collection[str] | None) -> tuple[Projection, ...]:
    inline, sql = runner.projections, runner.book.now
    following = [each for each in runner.followers if connection.execute(sql["log.checkpoint"], (each.name,)).fetchone()]
    if names is None:
        return (*inline, *following)
    if not runner.book.halted:
        inline, following = [each for each in inline if each.name in names], []
    # What follows the log was not shown the events of a family that stands still.
    return (*inline, *(each for each in runner.followers if each in following or each.name in names))


def _statements(
    connection: sqlite3.Connection, runner: BatchRunner, projections: Sequence[Projection], edition: int
) -> Mapping[str, str]:
    """Return the statements, on the edition's tables and, of other projections, on those in use."""
    editions = in_use(connection, runner.book.now)
    return runner.book.editions.using({**editions, **{each.name: edition for each in projections}})


def _write(
    connection: sqlite3.Connection, runner: BatchRunner, shadow: Shadow, portion: Portion, *, is_careful: bool
) -> list[Halt]:
    sql, cursor = _statements(connection, runner, shadow.projections, shadow.edition), connection.cursor()
    if portion.steps is not None and not is_careful:
        write(cursor, sql, portion.steps)
        return []
    halts = write_carefully(cursor, sql, portion)
    for halt in halts:
        row = (in_edition(halt.projection, shadow.edition), halt.stream, halt.position, halt.finding)
        cursor.execute(sql["log.halt"], row)
    return halts


def _ask(connection: sqlite3.Connection, sql: Mapping[str, str], name: str, *parameters: Any) -> list[Row]:
    return connection.execute(sql[name], parameters).fetchall()


def _put_in_use(connection: sqlite3.Connection, sql: Mapping[str, str], shadow: Shadow, position: int) -> None:
    stopped = {halt.projection: halt.position for halt in _halts(connection, sql, shadow.edition) if not halt.stream}
    for each in shadow.projections:
        place: tuple[int | None, bytes | None] = (None, None)
        if not each.is_inline:
            read = stopped.get(each.name, position + 1) - 1
            found = connection.execute(sql["log.digest_at"], (read,)).fetchone()
            place = (read, found and found[0])
        connection.execute(sql["log.put_projection"], (each.name, each.version, shadow.edition, *place))
        connection.execute(sql["log.clear_halts"], (each.name,))
        connection.execute(sql["log.rename_halts"], (in_edition(each.name, shadow.edition), each.name))
    # They may have been computed from rows that were damaged.
    connection.execute(sql["contexts.clear"])
    # With the table the row is gone; and only a change of the schema makes
    # every other connection look again which tables are in use.
    connection.execute(sql["log.drop_rebuilds"])
    connection.execute(sql["log.create_rebuilds"])


def _forget(connection: sqlite3.Connection, sql: Mapping[str, str], edition: int) -> None:
    for halt in _halts(connection, sql, edition):
        connection.execute(sql["log.clear_halts"], (in_edition(halt.projection, edition),))
    connection.execute(sql["log.end_rebuild"], (edition,))


def _halts(connection: sqlite3.Connection, sql: Mapping[str, str], edition: int) -> tuple[Halt, ...]:
    """Return where projections stopped while the edition was filled."""
    rows = [(*without_edition(name), *rest) for name, *rest in connection.execute(sql["log.halts"])]
    return tuple(Halt(name, *rest) for name, number, *rest in rows if number == edition)


def _require(connection: sqlite3.Connection, runner: BatchRunner, shadow: Shadow, position: int) -> None:
    row: Row | None = connection.execute(runner.book.now["log.rebuild_position"], (shadow.edition,)).fetchone()
    if row is None or row[0] != position:
        raise RebuildRunningError(runner.where)


def _refuse_newer(connection: sqlite3.Connection, runner: BatchRunner, projections: Sequence[Projection]) -> None:
    for each in projections:
        row = connection.execute(runner.book.now["log.checkpoint"], (each.name,)).fetchone()
        if row is not None and row[0] > each.version:
            raise NewerSchemaError(runner.where, row[0], each.version)


def _is_whole(connection: sqlite3.Connection, runner: BatchRunner, projections: Sequence[Projection], edition: int) -> bool:
    """Say whether every table and index of an edition is there."""
    there = {name for _, name, _ in connection.execute(runner.book.now["log.things"])}
    return all(in_edition(name, edition) in there for each in projections for name in runner.book.editions.names(each.name))


def _is_from(connection: sqlite3.Connection, sql: Mapping[str, str], position: int, digest: bytes | None) -> bool:
    """Say whether the log has that event at that position."""
    return position == 0 or connection.execute(sql["log.digest_at"], (position,)).fetchone() == (digest,)


def _numbers(connection: sqlite3.Connection, runner: BatchRunner) -> list[int]:
    """Return the editions that any table of ours is of."""
    known = _known(runner)
    things = (without_edition(name) for _, name, _ in connection.execute(runner.book.now["log.things"]))
    return [edition for name, edition in things if name in known]


def _left_over(connection: sqlite3.Connection, runner: BatchRunner, stuck: Collection[str]) -> list[Row]:
    """Return the tables and indexes of editions that are neither in use nor being filled, but for those that are stuck."""
    sql, known = runner.book.now, _known(runner)
    used = set(in_use(connection, sql).items())
    for edition, asked, *_ in connection.execute(sql["log.rebuilds"]):
        used.update((each.partition(":")[0], edition) for each in asked.split(","))
    # A full-text index that cannot be opened is not dropped, but what it is kept in is.
    parts = {f"{name}_{part}" for name in stuck for part in (*EMPTIED_PARTS, *OTHER_PARTS)}
    found = []
    for kind, name, declared in connection.execute(sql["log.things"]):
        plain, edition = without_edition(name)
        is_left = name in parts or (plain in known and (known[plain], edition) not in used)
        if is_left and name not in stuck:
            found.append((kind, name, declared))
    return found


def _known(runner: BatchRunner) -> dict[str, str]:
    """Return whose each table and index is, by what statements call it."""
    everyone = (*runner.projections, *runner.followers)
    return {name: each.name for each in everyone for name in runner.book.editions.names(each.name)}


def _meaning(sql: Mapping[str, str], statement: str, name: str, key: str = "") -> str:
    """Return a statement on whatever is left over, as one on the thing of that name."""
    return sql[statement].replace("left_over", name).replace("its_key", key)


def _remove(connection: sqlite3.Connection, runner: BatchRunner, kind: str, name: str, declared: str, rows: int) -> bool:
    """Remove rows of a table, or what is left over itself where it has none; say whether there may be more of the same."""
    sql = runner.book.now
    for statement in _emptying(connection, runner, name, declared):
        removed = connection.execute(statement, (rows,)).rowcount
        if removed:
            return removed == rows
    connection.execute(_meaning(sql, "log.drop_index" if kind == "index" else "log.drop_table", name))
    return False


def _emptying(connection: sqlite3.Connection, runner: BatchRunner, name: str, declared: str) -> list[str]:
    """Return the statements that remove rows: in the order of a table's key, or of what a full-text index is kept in.

    What FTS5 needs to open it stays (https://sqlite.org/fts5.html, section 9).
    """
    sql = runner.book.now
    if declared.startswith("CREATE VIRTUAL"):
        there = {thing for _, thing, _ in connection.execute(sql["log.things"])}
        parts = [f"{name}_{part}" for part in EMPTIED_PARTS]
        return [_meaning(sql, "log.empty_index", part) for part in parts if part in there]
    plain = without_edition(name)[0]
    all_tables = [each for projection in (*runner.projections, *runner.followers) for each in projection.tables]
    key = next((KEY.search(runner.statements[all_rows]) for table, all_rows in all_tables if table == plain), None)
    if key is not None:
        return [_meaning(sql, "log.empty", name, key[1])]
    return [_meaning(sql, "log.empty_index", name)] if name.endswith(EMPTIED_PARTS) else []


def _is_of_the_thing(error: DatabaseError, runner: BatchRunner) -> bool:
    """Say whether something cannot be removed because of what it is, or of what became of it."""
    return is_of_the_statement(error) or isinstance(translate(error, runner.where), CorruptLogError)
