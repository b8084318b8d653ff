"""Every movement of every ref, for reflogs and time travel.

Comes after `refs`, whose rows name what moved. Imports `domain` and `log`.
"""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import BranchCreated, CommitRecorded, Event, HeadMoved
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement


class Movements:
    """The table `movements`, a row an event that moved a ref."""

    name = "movements"
    version = 1
    is_inline = True
    folds = (CommitRecorded, BranchCreated, HeadMoved)
    create = ("movements.create",)
    drop = ("movements.drop",)
    tables = (("movements", "movements.rows"),)
    reads = ("tracts", "commits", "refs")

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add what moved, from where to where."""
        for event in events:
            body = event.body
            tract = uuid_bytes(event.tract)
            if isinstance(body, CommitRecorded) and body.branch is not None:
                yield Statement("movements.branch_moved", (event.position, tract, body.branch))
            elif isinstance(body, BranchCreated):
                head = hex_bytes(body.head)
                yield Statement("movements.branch_created", (event.position, head))
            elif isinstance(body, HeadMoved):
                commit = hex_bytes(body.commit)
                yield Statement("movements.worktree_moved", (event.position, tract, body.worktree, body.branch, commit))
