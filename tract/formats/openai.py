"""OpenAI's Chat Completions messages: to and from.

What comes in through `from_openai` and is rendered goes out again as it came,
key for key and every string byte for byte; only keys that were null (and a
`tool_calls` that was an empty list) are gone, and the `annotations` of answers. Source of the format: the
`messages` of https://platform.openai.com/docs/api-reference/chat/create.

Imports `errors` and `domain`. Start at `message_to_openai`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import to_builtins

from tract.domain.content import Content, DialogueContent, InstructionContent, ToolIOContent
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.parts import ImagePart, Part, TextPart
from tract.domain.texts import key_name
from tract.errors import ContentValidationError

FORMAT = "openai/1"
"""Name and number of this format, as `generation.started` records it."""


def message_to_openai(message: Message) -> dict[str, Any]:
    """Return the message as Chat Completions takes it.

    A content that is `ABSENT` is left out; one that is None is null.
    """
    content = message.content
    if type(content) is str and not message.tool_calls and message.name is None and message.tool_call_id is None:
        # Most messages; the long way costs twice as much.
        return {"role": message.role, "content": content}
    payload = _without_calls(message)
    if isinstance(content, tuple):
        payload["content"] = [_part_to_openai(part) for part in content]
    if message.tool_calls:
        payload["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return payload


def message_to_dict(message: Message) -> dict[str, Any]:
    """Return the message in our own words, each call as id, name, arguments, each part with its type and fields."""
    payload = _without_calls(message)
    if isinstance(message.content, tuple):
        payload["content"] = [to_builtins(part) for part in message.content]
    if message.tool_calls:
        payload["tool_calls"] = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return payload


def _without_calls(message: Message) -> dict[str, Any]:
    payload: dict[str, Any] = {"role": message.role}
    if message.content is not ABSENT:
        payload["content"] = message.content
    if message.name is not None:
        payload["name"] = message.name
    if message.tool_call_id is not None:
        payload["tool_call_id"] = message.tool_call_id
    return payload


def _part_to_openai(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def from_openai(messages: Iterable[Mapping[str, Any]]) -> tuple[Content, ...]:
    """Return the contents of Chat Completions messages, one for each.

    A system message becomes an `InstructionContent`, or a `DialogueContent`
    when it has a name or a list of parts; a tool message the result of a
    `ToolIOContent`; user and assistant messages a `DialogueContent`. Keys that
    are null, or an empty list, are dropped, but a null content stays null; so
    are the `annotations` of an answer, which no request takes.
    What could not be given back as it was is refused: the role `developer`
    (say `system`), parts that are neither text nor image, and a tool's result
    in parts.

    Raises:
        ContentValidationError: Naming what is unknown, missing or malformed,
            such as `messages[3].tool_calls[0].function.name`.
    """
    contents: list[Content] = []
    for index, message in enumerate(messages):
        try:
            contents.append(_read(message))
        except ContentValidationError as exc:
            raise ContentValidationError(f"messages[{index}]{_openai_field(exc.field)}", exc.reason) from exc
    return tuple(contents)


def _read(message: Mapping[str, Any]) -> Content:
    if not isinstance(message, Mapping):
        raise ContentValidationError("", f"it must be a mapping, not {type(message).__name__}")
    role = message.get("role")
    if not isinstance(role, str) or (known := _KEYS.get(role)) is None:
        raise ContentValidationError("role", _role_problem(role))
    _refuse_unknown(message, known, "")
    content, name = message.get("content", ABSENT), message.get("name")
    if role == "tool":
        return _tool_result(message)
    if isinstance(content, list):
        content = [part_from_openai(part, f"content[{index}]") for index, part in enumerate(content)]
    elif role == "system" and name is None:
        return InstructionContent(_required(message, "content", ""))
    return DialogueContent(role, content, name, _tool_calls(message.get("tool_calls")))


def part_from_openai(value: object, where: str) -> Part:
    """Return a part of a content that is a list.

    Raises:
        ContentValidationError: Naming the place under *where* that is
            unknown, missing or malformed.
    """
    part = _mapping(value, where)
    kind = part.get("type")
    if kind not in ("text", "image_url"):
        named = f"{kind} parts are" if isinstance(kind, str) and kind in _OTHER_PARTS else "other parts are"
        raise ContentValidationError(f"{where}.type", f"it must be text or image_url; {named} not read")
    _refuse_unknown(part, frozenset({"type", kind}), where)
    if kind == "text":
        return _checked_part(TextPart, f"{where}.text", text=_required(part, "text", where))
    where = f"{where}.image_url"
    image = _mapping(part.get("image_url"), where)
    _refuse_unknown(image, _IMAGE_KEYS, where)
    return _checked_part(ImagePart, where, url=_required(image, "url", where), detail=image.get("detail"))


def _checked_part(kind: type[Part], where: str, **fields: Any) -> Part:
    try:
        return kind(**fields)
    except ContentValidationError as exc:
        field = where if kind is TextPart else f"{where}.{'detail' if exc.field == 'detail' else 'url'}"
        raise ContentValidationError(field, exc.reason) from exc


def _tool_result(message: Mapping[str, Any]) -> ToolIOContent:
    if isinstance(message.get("content"), list):
        raise ContentValidationError("content", "a tool's result in parts is not read; give the text as one string")
    return ToolIOContent(
        message.get("name"),
        "result",
        text=_required(message, "content", ""),
        call_id=_required(message, "tool_call_id", ""),
    )


def _tool_calls(value: object) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise ContentValidationError("tool_calls", f"it must be a list, not {type(value).__name__}")
    return tuple(_tool_call(call, f"tool_calls[{index}]") for index, call in enumerate(value))


def _tool_call(value: object, where: str) -> ToolCall:
    call = _mapping(value, where)
    _refuse_unknown(call, _CALL_KEYS, where)
    if call.get("type") != "function":
        raise ContentValidationError(f"{where}.type", "it must be function")
    function = _mapping(_required(call, "function", where), f"{where}.function")
    _refuse_unknown(function, _FUNCTION_KEYS, f"{where}.function")
    name = _required(function, "name", f"{where}.function")
    return ToolCall(_required(call, "id", where), name, _required(function, "arguments", f"{where}.function"))


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ContentValidationError(where, f"it must be a mapping, not {type(value).__name__}")
    return value


def _required(mapping: Mapping[str, Any], key: str, where: str) -> Any:
    value = mapping.get(key)
    if value is None:
        raise ContentValidationError(f"{where}.{key}" if where else key, "it is required and must not be null")
    return value


def _refuse_unknown(mapping: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if mapping.keys() <= known:
        return
    for key, value in mapping.items():
        if key not in known and value is not None and value != []:
            raise ContentValidationError(
                f"{where}.{key_name(key)}" if where else key_name(key), "it is not a key that is known here"
            )


def _role_problem(role: object) -> str:
    if role == "developer":
        return "developer messages could not be given back as they were; use system"
    return "it must be one of system, user, assistant, tool"


def _openai_field(name: str) -> str:
    """Return the place in a message of a content's field, with its dot."""
    if name.startswith("text["):
        name = name.replace("text", "content", 1)
    name = _OPENAI_NAMES.get(name, name)
    if name.startswith("tool_calls["):
        name = name.replace("].name", "].function.name").replace("].arguments", "].function.arguments")
    return f".{name}" if name else ""


_SPOKEN = frozenset({"role", "content", "name"})
_KEYS = {
    "system": _SPOKEN,
    "user": _SPOKEN,
    "assistant": _SPOKEN | {"tool_calls", "annotations"},
    "tool": _SPOKEN | {"tool_call_id"},
}
_CALL_KEYS = frozenset({"id", "type", "function"})
_FUNCTION_KEYS = frozenset({"name", "arguments"})
_IMAGE_KEYS = frozenset({"url", "detail"})
_OTHER_PARTS = frozenset({"input_audio", "file", "refusal"})
_OPENAI_NAMES = {"text": "content", "tool_name": "name", "call_id": "tool_call_id"}
