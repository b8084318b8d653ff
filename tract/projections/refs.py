"""Where branches and worktrees are. Imports `domain` and `log`."""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import BranchCreated, CommitRecorded, Event, HeadMoved
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement


class Refs:
    """The table `refs`, a row a branch and a row a worktree's HEAD."""

    name = "refs"
    version = 1
    is_inline = True
    folds = (CommitRecorded, BranchCreated, HeadMoved)
    create = ("refs.create",)
    drop = ("refs.drop",)
    tables = (("refs", "refs.rows"),)
    reads = ("tracts", "commits")

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Move what moved."""
        for event in events:
            body = event.body
            tract = uuid_bytes(event.tract)
            if isinstance(body, CommitRecorded) and body.branch is not None:
                yield Statement("refs.move_branch", (tract, body.branch, event.position))
            elif isinstance(body, BranchCreated):
                head = hex_bytes(body.head)
                yield Statement("refs.insert_branch", (event.position, tract, body.branch, head))
            elif isinstance(body, HeadMoved):
                commit = hex_bytes(body.commit)
                yield Statement("refs.move_worktree", (event.position, tract, body.worktree, body.branch, commit))
