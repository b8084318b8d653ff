"""The graph: commits in runs, with their totals. Imports `domain` and `log`.

A row holds what walking needs; the rest of a commit stays in its event, whose
position is the row's number.
"""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId, CommitId, hex_bytes
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
        seen: dict[CommitId, int] = {}
        for event in events:
            body = event.body
            if isinstance(body, CommitRecorded):
                commit = body.commit
                id = bytes.fromhex(commit.id)
                # What it brings comes behind its parents.
                rest = (
                    commit.content and bytes.fromhex(commit.content.blob),
                    hex_bytes(commit.details),
                    hex_bytes(commit.config),
                    body.slot_delta,
                    body.token_delta,
                )
                parents = commit.parents
                number = seen.get(parents[0]) if len(parents) == 1 else None
                if number is not None:
                    # In two thirds of the time: its parent need not be looked for.
                    yield Statement("commits.insert_behind", (event.position, id, number, *rest))
                else:
                    first, second, *_ = *map(bytes.fromhex, parents), None, None
                    yield Statement("commits.insert", (event.position, id, first, second, *rest))
                seen[commit.id] = event.position
