"""From a context to the bytes that are kept of it.

Only leaves that were not frozen before are looked at, so that a context that
grew by 500 messages since costs those, at any size. Imports `domain` and the
fold's values; read `freeze`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from attrs import define, field, frozen

from tract.domain.config import LLMConfig
from tract.domain.ids import CommitId
from tract.operations.context import Annotated, Change, Context, Edited
from tract.operations.frozen import (
    CLOSING,
    PRIORITIES,
    FrozenAnnotated,
    FrozenChange,
    FrozenEdited,
    FrozenReordered,
    Kind,
    Odd,
    Root,
    SlotLeaf,
    encode,
    key_of,
    runs_of,
)
from tract.operations.hashing import Chain
from tract.operations.sequence import LEAF, Vector
from tract.operations.slots import Brought, Closing, Line, Slot

Leaves: TypeAlias = dict[int, tuple[Sequence[Any], Any]]
"""What is known of leaves, each under its `id` and held, so that no other leaf gets that."""


class Numbers(Protocol):
    """The numbers that one file has for commits."""

    def commit(self, id: CommitId) -> int:
        """Return the number of a commit.

        Raises:
            LookupError: It is not in the file.
        """
        ...

    def config(self, id: CommitId) -> int | None:
        """Return the number of the blob with what a commit's content was made with; None for none.

        Raises:
            LookupError: The commit is not in the file.
        """
        ...


@define(eq=False, repr=False)
class Memory:
    """Leaves that were frozen or thawed before.

    Attributes:
        keys: Of leaves of slots and changes.
        numbers: The slots' numbers, of leaves of lines.
        configs: The configs that any of them names.
    """

    keys: Leaves = field(factory=dict)
    numbers: Leaves = field(factory=dict)
    configs: set[int] = field(factory=set)


@frozen(eq=False, repr=False)
class Frozen:
    """A context as bytes.

    Attributes:
        root: Its root.
        keys: Of all its leaves, in the order that the root counts them in.
        leaves: By key, those that were not in the memory.
        memory: Of its leaves alone, for the next one.
    """

    root: bytes
    keys: tuple[int, ...]
    leaves: dict[int, bytes]
    memory: Memory


def freeze(context: Context, chain: Chain, numbers: Numbers, memory: Memory) -> Frozen:
    """Return a context as bytes.

    Args:
        context: The context.
        chain: Over the entries of its lines, all full leaves of them.
        numbers: Of its commits.
        memory: Of leaves that are kept already.

    Raises:
        LookupError: A commit is not in the file.
    """
    freezing = _Freezing(context, numbers, memory)
    return freezing.freeze(chain)


class _Freezing:
    """One context on its way."""

    def __init__(self, context: Context, numbers: Numbers, memory: Memory) -> None:
        self._context = context
        self._numbers = numbers
        self._before = memory
        self._memory = Memory(configs=set(memory.configs))
        self._new: dict[int, bytes] = {}

    def freeze(self, chain: Chain) -> Frozen:
        context = self._context
        slots = [self._key(leaf, self._slot_leaf) for leaf in context.slots.leaves]
        changes = [self._key(leaf, self._change_leaf) for leaf in context.changes.leaves]
        full = len(chain.hashes) // LEAF * LEAF
        blocks = [b"".join(chain.hashes[at : at + LEAF]) for at in range(0, full, LEAF)]
        hashes = [key_of(block) for block in blocks]
        self._new.update(zip(hashes, blocks, strict=True))
        tail, change_tail = self._slot_leaf(context.slots.tail), self._change_leaf(context.changes.tail)
        lines = [self._line_numbers(leaf, place) for place, leaf in enumerate((*context.lines.leaves, context.lines.tail))]
        root = Root(
            slots=len(slots),
            changes=len(changes),
            slot_tail=tail,
            change_tail=change_tail,
            hash_tail=b"".join(chain.hashes[full:]),
            last=chain.last,
            order=runs_of((*context.order.leaves, context.order.tail)),
            lines=runs_of(lines),
            closings=_closings(context.lines, lines) if context.closings else [],
            configs=sorted(self._memory.configs),
            slot_count=context.slot_count,
            slot_tokens=context.slot_tokens,
            line_tokens=context.line_tokens,
        )
        return Frozen(encode(root), (*slots, *changes, *hashes), self._new, self._memory)

    def _key(self, leaf: Sequence[Any], shape: Any) -> int:
        known = self._before.keys.get(id(leaf))
        if known is None:
            data = encode(shape(leaf))
            known = (leaf, key_of(data))
            self._new[known[1]] = data
        self._memory.keys[id(leaf)] = known
        key: int = known[1]
        return key

    def _slot_leaf(self, leaf: Iterable[Slot]) -> SlotLeaf:
        frozen = SlotLeaf([], [], [], [], [])
        places: dict[Kind, int] = {}
        last = 0
        for place, slot in enumerate(leaf):
            number, content = self._numbers.commit(slot.id), slot.content
            frozen.steps.append(number - last)
            last = number
            frozen.tokens.append(content.tokens)
            kind = self._kind(content, slot.config, PRIORITIES.index(slot.priority))
            if kind not in places:
                places[kind] = len(places)
                frozen.table.append(kind)
            frozen.kinds.append(places[kind])
            if content.commit != slot.id or slot.priority_by or slot.moved_by or slot.removed_by or slot.took:
                brought = self._numbers.commit(content.commit)
                by = (self._commit(slot.priority_by), self._commit(slot.moved_by), self._commit(slot.removed_by))
                frozen.odd.append(Odd(place, brought, *by, runs_of([slot.took])))
        return frozen

    def _kind(self, content: Brought, config: LLMConfig | None, priority: int) -> Kind:
        made_with = 0
        if config is not None:
            made_with = self._config(content)
            self._memory.configs.add(made_with)
        return Kind(content.type, content.rendering, content.speaks_only, priority, made_with)

    def _config(self, content: Brought) -> int:
        """Return the number of a content's config: its commit's own, or that of what this replaced."""
        while True:
            number = self._numbers.config(content.commit)
            if number is not None:
                return number
            change = self._context.find_change(content.commit)
            if not isinstance(change, Edited):
                raise LookupError(content.commit)
            content = change.content

    def _commit(self, id: CommitId | None) -> int:
        return 0 if id is None else self._numbers.commit(id)

    def _change_leaf(self, leaf: Iterable[Change]) -> list[FrozenChange]:
        return [self._change(change) for change in leaf]

    def _change(self, change: Change) -> FrozenChange:
        commit = self._numbers.commit(change.commit)
        if isinstance(change, Edited):
            content = change.content
            kind = self._kind(content, change.config, 0)
            return FrozenEdited(commit, change.number, self._numbers.commit(content.commit), content.tokens, kind)
        if isinstance(change, Annotated):
            before = [(number, PRIORITIES.index(was), self._commit(by)) for number, was, by in change.before]
            return FrozenAnnotated(commit, before)
        order = runs_of((*change.order.leaves, change.order.tail))
        return FrozenReordered(commit, order, [(number, self._commit(by)) for number, by in change.before])

    def _line_numbers(self, leaf: Sequence[Line], place: int) -> Sequence[int]:
        known = self._before.numbers.get(id(leaf))
        if known is None:
            known = (leaf, self._numbered(leaf, place))
        if len(leaf) == LEAF:
            self._memory.numbers[id(leaf)] = known
        numbers: Sequence[int] = known[1]
        return numbers

    def _numbered(self, leaf: Sequence[Line], place: int) -> Sequence[int]:
        slots = self._context.slots
        alike = slots.leaves[place] if place < len(slots.leaves) else slots.tail
        if leaf is alike or (len(leaf) == len(alike) and all(line is slot for line, slot in zip(leaf, alike, strict=True))):
            return range(place * LEAF, place * LEAF + len(leaf))
        return tuple(CLOSING if isinstance(line, Closing) else self._slot_number(line) for line in leaf)

    def _slot_number(self, slot: Slot) -> int:
        number = self._context.find_number(slot.id)
        if number is None:
            raise LookupError(slot.id)
        return number


def _closings(lines: Vector[Line], numbers: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return, for each closing, the line of its slot and the place of its call among the slot's."""
    found = []
    for leaf, known in enumerate(numbers):
        for offset, number in enumerate(known):
            if number == CLOSING:
                closing = lines[leaf * LEAF + offset]
                assert isinstance(closing, Closing)
                caller = leaf * LEAF + offset
                # Between the two stand only results and closings of the same slot.
                while lines[caller] is not closing.slot:
                    caller -= 1
                found.append((caller, closing.slot.message.tool_calls.index(closing.call)))
    return found
