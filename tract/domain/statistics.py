"""What a store tells its operators of itself: figures, frozen, with a readable `__str__`.

Imports nothing of ours.
"""

from collections.abc import Iterable
from typing import Self

from attrs import frozen


@frozen
class Percentiles:
    """How some durations are spread, in seconds; all 0 where there are none.

    By nearest rank, so each is one of the durations: the shortest one that at
    least so many percent of them do not exceed.

    Attributes:
        count: How many durations there are.
        p50: The median.
        p90: What 90% do not exceed.
        p99: What 99% do not exceed.
        max: The longest.
    """

    count: int = 0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Return the percentiles of some durations."""
        ordered = sorted(seconds)
        count = len(ordered)
        if not count:
            return cls()
        # The ranks in whole numbers: 0.9 * 10 is more than 9 for some floats.
        p50, p90, p99 = (ordered[-(-count * percent // 100) - 1] for percent in (50, 90, 99))
        return cls(count, p50, p90, p99, ordered[-1])

    def __str__(self) -> str:
        figures = {"p50": self.p50, "p90": self.p90, "p99": self.p99, "max": self.max}
        return ", ".join(f"{name} {seconds * 1000:.2f} ms" for name, seconds in figures.items())


@frozen
class ContextStatistics:
    """How the contexts came about that were asked for.

    Attributes:
        found: How many were kept already.
        grown: How many were one append made here more than one that was kept.
        folded: How many were read from the store, at least in part.
        kept: How many are kept now.
    """

    found: int = 0
    grown: int = 0
    folded: int = 0
    kept: int = 0


@frozen
class StoreStatistics:
    """What goes on in a store, as this process sees it.

    Counted since the store was opened here, by all handles that share it;
    other processes count for themselves. A request is one append of a verb,
    or one write of answers on their way; a batch is the requests that the
    writer put into one transaction.

    Attributes:
        path: The store.
        waiting: Requests that wait to be written.
        appends: Requests that were appended to the log, those included that
            had nothing to append.
        scratch: Writes of answers on their way.
        failed: Requests that raised an error instead.
        batches: How many batches all of these made.
        batch_max: Requests in the largest batch.
        commit: How long each of the last 1,024 batches took, from the moment
            it left the queue until its callers were told.
        lock_waits: How often another process, or event loop, was writing
            when this one wanted to.
        lock_seconds: How long it waited for them in all.
        wal_size: Bytes of the write-ahead log beside the file. It does not
            shrink, but begins again once it went into the file.
        checkpoints: How often it did, here.
        readers_busy: Connections that read just now; a file has two.
        reads_waiting: Reads that wait for one of them.
        contexts: What was compiled, and from what.
    """

    path: str
    waiting: int = 0
    appends: int = 0
    scratch: int = 0
    failed: int = 0
    batches: int = 0
    batch_max: int = 0
    commit: Percentiles = Percentiles()
    lock_waits: int = 0
    lock_seconds: float = 0.0
    wal_size: int = 0
    checkpoints: int = 0
    readers_busy: int = 0
    reads_waiting: int = 0
    contexts: ContextStatistics = ContextStatistics()

    @property
    def batch_mean(self) -> float:
        """Requests in a batch on average; 0 before the first."""
        return (self.appends + self.scratch + self.failed) / self.batches if self.batches else 0.0

    def __str__(self) -> str:
        facts = [
            ("requests waiting", f"{self.waiting:,}"),
            ("requests written", f"{self.appends:,} appends, {self.scratch:,} of answers on their way; {self.failed:,} failed"),
            ("batches", f"{self.batches:,} of {self.batch_mean:.1f} requests on average, {self.batch_max:,} at the most"),
            ("time of a batch", str(self.commit)),
            ("waits for the lock", f"{self.lock_waits:,}, {self.lock_seconds:.2f} s in all"),
            ("write-ahead log", f"{self.wal_size:,} bytes, {self.checkpoints:,} checkpoints"),
            ("reads", f"{self.readers_busy:,} under way, {self.reads_waiting:,} waiting"),
            ("contexts", _contexts(self.contexts)),
        ]
        return "\n".join([self.path, *(f"  {name:<20}{fact}" for name, fact in facts)])


def _contexts(contexts: ContextStatistics) -> str:
    return f"{contexts.found:,} found, {contexts.grown:,} grown, {contexts.folded:,} folded; {contexts.kept:,} kept"
