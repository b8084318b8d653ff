"""`import_file`: an exported log, proved and appended.

Imports `core.edges`, `log`, `projections` and the other modules of `admin`.
"""

import errno
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Event as Flag
from typing import BinaryIO

from attrs import frozen

from tract.admin.destinations import Destination
from tract.admin.lines import names_in
from tract.admin.reading import ExportReader
from tract.admin.reporting import Reports, Tell, on_thread_telling
from tract.admin.results import Imported
from tract.admin.snapshots import Snapshot, read_snapshot, require_store
from tract.admin.threads import go_on, on_thread, place_of
from tract.admin.verifying import verify
from tract.admin.writing import connected, turn_to_write
from tract.core.edges import system_clock
from tract.domain.events import Event, TractCreated
from tract.domain.ids import uuid_bytes
from tract.errors import CorruptLogError, MalformedExportError, TractExistsError, UnreadableExportError
from tract.log.batch import BatchRunner
from tract.log.migrating import migrate
from tract.log.packing import unpack
from tract.log.places import needs_look, require_writable
from tract.log.receiving import Ask, Recorded, receive
from tract.log.sqlite_errors import DATABASE_ERRORS, translate
from tract.log.sqlite_files import prepare_writer
from tract.log.statements import load
from tract.projections import FOLLOWING, INLINE, SQL

_EVENTS = 500
"""Between two looks at whether to stop."""


async def import_file(path: str | PathLike[str], file: str | PathLike[str], *, progress: Tell | None = None) -> Imported:
    """Append what `export` wrote to a store, or make one of it.

    Everything is proved before anything is written: a scratch store beside
    *path* is made of the file, line by line, and verified as `verify` does. A
    store that is not there yet is then that one. To a store that is there,
    what it lacks is appended in one transaction, so that it is all or nothing;
    other writers wait for it, and give up after their 30 seconds.

    Families keep their ids and digests and get new positions. One that the
    store has already is gone on with from where it ends there; where it goes
    further there, nothing is appended. Texts are shared by id; those of events
    that the store has already are left as they are, so that what was erased
    stays erased.

    Args:
        path: The store.
        file: What was exported.
        progress: Is told how far it has come.

    Raises:
        ConfigError: *path* or *file* is no path.
        UnreadableExportError: There is no *file*, or it cannot be read.
        MalformedExportError: *file* is no export, was changed or is cut off,
            or holds what the store has under another family.
        NewerExportError: A later version exported it.
        NewerEventError: A later version changed what an event of it holds.
        FamilyDiffersError: The store has a family of it with another history.
        TractExistsError: The store has another root tract of the same name.
        FolderNotFoundError: There is no folder to make the store in.
        DestinationExistsError: Somebody made a store there meanwhile, or the
            write-ahead log of another database lies there.
        NotAStoreError: There is something else at *path*.
        NewerSchemaError: A later version wrote the store.
        StoreLockedError: Somebody else kept on writing, or imports just now.
        StoreFullError: There is no room for the store or for the scratch one.
        StoreError: It cannot be read or written. In each case nothing was
            imported and nothing is left of it.
    """
    started = time.perf_counter()
    place, source = place_of(path), place_of(file, "file")
    is_new = await on_thread(_is_new, place)
    destination = Destination(place, is_new=is_new)
    try:
        await on_thread(lambda _, __: destination.claim(), place)
        staged = await on_thread_telling(partial(_stage, destination, source), place, progress)
        found = await verify(destination.partial, progress=progress)
        if not found.is_clean:
            raise MalformedExportError(source, None, f"it does not hold together ({found.findings[0]})")
        appended, known = staged.events, 0
        if is_new:
            await on_thread(lambda _, __: destination.publish(), place)
        else:
            appended, known = await on_thread_telling(partial(_append, destination, source, staged), place, progress)
    finally:
        destination.discard()
    return Imported(place, source, is_new, staged.families, appended, known, time.perf_counter() - started)


@frozen
class _Staged:
    """What the scratch store holds."""

    families: int
    events: int


def _is_new(place: str, stop: Flag) -> bool:
    needs_look(place, create=True)
    if not Path(place).exists():
        return True
    require_store(place, stop)
    # Before the file is proved, which may take minutes.
    require_writable(place)
    return False


def _stage(destination: Destination, source: str, place: str, stop: Flag, reports: Reports) -> _Staged:
    """Make the scratch store of what a file holds."""
    with _opened(source) as file:
        # The scratch store is as private as what it is made of or for.
        destination.create(source if not Path(place).exists() else place)
        reader = ExportReader(source, file)
        reports.begin(Path(source).stat().st_size, "bytes")
        try:
            with connected(destination.partial, "rwc") as connection:
                runner = _runner(place)
                prepare_writer(connection, place, "normal", runner.statements, INLINE)
                # Until it is whole nobody misses it.
                connection.execute("PRAGMA journal_mode = OFF").fetchall()
                connection.execute("PRAGMA synchronous = OFF")
                with closing(_received(reader, file, stop, reports)) as recorded:
                    receive(connection, runner, recorded, partial(_admit, place))
        except CorruptLogError as exc:
            raise MalformedExportError(source, reader.lines, exc.finding) from exc
        except DATABASE_ERRORS as exc:
            raise translate(exc, place) from exc
        except OSError as exc:
            raise _unreadable(source, exc) from exc
    return _Staged(reader.families, reader.events)


def _append(destination: Destination, source: str, staged: _Staged, place: str, stop: Flag, reports: Reports) -> tuple[int, int]:
    """Append what the store lacks of the scratch one; return how many events that were, and how many it had."""

    def append(scratch: Snapshot) -> tuple[int, int]:
        reports.begin(staged.events, "events")
        with turn_to_write(place), connected(place, "rw") as connection:
            runner = _runner(place)
            prepare_writer(connection, place, "full", runner.statements, INLINE)
            migrate(connection, runner)
            try:
                found = receive(connection, runner, _recorded(scratch, reports), partial(_admit, place))
            except CorruptLogError as exc:
                if exc.tract is None:
                    raise
                # By itself it was proved to be whole, such as a family that was copied under another id.
                finding = f"family {exc.tract}, version {exc.version}, does not fit what the store holds ({exc.finding})"
                raise MalformedExportError(source, None, finding) from exc
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return found

    return read_snapshot(destination.partial, stop, append)


def _runner(place: str) -> BatchRunner:
    return BatchRunner(place, load(*SQL), INLINE, system_clock, FOLLOWING)


def _received(reader: ExportReader, file: BinaryIO, stop: Flag, reports: Reports) -> Generator[Recorded, None, None]:
    # On its own thread, on which alone its connection can be closed.
    with closing(iter(reader)) as lines:
        for recorded in lines:
            yield recorded
            if reader.events % _EVENTS == 0:
                go_on(stop)
                reports.reached(file.tell())
    reports.reached(file.tell())


def _recorded(scratch: Snapshot, reports: Reports) -> Iterator[Recorded]:
    count = 0
    for count, row in enumerate(scratch("admin.log"), 1):
        found = (scratch("admin.blob", id).fetchone() for id in names_in(row[6]))
        blobs = [(id, salt, None if data is None else unpack(data)) for _, id, salt, data in filter(None, found)]
        yield Recorded(row, tuple(blobs))
        if count % _EVENTS == 0:
            go_on(scratch.stop)
            reports.reached(count)
    reports.reached(count)


def _admit(place: str, ask: Ask, event: Event) -> None:
    """Refuse a root whose name another one bears."""
    body = event.body
    if isinstance(body, TractCreated) and body.parent is None:
        others = [row for row in ask("tracts.root_by_name", body.name) if row[2] != uuid_bytes(event.stream)]
        if others:
            raise TractExistsError(place, body.name)


def _opened(source: str) -> BinaryIO:
    try:
        if not Path(source).is_file():
            found = "a folder" if Path(source).is_dir() else "no regular file" if Path(source).exists() else "no file"
            raise UnreadableExportError(source, f"there is {found}")
        return Path(source).open("rb")
    except OSError as exc:
        raise _unreadable(source, exc) from exc


def _unreadable(source: str, error: OSError) -> UnreadableExportError:
    code = errno.errorcode.get(error.errno or 0, type(error).__name__)
    may_not = isinstance(error, PermissionError)
    return UnreadableExportError(source, "it may not be read" if may_not else f"it cannot be read ({code})")
