"""A context as it is kept outside memory: the shapes, and how they become bytes.

Numbers of commits and blobs and counts, never text: what was said is read from
the blobs again. Numbers are those of one file, so these bytes never leave it.
They are derived: bytes of another `VERSION`, or whose checksum does not fit,
count as if they were not there.

A leaf is 64 slots or changes, or the hashes of 64 leaves of lines. It is kept
under a key that is its checksum, so that what two contexts share is kept once;
the root names its leaves and holds what is left over.

Imports `domain` and `sequence`. Read `Root`, then `SlotLeaf`.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from tract.domain.commits import Priority
from tract.operations.sequence import LEAF

T = TypeVar("T")

VERSION = 1
"""Of all that is here; bytes of another one are not read."""
PRIORITIES = (Priority.SKIP, Priority.NORMAL, Priority.IMPORTANT, Priority.PINNED)
"""By the place that stands for each."""
CHECKSUM = 8
"""Bytes of SHA-256 that tell whether what is kept is what was kept."""

Runs: TypeAlias = list[int]
"""Numbers as stretches, each its first number and how many follow one another."""


class Kind(Struct, frozen=True, array_like=True):
    """What slots have in common; a leaf lists it once.

    Attributes:
        type: The content type's tag.
        rendering: The number of the content's rendering.
        speaks_only: Whether it neither calls a tool nor answers a call.
        priority: Place of the slot's priority in `PRIORITIES`.
        config: Number of the blob with what the content was made with; 0 for none.
    """

    type: str
    rendering: int
    speaks_only: bool
    priority: int
    config: int


class Odd(Struct, frozen=True, array_like=True):
    """What is not as an append left it; commits by number, 0 for none.

    Attributes:
        place: Of the slot, in its leaf.
        content: The commit that brought what stands in it.
        priority_by: As for `Slot`, and so are the rest.
        moved_by: See there.
        removed_by: See there.
        took: See there.
    """

    place: int
    content: int
    priority_by: int
    moved_by: int
    removed_by: int
    took: Runs


class SlotLeaf(Struct, frozen=True, array_like=True):
    """Slots, column by column.

    Attributes:
        steps: The number of the commit that created the first one, then how
            much greater the next number is, each time.
        tokens: What each costs.
        kinds: Place of its kind in *table*.
        table: The kinds there are.
        odd: Those that are not as an append left them.
    """

    steps: list[int]
    tokens: list[int]
    kinds: list[int]
    table: list[Kind]
    odd: list[Odd]

    def numbers(self) -> list[int]:
        """Return the numbers of the commits that created the slots."""
        numbers, last = [], 0
        for step in self.steps:
            last += step
            numbers.append(last)
        return numbers


class FrozenEdited(Struct, frozen=True, array_like=True, tag=0):
    """An `Edited`: its commit, the slot's number, and what stood there with its commit, tokens and kind."""

    commit: int
    slot: int
    content: int
    tokens: int
    kind: Kind


class FrozenAnnotated(Struct, frozen=True, array_like=True, tag=1):
    """An `Annotated`: its commit, then slot, priority and who had set it, each time."""

    commit: int
    before: list[tuple[int, int, int]]


class FrozenReordered(Struct, frozen=True, array_like=True, tag=2):
    """A `Reordered`: its commit, the order before, then slot and who had moved it, each time."""

    commit: int
    order: Runs
    before: list[tuple[int, int]]


FrozenChange: TypeAlias = FrozenEdited | FrozenAnnotated | FrozenReordered


class Root(Struct, frozen=True, array_like=True):
    """A context but for its full leaves.

    Attributes:
        slots: How many keys at the beginning are those of slots.
        changes: How many after them are those of changes; the rest are of hashes.
        slot_tail: The slots after the full leaves.
        change_tail: The changes after the full leaves.
        hash_tail: The hashes after the full leaves, joined.
        last: The digest over all full leaves of lines.
        order: As for `Context`.
        lines: The slot's number for each line; `CLOSING` where it is a closing.
        closings: The line of the slot that calls, and which of its calls, for each of them.
        configs: The configs that its kinds name, perhaps with some that they named once.
        slot_count: As for `Context`, and so are the next two.
        slot_tokens: See there.
        line_tokens: See there.
    """

    slots: int
    changes: int
    slot_tail: SlotLeaf
    change_tail: list[FrozenChange]
    hash_tail: bytes
    last: bytes
    order: Runs
    lines: Runs
    closings: list[tuple[int, int]]
    configs: list[int]
    slot_count: int
    slot_tokens: int
    line_tokens: int


CLOSING = -1
"""Stands for a line that is no slot."""

_encoder = msgspec.msgpack.Encoder()
_slots = msgspec.msgpack.Decoder(SlotLeaf)
_changes = msgspec.msgpack.Decoder(list[FrozenChange])
_roots = msgspec.msgpack.Decoder(Root)


def encode(value: SlotLeaf | list[FrozenChange] | Root) -> bytes:
    """Return the bytes of a leaf or a root."""
    # Columns of small numbers that hardly differ: a third is left of them. A
    # small window has little memory to be cleared for each leaf.
    packer = zlib.compressobj(6, zlib.DEFLATED, -12, 5)
    return packer.compress(_encoder.encode(value)) + packer.flush()


def decode_slots(data: bytes) -> SlotLeaf:
    """Return the slots of a leaf.

    Raises:
        ValueError: The bytes are none.
    """
    return _decoded(_slots, data)


def decode_changes(data: bytes) -> list[FrozenChange]:
    """Return the changes of a leaf.

    Raises:
        ValueError: The bytes are none.
    """
    return _decoded(_changes, data)


def decode_root(data: bytes) -> Root:
    """Return a root.

    Raises:
        ValueError: The bytes are none.
    """
    return _decoded(_roots, data)


def _decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(zlib.decompress(data, -15))
    except (zlib.error, msgspec.MsgspecError) as exc:
        raise ValueError("these bytes were not packed here") from exc


def key_of(data: bytes) -> int:
    """Return the key of a leaf, its checksum, as SQLite's integers can hold it."""
    return int.from_bytes(sha256(data).digest()[:CHECKSUM], "big") >> 1


def sealed(data: bytes, *of: bytes) -> bytes:
    """Return *data* behind a checksum over it and what it is about."""
    return _checksum(data, of) + data


def unsealed(stored: bytes, *of: bytes) -> bytes | None:
    """Return what was sealed; None if it is not that, or is about something else."""
    data = stored[CHECKSUM:]
    return data if stored[:CHECKSUM] == _checksum(data, of) else None


def _checksum(data: bytes, of: Iterable[bytes]) -> bytes:
    return sha256(b"".join(sha256(part).digest() for part in (*of, data))).digest()[:CHECKSUM]


def runs_of(leaves: Iterable[Sequence[int]]) -> Runs:
    """Return the numbers of all *leaves* as stretches."""
    runs: Runs = []
    following = None
    for leaf in leaves:
        for first, count in _stretches(leaf):
            if first == following:
                runs[-1] += count
            else:
                runs += (first, count)
            following = first + count
    return runs


def _stretches(leaf: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of one leaf; nearly always it is one."""
    size = len(leaf)
    if size and (isinstance(leaf, range) or tuple(range(leaf[0], leaf[0] + size)) == leaf):
        yield leaf[0], size
        return
    first, count = 0, 0
    for number in leaf:
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count


def leaves_of(runs: Runs) -> tuple[tuple[Sequence[int], ...], tuple[int, ...]]:
    """Return the numbers of stretches as full leaves and what is left over.

    A leaf of one stretch is a range, which takes a tenth of the time of a tuple.

    Raises:
        ValueError: They are no stretches.
    """
    leaves: list[Sequence[int]] = []
    rest: list[int] = []
    for first, count in zip(runs[::2], runs[1::2], strict=True):
        start, stop = first, first + count
        if rest:
            start = min(stop, first + LEAF - len(rest))
            rest += range(first, start)
            if len(rest) < LEAF:
                continue
            leaves.append(tuple(rest))
        whole = start + (stop - start) // LEAF * LEAF
        leaves += (range(at, at + LEAF) for at in range(start, whole, LEAF))
        rest = list(range(whole, stop))
    return tuple(leaves), tuple(rest)
