"""What is searched for, and in what: words as the index of the store has them.

The index knows words of letters and digits, whatever their case and accents.
Chinese and Japanese do not part their words, so each of their characters is a
word there, and what is searched for is a phrase of them. Pure. Imports
`domain`; start at `expression`.
"""

import re
from collections.abc import Sequence
from unicodedata import category

from tract.domain.messages import Message
from tract.domain.parts import TextPart

PART = "\x1f"
"""Stands around what is a word although nothing parts it: a control character, which no index takes for a word's."""

OPEN, CLOSE = "\x02", "\x03"
"""Stand around what was found."""
_WIDTH = 160
"""Characters that a snippet has at the most, where one find is no longer."""
_LEAD = 40
"""Of them before what was found."""
_no_marks = dict.fromkeys(map(ord, (PART, OPEN, CLOSE)), " ")
_unparted = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u30ff\u31f0-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_term = re.compile(r'"([^"]*)"(\*?)|([^\s"]+)')


def searchable(message: Message) -> str:
    """Return what of a message can be searched: its text, and the names and arguments of its calls.

    Images cannot, nor can the name of who speaks.
    """
    said = message.content
    if isinstance(said, tuple):
        texts = [part.text for part in said if isinstance(part, TextPart)]
    else:
        texts = [said] if isinstance(said, str) else []
    texts += [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join(text for text in texts if text)


def parted(text: str) -> str:
    """Return a text with each Chinese or Japanese character as a word of its own, and without our marks."""
    plain = text.translate(_no_marks)
    return plain if plain.isascii() else _unparted.sub(f"{PART}\\g<0>{PART}", plain)


def unparted(text: str) -> str:
    """Return a text, or a piece of it, as it was before `parted`."""
    return text.replace(PART, "")


def snippet(text: str, before: str, behind: str) -> str:
    """Return the part of a text where the most was found, cut at words, and marked.

    In steps that grow with the text: SQLite's own grows with the square of
    what is found in it, which takes minutes for a word that a long text is full of.

    Args:
        text: As `parted` gave it, with `OPEN` and `CLOSE` around what was found:
            at least one part of it.
        before: What to put before a find.
        behind: What to put behind it.
    """
    spans, text = _spans(text)
    first = _densest(spans)
    start, end = spans[first]
    left = max(start - _LEAD, 0)
    while left < start and not _is_between_words(text, left):
        left += 1
    right = max(min(left + _WIDTH, len(text)), end)
    while right > end and not _is_between_words(text, right):
        right -= 1
    pieces, at = [], left
    for start, end in spans[first:]:
        if end > right:
            # A find is shown as a whole or not at all.
            right = max(min(right, start), at)
            break
        pieces += [text[at:start], before, text[start:end], behind]
        at = end
    pieces.append(text[at:right])
    shown = unparted("".join(pieces)).strip()
    return f"{'…' if left else ''}{shown}{'…' if right < len(text) else ''}"


def _spans(text: str) -> tuple[list[tuple[int, int]], str]:
    """Return where in a text something was found, and the text without marks."""
    pieces = text.replace(CLOSE, OPEN).split(OPEN)
    spans, at = [], 0
    for number, piece in enumerate(pieces):
        if number % 2:
            spans.append((at, at + len(piece)))
        at += len(piece)
    return spans, "".join(pieces)


def _densest(spans: Sequence[tuple[int, int]]) -> int:
    """Return the first find behind which the most others follow nearby."""
    best, most, stop = 0, 0, 0
    for number, (start, _) in enumerate(spans):
        while stop < len(spans) and spans[stop][1] <= start + _WIDTH - _LEAD:
            stop += 1
        if stop - number > most:
            best, most = number, stop - number
    return best


def _is_between_words(text: str, at: int) -> bool:
    return at in (0, len(text)) or not (text[at - 1].isalnum() and text[at].isalnum())


def expression(text: str) -> str | None:
    """Return words that must all occur, as FTS5 reads them; None where *text* holds no word.

    A quoted phrase stays together, and a trailing `*` stands for any ending.
    Everything else is words, so whatever is given is an expression that FTS5
    can read.
    """
    terms = []
    # SQLite takes a NUL for the end of an expression.
    for phrase, star, word in _term.findall(text.replace("\x00", " ")):
        term, ending = (phrase, star) if not word else (word.rstrip("*"), "*" if word.endswith("*") else "")
        if any(_is_of_a_word(letter) for letter in term):
            terms.append(f'"{parted(term)}"{ending}')
    return " ".join(dict.fromkeys(terms)) or None


def _is_of_a_word(letter: str) -> bool:
    # As the tokenizer unicode61 of SQLite has it.
    kind = category(letter)
    return kind[0] in "LN" or kind == "Co"
