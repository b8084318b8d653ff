"""Model calls: how each stands and what each attempt cost.

Imports `domain` and `log`.
"""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import (
    ContextCompiled,
    Event,
    GenerationEnded,
    GenerationStarted,
    UsageFigures,
    UsageRecorded,
)
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement


class Generations:
    """The tables `generations` and `usage`."""

    name = "generations"
    version = 1
    is_inline = True
    folds = (GenerationStarted, GenerationEnded, ContextCompiled, UsageRecorded)
    create = (
        "generations.create",
        "generations.create_by_tract",
        "generations.create_running",
        "generations.create_usage",
        "generations.create_usage_by_run",
        "generations.create_usage_reported",
    )
    drop = ("generations.drop", "generations.drop_usage")
    tables = (("generations", "generations.rows"), ("usage", "generations.usage_rows"))
    reads = ("tracts", "commits")

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Start and end calls, and add what they cost."""
        for event in events:
            body = event.body
            if isinstance(body, GenerationStarted):
                yield _start(event, body)
            elif isinstance(body, GenerationEnded):
                yield _end(event, body)
            elif isinstance(body, ContextCompiled):
                row = (uuid_bytes(body.generation), bytes.fromhex(body.payload_digest))
                yield Statement("generations.compiled", row)
            elif isinstance(body, UsageRecorded):
                yield _usage(event, body)


def _start(event: Event, body: GenerationStarted) -> Statement:
    ids = (hex_bytes(body.base), hex_bytes(body.question), hex_bytes(body.head))
    row = (event.position, uuid_bytes(body.generation), uuid_bytes(event.tract), body.branch, *ids)
    return Statement("generations.start", row)


def _end(event: Event, body: GenerationEnded) -> Statement:
    status = event.body.tag.partition(".")[2]
    ids = (hex_bytes(body.question), hex_bytes(body.answer), hex_bytes(body.partial))
    row = (uuid_bytes(body.generation), status, *ids, body.finish_reason, event.position)
    return Statement("generations.end", row)


def _usage(event: Event, body: UsageRecorded) -> Statement:
    figures = body.figures or UsageFigures()
    generation = None if body.generation is None else uuid_bytes(body.generation)
    row = (
        event.position,
        uuid_bytes(event.tract),
        generation,
        body.attempt,
        hex_bytes(body.commit),
        figures.prompt,
        figures.completion,
        figures.cached,
        figures.reasoning,
    )
    return Statement("generations.record_usage", row)
