"""How much text the contexts hold that are in memory, and which of them have to go.

Contexts that were folded on from one another share their text, and those that
were brought back from the file hold one copy of their history's each. Imports
`operations.context`.
"""

from collections.abc import Iterable, Mapping

from tract.operations.context import NOTHING, Context

BYTES = 64 * 2**20
"""Text that contexts may hold together, about; one history may always be there."""
_OF_A_SLOT = 1024
"""What is around the text of one that was folded here."""
_OF_A_TOKEN = 4


def superseded(contexts: Mapping[int, tuple[int, Context]], earlier: Iterable[int]) -> list[int]:
    """Return those of some earlier commits that hold words of the file, which a later one holds again."""
    return [number for number in earlier if contexts[number][1].older is not NOTHING]


def too_many(contexts: Mapping[int, tuple[int, Context]]) -> list[int]:
    """Return the commits whose contexts have to go, so that the rest hold no more than `BYTES`.

    Args:
        contexts: Run and context of each commit, that asked for last at the end.
    """
    sizes: dict[int, int] = {}
    for _, context in reversed(list(contexts.values())):
        text = _text(context)
        sizes[text] = max(sizes.get(text, 0), _size(context))
    total, gone = 0, set()
    for place, (text, size) in enumerate(sizes.items()):
        total += size
        if place and total > BYTES:
            gone.add(text)
    return [number for number, (_, context) in contexts.items() if _text(context) in gone] if gone else []


def _text(context: Context) -> int:
    """Return what contexts have in common that share their text."""
    return id(context.index if context.older is NOTHING else context.older)


def _size(context: Context) -> int:
    words = max(context.older.size, _OF_A_TOKEN * context.slot_tokens)
    return words + _OF_A_SLOT * context.growth + context.chains.encoded.size
