"""A context: the immutable state after a commit.

`folding` makes them. Imports `domain`, `sequence`, `slots`, `closing` and
`hashing`. Read `Context` first.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from attrs import frozen

from tract.domain.commits import Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import CommitId
from tract.operations.closing import Waiting, find_unit
from tract.operations.hashing import Chains
from tract.operations.sequence import Vector, View
from tract.operations.slots import Brought, Line, Slot


@frozen(eq=False, repr=False)
class Edited:
    """What an edit replaced."""

    commit: CommitId
    number: int
    content: Brought
    config: LLMConfig | None


@frozen(eq=False, repr=False)
class Annotated:
    """The priorities, with who set them, that an annotate replaced."""

    commit: CommitId
    before: tuple[tuple[int, Priority, CommitId | None], ...]


@frozen(eq=False, repr=False)
class Reordered:
    """The order before a reorder, and who had moved its slots until then."""

    commit: CommitId
    order: Vector[int]
    before: tuple[tuple[int, CommitId | None], ...]


Change: TypeAlias = Edited | Annotated | Reordered


class Older(Protocol):
    """The numbers of what a context began with, where that was not folded here."""

    @property
    def slots(self) -> int:
        """How many slots there were."""
        ...

    @property
    def changes(self) -> int:
        """How many changes there were."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes of memory their words hold."""
        ...

    def find(self, commit: CommitId) -> int | None:
        """Return the number of a commit's slot, or ~ the number of its change; None if it has neither."""
        ...


@frozen(eq=False, repr=False)
class _Nothing:
    slots: int = 0
    changes: int = 0
    size: int = 0

    def find(self, commit: CommitId) -> int | None:
        return None


NOTHING: Older = _Nothing()
"""What a context began with that was folded from the first commit on."""


@frozen(eq=False, repr=False)
class Context:
    """What a history says at one commit; immutable, sharing its parts.

    Slots have numbers: their place in `slots`, by when they were created.
    Begin with `EMPTY` and go on with `fold`.

    Attributes:
        slots: Every slot there ever was.
        order: Numbers of the live slots, in context order.
        lines: What compiles, in compiled order.
        changes: What edits, annotates and reorders replaced.
        slot_count: How many slots compile.
        slot_tokens: What they cost, at recorded counts.
        line_tokens: What those among the lines cost.
        closings: How many lines are closings.
        chains: Digests and pieces of a request made so far, for those folded from here.
    """

    slots: Vector[Slot]
    order: Vector[int]
    lines: Vector[Line]
    changes: Vector[Change]
    slot_count: int
    slot_tokens: int
    line_tokens: int
    closings: int
    chains: Chains
    waiting: dict[str, Waiting]
    # Shared by all that is folded on from here, branches too, and only ever
    # added to: a commit's number, or ~ the number of its change. An entry
    # counts if what stands under the number is of that commit, so entries of
    # other branches do no harm. Appends stay O(1) without a persistent map.
    index: dict[CommitId, int]
    older: Older = NOTHING

    def find_slot(self, commit: CommitId) -> Slot | None:
        """Return the slot that *commit* created or, being an edit, edits."""
        number = self.find_number(commit)
        return None if number is None else self.slots[number]

    def find_change(self, commit: CommitId) -> Change | None:
        """Return what the edit, annotate or reorder *commit* replaced."""
        entry = self.find_entry(commit)
        place = ~(entry or 0)
        if 0 <= place < len(self.changes) and (change := self.changes[place]).commit == commit:
            return change
        return None

    @property
    def live(self) -> Sequence[Slot]:
        """The live slots, skipped ones included, in context order."""
        return View(self.order, self.slots.__getitem__)

    @property
    def omitted_tokens(self) -> int:
        """What the results cost that compile but are in no line."""
        return self.slot_tokens - self.line_tokens

    @property
    def growth(self) -> int:
        """How many slots and changes were folded here."""
        return len(self.slots) - self.older.slots + len(self.changes) - self.older.changes

    def tool_unit(self, commit: CommitId) -> tuple[CommitId, ...]:
        """Return the slots of the tool unit that a slot belongs to, in order.

        Skipped slots belong to their unit too. A slot that is in none, or is
        not live, is alone; what is no slot gives nothing.
        """
        number = self.find_number(commit)
        if number is None:
            return ()
        slot = self.slots[number]
        if not slot.live or slot.content.speaks_only:
            return (slot.id,)
        return tuple(one.id for one in find_unit(self.live, self.order.index(number)))

    def find_entry(self, commit: CommitId) -> int | None:
        """Return what the index has under *commit*, which may be another branch's."""
        entry = self.index.get(commit)
        return self.older.find(commit) if entry is None else entry

    def find_number(self, commit: CommitId) -> int | None:
        """Return the number of the slot that *commit* created or, being an edit, edits."""
        number = self.find_entry(commit)
        if number is None:
            return None
        if number >= 0:
            return number if number < len(self.slots) and self.slots[number].id == commit else None
        change = self.find_change(commit)
        return change.number if isinstance(change, Edited) else None

    def __repr__(self) -> str:
        return f"<Context of {self.slot_count} slots, {len(self.lines)} lines>"


EMPTY = Context(Vector(), Vector(), Vector(), Vector(), 0, 0, 0, 0, Chains(), {}, {})
"""The context before the first commit."""
