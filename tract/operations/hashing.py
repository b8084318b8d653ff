"""Digests of long lists, and the lists as they are sent, that stay cheap when the list grows.

The form is for ever (design.md, section 5): entries in leaves of 64 by index;
leaf = SHA-256 of its entries joined by newlines; d0 = 32 zero bytes,
d(i+1) = SHA-256(d(i) + leaf(i)); the last leaf may be short.

Imports `domain.canonical`, `sequence` and `slots`. Read `Chain.digest`.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from attrs import define, frozen

from tract.domain.canonical import sha256
from tract.operations.sequence import LEAF, Vector
from tract.operations.slots import Line

START = bytes(32)
"""d0: the digest of nothing."""
SENT_BEFORE = 4
"""How many times what was sent last is kept of what was sent from one history."""


@frozen(eq=False, repr=False)
class Chain:
    """What was computed over the full leaves of a vector.

    Attributes:
        leaves: Those leaves.
        hashes: The hash of each.
        last: The chain after all of them.
    """

    leaves: tuple[Sequence[Line], ...] = ()
    hashes: tuple[bytes, ...] = ()
    last: bytes = START

    def over(self, leaves: tuple[Sequence[Line], ...], entry: Callable[[Line], bytes]) -> "Chain":
        """Return the chain over *leaves*, hashing only those that are not in this one."""
        if leaves is self.leaves:
            return self
        if leaves[: len(self.leaves)] == self.leaves:
            new = tuple(_hash(leaf, entry) for leaf in leaves[len(self.leaves) :])
            return Chain(leaves, self.hashes + new, _link(self.last, new))
        known = dict(zip(map(id, self.leaves), self.hashes, strict=True))
        hashes = tuple(known.get(id(leaf)) or _hash(leaf, entry) for leaf in leaves)
        return Chain(leaves, hashes, _link(START, hashes))


class Encoded:
    """The full leaves of the contexts of one history as they are sent, those that were sent last.

    One for all contexts that go on from the first that was sent. Each for
    itself would keep the whole history again wherever an early slot was
    skipped, since every leaf behind it is another then.

    Attributes:
        size: How many bytes are kept.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: OrderedDict[int, tuple[Sequence[Line], bytes]] = OrderedDict()
        self.size = 0

    def of(self, leaves: tuple[Sequence[Line], ...], encode: Callable[[Sequence[Line]], bytes]) -> tuple[bytes, ...]:
        """Return each of *leaves* encoded, encoding only those that are not kept.

        Kept is then up to `SENT_BEFORE` times as much as that, for branches
        that take turns.
        """
        pieces = tuple(self._piece(leaf, encode) for leaf in leaves)
        most = SENT_BEFORE * sum(map(len, pieces))
        while self.size > most:
            _, (_, piece) = self._pieces.popitem(last=False)
            self.size -= len(piece)
        return pieces

    def _piece(self, leaf: Sequence[Line], encode: Callable[[Sequence[Line]], bytes]) -> bytes:
        # By identity, which is the leaf's own as long as it is kept here.
        kept = self._pieces.get(id(leaf))
        if kept is not None:
            self._pieces.move_to_end(id(leaf))
            return kept[1]
        piece = encode(leaf)
        self._pieces[id(leaf)] = (leaf, piece)
        self.size += len(piece)
        return piece


NEVER_SENT = Encoded()
"""Of contexts none of which was sent; nothing is put into it."""


@define(eq=False, repr=False)
class Chains:
    """What a context knows of its digests and of what is sent; handed on to those folded from it.

    The one thing about a context that changes: it is filled when first asked
    for, and only ever with what contexts say anyway.

    Attributes:
        content: Over the entries of what compiles.
        payload: Over the messages as sent.
        encoded: Those messages themselves, once they were sent; one for all
            that are folded on from there.
    """

    content: Chain = Chain()
    payload: Chain = Chain()
    encoded: Encoded = NEVER_SENT

    def copy(self) -> "Chains":
        """Return the same knowledge for another context."""
        return Chains(self.content, self.payload, self.encoded)


def finish(chain: Chain, lines: Vector[Line], entry: Callable[[Line], bytes]) -> str:
    """Return the digest of *lines* in hex, given the chain over their leaves."""
    return (_link(chain.last, (_hash(lines.tail, entry),)) if lines.tail else chain.last).hex()


def digest_of(entries: Sequence[bytes]) -> str:
    """Return the digest of entries in hex, from nothing."""
    last = START
    for first in range(0, len(entries), LEAF):
        last = sha256(last, sha256(b"\n".join(entries[first : first + LEAF])))
    return last.hex()


def _hash(leaf: Sequence[Line], entry: Callable[[Line], bytes]) -> bytes:
    return sha256(b"\n".join(map(entry, leaf)))


def _link(last: bytes, hashes: tuple[bytes, ...]) -> bytes:
    for one in hashes:
        last = sha256(last, one)
    return last
