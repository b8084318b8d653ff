"""What model calls cost, summed by day and by what asked. Imports `domain` and `log`."""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import Event, GenerationInterrupted, UsageFigures, UsageRecorded
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement

DAY = 86_400_000_000
"""Microseconds."""
OUTSIDE = "record_usage"
"""The verb of a call that was made elsewhere."""


class UsageSums:
    """The table `usage_sums`, a row a day, branch, config and verb of a tract."""

    name = "usage_sums"
    version = 2
    is_inline = False
    folds = (UsageRecorded, GenerationInterrupted)
    create = ("usage_sums.create",)
    drop = ("usage_sums.drop",)
    tables = (("usage_sums", "usage_sums.rows"),)
    reads = ("tracts", "commits", "generations")

    def words(self, event: Event) -> Iterable[BlobId]:
        """Need none: a config is summed by its id."""
        return ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add each report, and each call that ended without one since its process did."""
        for event in events:
            body = event.body
            if isinstance(body, UsageRecorded):
                yield _add(event, body)
            elif isinstance(body, GenerationInterrupted):
                yield _add(event, UsageRecorded(body.generation, None, 1, None))


def _add(event: Event, body: UsageRecorded) -> Statement:
    generation, figures = body.generation, body.figures or UsageFigures()
    # The answer of a call that began here would be another place to look at.
    answer = body.commit if generation is None else None
    # Of the attempts of one call, one stands for its interruption.
    operation = uuid_bytes(event.operation) if body.attempt == 1 else None
    row = (
        uuid_bytes(event.tract),
        uuid_bytes(event.stream),
        event.recorded_at // DAY,
        None if generation is None else uuid_bytes(generation),
        hex_bytes(answer),
        OUTSIDE if generation is None else None,
        int(figures == UsageFigures()),
        figures.prompt,
        figures.completion,
        figures.cached,
        figures.reasoning,
        operation,
        event.position,
        generation,
    )
    return Statement("usage_sums.add", row)
