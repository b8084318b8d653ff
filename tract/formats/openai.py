"""OpenAI's Chat Completions messages: to and from.

What comes in through `from_openai` and is rendered goes out again as it came,
key for key and every string byte for byte; only keys that were null (and a
`tool_calls` that was an empty list) are gone. Source of the format: the
`messages` of https://platform.openai.com/docs/api-reference/chat/create.

Imports `errors` and `domain`. Start at `message_to_openai`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tract.domain.content import Content, DialogueContent, InstructionContent, ToolIOContent
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.errors import ContentValidationError

FORMAT = "openai/1"
"""Name and number of this format, as `generation.started` records it."""


def message_to_openai(message: Message) -> dict[str, Any]:
    """Return the message as Chat Completions takes it.

    A content that is `ABSENT` is left out; one that is None is null.
    """
    content = message.content
    if not message.tool_calls and message.name is None and message.tool_call_id is None and content is not ABSENT:
        # Most messages; the long way costs twice as much.
        return {"role": message.role, "content": content}
    payload = _without_calls(message)
    if message.tool_calls:
        payload["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return payload


def message_to_dict(message: Message) -> dict[str, Any]:
    """Return the message in our own words, each call as id, name, arguments."""
    payload = _without_calls(message)
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


def from_openai(messages: Iterable[Mapping[str, Any]]) -> tuple[Content, ...]:
    """Return the contents of Chat Completions messages, one for each.

    A system message becomes an `InstructionContent`, or a `DialogueContent`
    when it has a name; a tool message the result of a `ToolIOContent`; user
    and assistant messages a `DialogueContent`. Keys that are null, or an empty list,
    are dropped, but a null content stays null. The role `developer` is refused, because it
    could not be given back; say `system`. Text must be one string: lists of
    parts are not read.

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
    if isinstance(message.get("content"), list):
        raise ContentValidationError("content", "a list of parts is not read; give the text as one string")
    if role == "tool":
        return _tool_result(message)
    name = message.get("name")
    if role == "system" and name is None:
        return InstructionContent(_required(message, "content", ""))
    return DialogueContent(role, message.get("content", ABSENT), name, _tool_calls(message.get("tool_calls")))


def _tool_result(message: Mapping[str, Any]) -> ToolIOContent:
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
            raise ContentValidationError(f"{where}.{key}" if where else f"{key}", "it is not a key that is known here")


def _role_problem(role: object) -> str:
    if role == "developer":
        return "developer messages could not be given back as they were; use system"
    return "it must be one of system, user, assistant, tool"


def _openai_field(name: str) -> str:
    """Return the place in a message of a content's field, with its dot."""
    name = _OPENAI_NAMES.get(name, name)
    if name.startswith("tool_calls["):
        name = name.replace("].name", "].function.name").replace("].arguments", "].function.arguments")
    return f".{name}" if name else ""


_SPOKEN = frozenset({"role", "content", "name"})
_KEYS = {
    "system": _SPOKEN,
    "user": _SPOKEN,
    "assistant": _SPOKEN | {"tool_calls"},
    "tool": _SPOKEN | {"tool_call_id"},
}
_CALL_KEYS = frozenset({"id", "type", "function"})
_FUNCTION_KEYS = frozenset({"name", "arguments"})
_OPENAI_NAMES = {"text": "content", "tool_name": "name", "call_id": "tool_call_id"}
