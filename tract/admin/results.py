"""What looking after a store finds, and how far it has come: frozen values with a readable `__str__`.

Imports nothing of ours.
"""

from attrs import frozen


@frozen
class Progress:
    """How far work on a store has come.

    Work that has several stretches, such as copying and then checking, begins
    again at nought with another `unit`.

    Attributes:
        done: How many units are done.
        total: How many there will be, as far as that is known; 0 where it is not.
        unit: What is counted, in the plural: `events`, `blobs`, `pages`, `bytes`.
        seconds: How long this stretch has taken.
    """

    done: int
    total: int
    unit: str
    seconds: float

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until it is done, if it goes on like this; None where that cannot be told."""
        if self.done >= self.total:
            return 0.0 if self.total else None
        return (self.total - self.done) / self.rate if self.rate else None

    def __str__(self) -> str:
        count = f"{self.done:,} of {self.total:,}" if self.total else f"{self.done:,}"
        remaining = self.remaining
        rest = "" if not remaining else f", {remaining:,.0f} s left"
        return f"{count} {self.unit}, {self.rate:,.0f}/s{rest}"


@frozen
class Finding:
    """One thing that is wrong with a store; it holds no text of the user's.

    Attributes:
        kind: `file` (SQLite finds it damaged), `schema` (a table, index or
            trigger is missing, declared otherwise, or none of Tract's), `event` (its row or data has not its shape),
            `chain` (a gap, or a digest that is another), `blob`, `commit`,
            `replay` (an event that cannot be folded), `projection`, or
            `context` (one that is kept for compiling, and is another).
        where: The place, such as `position 7` or `table refs, row 3`.
        what: What is wrong there.
    """

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


@frozen
class Verification:
    """What `verify` found.

    Attributes:
        path: The store.
        events: How many were read.
        blobs: How many were read.
        rows: How many rows of projections were compared with a replay.
        is_replayed: Whether the log could be replayed to its end; if not, no
            rows were compared.
        seconds: How long it took.
        findings: What is wrong, in the order it was found.
        more: How many findings there were beyond those.
        is_chain_only: Whether only the chain of digests was looked at.
        left_over: Tables that a rebuild which was killed left, or that one
            that runs is about to remove: they take up room, and nothing else.
    """

    path: str
    events: int
    blobs: int
    rows: int
    is_replayed: bool
    seconds: float
    findings: tuple[Finding, ...]
    more: int = 0
    is_chain_only: bool = False
    left_over: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def _advice(self) -> str:
        if self.is_replayed and {finding.kind for finding in self.findings} <= {"projection", "context"}:
            return "The log is whole: rebuild makes the tables anew from it."
        return "The log or the file is damaged: stop writing to it and restore a backup."

    def _read(self) -> str:
        if self.is_chain_only:
            return f"{self.events:,} events in a chain, nothing else was looked at"
        read = f"{self.events:,} events, {self.blobs:,} blobs"
        if not self.is_replayed:
            return f"{read}; the log could not be replayed, so no rows were compared"
        return f"{read}; {self.rows:,} rows {'equal a replay' if self.is_clean else 'compared with a replay'}"

    def __str__(self) -> str:
        count = len(self.findings) + self.more
        verdict = "clean" if self.is_clean else "1 finding" if count == 1 else f"{count:,} findings"
        lines = [str(finding) for finding in self.findings]
        lines += [f"and {self.more:,} more"] if self.more else []
        lines += [] if self.is_clean else [self._advice()]
        lines += [f"{', '.join(self.left_over)}: a rebuild left this; the next one removes it"] if self.left_over else []
        return "\n".join([*lines, f"{self.path}: {verdict}; {self._read()}; {self.seconds:.2f} s"])


@frozen
class Halted:
    """An event that a projection cannot fold.

    Attributes:
        projection: Which.
        family: The family that stands still with it; None where the
            projection follows the log, and stands still alone.
        position: The event's place in the store.
        finding: What is wrong.
    """

    projection: str
    family: str | None
    position: int
    finding: str

    def __str__(self) -> str:
        who = f"family {self.family} stands still" if self.family else f"the projection {self.projection} stands still"
        return f"{who} at position {self.position} ({self.projection}): {self.finding}"


@frozen
class Rebuilt:
    """What `rebuild` did.

    Attributes:
        path: The store.
        projections: Those that were rebuilt, in their order.
        events: How many were folded.
        resumed: How many of them a rebuild that was killed had folded before.
        seconds: How long it took.
        holds: How long others had to wait for a transaction of it, in seconds:
            the median, the 99th percentile and the longest.
        swap: How long they had to for the one that put the tables in use.
        halted: What stands still, as one of its events cannot be folded.
        leftovers: What nobody uses any more and was too damaged to be removed.
    """

    path: str
    projections: tuple[str, ...]
    events: int
    resumed: int
    seconds: float
    holds: tuple[float, float, float]
    swap: float
    halted: tuple[Halted, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether every event could be folded."""
        return not self.halted

    def __str__(self) -> str:
        median, most, longest = (f"{seconds * 1e3:.1f}" for seconds in self.holds)
        resumed = f", gone on with at {self.resumed:,}" if self.resumed else ""
        lines = [f"{one}" for one in self.halted]
        lines += [] if self.is_clean else ["Upgrade tract-context if a later version wrote that, then rebuild again."]
        lines += [f"Not removed, as the file is damaged there: {', '.join(self.leftovers)}."] if self.leftovers else []
        lines.append(
            f"{self.path}: rebuilt {', '.join(self.projections)} from {self.events:,} events{resumed} in {self.seconds:.2f} s; "
            f"others waited {median} ms at a time (p50), {most} (p99), {longest} at most, {self.swap * 1e3:.1f} for the swap"
        )
        return "\n".join(lines)


@frozen
class BackedUp:
    """What `backup` did.

    Attributes:
        path: The store.
        copy: The file that was made.
        size: Its bytes.
        seconds: How long copying and checking took.
        verification: What is wrong with the copy, which is what is wrong with
            the store. A copy of a damaged store is kept.
    """

    path: str
    copy: str
    size: int
    seconds: float
    verification: Verification

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong with the copy."""
        return self.verification.is_clean

    def __str__(self) -> str:
        return f"{self.path}: copied {self.size:,} bytes to {self.copy} in {self.seconds:.2f} s\n{self.verification}"


@frozen
class Exported:
    """What `export` did.

    Attributes:
        path: The store.
        file: The file that was made.
        families: How many families are in it.
        events: How many events.
        blobs: How many blobs, those that are gone among them.
        size: Its bytes.
        seconds: How long it took.
    """

    path: str
    file: str
    families: int
    events: int
    blobs: int
    size: int
    seconds: float

    def __str__(self) -> str:
        events, blobs = _some(self.events, "event", "events"), _some(self.blobs, "blob", "blobs")
        what = f"{events} of {_some(self.families, 'family', 'families')} and {blobs}"
        return f"{self.path}: exported {what} to {self.file} ({self.size:,} bytes) in {self.seconds:.2f} s"


@frozen
class Imported:
    """What `import_file` did.

    Attributes:
        path: The store.
        file: The file that was read.
        is_new: Whether the store was made for it.
        families: How many families are in the file.
        events: How many events were appended.
        known: How many events of the file the store had already.
        seconds: How long checking and appending took.
    """

    path: str
    file: str
    is_new: bool
    families: int
    events: int
    known: int
    seconds: float

    def __str__(self) -> str:
        events = _some(self.events, "event", "events")
        known = f"; {self.known:,} {'was' if self.known == 1 else 'were'} there already" if self.known else ""
        return f"{self.path}: imported {events} from {self.file} in {self.seconds:.2f} s{known}"


@frozen
class Compacted:
    """What `compact` did.

    Attributes:
        path: The store.
        before: Bytes of the file and of the write-ahead log beside it.
        after: The same afterwards.
        is_vacuumed: Whether the file itself was written anew without its
            unused pages, for which nobody else may have it open.
        unused: Bytes within the file that nothing stands in; what is appended
            goes there first.
        seconds: How long it took.
    """

    path: str
    before: int
    after: int
    is_vacuumed: bool
    unused: int
    seconds: float

    def __str__(self) -> str:
        how = "" if self.is_vacuumed else "; others have it open, so only the write-ahead log was emptied"
        unused = f"; {self.unused:,} bytes are free for what comes" if self.unused else ""
        return f"{self.path}: {self.before:,} bytes before, {self.after:,} after{how}{unused}; {self.seconds:.2f} s"


def _some(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
