"""What is searched for, and in what: words as the index of the store has them.

The index knows words of letters and digits, whatever their case and accents.
Chinese and Japanese do not part their words, so each of their characters is a
word there, and what is searched for is a phrase of them. Pure. Imports
`domain`; start at `expression`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from unicodedata import category, normalize

from tract.domain.messages import Message
from tract.domain.parts import TextPart

PART = "\x1f"
"""Stands around what is a word although nothing parts it: a control character, which no index takes for a word's."""

_WIDTH = 160
"""Characters that a snippet has at the most, without marks."""
_LEAD = 40
"""Of them before what was found."""
_ENOUGH = 1_000
"""Finds, of which a snippet shows those that stand closest."""
_BLOCK = 4_096
"""Words of a text that are looked at together."""
_ALONE = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u30ff\u31f0-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Each of these is a word by itself."""
_unparted = re.compile(f"[{_ALONE}]")
_word = re.compile(f"[{_ALONE}]|(?:[^\\W_{_ALONE}]+|[\u0300-\u036f\ue000-\uf8ff]+)+")
"""As the tokenizer unicode61 of SQLite has it, but for letters that one of the two does not know yet."""
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
    """Return a text with each Chinese or Japanese character as a word of its own."""
    plain = text.replace(PART, " ")
    return plain if plain.isascii() else _unparted.sub(f"{PART}\\g<0>{PART}", plain)


def unparted(text: str) -> str:
    """Return a text, or a piece of it, as it was before `parted`."""
    return text.replace(PART, "")


class Finder:
    """Finds in a text what is searched for, to show it: from SQLite we know only that it is there.

    Its own `highlight` and `snippet` take steps that grow with the square of
    what they find, which is minutes for a word that a long text is full of.

    Args:
        text: What `expression` made an expression of.
    """

    def __init__(self, text: str) -> None:
        self._phrases: dict[str, list[list[str]]] = {}
        self._starts: list[list[str]] = []
        self._longest = 1
        for term, ending in _terms(text):
            # No more than that is shown of a find.
            words = [_folded(match[0]) for match in islice(_word.finditer(term), _WIDTH)]
            if words:
                self._longest = max(self._longest, len(words))
                (self._starts if ending else self._phrases.setdefault(words[0], [])).append(words)
        self._first = tuple(words[0] for words in self._starts)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where in a text something is found: in one pass, up to a thousand finds."""
        return list(islice(self._spans(text), _ENOUGH))

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        matches = _word.finditer(text)
        places: list[tuple[int, int]] = []
        words: list[str] = []
        at, block = 0, True
        while block:
            spans = [match.span() for match in islice(matches, _BLOCK)]
            places, words = places[at:] + spans, words[at:] + [_folded(text[start:end]) for start, end in spans]
            at, block = 0, bool(spans)
            # What stands at the end of a block may go on in the next one.
            while at < len(words) - (self._longest if block else 0):
                count = self._count(words, at)
                if count:
                    yield places[at][0], places[at + count - 1][1]
                at += count or 1

    def _count(self, words: Sequence[str], at: int) -> int:
        """Return how many words the longest find has that begins with a word; 0 where none does."""
        counts = [len(each) for each in self._phrases.get(words[at], ()) if words[at : at + len(each)] == each]
        if words[at].startswith(self._first):
            for *before, last in self._starts:
                end = at + len(before)
                if end < len(words) and words[at:end] == before and words[end].startswith(last):
                    counts.append(len(before) + 1)
        return max(counts, default=0)


def _folded(word: str) -> str:
    return word.lower() if word.isascii() else "".join(map(_folded_letter, word))


@lru_cache(maxsize=4_096)
def _folded_letter(letter: str) -> str:
    """Return a letter without case and, if it is a Latin one, without accents."""
    if "\u0300" <= letter <= "\u036f":
        return ""
    plain = normalize("NFD", letter)[0]
    return (plain if plain.isascii() else letter).casefold()


def snippet(text: str, spans: Sequence[tuple[int, int]], marks: tuple[str, str]) -> str:
    """Return the part of a text where the most was found, cut at words, and marked.

    Args:
        text: As much of it as was looked through.
        spans: Where something was found; where nothing was, the beginning is shown.
        marks: What to put before a find and behind it.
    """
    first = _densest(spans)
    start, end = spans[first] if spans else (0, 0)
    # A find is shown as a whole, unless it fills the snippet.
    end = min(end, start + _WIDTH)
    left = max(start - _LEAD, end - _WIDTH, 0)
    while left < start and not _is_between_words(text, left):
        left += 1
    right = min(left + _WIDTH, len(text))
    while right > end and not _is_between_words(text, right):
        right -= 1
    pieces, at = [], left
    for begin, stop in [(start, end), *spans[first + 1 :]] if spans else ():
        if stop > right:
            right = max(min(right, begin), at)
            break
        pieces += [text[at:begin], marks[0], text[begin:stop], marks[1]]
        at = stop
    pieces.append(text[at:right])
    shown = "".join(pieces).strip()
    return f"{'…' if left else ''}{shown}{'…' if right < len(text) else ''}"


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
    if at in (0, len(text)) or not (text[at - 1].isalnum() and text[at].isalnum()):
        return True
    return bool(_unparted.match(text, at - 1) or _unparted.match(text, at))


def expression(text: str) -> str | None:
    """Return words that must all occur, as FTS5 reads them; None where *text* holds no word.

    A quoted phrase stays together, and a trailing `*` stands for any ending.
    Everything else is words, so whatever is given is an expression that FTS5
    can read.
    """
    return " ".join(f'"{parted(term)}"{ending}' for term, ending in _terms(text)) or None


def _terms(text: str) -> Iterable[tuple[str, str]]:
    """Return each phrase or word that is searched for, and the `*` of one that may go on."""
    found = {}
    # SQLite takes a NUL for the end of an expression.
    for phrase, star, word in _term.findall(text.replace("\x00", " ")):
        term, ending = (phrase, star) if not word else (word.rstrip("*"), "*" if word.endswith("*") else "")
        if any(_is_of_a_word(letter) for letter in term):
            found[term, ending] = True
    return found


def _is_of_a_word(letter: str) -> bool:
    # As the tokenizer unicode61 of SQLite has it.
    kind = category(letter)
    return kind[0] in "LN" or kind == "Co"
