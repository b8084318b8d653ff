"""Reading an exported file and proving that it is whole.

Runs on a thread. Imports `domain`, `errors`, `log` and the other modules of
`admin`; read `ExportReader` first.
"""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO

from attrs import define, field

from tract.admin.lines import (
    NUMBER,
    BlobLine,
    EndLine,
    EventLine,
    NotALineError,
    StreamLine,
    blob_of,
    decode_head,
    decode_line,
    names_in,
    row_of,
)
from tract.admin.references import blobs_of
from tract.domain.events import TYPES, TractCreated
from tract.domain.ids import uuid_bytes
from tract.domain.names import check_name
from tract.errors import CorruptLogError, InvalidNameError, MalformedExportError, NewerExportError
from tract.log import chain
from tract.log.codec import decode_event
from tract.log.receiving import Recorded

_HEAD = 200
"""Bytes that the first line has at the most; a foreign file may be one line of any length."""


@define(eq=False, repr=False)
class ExportReader:
    """Reads the lines of a file once, in order.

    What it yields is proved as far as the file goes: each event has its shape
    and follows the one before, and each blob that it names came before and is
    what its id says. Whether the file is whole is known when it has yielded
    everything without raising.

    Attributes:
        path: The file.
        lines: Read so far.
        events: Yielded so far.
        families: How many there are so far.
    """

    path: str
    _file: BinaryIO
    lines: int = 0
    events: int = 0
    _blobs: int = 0
    _ends: dict[bytes, tuple[int, bytes]] = field(factory=dict)
    _waiting: dict[bytes, tuple[bytes, bytes | None, bytes | None]] = field(factory=dict)
    _told: list[bytes] = field(factory=list)

    @property
    def families(self) -> int:
        """How many families there are so far."""
        return len(self._ends)

    def __iter__(self) -> Generator[Recorded, None, None]:
        """Yield each event with the blobs that come with it.

        Raises:
            MalformedExportError: The file is none, was changed, or is cut off.
            NewerExportError: A later version exported it.
            NewerEventError: A later version changed what an event of it holds.
        """
        # Ids of all blobs so far; spills to the disk and leaves nothing.
        with closing(sqlite3.connect("", isolation_level=None)) as seen:
            seen.execute("PRAGMA journal_mode = OFF").fetchall()
            seen.execute("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")
            try:
                yield from self._read(seen)
            except NotALineError as exc:
                raise MalformedExportError(self.path, self.lines, str(exc)) from exc

    def _read(self, seen: sqlite3.Connection) -> Iterator[Recorded]:
        self._read_head()
        for line in self._file:
            self.lines += 1
            said = decode_line(line)
            if isinstance(said, EventLine):
                yield self._event(said, seen)
            elif isinstance(said, BlobLine):
                self._blob(said, seen)
            elif isinstance(said, StreamLine):
                self._stream(said)
            else:
                self._end(said)
                return
        self.lines += 1
        raise NotALineError("the file ends before its last line")

    def _read_head(self) -> None:
        self.lines = 1
        head = decode_head(self._file.readline(_HEAD))
        if head.number > NUMBER:
            raise NewerExportError(self.path, head.number, NUMBER)
        if head.number < 1:
            raise NotALineError("it is no first line of an export")

    def _blob(self, line: BlobLine, seen: sqlite3.Connection) -> None:
        blob = blob_of(line)
        self._require(not self._told, "a blob comes after the end of a family")
        added = seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", blob[:1]).rowcount
        self._require(added == 1, "the blob comes twice")
        self._waiting[blob[0]] = blob
        self._blobs += 1

    def _event(self, line: EventLine, seen: sqlite3.Connection) -> Recorded:
        self._require(not self._told, "an event comes after the end of a family")
        row = row_of(line)
        try:
            event = decode_event(row, file=self.path)
        except CorruptLogError as exc:
            # What is wrong with it names its type, which may be anything.
            raise NotALineError(exc.finding if line.type in TYPES else "it is no event of any version") from exc
        if isinstance(event.body, TractCreated):
            _require_name(event.body.name)
        stream = row[1]
        version, previous = self._ends.get(stream, (0, chain.START))
        head = (event.stream, event.version, event.tract, row[4], row[5], event.operation, event.actor, event.recorded_at)
        follows = event.version == version + 1 and event.digest == chain.link(previous, head, row[6].encode())
        self._require(follows, "the event does not follow what is before it")
        self._ends[stream] = event.version, event.digest
        names, blobs = names_in(row[6]), tuple(self._waiting.values())
        in_order = [id for id in names if id in self._waiting]
        self._require(in_order == list(self._waiting), "the blobs before the event are not those that it names first")
        self._waiting.clear()
        for id in blobs_of(event):
            found = seen.execute("SELECT 1 FROM seen WHERE id = ?", (bytes.fromhex(id),)).fetchone()
            self._require(found is not None, f"the event names blob {id[:12]}, which did not come before it")
        self.events += 1
        return Recorded(row, blobs)

    def _stream(self, line: StreamLine) -> None:
        self._require(not self._waiting, "the blobs before it belong to no event")
        id = uuid_bytes(line.stream_id) if len(line.stream_id) == 36 else b""
        is_next = not self._told or id > self._told[-1]
        version, digest = self._ends.get(id, (0, b""))
        self._require(
            is_next and (version, digest.hex()) == (line.version, line.digest), "the family does not end where the line says"
        )
        self._told.append(id)

    def _end(self, line: EndLine) -> None:
        self._require(not self._waiting, "the blobs before it belong to no event")
        counted = EndLine(len(self._ends), self.events, self._blobs)
        self._require(line == counted and len(self._told) == len(self._ends), "the file does not hold what its last line counts")
        self.lines += 1
        self._require(not self._file.read(1), "something comes after the last line")

    def _require(self, holds: bool, finding: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not holds:
            raise NotALineError(finding)


def _require_name(name: str) -> None:
    try:
        check_name("tract", name)
    except InvalidNameError as exc:
        raise NotALineError("a tract has a name that none can have") from exc
