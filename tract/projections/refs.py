"""Where branches and worktrees are. Imports `domain` and `log`."""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import BranchCreated, CommitRecorded, Event, HeadMoved
from tract.domain.ids import BlobId, TractId, hex_bytes, uuid_bytes
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
        # A branch that moves on and on is moved once, before anything else happens to refs.
        moved: dict[tuple[TractId, str], int] = {}
        for event in events:
            body = event.body
            if isinstance(body, CommitRecorded):
                if body.branch is not None:
                    moved[event.tract, body.branch] = event.position
                continue
            yield from _moves(moved)
            moved.clear()
            tract = uuid_bytes(event.tract)
            if isinstance(body, BranchCreated):
                head = hex_bytes(body.head)
                yield Statement("refs.insert_branch", (event.position, tract, body.branch, head))
            elif isinstance(body, HeadMoved):
                commit = hex_bytes(body.commit)
                yield Statement("refs.move_worktree", (event.position, tract, body.worktree, body.branch, commit))
        yield from _moves(moved)


def _moves(moved: Mapping[tuple[TractId, str], int]) -> Iterable[Statement]:
    for (tract, branch), position in moved.items():
        yield Statement("refs.move_branch", (uuid_bytes(tract), branch, position))
