"""`export`: a log as a text file that can be read, compared and imported.

The form is told in `lines`. Imports `log` and the other modules of `admin`.
"""

import json
import time
from os import PathLike
from pathlib import Path
from threading import Event
from typing import BinaryIO

from attrs import define, field

from tract.admin.destinations import Destination
from tract.admin.lines import (
    FORMAT,
    NUMBER,
    EndLine,
    HeadLine,
    Line,
    StreamLine,
    blob_line,
    encode_line,
    event_line,
    names_in,
)
from tract.admin.references import blobs_of
from tract.admin.reporting import Reports, Tell, on_thread_telling
from tract.admin.results import Exported
from tract.admin.snapshots import Slices, Snapshot, read_in_slices
from tract.admin.threads import go_on, on_thread, place_of
from tract.domain.canonical import NotCanonicalError, sha256
from tract.domain.ids import is_uuid, uuid_bytes, uuid_text
from tract.errors import ConfigError, CorruptLogError
from tract.log import chain
from tract.log.codec import decode_event
from tract.log.packing import unpack
from tract.log.protocol import Row

_EVENTS = 200
"""In one snapshot: some ten milliseconds."""


async def export(
    path: str | PathLike[str], file: str | PathLike[str], *, family: str | None = None, progress: Tell | None = None
) -> Exported:
    """Write the log of a store, or of one family, with all the texts it names to a file of JSON Lines.

    That is the log as it is when this begins; whoever writes goes on. What was
    appended stays as it is, so it is read in short snapshots, between which
    the write-ahead log can be emptied. The same log gives the same bytes. The
    digest chain and the blobs are checked on the way, so that what was
    exported can be imported. Projections are not in it: they follow from it.

    The file gets its name when it is whole and on the disk, and never takes
    the place of another. It is as private as the store.

    Args:
        path: The store.
        file: The file to be made.
        family: The id or the name of the family's root; by default all.
        progress: Is told how far it has come.

    Raises:
        ConfigError: *path* or *file* is no path, or there is no such family,
            or several of that name.
        StoreNotFoundError: There is no file at *path*.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        CorruptLogError: The log is damaged, or lacks a blob that it names.
        DestinationExistsError: There is something at *file* already.
        FolderNotFoundError: There is no folder to make it in.
        StoreLockedError: Another process makes *file* just now.
        StoreFullError: There is no room for it.
        StoreReadOnlyError: It cannot be made there.
        StoreError: The store cannot be read or the file not be written. In
            each case nothing is left of it.
    """
    started = time.perf_counter()
    source, destination = place_of(path), Destination(place_of(file, "file"))

    def write(place: str, stop: Event, reports: Reports) -> tuple[int, int, int]:
        return read_in_slices(place, stop, lambda slices: _export(slices, destination, family, reports))

    try:
        await on_thread(lambda _, __: destination.claim(), source)
        families, events, blobs = await on_thread_telling(write, source, progress)
        size = await on_thread(lambda _, __: destination.publish(), source)
    finally:
        destination.discard()
    return Exported(source, destination.path, families, events, blobs, size, time.perf_counter() - started)


def _export(slices: Slices, destination: Destination, family: str | None, reports: Reports) -> tuple[int, int, int]:
    destination.create(slices.path)
    try:
        with Path(destination.partial).open("wb") as out:
            exporter = _Exporter(slices, out)
            exporter.write(family, reports)
    except OSError as exc:
        raise destination.refusal(exc) from exc
    return len(exporter.ends), exporter.events, exporter.blobs


def _stream(snapshot: Snapshot, family: str) -> bytes:
    """Return the id of the family that is meant."""
    if is_uuid(family):
        stream = uuid_bytes(family)
        if snapshot("admin.count_stream_events", stream).fetchone() != (0,):
            return stream
    found = [stream for stream, data in snapshot("admin.firsts") if _name(data) == family]
    if len(found) != 1:
        reason = "several have this name; give the id of its root" if found else "the store has none of this name or id"
        raise ConfigError("family", reason)
    return bytes(found[0])


def _count(snapshot: Snapshot, stream: bytes) -> Row:
    found: Row = snapshot("admin.count_stream_events", stream).fetchone()
    return found


def _name(data: str) -> object:
    """Return the name of the tract that a family's first event made."""
    try:
        said = json.loads(data)
    except ValueError:
        return None
    return said.get("name") if isinstance(said, dict) else None


@define(eq=False, repr=False)
class _Exporter:
    """Writes the lines of a store.

    Attributes:
        slices: The store.
        out: The file.
        ends: Version and digest of each family's last event so far.
        events: Written so far.
        blobs: Written so far.
    """

    slices: Slices
    out: BinaryIO
    ends: dict[bytes, tuple[int, bytes]] = field(factory=dict)
    events: int = 0
    blobs: int = 0
    _written: bytearray = field(factory=bytearray)

    def write(self, family: str | None, reports: Reports) -> None:
        """Write the whole file."""
        with self.slices.snapshot() as snapshot:
            stream = None if family is None else _stream(snapshot, family)
            (total,) = snapshot("log.last_position").fetchone() if stream is None else _count(snapshot, stream)
        reports.begin(total, "events")
        self._line(HeadLine(FORMAT, NUMBER))
        while self.events < total:
            go_on(self.slices.stop)
            with self.slices.snapshot() as snapshot:
                self._write_slice(snapshot, stream, min(_EVENTS, total - self.events))
            reports.reached(self.events)
        for id, (version, digest) in sorted(self.ends.items()):
            self._line(StreamLine(uuid_text(id), version, digest.hex()))
        self._line(EndLine(len(self.ends), self.events, self.blobs))
        reports.reached(self.events)

    def _write_slice(self, snapshot: Snapshot, stream: bytes | None, limit: int) -> None:
        """Write the next events, so many of them."""
        # Of a log without gaps, the last position or version is how many there are.
        if stream is None:
            rows = snapshot("log.events_after", self.events, limit).fetchall()
        else:
            rows = snapshot("admin.stream_events_after", stream, self.events, limit).fetchall()
        for row in rows:
            if row[0 if stream is None else 2] != self.events + 1:
                raise self._corrupt(row, "it does not follow what is before it")
            self._write_event(snapshot, row)
        if len(rows) < limit:
            raise CorruptLogError(self.slices.path, None, None, f"what follows event {self.events} cannot be read")

    def _write_event(self, snapshot: Snapshot, row: Row) -> None:
        event = decode_event(row, file=self.slices.path)
        stream, data = row[1], row[6]
        version, previous = self.ends.get(stream, (0, chain.START))
        head = (event.stream, event.version, event.tract, row[4], row[5], event.operation, event.actor, event.recorded_at)
        try:
            digest = chain.link(previous, head, data.encode())
            written = encode_line(event_line(row))
        except (NotCanonicalError, UnicodeEncodeError) as exc:
            raise self._corrupt(row, "a text is no UTF-8") from exc
        if event.version != version + 1 or event.digest != digest:
            raise self._corrupt(row, "it does not follow what is before it")
        self.ends[stream] = event.version, digest
        there = {name for name in names_in(data) if self._write_blob(snapshot, name, row)}
        for id in blobs_of(event):
            if bytes.fromhex(id) not in there:
                raise self._corrupt(row, f"it names blob {id[:12]}, which is not there")
        self.out.write(written)
        self.events += 1

    def _write_blob(self, snapshot: Snapshot, id: bytes, row: Row) -> bool:
        """Write a blob unless it was written before; say whether there is one under the id."""
        found = snapshot("admin.blob", id).fetchone()
        if found is None:
            return False
        number, _, salt, data = found
        if not self._is_written(number):
            try:
                # In schema 1 blobs stood as they are.
                plain = None if data is None else bytes(data) if self.slices.schema == 1 else unpack(data)
            except ValueError as exc:
                raise self._corrupt(row, f"blob {id.hex()[:12]} cannot be unpacked") from exc
            if plain is not None and (salt is None or sha256(salt, plain) != id):
                raise self._corrupt(row, f"blob {id.hex()[:12]} is not what its id says")
            self._line(blob_line(id, salt, plain))
            self.blobs += 1
        return True

    def _is_written(self, number: int) -> bool:
        """Say whether a blob was written, and take it for written from now on; one bit each."""
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._written):
            self._written.extend(bytes(place + 1024 - len(self._written)))
        was = bool(self._written[place] & bit)
        self._written[place] |= bit
        return was

    def _line(self, line: HeadLine | Line) -> None:
        self.out.write(encode_line(line))

    def _corrupt(self, row: Row, finding: str) -> CorruptLogError:
        return CorruptLogError(self.slices.path, uuid_text(row[1]), row[2], finding)
