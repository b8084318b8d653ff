"""From the bytes that are kept of a context back to it, as late as possible.

Nothing is made at once but the outline: a leaf becomes slots when one of them
is looked at, and a message is read when it is. Threads may look at the same
time. What is made never leads back to what it was made of, because the garbage
collector does not visit slots. Imports `domain`, `frozen`, `sources` and the
fold's values; read `thaw`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from tract.domain.ids import CommitId
from tract.operations.closing import Waiting
from tract.operations.context import Annotated, Change, Context, Edited, Reordered
from tract.operations.freezing import Memory
from tract.operations.frozen import (
    CLOSING,
    PRIORITIES,
    FrozenAnnotated,
    FrozenChange,
    FrozenEdited,
    Root,
    SlotLeaf,
    decode_changes,
    decode_slots,
    leaves_of,
)
from tract.operations.hashing import Chain, Chains
from tract.operations.sequence import LEAF, LazyLeaf, Vector
from tract.operations.slots import Closing, Line, Slot
from tract.operations.sources import Source

DIGEST = 32
"""Bytes of a hash."""


def thaw(root: Root, keys: Sequence[int], leaves: Mapping[int, bytes], source: Source) -> tuple[Context, Memory]:
    """Return the context of a root, and what is known of its leaves.

    Args:
        root: The root.
        keys: Of its leaves.
        leaves: Their bytes, by key; those of `frozen.key_of`.
        source: What the file says of its commits.

    Raises:
        LookupError: A leaf is missing.
        ValueError: The root does not fit its leaves.
        CorruptLogError: The file does not say what the root is made of.
    """
    memory = Memory(configs=set(root.configs))
    first = root.slots + root.changes
    slot_data = [leaves[key] for key in keys[: root.slots]]
    change_data = [leaves[key] for key in keys[root.slots : first]]
    slots = Vector(
        tuple(LazyLeaf(partial(_slots_of, data, source), source.lock) for data in slot_data),
        _slots(root.slot_tail, source),
    )
    changes = Vector(
        tuple(LazyLeaf(partial(_changes_of, data, source), source.lock) for data in change_data),
        _changes(root.change_tail, source),
    )
    leaf: Sequence[object]
    for leaf, key in zip((*slots.leaves, *changes.leaves), keys[:first], strict=True):
        memory.keys[id(leaf)] = (leaf, key)
    lines, waiting = _lines(root, slots, source, memory)
    hashes = b"".join([*(leaves[key] for key in keys[first:]), root.hash_tail])
    chain = Chain(lines.leaves, tuple(hashes[at : at + DIGEST] for at in range(0, len(hashes), DIGEST)), root.last)
    if len(chain.hashes) != len(lines.leaves):
        raise ValueError("the hashes are not those of the lines")
    context = Context(
        slots,
        Vector(*leaves_of(root.order)),
        lines,
        changes,
        root.slot_count,
        root.slot_tokens,
        root.line_tokens,
        len(root.closings),
        Chains(chain),
        waiting,
        {},
        ThawedIndex(root, slot_data, change_data, source),
    )
    return context, memory


class ThawedIndex:
    """The numbers of a thawed context's slots and changes, found out when somebody asks.

    Args:
        root: Its root.
        slot_data: The leaves of its slots.
        change_data: The leaves of its changes.
        source: What the file says of its commits.

    Attributes:
        slots: How many slots there are.
        changes: How many changes.
        size: About how many bytes of memory their words hold.
    """

    def __init__(self, root: Root, slot_data: Sequence[bytes], change_data: Sequence[bytes], source: Source) -> None:
        self.slots = len(slot_data) * LEAF + len(root.slot_tail.steps)
        self.changes = len(change_data) * LEAF + len(root.change_tail)
        self.size = source.size
        self._root = root
        self._slot_data = slot_data
        self._change_data = change_data
        self._source = source
        self._found: dict[CommitId, int] | None = None

    def find(self, commit: CommitId) -> int | None:
        """Return the number of a commit's slot, or ~ the number of its change; None if it has neither."""
        found = self._found
        if found is None:
            with self._source.lock:
                found = self._found = self._all() if self._found is None else self._found
        return found.get(commit)

    def _all(self) -> dict[CommitId, int]:
        slots = [number for leaf in (*map(decode_slots, self._slot_data), self._root.slot_tail) for number in leaf.numbers()]
        changes = [change.commit for leaf in (*map(decode_changes, self._change_data), self._root.change_tail) for change in leaf]
        ids = self._source.ids()
        found = {ids[number]: place for place, number in enumerate(slots)}
        found.update((ids[number], ~place) for place, number in enumerate(changes))
        return found


def _slots_of(data: bytes, source: Source) -> tuple[Slot, ...]:
    return _slots(decode_slots(data), source)


def _slots(leaf: SlotLeaf, source: Source) -> tuple[Slot, ...]:
    made = []
    odd = {one.place: one for one in leaf.odd}
    for place, number in enumerate(leaf.numbers()):
        kind, one = leaf.table[leaf.kinds[place]], odd.get(place)
        tokens, config, priority = leaf.tokens[place], source.config(kind.config), PRIORITIES[kind.priority]
        if one is None:
            content = source.content(number, kind, tokens)
            made.append(Slot(content.commit, content, config, priority))
            continue
        took, rest = leaves_of(one.took)
        made.append(
            Slot(
                source.commit(number),
                source.content(one.content, kind, tokens),
                config,
                priority,
                source.find_commit(one.priority_by),
                source.find_commit(one.moved_by),
                source.find_commit(one.removed_by),
                (*(number for leaf in took for number in leaf), *rest),
            )
        )
    return tuple(made)


def _changes_of(data: bytes, source: Source) -> tuple[Change, ...]:
    return _changes(decode_changes(data), source)


def _changes(leaf: Sequence[FrozenChange], source: Source) -> tuple[Change, ...]:
    return tuple(_change(change, source) for change in leaf)


def _change(change: FrozenChange, source: Source) -> Change:
    commit = source.commit(change.commit)
    if isinstance(change, FrozenEdited):
        content = source.content(change.content, change.kind, change.tokens)
        return Edited(commit, change.slot, content, source.config(change.kind.config))
    if isinstance(change, FrozenAnnotated):
        before = ((number, PRIORITIES[was], source.find_commit(by)) for number, was, by in change.before)
        return Annotated(commit, tuple(before))
    moved = tuple((number, source.find_commit(by)) for number, by in change.before)
    return Reordered(commit, Vector(*leaves_of(change.order)), moved)


def _lines(root: Root, slots: Vector[Slot], source: Source, memory: Memory) -> tuple[Vector[Line], dict[str, Waiting]]:
    """Return what compiles, and who waits for an answer."""
    leaves, rest = leaves_of(root.lines)
    numbers = Vector(leaves, rest)
    closings = iter(root.closings)
    waiting: dict[str, Waiting] = {}
    shown: dict[int, Closing] = {}
    if root.closings:
        for place in (place for place, number in enumerate(numbers) if number == CLOSING):
            caller, call = next(closings)
            slot = slots[numbers[caller]]
            shown[place] = Closing(slot, slot.message.tool_calls[call])
            call_id = shown[place].call.id
            waiting[call_id] = (caller, waiting.get(call_id))
    lines: list[Sequence[Line]] = []
    for place, leaf in enumerate(leaves):
        if leaf == range(place * LEAF, (place + 1) * LEAF) and place < len(slots.leaves):
            lines.append(slots.leaves[place])
            continue
        lines.append(LazyLeaf(partial(_line_leaf, leaf, place * LEAF, slots, shown), source.lock))
        memory.numbers[id(lines[-1])] = (lines[-1], leaf)
    return Vector(tuple(lines), _line_leaf(rest, len(leaves) * LEAF, slots, shown)), waiting


def _line_leaf(numbers: Sequence[int], first: int, slots: Vector[Slot], closings: Mapping[int, Closing]) -> tuple[Line, ...]:
    return tuple(closings[first + offset] if number == CLOSING else slots[number] for offset, number in enumerate(numbers))
