"""The graph: commits in runs, with their totals. Imports `domain` and `log`.

A row holds what walking needs; the rest of a commit stays in its event, whose
position is the row's number.
"""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId, hex_bytes
from tract.log.protocol import Statement


class Commits:
    """The table `commits`, a row a commit."""

    name = "commits"
    version = 1
    is_inline = True
    folds = (CommitRecorded,)
    create = ("commits.create", "commits.create_by_id", "commits.create_by_run", "commits.create_by_merge")
    drop = ("commits.drop",)
    tables = (("commits", "commits.rows"),)
    reads = ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add the commits that were recorded."""
        for event in events:
            body = event.body
            if isinstance(body, CommitRecorded):
                commit = body.commit
                parents = [bytes.fromhex(parent) for parent in commit.parents] + [None, None]
                content = commit.content and bytes.fromhex(commit.content.blob)
                row = (
                    event.position,
                    bytes.fromhex(commit.id),
                    *parents[:2],
                    content,
                    hex_bytes(commit.details),
                    hex_bytes(commit.config),
                    body.slot_delta,
                    body.token_delta,
                )
                yield Statement("commits.insert", row)
