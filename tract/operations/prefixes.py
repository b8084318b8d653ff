"""How much of what was sent before stands unchanged at the beginning of what is shown now.

Providers keep what they read of a prompt and charge less for the beginning
that a later one has in common with it. Imports `domain`, `context`, `folding`,
`sequence` and `slots`; read `Sent`.
"""

from collections.abc import Hashable, Iterator, Sequence

from attrs import frozen

from tract.domain.commits import CommitOperation
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.operations.context import Context
from tract.operations.folding import fold
from tract.operations.sequence import LEAF, Vector
from tract.operations.slots import Closing, Line, Slot, Step

_ADDS = frozenset({CommitOperation.APPEND, CommitOperation.MERGE})


@frozen(eq=False, repr=False)
class Sent:
    """A context that was sent, beside the one that is compiled.

    Attributes:
        lines: Those that were sent, and maybe more behind them.
        length: How many were sent.
        compiler: What made the messages of them, such as `tract/1`.
        shared: How many of them the compiled context begins with.
        shown: How many messages both begin with; not the same where either
            is shown otherwise than its history says it.
        base: Where some of it is not there any more, the last context that
            both histories have; else None.
        steps: What was committed from there on, at least up to the last one that may change what was there.
        closing_tokens: What a result costs that stands in for a missing one.
    """

    lines: Vector[Line]
    length: int
    compiler: str
    shared: int
    shown: int
    base: Context | None = None
    steps: tuple[Step, ...] = ()
    closing_tokens: int = 0

    def tokens(self, compiled: Context, lines: Vector[Line]) -> int:
        """Return what the shared messages cost, which are the first of *lines*: all that is *compiled*, in any order."""
        if 2 * self.shown < len(lines):
            return self._costs(lines[: self.shown])
        return compiled.line_tokens + compiled.closings * self.closing_tokens - self._costs(lines[self.shown :])

    def _costs(self, lines: Sequence[Line]) -> int:
        return sum(self.closing_tokens if line.tokens is None else line.tokens for line in lines)

    def find_break(self, compiled: Context) -> CommitId | None:
        """Return the commit that took the first message which is not shared from its place; None if nothing did.

        That is the last one before which the message stood behind nothing
        but what stood before it when it was sent. Where it was sent from
        another history, and none of this one's commits did that, it is the
        commit of what stands in its place now, if anything does.
        """
        place = self.shown
        if self.base is None or not self.shared <= place < self.length:
            return None
        return _find_break(self, self.base) or (compiled.lines[place].commit if place < len(compiled.lines) else None)


def shared_lines(one: Vector[Line], other: Vector[Line]) -> int:
    """Return how many lines both begin with that say the same.

    Leaves that both hold are not looked into, so that a context which only
    grew costs a look at the last few lines.
    """
    full = min(len(one.leaves), len(other.leaves))
    if one.leaves is not other.leaves and one.leaves[:full] != other.leaves[:full]:
        for number, (mine, its) in enumerate(zip(one.leaves, other.leaves, strict=False)):
            if mine is not its and (alike := _alike(mine, its)) < LEAF:
                return number * LEAF + alike
    start = full * LEAF
    stop = min(len(one), len(other))
    return start + _alike(one[start:stop], other[start:stop])


def with_leaves_of(lines: Vector[Line], other: Vector[Line], shared: int) -> Vector[Line]:
    """Return *lines* with the full leaves of *other* in the place of those that say the same, the first *shared* lines.

    Beside what grows from *other* they need not be looked into again, which
    for contexts that were read from the store apart would be all of them each time.
    """
    full = shared // LEAF
    if lines.leaves[:full] == other.leaves[:full]:
        return lines
    return Vector((*other.leaves[:full], *lines.leaves[full:]), lines.tail)


def shared_messages(one: Sequence[Message], other: Sequence[Message]) -> int:
    """Return how many messages both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine is not its and mine != its), min(len(one), len(other)))


def may_change(step: Step) -> bool:
    """Tell whether a commit may change what stands there already, and does not only add to it."""
    return step.operation not in _ADDS or (step.content is not None and step.content.message.role == "tool")


def _alike(mine: Sequence[Line], its: Sequence[Line]) -> int:
    if mine == its:
        return len(mine)
    pairs = enumerate(zip(mine, its, strict=False))
    return next((place for place, (one, other) in pairs if not _says_same(one, other)), min(len(mine), len(its)))


def _says_same(one: Line, other: Line) -> bool:
    # What a commit says is read only where that alone can tell.
    if one is other or (isinstance(one, Slot) and isinstance(other, Slot) and one.commit == other.commit):
        return True
    return one.message == other.message


def _find_break(sent: Sent, base: Context) -> CommitId | None:
    lines, context, place = sent.lines, base, sent.shown
    shared = shared_lines(lines, base.lines)
    # Alike messages of several slots can stand in for each other; then only the whole prefix tells.
    stood, was_shared = shared > place or _stands(lines, place, context.lines, shared), shared > place
    moved_by = cut_by = None
    for stretch in _stretches(sent.steps):
        context = fold(context, stretch)
        shared = shared_lines(lines, context.lines)
        is_shared = shared > place
        stands = is_shared or _stands(lines, place, context.lines, shared)
        if stood and not stands:
            moved_by = stretch[-1].id
        if was_shared and not is_shared:
            cut_by = stretch[-1].id
        stood, was_shared = stands, is_shared
    return cut_by if stood else moved_by


def _stretches(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """Yield steps up to each that may change what stands there already; behind the last, nothing changes."""
    start = 0
    for place, step in enumerate(steps, 1):
        if may_change(step):
            yield steps[start:place]
            start = place


def _stands(sent: Vector[Line], place: int, lines: Vector[Line], shared: int) -> bool:
    """Tell whether a line of what was sent is among others, says the same, and stands behind nothing but what stood before it.

    Args:
        sent: What was sent.
        place: The line.
        lines: The others.
        shared: How many both begin with, *place* at the most.
    """
    sought, before = _key(sent[place]), frozenset(map(_key, sent[shared:place]))
    for at in range(shared, len(lines)):
        key = _key(lines[at])
        if key == sought:
            return _says_same(lines[at], sent[place])
        if key not in before:
            return False
    return False


def _key(line: Line) -> Hashable:
    return (line.id, line.call.id) if isinstance(line, Closing) else line.id
