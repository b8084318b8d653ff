"""`verify`: whether a store is what its log says.

Reads only, in short snapshots. Imports `log`, `projections` and the other
modules of `admin`.
"""

import time
from collections.abc import Mapping
from os import PathLike
from threading import Event

from tract.admin.chaining import ChainCheck
from tract.admin.checking import BlobCheck, EventCheck
from tract.admin.comparing import Comparison
from tract.admin.declaring import SchemaCheck
from tract.admin.findings import Findings
from tract.admin.following import Checkpoint, FollowedReplay, can_be_made, checkpoints
from tract.admin.replaying import replay_beside
from tract.admin.reporting import Reports, Tell, on_thread_telling
from tract.admin.results import Verification
from tract.admin.snapshots import Slices, Snapshot, read_in_slices
from tract.errors import CorruptLogError
from tract.log.sqlite_files import SCHEMA


async def verify(path: str | PathLike[str], *, chain_only: bool = False, progress: Tell | None = None) -> Verification:
    """Check that a store is what its log says, and name what is not.

    That is: SQLite finds the file sound; the positions, versions and digests
    of the log are without a gap; every event can be read; the blobs and
    commits that it names are there; each blob is what its id says, or was
    collected or erased; and every row of the projections is what a replay of
    the log makes of it. What an older version made of it is not compared, as
    the next open makes it anew; what a later one made is a finding. Of a
    full-text index it is compared which words it has where.

    Changes nothing, also beside processes that write. What was appended stays
    as it is, so it is read in snapshots of some milliseconds, between which
    the write-ahead log can be emptied; only while SQLite checks a table, and
    while a table is compared with its replay, does one last longer. The
    replay is kept in a temporary database; the memory does not grow with the
    log. Nothing that is wrong raises: it is a `Finding`.

    Args:
        path: The store.
        chain_only: Check that nothing of the log was lost or changed, and
            nothing else: many times as fast.
        progress: Called on this event loop, as often as is good to look at:
            with `tables`, `digests`, `events`, `blobs` and `rows`, in turn.

    Raises:
        ConfigError: *path* is no path.
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        StoreUnreadableError: It may not be read.
        StoreError: It cannot be read.
    """

    def work(place: str, stop: Event, reports: Reports) -> Verification:
        return _verify_store(place, stop, reports, chain_only=chain_only)

    return await on_thread_telling(work, path, progress)


def _verify_store(path: str, stop: Event, reports: Reports, *, chain_only: bool) -> Verification:
    started, findings = time.perf_counter(), Findings()

    def verify_slices(slices: Slices) -> Verification:
        verifier = Verifier(slices, reports, Findings())
        if chain_only:
            verifier.check_chain()
        else:
            verifier.check_all()
        return verifier.verification(started, is_chain_only=chain_only)

    try:
        return read_in_slices(path, stop, verify_slices)
    except CorruptLogError as exc:
        # So damaged that not even the schema can be read.
        findings.add("file", "the schema", exc.finding)
    return Verification(
        path=path,
        events=0,
        blobs=0,
        rows=0,
        is_replayed=False,
        seconds=time.perf_counter() - started,
        findings=tuple(findings.kept),
        is_chain_only=chain_only,
    )


class Verifier:
    """One verification, step by step.

    Args:
        slices: The store.
        reports: Hears how far it has come.
        findings: Is added to.
    """

    def __init__(self, slices: Slices, reports: Reports, findings: Findings) -> None:
        self._slices, self._reports, self._findings = slices, reports, findings
        self._chain = ChainCheck(slices, findings)
        self._blobs = BlobCheck(slices, findings)
        made = slices.known.statements
        self._following = [each for each in slices.known.following if can_be_made(each, made)]
        self._schema = SchemaCheck(slices, findings, self._following)
        self._rows = 0
        self._is_replayed = False

    def verification(self, started: float, *, is_chain_only: bool) -> Verification:
        """Return what was found since *started*, by the clock of `perf_counter`."""
        return Verification(
            path=self._slices.path,
            events=self._chain.events,
            blobs=self._blobs.blobs,
            rows=self._rows,
            is_replayed=self._is_replayed,
            seconds=time.perf_counter() - started,
            findings=tuple(self._findings.kept),
            more=self._findings.more,
            is_chain_only=is_chain_only,
            left_over=self._schema.left_over,
        )

    def check_all(self) -> None:
        """Check whatever can be checked."""
        attempt = self._findings.attempt
        attempt(self._check_file, "the file")
        is_read = self.check_chain()
        known = attempt(self._checkpoints, "table projections") or {}
        attempt(lambda: self._check_schema(known), "the schema")
        with replay_beside(self._slices) as replay:
            places = [(each, known[each.name].position or 0) for each in self._following if each.name in known]
            followed = [FollowedReplay(each, replay, position) for each, position in places]
            events = EventCheck(self._slices, replay, self._findings, followed)
            is_read = attempt(lambda: self._check_events(events), "the events") is not None and is_read
            attempt(self._check_blobs, "the blobs")
            if is_read and events.is_replayed:
                comparison = Comparison(self._slices, self._chain, events, replay, self._findings)
                comparison.run(self._reports)
                self._rows = comparison.rows
            self._is_replayed = is_read and events.is_replayed

    def check_chain(self) -> bool:
        """Check the log but for what its events say; return whether it could be read to its end."""
        return self._findings.attempt(self._check_chain, "the events") is not None

    def _check_file(self) -> None:
        with self._slices.snapshot() as snapshot:
            # Beside writers a table at a time, each in a snapshot of its own,
            # which does not see pages that belong to none.
            names = [None] if self._slices.is_alone else [name for (name,) in snapshot("admin.tables")]
        self._reports.begin(len(names), "tables")
        for place, name in enumerate(names, 1):
            with self._slices.snapshot() as snapshot:
                for line in _integrity(snapshot, name):
                    self._findings.add("file", "SQLite's integrity check", line)
            self._reports.reached(place)

    def _check_schema(self, known: Mapping[str, Checkpoint]) -> None:
        if self._slices.schema == SCHEMA:
            self._schema.run(known)

    def _checkpoints(self) -> dict[str, Checkpoint]:
        with self._slices.snapshot() as snapshot:
            return checkpoints(snapshot)

    def _check_chain(self) -> bool:
        """Check the log as far as it goes now; writers may never stop."""
        with self._slices.snapshot() as snapshot:
            (last,) = snapshot("log.last_position").fetchone()
        self._reports.begin(last, "digests")
        while self._chain.read(last):
            self._reports.reached(self._chain.events)
        return True

    def _check_events(self, events: EventCheck) -> bool:
        self._reports.begin(self._chain.events, "events")
        while events.read(self._chain.read_up_to):
            self._reports.reached(events.events)
        return True

    def _check_blobs(self) -> None:
        with self._slices.snapshot() as snapshot:
            (count,), (last,) = snapshot("admin.count_blobs").fetchone(), snapshot("admin.last_blob").fetchone()
        self._reports.begin(count, "blobs")
        while self._blobs.read(last):
            self._reports.reached(self._blobs.blobs)


def _integrity(snapshot: Snapshot, table: str | None) -> list[str]:
    """Return what SQLite finds wrong with a table that there still is, or with the whole file."""
    if table is None:
        rows = snapshot("admin.integrity")
    elif snapshot("admin.has_table", table).fetchone():
        rows = snapshot("admin.table_integrity", table)
    else:
        return []
    return [line for (text,) in rows for line in text.splitlines() if line != "ok"]
