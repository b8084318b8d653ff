"""A commit: an immutable node of the history.

Read this first. Imports `canonical`, `config` and `ids`.
"""

from enum import Enum
from functools import cached_property
from typing import Any

from attrs import frozen

from tract.domain.canonical import encode_plain, sha256
from tract.domain.ids import BlobId, CommitId, OperationId


class CommitOperation(str, Enum):
    """What a commit does to the compiled context.

    Every one is total: it acts on what is there of its targets, and does
    nothing where nothing is.
    """

    APPEND = "append"
    """Adds a slot at the end."""
    EDIT = "edit"
    """Replaces the content of one slot, which keeps its place and priority."""
    ANNOTATE = "annotate"
    """Sets the priority of slots."""
    COMPRESS = "compress"
    """Takes live, unpinned slots out and puts one summary slot in their place."""
    REORDER = "reorder"
    """Moves slots, in the given order, to the earliest place among them."""
    MERGE = "merge"
    """Joins a second parent's history; adds no slot."""
    REVERT = "revert"
    """Undoes what one commit changed, where the change still stands."""


ADDS_SLOTS = frozenset({CommitOperation.APPEND, CommitOperation.MERGE})
"""Operations after which an answer would stand behind words it never saw."""


class Priority(str, Enum):
    """What happens to a slot at compile and compress."""

    SKIP = "skip"
    """Not compiled."""
    NORMAL = "normal"
    """Compiled."""
    IMPORTANT = "important"
    """Compiled; what a compression keeps in detail."""
    PINNED = "pinned"
    """Compiled and never compressed."""


@frozen
class ContentRef:
    """Where a content is: its type's tag and its blob."""

    type: str
    blob: BlobId


@frozen(slots=False)
class Commit:
    """An immutable node of the history.

    Attributes:
        parents: None for the first commit, two for a merge, else one.
        operation: What it does.
        targets: What it acts on, by id: sorted, but for a reorder as given.
        content: What an append, edit or compress brings.
        priority: Of the new slot, or what an annotate sets.
        details: Blob of an object with any of message, metadata, reason and
            retain.
        config: Blob of the `LLMConfig` that the content was made with.
        actor: Who did it; a name, stored in the clear.
        time: Of the verb call, microseconds since 1970, UTC.
        rendering: The number of the function that turns the content into a
            message; None where there is no content.
        operation_id: The verb call it belongs to.
        index: Its place among the commits of that call.
    """

    parents: tuple[CommitId, ...]
    operation: CommitOperation
    time: int
    operation_id: OperationId
    targets: tuple[CommitId, ...] = ()
    content: ContentRef | None = None
    priority: Priority | None = None
    details: BlobId | None = None
    config: BlobId | None = None
    actor: str | None = None
    rendering: int | None = None
    index: int = 0

    @cached_property
    def id(self) -> CommitId:
        """SHA-256 of `to_json` in canonical form, lower-case hex."""
        return CommitId(sha256(encode_plain(self.to_json())).hex())

    def to_json(self) -> dict[str, Any]:
        """Return every field, null where there is nothing: what is hashed."""
        return {**self.recorded_json, "actor": self.actor, "operation_id": self.operation_id}

    def recall(self, recorded: dict[str, Any]) -> None:
        """Take what the commit was recorded as, so that `recorded_json` need not be put together.

        For who just read that and proved it; it saves a twentieth of a rebuild.
        """
        self.__dict__["recorded_json"] = recorded

    @cached_property
    def recorded_json(self) -> dict[str, Any]:
        """What `commit.recorded` holds: all but actor and operation, which stand in its row."""
        content = self.content
        return {
            "parents": list(self.parents),
            "operation": self.operation.value,
            "targets": list(self.targets),
            "content": None if content is None else {"type": content.type, "blob": content.blob},
            "priority": None if self.priority is None else self.priority.value,
            "details": self.details,
            "config": self.config,
            "time": self.time,
            "rendering": self.rendering,
            "index": self.index,
        }


@frozen
class Details:
    """What was said about a commit; each part stored only where it was given.

    Attributes:
        message: One line on why, as a person or a program wrote it.
        metadata: Anything of the caller's, JSON.
        reason: Why a priority was set.
        retain: What a later compression must keep.
    """

    message: str | None = None
    metadata: dict[str, Any] | None = None
    reason: str | None = None
    retain: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the parts that are set."""
        parts = {"message": self.message, "metadata": self.metadata, "reason": self.reason, "retain": self.retain}
        return {name: value for name, value in parts.items() if value is not None}
