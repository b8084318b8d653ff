"""Counting what a writer writes: less than a microsecond a batch, and 60 nanoseconds a request.

Imports `batch` and `protocol`.
"""

from collections import deque
from collections.abc import Sequence

from tract.log.batch import Outcome
from tract.log.protocol import Scratch, Work

LATEST = 1024
"""Batches whose durations are remembered."""


class Meter:
    """What a writer wrote since it began.

    Attributes:
        appends: Requests to the log that were answered.
        scratch: Scratches that were written.
        failed: Requests and scratches that raised instead.
        batches: How many batches all of these made.
        largest: Requests and scratches in the largest one.
        seconds: How long the last batches took.
    """

    def __init__(self) -> None:
        self.appends = self.scratch = self.failed = self.batches = self.largest = 0
        self.seconds: deque[float] = deque(maxlen=LATEST)

    def note(self, batch: Sequence[Work], outcomes: Sequence[Outcome], seconds: float) -> None:
        """Count a batch whose callers are about to be told."""
        failed = scratch = 0
        for request, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                failed += 1
            # `isinstance` asks the metaclass of a Struct, which would double the time of it all.
            elif type(request) is Scratch:
                scratch += 1
        self.appends += len(batch) - failed - scratch
        self.scratch += scratch
        self.failed += failed
        self.batches += 1
        self.largest = max(self.largest, len(batch))
        self.seconds.append(seconds)
