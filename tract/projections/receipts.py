"""Receipts of operations on many commits, from `operation.recorded`.

The receipt of any other operation is read from its own events by their
operation id. Imports `domain` and `log`.
"""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import Event, OperationRecorded
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement


class Receipts:
    """The tables `operation_events` and `operation_commits`."""

    name = "receipts"
    version = 1
    is_inline = True
    folds = (OperationRecorded,)
    create = ("receipts.create_events", "receipts.create_commits")
    drop = ("receipts.drop_events", "receipts.drop_commits")
    tables = (("operation_events", "receipts.event_rows"), ("operation_commits", "receipts.commit_rows"))
    reads = ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add a row an operation, and one for each commit it read or made."""
        for event in events:
            body = event.body
            if isinstance(body, OperationRecorded):
                yield Statement(
                    "receipts.insert_event",
                    (
                        event.position,
                        uuid_bytes(event.operation),
                        uuid_bytes(event.tract),
                        body.kind,
                        body.branch,
                        body.tokens_before,
                        body.tokens_after,
                        hex_bytes(body.parameters),
                    ),
                )
                for role, ids in (("source", body.sources), ("result", body.results)):
                    for place, commit in enumerate(ids):
                        row = (event.position, role, place, bytes.fromhex(commit))
                        yield Statement("receipts.insert_commit", row)
