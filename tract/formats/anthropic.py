"""Anthropic's Messages: to them. `anthropic_reading` is the way back.

Format 1, which never changes; `tests/migration/anthropic.json` holds it in
place. What the provider would refuse is mended, since a context never is
refused: each function says what it mends. Sources of the rules: the Messages
API reference and the guides *Tool use* and *Vision* of
https://platform.claude.com/docs, and for texts that are blank or end in
blanks the errors that the API answers with.

Imports `domain`. Start at `messages_to_anthropic`.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn, TypeAlias

from attrs import Factory, define

from tract.domain import canonical
from tract.domain.messages import Message, ToolCall
from tract.domain.parts import Part, TextPart
from tract.domain.texts import is_blank

FORMAT = "anthropic/1"
"""Name and number of this format."""

START = "(start)"
"""What the user says first where nobody did: the first message must be the user's."""

ARGUMENTS = "_arguments"
"""The key under which arguments stand that are no JSON object."""

_MOST_ID = 64
_illegal = re.compile(r"[^a-zA-Z0-9_-]")

_Block: TypeAlias = dict[str, Any]


def messages_to_anthropic(messages: Iterable[Message]) -> dict[str, Any]:
    """Return `system` and `messages` as the Messages API takes them.

    System texts stand together in `system`, a blank line between them, and
    `system` is left out where there are none. Neighbours of one role become
    one message. Blank texts and names of speakers are left out; a conversation
    that the user does not begin gets a first message of the user; a last
    answer loses the blanks at its end. A content is a string where it is one
    text, else a list of blocks.

    Args:
        messages: Of a compiled context, where each call has its result behind it.
    """
    system: list[str] = []
    turns: list[tuple[str, list[_Block]]] = []
    ids = _CallIds()
    for message in messages:
        if message.role == "system":
            system += (block["text"] for block in _said(message))
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _answered(message, ids) if message.role == "tool" else [*_said(message), *_called(message, ids)]
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if not turns or turns[0][0] == "assistant":
        turns.insert(0, ("user", [_text(START)]))
    _cut_end(*turns[-1])
    payload: dict[str, Any] = {"messages": [{"role": role, "content": _content(blocks)} for role, blocks in turns]}
    return {"system": "\n\n".join(system), **payload} if system else payload


def arguments_to_input(arguments: str) -> dict[str, Any]:
    """Return the JSON object that the arguments of a call are, or `{"_arguments": text}` where they are none."""
    try:
        value = json.loads(arguments, parse_constant=_refuse)
        canonical.check(value)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {ARGUMENTS: arguments}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


@define(eq=False, repr=False)
class _CallIds:
    """Ids of calls made unique and legal, in the order of the calls.

    An id depends on those before it only, so that a context which grows keeps
    what the provider has cached.
    """

    used: set[str] = Factory(set)
    counts: dict[str, int] = Factory(dict)
    waiting: dict[str, list[str]] = Factory(dict)

    def call(self, id: str) -> str:
        """Return the id that a call gets."""
        base = _illegal.sub("_", id)[:_MOST_ID]
        unique, count = base, self.counts.get(base, 1)
        while unique in self.used:
            count += 1
            suffix = f"_{count}"
            unique = base[: _MOST_ID - len(suffix)] + suffix
        self.counts[base] = count
        self.used.add(unique)
        self.waiting.setdefault(id, []).append(unique)
        return unique

    def result(self, id: str | None) -> str:
        """Return the id of the first call under *id* that has no result yet."""
        return self.waiting[id or ""].pop(0)


def _called(message: Message, ids: _CallIds) -> list[_Block]:
    return [_call(call, ids.call(call.id)) for call in message.tool_calls]


def _call(call: ToolCall, id: str) -> _Block:
    return {"type": "tool_use", "id": id, "name": call.name, "input": arguments_to_input(call.arguments)}


def _answered(message: Message, ids: _CallIds) -> list[_Block]:
    """Return a result; one that is blank has no content."""
    block: _Block = {"type": "tool_result", "tool_use_id": ids.result(message.tool_call_id)}
    return [block if is_blank(message.text) else {**block, "content": message.text}]


def _said(message: Message) -> list[_Block]:
    """Return the texts and images of a message, blank texts left out."""
    if isinstance(message.content, tuple):
        return [_part(part) for part in message.content]
    return [] if is_blank(message.text) else [_text(message.text)]


def _part(part: Part) -> _Block:
    """Return a part; an image at an address that is not https becomes a text that names it."""
    if isinstance(part, TextPart):
        return _text(part.text)
    if part.url is None:
        return _image({"type": "base64", "media_type": part.media_type, "data": part.data})
    if part.url[:8].lower() != "https://":
        return _text(f"[image: {part.url}]")
    return _image({"type": "url", "url": part.url})


def _image(source: _Block) -> _Block:
    return {"type": "image", "source": source}


def _text(text: str) -> _Block:
    return {"type": "text", "text": text}


def _cut_end(role: str, blocks: list[_Block]) -> None:
    if role == "assistant" and blocks[-1]["type"] == "text":
        blocks[-1] = _text(blocks[-1]["text"].rstrip())


def _content(blocks: list[_Block]) -> str | list[_Block]:
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        text: str = blocks[0]["text"]
        return text
    return blocks
