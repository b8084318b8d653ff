"""The first check of `verify`: that the log is without a gap, and each digest that of what it is of.

As lean as a pass over the whole log can be: rows as they are stored, nothing
decoded. Imports `domain`, `log` and the other modules of `admin`; read
`ChainCheck.take` first.
"""

from typing import Any, TypeAlias

from attrs import define, field

from tract.admin.findings import Findings
from tract.admin.snapshots import Slices, Snapshot, text_as_stored
from tract.domain.ids import uuid_text
from tract.domain.results import LATEST
from tract.log import chain
from tract.log.linking import Linker
from tract.log.protocol import Row

SLICE = 2_000
"""Events that are read at once: some 5 ms, in which nobody can empty the write-ahead log."""
LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""Where no position is, also no forged one, and where none is behind."""
DATA = 6
"""The column that may be long."""
_End: TypeAlias = tuple[int, int, tuple[bytes, ...]]
"""Where a stream ends: its last version and time, and the digests that the next may follow."""
_START: _End = (0, 0, (chain.START,))
_COLUMNS: tuple[tuple[type[Any], int | None], ...] = (
    (int, None),
    (bytes, 16),
    (int, None),
    (bytes, 16),
    (bytes, None),
    (int, None),
    (bytes, None),
    (bytes, 16),
    (bytes, None),
    (int, None),
    (bytes, 32),
)
"""Type, and length of bytes, of each column of `events`, its text as bytes."""
_ACTOR = 8


@define(eq=False, repr=False)
class ChainCheck:
    """One pass over the log, in the order of position.

    Attributes:
        slices: The store.
        findings: Is added to.
        streams: How many may have their ends in memory; those of others are
            looked up when they go on.
        events: How many were read.
        read_up_to: The position of the last one.
    """

    slices: Slices
    findings: Findings
    streams: int = 50_000
    events: int = 0
    read_up_to: int = LOWEST
    _position: int = 0
    _linker: Linker = field(factory=Linker)
    _ends: dict[bytes, _End] = field(factory=dict)

    def read(self, until: int = HIGHEST) -> int:
        """Check the next slice, up to a position; return how many events there were.

        Raises:
            sqlite3.Error: A row cannot be read.
        """
        with self.slices.snapshot() as snapshot:
            rows = _stored(snapshot, self.read_up_to, until)
        self.take(rows)
        return len(rows)

    def take(self, rows: list[Row]) -> None:
        """Check the events that come next."""
        ends, link, last = self._ends, self._linker.link, self._position
        for row in rows:
            position, stream, version, digest = row[0], row[1], row[2], row[10]
            end = ends.get(stream) or self._end_before(stream, version)
            try:
                is_next = digest == link(end[2][0], row) and version == end[0] + 1 and position == last + 1
                is_next = is_next and end[1] <= row[9] <= LATEST
            except (AttributeError, TypeError, ValueError):
                is_next = False
            if is_next:
                ends[stream] = (version, row[9], (digest,))
            else:
                self._name_what_is_wrong(row, end, last)
            last = position
        self._position = last
        self.events += len(rows)
        if rows:
            self.read_up_to = last

    def _end_before(self, stream: Any, version: Any) -> _End:
        """Return where a stream ends that was not read lately."""
        if len(self._ends) >= self.streams:
            for known in list(self._ends)[: self.streams // 2]:
                del self._ends[known]
        if version == 1 or not isinstance(version, int) or not isinstance(stream, bytes):
            return _START
        with self.slices.snapshot() as snapshot:
            found = snapshot("admin.stream_before", stream, version, self._position).fetchone()
        return _START if found is None else (found[0], found[1], (found[2],))

    def _name_what_is_wrong(self, row: Row, end: _End, last: int) -> None:
        position, stream, version = row[:3]
        if position != last + 1:
            self.findings.add("chain", f"position {position}", f"it follows position {last}")
        if not _is_whole(row):
            self.findings.add("event", f"position {position}", "its columns have not their types")
            return
        where, recorded_at, digest = where_of(row), row[9], row[10]
        if version != end[0] + 1:
            self.findings.add("chain", where, f"it follows version {end[0]}")
        if recorded_at < end[1]:
            self.findings.add("chain", where, "its time is before that of the event before it")
        if recorded_at > LATEST:
            self.findings.add("event", where, "its time is out of its range")
        try:
            links = [self._linker.link(previous, row) for previous in end[2]]
        except ValueError:
            # Some byte of a name is no longer UTF-8.
            links = []
        if digest not in links:
            self.findings.add("chain", where, "its digest is not that of its content and the digest before it")
        # Of a digest that does not fit, either it was damaged or what it is
        # of; what follows may go on from the one or the other.
        follows = (digest,) if digest in links else (digest, *links[:1])
        self._ends[stream] = (version, recorded_at, follows)


def where_of(row: Row) -> str:
    """Return the place of an event in words."""
    return f"stream {uuid_text(row[1])}, version {row[2]}"


def _stored(snapshot: Snapshot, after: int, until: int) -> list[Row]:
    """Return the next events, their text as bytes, which spares making it text and bytes again."""
    connection = snapshot.connection
    connection.text_factory = bytes
    try:
        return snapshot.after(after, "admin.events_between", until, SLICE, weighs=DATA)
    finally:
        connection.text_factory = text_as_stored


def _is_whole(row: Row) -> bool:
    """Say whether every column holds what its type says; a damaged page may hold something else."""
    for place, (value, (kind, length)) in enumerate(zip(row, _COLUMNS, strict=True)):
        if value is None and place == _ACTOR:
            continue
        if not isinstance(value, kind) or (length is not None and len(value) != length):
            return False
    return True
