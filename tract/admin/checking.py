"""The checks of `verify` that read the log: its chain, its events and what they name, and its blobs.

Imports `domain`, `log` and the other modules of `admin`. Read `LogCheck.read`.
"""

from typing import Any, TypeGuard

from attrs import define, field

from tract.admin.findings import Findings
from tract.admin.references import blobs_of, commits_of
from tract.admin.replaying import Replay
from tract.admin.snapshots import Snapshot
from tract.domain.canonical import NotCanonicalError, sha256
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import CommitId, OperationId, TractId, uuid_text
from tract.errors import CorruptLogError, NewerEventError
from tract.log import chain
from tract.log.codec import decode_event
from tract.log.packing import unpack
from tract.log.protocol import Row
from tract.log.sqlite_errors import DATABASE_ERRORS

_OPEN_NAMES = 10_000
"""Names of commits that were not recorded yet; beyond it they count as missing."""
_COLUMNS: tuple[tuple[type[Any], int | None], ...] = (
    (int, None),
    (bytes, 16),
    (int, None),
    (bytes, 16),
    (str, None),
    (int, None),
    (str, None),
    (bytes, 16),
    (str, None),
    (int, None),
    (bytes, 32),
)
"""Type, and length of bytes, of each column of `events`."""
_ACTOR = 8
_FINGERPRINT = 8
"""Bytes of a fingerprint that are stored."""


@define(eq=False, repr=False)
class _End:
    """Where a stream ends: its last version and time, and the digests that the next may follow."""

    version: int = 0
    recorded_at: int = 0
    digests: tuple[bytes, ...] = (chain.START,)


@define(eq=False, repr=False)
class LogCheck:
    """One pass over the log, in the order of position.

    Attributes:
        snapshot: The store.
        replay: Is given every event as long as that is possible.
        findings: Is added to.
        events: How many were read.
        is_replayed: Whether every event could be folded.
    """

    snapshot: Snapshot
    replay: Replay
    findings: Findings
    events: int = 0
    is_replayed: bool = True
    _position: int = 0
    _ends: dict[bytes, _End] = field(factory=dict)
    _unrecorded: dict[CommitId, str] = field(factory=dict)

    def read(self) -> int:
        """Check every event; return how many there are.

        Raises:
            sqlite3.Error: A row cannot be read.
        """
        for row in self.snapshot("admin.log"):
            self.events += 1
            self._check_position(row[0])
            if not _is_whole(row):
                self.findings.add("event", f"position {row[0]}", "its columns have not their types")
                self.is_replayed = False
                continue
            self._check_link(row)
            event = self._decode(row)
            if event is None:
                self.is_replayed = False
                continue
            try:
                self._check_event(event)
            except (ValueError, OverflowError):
                # Its types are right, and an id in it is none, or a number is too large.
                self.findings.add("event", _where(row), "a value in it is out of its range")
                self.is_replayed = False
        if self.is_replayed:
            for commit, where in self._unrecorded.items():
                if not self.replay.has_commit(commit):
                    self.findings.add("commit", where, f"it names commit {commit[:12]}, which is not recorded")
        return self.events

    def _check_position(self, position: int) -> None:
        if position != self._position + 1:
            self.findings.add("chain", f"position {position}", f"it follows position {self._position}")
        self._position = position

    def _check_link(self, row: Row) -> None:
        _, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest = row
        end = self._ends.setdefault(stream, _End())
        where = _where(row)
        if version != end.version + 1:
            self.findings.add("chain", where, f"it follows version {end.version}")
        if recorded_at < end.recorded_at:
            self.findings.add("chain", where, "its time is before that of the event before it")
        ids = TractId(uuid_text(stream)), TractId(uuid_text(tract)), OperationId(uuid_text(operation))
        head = (ids[0], version, ids[1], tag, schema, ids[2], actor, recorded_at)
        stored = data.encode("utf-8", "surrogateescape")
        try:
            links = [chain.link(previous, head, stored) for previous in end.digests]
        except NotCanonicalError:
            # Some byte of a name is no longer UTF-8.
            links = []
        if digest not in links:
            self.findings.add("chain", where, "its digest is not that of its content and the digest before it")
        # Of a digest that does not fit, either it was damaged or what it is
        # of; what follows may go on from the one or the other.
        follows = (digest,) if digest in links else (digest, *links[:1])
        self._ends[stream] = _End(version, recorded_at, follows)

    def _decode(self, row: Row) -> Event | None:
        try:
            return decode_event(row)
        except CorruptLogError as exc:
            self.findings.add("event", _where(row), exc.finding)
        except NewerEventError:
            self.findings.add("event", _where(row), "a later version of Tract wrote it, which can verify it")
        return None

    def _check_event(self, event: Event) -> None:
        where = f"stream {event.stream}, version {event.version}"
        for blob in blobs_of(event):
            if self.snapshot("admin.has_blob", bytes.fromhex(blob)).fetchone() is None:
                self.findings.add("blob", where, f"it names blob {blob[:12]}, which is not there")
        if not self.is_replayed:
            return
        if isinstance(event.body, CommitRecorded):
            for parent in event.body.commit.parents:
                if not self.replay.has_commit(parent):
                    self.findings.add("commit", where, f"its parent {parent[:12]} is not recorded before it")
        try:
            self.replay.fold(event)
        except DATABASE_ERRORS as exc:
            name = getattr(exc, "sqlite_errorname", type(exc).__name__)
            if name == "SQLITE_INTERRUPT":
                raise
            self.findings.add("replay", where, f"it cannot follow those before it ({name})")
            self.is_replayed = False
            return
        for commit in commits_of(event):
            if not self.replay.has_commit(commit):
                self._note_unrecorded(commit, where)

    def _note_unrecorded(self, commit: CommitId, where: str) -> None:
        # An event may name what another of the same append records.
        if len(self._unrecorded) < _OPEN_NAMES:
            self._unrecorded.setdefault(commit, where)
        else:
            self.findings.add("commit", where, f"it names commit {commit[:12]}, which is not recorded")


def check_blobs(snapshot: Snapshot, schema: int, findings: Findings) -> int:
    """Check that each blob's id is that of its salt and bytes; return how many there are.

    Args:
        snapshot: The store.
        schema: Of its tables, by which it packs blobs and cuts fingerprints off.
        findings: Is added to.

    Raises:
        sqlite3.Error: A row cannot be read.
    """
    # In schema 1 blobs stood as they are, with the whole of their fingerprints.
    opened, length = (bytes, 32) if schema == 1 else (unpack, _FINGERPRINT)
    count = 0
    for number, id, salt, fingerprint, data in snapshot("admin.blobs"):
        count += 1
        where = f"blob {id.hex()[:12] if isinstance(id, bytes) else number}"
        if data is None:
            if salt is not None or fingerprint is not None:
                findings.add("blob", where, "its data is gone, and its salt or fingerprint is not")
        elif not (isinstance(data, bytes) and isinstance(salt, bytes) and isinstance(fingerprint, bytes)):
            findings.add("blob", where, "its columns have not their types")
        else:
            try:
                plain = opened(data)
            except ValueError:
                findings.add("blob", where, "its data cannot be unpacked")
                continue
            if sha256(salt, plain) != id:
                findings.add("blob", where, "its id is not that of its salt and data")
            elif sha256(plain)[:length] != fingerprint:
                findings.add("blob", where, "its fingerprint is not that of its data")
    return count


def _is_whole(row: Row) -> TypeGuard[Row]:
    """Say whether every column holds what its type says; a damaged page may hold something else."""
    for place, (value, (kind, length)) in enumerate(zip(row, _COLUMNS, strict=True)):
        if value is None and place == _ACTOR:
            continue
        if not isinstance(value, kind) or (length is not None and len(value) != length):
            return False
    return True


def _where(row: Row) -> str:
    return f"stream {uuid_text(row[1])}, version {row[2]}"
