"""What the verbs share that change what stands in the context.

`placing` records what they make. Imports `core`, `drafting` and `repeating`.
"""

from typing import Any

from tract.core import TractCore
from tract.core.graph import Node
from tract.domain.commits import Commit, CommitOperation
from tract.domain.ids import CommitId, OperationId
from tract.verbs.drafting import Words
from tract.verbs.repeating import request_digest


def changing_commit(
    t: TractCore,
    operation: OperationId,
    kind: CommitOperation,
    head: Node,
    targets: tuple[CommitId, ...],
    words: Words,
) -> Commit:
    """Return a commit on *head* that acts on *targets* and brings no content."""
    return Commit(
        parents=(head.id,),
        operation=kind,
        time=t.collaborators.clock(),
        operation_id=operation,
        targets=targets,
        details=words.details_blob,
        config=words.config_blob,
        actor=t.collaborators.actor,
    )


def change_digest(t: TractCore, verb: str, target: str, words: Words, **arguments: Any) -> bytes:
    """Return what tells two calls of a verb with a target and one operation id apart.

    Raises:
        ContentValidationError: An argument is not JSON.
    """
    config = None if words.config is None else words.config.to_dict()
    details, branch = words.details.to_json(), t.require_branch()
    return request_digest(t, verb, branch=branch, target=target, details=details, config=config, **arguments)
