"""The values of a fold: steps go in, slots and lines come out.

Imports `domain` and `formats.rendering`. Read `Slot` first.

What there are three of for each message is a Struct of msgspec, which is made
in a fifth of the time of an attrs class and which the garbage collector does
not visit: a cold compile takes two thirds of the time.
"""

from typing import Protocol, TypeAlias

from attrs import frozen
from msgspec import Struct

from tract.domain.commits import CommitOperation, Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import BlobId, CommitId
from tract.domain.messages import Message, ToolCall
from tract.formats.rendering import close


class SlotContent(Struct, frozen=True, gc=False):
    """What a commit that brings content brings.

    Attributes:
        commit: The commit that brought it.
        type: The content type's tag.
        blob: Where the content is.
        rendering: The number of the function that made *message* of it.
        message: What the model reads.
        tokens: What it costs, as recorded with the commit.
    """

    commit: CommitId
    type: str
    blob: BlobId
    rendering: int
    message: Message
    tokens: int

    @property
    def speaks_only(self) -> bool:
        """Whether it neither calls a tool nor answers a call."""
        message = self.message
        return message.role != "tool" and not message.tool_calls


class StoredContent(Struct, eq=False, gc=False):
    """A content of which everything is known but the message, which is read when it is looked at.

    Attributes:
        commit: As for `SlotContent`, and so are the next three.
        type: See there.
        blob: See there.
        rendering: See there.
        tokens: What it costs, as recorded with the commit.
        speaks_only: Whether it neither calls a tool nor answers a call.
        reader: Makes the message, once.
        stored: What it makes it of.
        read: The message, as soon as somebody looked at it.
    """

    commit: CommitId
    type: str
    blob: BlobId
    rendering: int
    tokens: int
    speaks_only: bool
    reader: "MessageReader"
    stored: bytes | None
    read: Message | None = None

    @property
    def message(self) -> Message:
        """What the model reads.

        Raises:
            CorruptLogError: The stored bytes are damaged.
            ContentValidationError: This version does not know type or rendering.
        """
        return self.reader(self) if self.read is None else self.read


class MessageReader(Protocol):
    """Makes messages of stored bytes."""

    def __call__(self, content: StoredContent) -> Message:
        """Return the message of *content*, which holds it from then on."""
        ...


Brought: TypeAlias = SlotContent | StoredContent
"""What a commit brought, its message at hand or not."""


class Step(Struct, frozen=True, gc=False):
    """One commit, loaded and ready to fold.

    Attributes:
        id: The commit.
        operation: What it does.
        targets: What it acts on.
        priority: Of the new slot, or what an annotate sets.
        content: What an append, edit or compress brings.
        config: What the content was made with.
    """

    id: CommitId
    operation: CommitOperation
    targets: tuple[CommitId, ...] = ()
    priority: Priority | None = None
    content: SlotContent | None = None
    config: LLMConfig | None = None


class Slot(Struct, frozen=True, eq=False, gc=False):
    """One place in the context, and all that later commits made of it.

    Attributes:
        id: The commit that created it.
        content: What stands in it.
        config: What the content was made with.
        priority: Whether it compiles and may be compressed.
        priority_by: The annotate that set the priority; None for its own.
        moved_by: The reorder that set its place last.
        removed_by: The compress that took it out, or the revert that removed
            it for good.
        took: For a summary, the numbers of the slots it stands for, in their
            order.
    """

    # Changed slots are built in full: `attrs.evolve` costs four times as much.
    id: CommitId
    content: Brought
    config: LLMConfig | None = None
    priority: Priority = Priority.NORMAL
    priority_by: CommitId | None = None
    moved_by: CommitId | None = None
    removed_by: CommitId | None = None
    took: tuple[int, ...] = ()

    @property
    def live(self) -> bool:
        """Whether it has a place in the context."""
        return self.removed_by is None

    @property
    def compiles(self) -> bool:
        """Whether it is live and not skipped."""
        return self.removed_by is None and self.priority is not Priority.SKIP

    def with_content(self, content: Brought, config: LLMConfig | None) -> "Slot":
        """Return the slot with another content."""
        return Slot(self.id, content, config, self.priority, self.priority_by, self.moved_by, self.removed_by, self.took)

    def with_priority(self, priority: Priority, by: CommitId | None) -> "Slot":
        """Return the slot with the priority that *by* set."""
        return Slot(self.id, self.content, self.config, priority, by, self.moved_by, self.removed_by, self.took)

    def moved(self, by: CommitId | None) -> "Slot":
        """Return the slot as one that *by* moved last."""
        return Slot(self.id, self.content, self.config, self.priority, self.priority_by, by, self.removed_by, self.took)

    def removed(self, by: CommitId | None) -> "Slot":
        """Return the slot as one that *by* took out; live again if None."""
        return Slot(self.id, self.content, self.config, self.priority, self.priority_by, self.moved_by, by, self.took)

    @property
    def message(self) -> Message:
        """What the model reads."""
        return self.content.message

    @property
    def commit(self) -> CommitId:
        """The commit whose content is shown."""
        return self.content.commit

    @property
    def tokens(self) -> int | None:
        """What it costs, as recorded."""
        return self.content.tokens


@frozen(eq=False)
class Closing:
    """The result that stands in for one that was never recorded.

    Attributes:
        slot: Whose call it closes.
        call: The call.
    """

    slot: Slot
    call: ToolCall

    @property
    def id(self) -> CommitId:
        """The slot of the call."""
        return self.slot.id

    @property
    def message(self) -> Message:
        """What the model reads, by the rendering of the call."""
        return close(self.call, self.slot.content.rendering)

    @property
    def commit(self) -> CommitId:
        """The commit that brought the call."""
        return self.slot.content.commit

    @property
    def priority(self) -> Priority:
        """That of the call's slot."""
        return self.slot.priority

    @property
    def config(self) -> LLMConfig | None:
        """What the call was made with."""
        return self.slot.config

    @property
    def tokens(self) -> None:
        """None: nothing was recorded that could have been counted."""
        return


Line: TypeAlias = Slot | Closing
"""What compiles to one message."""
