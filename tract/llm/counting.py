"""Token counters: exact by splintr, approximate without it.

`count_message` is the one price list of both. Imports `domain` and `images`;
the only module that names splintr.
"""

from collections.abc import Callable
from functools import cache
from math import ceil
from typing import ClassVar

from attrs import frozen

from tract.domain.messages import Message
from tract.domain.parts import ImagePart, Part
from tract.llm.images import image_tokens
from tract.llm.protocol import TokenCounter

PER_MESSAGE = 3
"""Tokens that frame a message, by OpenAI's cookbook (*How to count tokens*)."""
PER_NAME = 1
"""Tokens that frame a name, from the same source."""

_VOCABULARY = "o200k_base"


def count_message(count: Callable[[str], int], message: Message) -> int:
    """Return what *message* costs when *count* prices each of its texts.

    Ids of calls are not read by a model and cost nothing; null and absent
    content cost nothing either. Of several parts each text costs its tokens,
    each image what `image_tokens` says.
    """
    total = PER_MESSAGE + count(message.role)
    if isinstance(message.content, str):
        total += count(message.content)
    elif isinstance(message.content, tuple):
        total += sum(_count_part(count, part) for part in message.content)
    if message.name is not None:
        total += PER_NAME + count(message.name)
    for call in message.tool_calls:
        total += count(call.name) + count(call.arguments)
    return total


def _count_part(count: Callable[[str], int], part: Part) -> int:
    return image_tokens(part) if isinstance(part, ImagePart) else count(part.text)


@cache
def _encode() -> Callable[[str], list[int]]:
    from splintr import Tokenizer

    # The tables take 60 ms to load and 40 MB to hold, so a process has them once.
    return Tokenizer.from_pretrained(_VOCABULARY).encode_ordinary


@frozen
class SplintrCounter:
    """Counts exactly, in the vocabulary of OpenAI's models since GPT-4o.

    The vocabulary comes with the wheel and is loaded at the first count.
    Text that looks like a special token is counted as the text it is.
    """

    name: ClassVar[str] = _VOCABULARY

    def count(self, text: str) -> int:
        """Return the tokens of *text*."""
        return len(_encode()(text))

    def count_message(self, message: Message) -> int:
        """Return what the message costs in a context."""
        return count_message(self.count, message)


@frozen
class ApproximateCounter:
    """Counts UTF-8 bytes, four to a token, rounded up."""

    name: ClassVar[str] = "approximate"

    def count(self, text: str) -> int:
        """Return a quarter of the bytes of *text*, rounded up."""
        return ceil(len(text.encode()) / 4)

    def count_message(self, message: Message) -> int:
        """Return what the message costs in a context, each text rounded up."""
        return count_message(self.count, message)


def default_counter() -> TokenCounter:
    """Return the exact counter, or the approximate one without splintr."""
    try:
        import splintr  # noqa: F401  (30 ms; the vocabulary itself is loaded later)
    except ImportError:
        return ApproximateCounter()
    return SplintrCounter()
