"""Anthropic's Messages: from them.

`anthropic` is the other direction, and what it gives comes back as it was.
Imports `errors`, `domain` and `anthropic`. Start at `from_anthropic`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tract.domain import canonical
from tract.domain.content import Content, DialogueContent, InstructionContent, ToolIOContent, require_tool_name
from tract.domain.messages import ToolCall
from tract.domain.parts import ImagePart, Part, TextPart
from tract.domain.texts import is_blank, key_name, require_text
from tract.errors import ContentValidationError
from tract.formats.anthropic import ARGUMENTS, arguments_to_input

_BLOCK_KEYS = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error"}),
}
_ROLES = {"user": ("text", "image", "tool_result"), "assistant": ("text", "tool_use")}
_SOURCES = {"base64": ("data", "media_type"), "url": ("url",)}
_WISHES = frozenset({"cache_control", "citations"})


def from_anthropic(payload: Mapping[str, Any]) -> tuple[Content, ...]:
    """Return the contents of a Messages payload: its `system` and its `messages`.

    The system prompt becomes an `InstructionContent`, one for each block; a
    tool's result a `ToolIOContent` with the status `error` where it says so;
    everything else a `DialogueContent` a message. Arguments of calls become
    canonical JSON. Compiled again, a payload that `to_anthropic` gave is what
    it was. Of any other payload the texts stay what they are, but for blanks
    at the end of a last answer; the blocks of `system` become one text, and
    so do those of a result, with a blank line between them. `is_error` is on
    record as the status and is not sent again.

    What says nothing is left out: blank texts, who made a call (`caller`), and
    the wishes `cache_control` and `citations`. In an answer, texts come before calls. Other keys of a
    request, such as `model` or `tools`, are no part of the conversation and
    not looked at. Blocks that could not be given back (thinking, documents,
    images in results, files) are refused; leave them out.

    Raises:
        ContentValidationError: Naming what is unknown, missing or malformed,
            such as `messages[3].content[0].input`.
    """
    request = _mapping(payload, "payload")
    contents: list[Content] = [*_system(request.get("system"))]
    messages = request.get("messages")
    if not isinstance(messages, (list, tuple)):
        raise ContentValidationError("messages", f"it must be a list, not {type(messages).__name__}")
    for index, message in enumerate(messages):
        contents += _message(_mapping(message, f"messages[{index}]"), f"messages[{index}]")
    return tuple(contents)


def _system(value: object) -> Iterator[InstructionContent]:
    if value is None:
        return
    for _, block in _blocks(value, "system", ("text",)):
        yield InstructionContent(block["text"])


def _message(message: Mapping[str, Any], where: str) -> Iterator[Content]:
    _refuse_unknown(message, frozenset({"role", "content"}), where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise ContentValidationError(f"{where}.role", "it must be user or assistant; the system's words stand in system")
    said: list[Part] = []
    calls: list[ToolCall] = []
    for place, block in _blocks(message.get("content"), f"{where}.content", _ROLES[role]):
        match block["type"]:
            case "tool_result":
                yield from _spoken(role, said)
                said = []
                yield _result(block, place)
            case "tool_use":
                calls.append(_call(block, place))
            case "image":
                said.append(_image(block, place))
            case _:
                said.append(TextPart(block["text"]))
    yield from _spoken(role, said, tuple(calls))


def _spoken(role: str, said: list[Part], calls: tuple[ToolCall, ...] = ()) -> Iterator[DialogueContent]:
    match said:
        case [TextPart(text=text)]:
            yield DialogueContent(role, text, tool_calls=calls)
        case [_, *_]:
            yield DialogueContent(role, said, tool_calls=calls)
        case _ if calls:
            yield DialogueContent(role, None, tool_calls=calls)


def _blocks(content: object, where: str, allowed: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each block of a content with its place, but for blank texts."""
    if isinstance(content, str):
        require_text(where, content)
        content = ({"type": "text", "text": content},)
    if not isinstance(content, (list, tuple)):
        raise ContentValidationError(where, f"it must be a string or a list, not {type(content).__name__}")
    for index, value in enumerate(content):
        place = f"{where}[{index}]"
        block = _mapping(value, place)
        kind = block.get("type")
        if not isinstance(kind, str) or kind not in allowed:
            raise ContentValidationError(f"{place}.type", f"it must be {' or '.join(allowed)}; no other block is read here")
        _refuse_unknown(block, _BLOCK_KEYS[kind] | _WISHES, place)
        if kind == "text":
            require_text(f"{place}.text", block.get("text"))
            if is_blank(block["text"]):
                continue
        yield place, block


def _image(block: Mapping[str, Any], where: str) -> ImagePart:
    where = f"{where}.source"
    source = _mapping(block.get("source"), where)
    kind = source.get("type")
    names = _SOURCES.get(kind) if isinstance(kind, str) else None
    if names is None:
        raise ContentValidationError(f"{where}.type", "it must be base64 or url; files that the provider keeps are not read")
    _refuse_unknown(source, frozenset({"type", *names}), where)
    fields = {name: _required(source, name, where) for name in names}
    try:
        return ImagePart(**fields)
    except ContentValidationError as exc:
        raise ContentValidationError(f"{where}.{exc.field}", exc.reason) from exc


def _call(block: Mapping[str, Any], where: str) -> ToolCall:
    id, name = _required(block, "id", where), _required(block, "name", where)
    require_text(f"{where}.id", id)
    if not id:
        raise ContentValidationError(f"{where}.id", "it must not be empty")
    require_tool_name(f"{where}.name", name)
    given = _mapping(block.get("input"), f"{where}.input")
    verbatim = given.get(ARGUMENTS)
    if isinstance(verbatim, str) and arguments_to_input(verbatim) == given:
        return ToolCall(id, name, verbatim)
    try:
        return ToolCall(id, name, canonical.encode(dict(given)).decode())
    except canonical.NotCanonicalError as exc:
        raise ContentValidationError(f"{where}.input", f"{exc}") from exc


def _result(block: Mapping[str, Any], where: str) -> ToolIOContent:
    id, content = _required(block, "tool_use_id", where), block.get("content")
    require_text(f"{where}.tool_use_id", id)
    if not id:
        raise ContentValidationError(f"{where}.tool_use_id", "it must not be empty")
    if isinstance(content, str):
        require_text(f"{where}.content", content)
        text = content
    else:
        blocks = () if content is None else _blocks(content, f"{where}.content", ("text",))
        text = "\n\n".join(block["text"] for _, block in blocks)
    return ToolIOContent(text=text, call_id=id, status="error" if block.get("is_error") else None)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ContentValidationError(where, f"it must be a mapping, not {type(value).__name__}")
    return value


def _required(mapping: Mapping[str, Any], key: str, where: str) -> Any:
    value = mapping.get(key)
    if value is None:
        raise ContentValidationError(f"{where}.{key}", "it is required and must not be null")
    return value


def _refuse_unknown(mapping: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key, value in mapping.items():
        if key not in known and value is not None:
            raise ContentValidationError(f"{where}.{key_name(key)}", "it is not a key that is known here")
