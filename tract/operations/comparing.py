"""Whether two contexts say the same, and what the first difference is.

Imports `domain`, `context` and `slots`. Read `find_difference`.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from tract.operations.compiling import content_chain
from tract.operations.context import Annotated, Change, Context, Edited
from tract.operations.slots import Brought, Closing, Line, Slot


def find_difference(one: Context, other: Context) -> str | None:
    """Return what differs between two contexts, such as `slot 17`; None if they say the same.

    Everything is compared that anything folded from them may depend on.

    Raises:
        CorruptLogError: A message cannot be read.
    """
    return next((what for what, mine, its in _pairs(one, other) if mine != its), None)


def _pairs(one: Context, other: Context) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts of both, each with its name."""
    yield "how many slots compile", one.slot_count, other.slot_count
    yield "what the slots cost", one.slot_tokens, other.slot_tokens
    yield "what the lines cost", one.line_tokens, other.line_tokens
    yield "how many calls are closed", one.closings, other.closings
    yield from _numbered("slot", map(_slot, one.slots), map(_slot, other.slots))
    yield from _numbered("place", one.order, other.order)
    yield from _numbered("line", map(_line, one.lines), map(_line, other.lines))
    yield from _numbered("change", map(_change, one.changes), map(_change, other.changes))
    yield "who waits for a result", one.waiting, other.waiting
    yield "the digest", content_chain(one).last, content_chain(other).last


def _numbered(what: str, mine: Any, its: Any) -> Iterator[tuple[str, Any, Any]]:
    return ((f"{what} {number}", *both) for number, both in enumerate(zip_longest(mine, its)))


def _slot(slot: Slot) -> Sequence[Any]:
    found = (slot.priority, slot.priority_by, slot.moved_by, slot.removed_by, slot.took)
    return (slot.id, _content(slot.content), slot.config, *found)


def _content(content: Brought) -> Sequence[Any]:
    return (content.commit, content.type, content.blob, content.rendering, content.tokens, content.message)


def _line(line: Line) -> Sequence[Any]:
    # That a line is a slot as it stands among the slots is what its id and commit say.
    return (isinstance(line, Closing), line.id, line.commit, line.priority, line.message)


def _change(change: Change) -> Sequence[Any]:
    if isinstance(change, Edited):
        return (change.commit, change.number, _content(change.content), change.config)
    if isinstance(change, Annotated):
        return (change.commit, change.before)
    return (change.commit, list(change.order), change.before)
