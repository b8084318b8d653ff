"""The checks of `verify` that understand events: their shape, what they name, and that they can be replayed.

Imports `domain`, `log` and the other modules of `admin`. Read `EventCheck.take`.
"""

from collections.abc import Sequence

from attrs import define, field

from tract.admin.chaining import DATA, LOWEST, where_of
from tract.admin.findings import Findings
from tract.admin.following import FollowedReplay
from tract.admin.references import blobs_of, commits_of
from tract.admin.replaying import Replay, UnfoldedError
from tract.admin.snapshots import Slices
from tract.domain.canonical import sha256
from tract.domain.events import CommitRecorded, Event, TractCreated, UnknownEvent
from tract.domain.ids import BlobId, CommitId, TractId
from tract.errors import CorruptLogError, NewerEventError
from tract.log.codec import decode_event
from tract.log.packing import unpack
from tract.log.protocol import Row

SLICE = 500
"""Events that are decoded, and then folded, at once: some 5 ms of reading the store."""
_UNRECORDED = "it names commit {}, which is not recorded"
_OPEN_NAMES = 10_000
"""Names of commits that were not recorded yet; beyond it they count as missing."""
_COMMITS = 10_000
"""Commits whose family is in memory; that of others is looked up."""
_TRACTS = 10_000
"""That are in memory with their families; others are looked up."""
_BLOBS = 500
"""Of which so many are read at once, if they are short."""
_BLOB_DATA = 4
"""The column that may be long."""
_FINGERPRINT = 8
"""Bytes of a fingerprint that are stored."""


@define(eq=False, repr=False)
class EventCheck:
    """One pass over the log, in the order of position, behind that of the chain.

    Attributes:
        slices: The store.
        replay: Is given every event as long as that is possible.
        findings: Is added to.
        followed: Replays of projections that follow the log, which see every
            event too.
        events: How many were read.
        read_up_to: The position of the last one.
        is_replayed: Whether every event could be folded.
    """

    slices: Slices
    replay: Replay
    findings: Findings
    followed: Sequence[FollowedReplay] = ()
    events: int = 0
    read_up_to: int = LOWEST
    is_replayed: bool = True
    _families: dict[CommitId, TractId] = field(factory=dict)
    _tracts: set[tuple[TractId, TractId]] = field(factory=set)
    _unrecorded: dict[tuple[CommitId, TractId], str] = field(factory=dict)

    def read(self, until: int) -> int:
        """Check the next slice, up to a position; return how many events there were.

        Raises:
            sqlite3.Error: A row cannot be read.
        """
        with self.slices.snapshot() as snapshot:
            rows = snapshot.after(self.read_up_to, "admin.events_between", until, SLICE, weighs=DATA)
        self.take(rows)
        self.events += len(rows)
        if rows:
            self.read_up_to = rows[-1][0]
        return len(rows)

    def take(self, rows: Sequence[Row]) -> None:
        """Check the events that come next."""
        events = [event for row in rows if (event := self._decode(row)) is not None]
        self._check_blobs(events)
        for event in events:
            if self.is_replayed:
                self._check_tract(event)
                self._check_commits(event)
        if self.is_replayed:
            try:
                self.replay.fold(events)
            except UnfoldedError as exc:
                self.findings.add(exc.kind, _where(exc.event), exc.finding)
                self.is_replayed = False
                return
            for followed in self.followed:
                with self.slices.snapshot() as snapshot:
                    followed.take(snapshot, events)

    def finish(self) -> None:
        """Name the commits that were named and never recorded."""
        if self.is_replayed:
            for (commit, family), where in self._unrecorded.items():
                self._check_named(commit, family, where)
        self._unrecorded.clear()

    def _decode(self, row: Row) -> Event | None:
        try:
            event = decode_event(row)
            # Types may be right, and an id in it none, or a number too large.
            _ = event.body.commit.id if isinstance(event.body, CommitRecorded) else None
        except CorruptLogError as exc:
            self._refuse(row, exc.finding)
        except NewerEventError:
            self._refuse(row, "a later version of Tract wrote it, which can verify it")
        else:
            return event
        return None

    def _refuse(self, row: Row, what: str) -> None:
        self.is_replayed = False
        # The chain has told of columns that hold something else.
        if isinstance(row[1], bytes) and len(row[1]) == 16:
            self.findings.add("event", where_of(row), what)

    def _check_blobs(self, events: Sequence[Event]) -> None:
        named: dict[bytes, Event] = {}
        for event in events:
            for blob in blobs_of(event):
                id = self._bytes_of(blob, event)
                if id is not None:
                    named.setdefault(id, event)
        if not named:
            return
        with self.slices.snapshot() as snapshot:
            missing = snapshot("admin.missing_blobs", b"".join(named)).fetchall()
        for (id,) in missing:
            self.findings.add("blob", _where(named[id]), f"it names blob {id.hex()[:12]}, which is not there")

    def _bytes_of(self, id: BlobId, event: Event) -> bytes | None:
        try:
            found = bytes.fromhex(id)
        except ValueError:
            found = b""
        if len(found) == 32 and found.hex() == id:
            return found
        self.findings.add("event", _where(event), "a value in it is out of its range")
        self.is_replayed = False
        return None

    def _check_tract(self, event: Event) -> None:
        pair = event.tract, event.stream
        if isinstance(event.body, TractCreated) or pair in self._tracts or self.replay.has_tract(*pair):
            if len(self._tracts) >= _TRACTS:
                self._tracts.clear()
            self._tracts.add(pair)
        elif not isinstance(event.body, UnknownEvent):
            # In what a later version records a tract may begin otherwise.
            self.findings.add("event", _where(event), "its tract is not created before it")

    def _check_commits(self, event: Event) -> None:
        named = commits_of(event)
        if isinstance(event.body, CommitRecorded):
            commit = event.body.commit
            for parent in commit.parents:
                self._check_named(parent, event.stream, _where(event), "its parent {} is not recorded before it")
            self._remember(commit.id, event.stream)
            named = [id for id in named if id not in commit.parents]
        for id in named:
            if self._family_of(id) == event.stream:
                continue
            # An event may name what another of the same append records.
            if len(self._unrecorded) < _OPEN_NAMES:
                self._unrecorded.setdefault((id, event.stream), _where(event))
            else:
                self._check_named(id, event.stream, _where(event))

    def _check_named(self, id: CommitId, family: TractId, where: str, missing: str = _UNRECORDED) -> None:
        found = self._family_of(id)
        if found is None:
            self.findings.add("commit", where, missing.format(id[:12]))
        elif found != family:
            self.findings.add("commit", where, f"it names commit {id[:12]}, which is of another family")

    def _family_of(self, id: CommitId) -> TractId | None:
        """Return the family of a commit that was recorded by what was read so far."""
        known = self._families.get(id)
        if known is None:
            known = self.replay.find_family(id)
            if known is not None:
                self._remember(id, known)
        return known

    def _remember(self, id: CommitId, family: TractId) -> None:
        if len(self._families) >= _COMMITS:
            for known in list(self._families)[: _COMMITS // 2]:
                del self._families[known]
        self._families[id] = family


@define(eq=False, repr=False)
class BlobCheck:
    """One pass over the blobs, in the order of their numbers.

    Attributes:
        slices: The store.
        findings: Is added to.
        blobs: How many were read.
    """

    slices: Slices
    findings: Findings
    blobs: int = 0
    _read_up_to: int = LOWEST

    def read(self, until: int) -> int:
        """Check the next blobs, up to a number; return how many there were.

        Their ids have to be those of their salts and bytes.

        Raises:
            sqlite3.Error: A row cannot be read.
        """
        with self.slices.snapshot() as snapshot:
            rows = snapshot.after(self._read_up_to, "admin.blobs_after", until, _BLOBS, weighs=_BLOB_DATA)
        for row in rows:
            wrong = self._wrong(row)
            if wrong:
                id = row[1]
                self.findings.add("blob", f"blob {id.hex()[:12] if isinstance(id, bytes) else row[0]}", wrong)
        self.blobs += len(rows)
        if rows:
            self._read_up_to = rows[-1][0]
        return len(rows)

    def _wrong(self, row: Row) -> str:
        """Return what is wrong with a blob; nothing, if all is well."""
        _, id, salt, fingerprint, data = row
        if data is None:
            is_erased = salt is None and fingerprint is None
            return "" if is_erased else "its data is gone, and its salt or fingerprint is not"
        if not (isinstance(data, bytes) and isinstance(salt, bytes) and isinstance(fingerprint, bytes)):
            return "its columns have not their types"
        # In schema 1 blobs stood as they are, with the whole of their fingerprints.
        opened, length = (bytes, 32) if self.slices.schema == 1 else (unpack, _FINGERPRINT)
        try:
            plain = opened(data)
        except ValueError:
            return "its data cannot be unpacked"
        if sha256(salt, plain) != id:
            return "its id is not that of its salt and data"
        return "" if sha256(plain)[:length] == fingerprint else "its fingerprint is not that of its data"


def _where(event: Event) -> str:
    return f"stream {event.stream}, version {event.version}"
