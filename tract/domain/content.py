"""The eight kinds of content that a commit can carry, and those that callers add.

A content is what was said, with its meaning kept: a tool result knows its
call, a session its decisions. `formats.rendering` turns it into a message.
Malformed values raise `ContentValidationError` when they are made, naming the
field. Imports `errors`, `canonical`, `messages`, `parts` and `texts`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeAlias, get_args

from attrs import Attribute, field, frozen

from tract.domain import canonical
from tract.domain.messages import ABSENT, Absent, Message, Said, ToolCall
from tract.domain.parts import ImagePart, Part, as_parts
from tract.domain.texts import require_text
from tract.errors import ContentValidationError

_tool_name = re.compile(r"[A-Za-z0-9_-]{1,64}")
_type_name = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

Check: TypeAlias = Callable[[Any, "Attribute[Any]", Any], None]


def _text(_: object, attribute: "Attribute[Any]", value: object) -> None:
    require_text(attribute.name, value)


def _text_or_null(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and value is not ABSENT:
        require_text(attribute.name, value)


def _filled(_: object, attribute: "Attribute[Any]", value: object) -> None:
    require_text(attribute.name, value)
    if not value:
        raise ContentValidationError(attribute.name, "it must not be empty")


def _filled_or_none(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None:
        _filled(_, attribute, value)


def _one_of(*allowed: str) -> Check:
    def check(_: object, attribute: "Attribute[Any]", value: object) -> None:
        if value not in allowed:
            raise ContentValidationError(attribute.name, f"it must be one of {', '.join(allowed)}")

    return check


def _texts(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, tuple):
        raise ContentValidationError(attribute.name, "it must be a list of strings")
    for index, item in enumerate(value):
        require_text(f"{attribute.name}[{index}]", item)


def _sequence(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _said(value: str | None | Absent | Sequence[Part | Mapping[str, Any]]) -> Said:
    if value is None or isinstance(value, (str, Absent)):
        return value
    parts: tuple[Part, ...] = as_parts("text", value)
    return parts


def _said_by(content: Any, attribute: "Attribute[Any]", value: object) -> None:
    if type(value) is tuple:
        _check_parts(attribute.name, value, content.role)
    elif value is not None and value is not ABSENT:
        require_text(attribute.name, value)


def _check_parts(field_name: str, parts: tuple[Part, ...], role: str) -> None:
    if not parts:
        raise ContentValidationError(field_name, "a list of parts must not be empty")
    for index, part in enumerate(parts):
        if isinstance(part, ImagePart) and role != "user":
            raise ContentValidationError(f"{field_name}[{index}]", "only a user shows images")


def _copied(value: Any) -> Any:
    """Return JSON that no caller can change; what is not JSON, as it is."""
    try:
        canonical.check(value)
    except canonical.NotCanonicalError:
        return value
    return _as_read(value)


def _as_read(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_read(item) for key, item in value.items()}
    return [_as_read(item) for item in value] if isinstance(value, (list, tuple)) else value


def _json(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is ABSENT:
        return
    try:
        canonical.check(value)
    except canonical.NotCanonicalError as exc:
        raise ContentValidationError(attribute.name, f"{exc}") from exc


def require_tool_name(field_name: str, value: object) -> None:
    """Refuse what no provider takes as the name of a tool.

    Raises:
        ContentValidationError: Naming *field_name*.
    """
    if not isinstance(value, str) or not _tool_name.fullmatch(value):
        raise ContentValidationError(field_name, "a tool's name is 1 to 64 of A-Z, a-z, 0-9, _ and -")


def _tool_calls(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value == ():
        return
    if not isinstance(value, tuple) or not all(isinstance(call, ToolCall) for call in value):
        raise ContentValidationError(attribute.name, "it must be a tuple of ToolCall")
    for index, call in enumerate(value):
        require_text(f"tool_calls[{index}].id", call.id)
        if not call.id:
            raise ContentValidationError(f"tool_calls[{index}].id", "it must not be empty")
        require_tool_name(f"tool_calls[{index}].name", call.name)
        require_text(f"tool_calls[{index}].arguments", call.arguments)


@frozen
class InstructionContent:
    """What the model shall do: a system message, pinned."""

    content_type: ClassVar[str] = "instruction"
    text: str = field(validator=_text)


@frozen
class DialogueContent:
    """A turn of the conversation.

    Attributes:
        role: system, user or assistant.
        text: What was said; None and `ABSENT` are kept apart from `""`. Or a
            list of `TextPart` and, of a user, `ImagePart`.
        name: Of the speaker, where there are several.
        tool_calls: What an assistant calls, in its order.
    """

    content_type: ClassVar[str] = "dialogue"
    role: str = field(validator=_one_of("system", "user", "assistant"))
    text: Said = field(default=ABSENT, converter=_said, validator=_said_by)
    name: str | None = field(default=None, validator=_filled_or_none)
    tool_calls: tuple[ToolCall, ...] = field(default=(), converter=_sequence, validator=_tool_calls)

    def __attrs_post_init__(self) -> None:
        if self.tool_calls and self.role != "assistant":
            raise ContentValidationError("tool_calls", "only an assistant calls tools")


@frozen
class ToolIOContent:
    """A tool call on its own, or the result that answers one.

    Attributes:
        tool_name: Required for a call, optional for a result.
        direction: call or result.
        text: The arguments or the result, verbatim.
        payload: The same as a JSON value, rendered as canonical JSON. Exactly
            one of the two is given; leave the other one out.
        call_id: Ties result and call together; required.
        status: How the tool ended, in its own words; never rendered.
    """

    content_type: ClassVar[str] = "tool_io"
    tool_name: str | None = field(default=None)
    direction: str = field(default="result", validator=_one_of("call", "result"))
    text: str | Absent = field(default=ABSENT, validator=_text_or_null)
    payload: Any = field(default=ABSENT, converter=_copied, validator=_json)
    call_id: str | None = field(default=None)
    status: str | None = field(default=None, validator=_filled_or_none)

    def __attrs_post_init__(self) -> None:
        if self.call_id is None or self.call_id == "":
            raise ContentValidationError("call_id", "it is required, for calls and for results")
        require_text("call_id", self.call_id)
        if self.direction == "call" or self.tool_name is not None:
            require_tool_name("tool_name", self.tool_name)
        if self.text is None:
            raise ContentValidationError("text", "it must be a string; leave it out where there is a payload")
        if (self.text is ABSENT) == (self.payload is ABSENT):
            raise ContentValidationError("payload", "exactly one of text and payload must be given")


@frozen
class ReasoningContent:
    """What a model thought on the way; not compiled unless annotated."""

    content_type: ClassVar[str] = "reasoning"
    text: str = field(validator=_text)


@frozen
class ArtifactContent:
    """Something made: code, a document, a table.

    Attributes:
        artifact_type: What it is, such as code or document.
        content: The thing itself, verbatim.
        language: Of the code or the text.
    """

    content_type: ClassVar[str] = "artifact"
    artifact_type: str = field(validator=_filled)
    content: str = field(validator=_text)
    language: str | None = field(default=None, validator=_filled_or_none)


@frozen
class OutputContent:
    """A final answer, with its format.

    Attributes:
        text: The answer.
        format: text, markdown or json; rendering is the same for all.
    """

    content_type: ClassVar[str] = "output"
    text: str = field(validator=_text)
    format: str = field(default="text", validator=_one_of("text", "markdown", "json"))


@frozen
class FreeformContent:
    """Any JSON value, rendered as canonical JSON."""

    content_type: ClassVar[str] = "freeform"
    payload: Any = field(converter=_copied, validator=_json)


@frozen
class SessionContent:
    """Where work stands, for whoever goes on with it: a system message, pinned.

    Attributes:
        session_type: start, end, handoff or checkpoint.
        summary: What happened.
        decisions: What was decided, one line each.
        failed_approaches: What did not work, one line each.
        next_steps: What comes next, one line each.
    """

    content_type: ClassVar[str] = "session"
    session_type: str = field(validator=_one_of("start", "end", "handoff", "checkpoint"))
    summary: str = field(validator=_text)
    decisions: tuple[str, ...] = field(default=(), converter=_sequence, validator=_texts)
    failed_approaches: tuple[str, ...] = field(default=(), converter=_sequence, validator=_texts)
    next_steps: tuple[str, ...] = field(default=(), converter=_sequence, validator=_texts)


class Renderable(Protocol):
    """What a class of a caller's must be able to do to be registered as a content type."""

    def to_message(self) -> Message:
        """Return what a model shall read; called once, when the value is committed."""
        ...


def require_type_name(field_name: str, value: object) -> None:
    """Refuse what cannot be the name of a registered content type.

    Raises:
        ContentValidationError: Naming *field_name*.
    """
    _require_type_form(field_name, value)
    if value in CONTENT_TYPES:
        raise ContentValidationError(field_name, "it is the name of a type of Tract's own")


def _require_type_form(field_name: str, value: object) -> None:
    if not isinstance(value, str) or not _type_name.fullmatch(value):
        raise ContentValidationError(field_name, "a type's name is a letter a-z and up to 63 of a-z, 0-9, _, . and -")


def _registered_name(_: object, attribute: "Attribute[Any]", value: object) -> None:
    # A file may hold a name that only a later version took for a type of its own.
    _require_type_form(attribute.name, value)


def _object(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, dict):
        raise ContentValidationError(attribute.name, f"it must be a JSON object, not {type(value).__name__}")
    _json(_, attribute, value)


def checked_message(message: Message) -> Message:
    """Return a message by the rules of the contents that could be rendered to it: its lists are tuples of parts.

    Raises:
        ContentValidationError: Naming the field of the message.
    """
    try:
        return _checked(message)
    except ContentValidationError as exc:
        name, index, rest = exc.field.partition("[")
        raise ContentValidationError(f"{_MESSAGE_FIELDS.get(name, name)}{index}{rest}", exc.reason) from exc


_MESSAGE_FIELDS = {"text": "content", "tool_name": "name", "call_id": "tool_call_id"}


def _checked(message: Message) -> Message:
    if message.role == "tool":
        if message.tool_calls:
            raise ContentValidationError("tool_calls", "only an assistant calls tools")
        require_text("content", message.content)
        ToolIOContent(message.name, text="", call_id=message.tool_call_id)
        return Message("tool", message.content, message.name, (), message.tool_call_id)
    if message.tool_call_id is not None:
        raise ContentValidationError("tool_call_id", "only a tool message has one")
    said = DialogueContent(message.role, message.content, message.name, message.tool_calls)
    return Message(said.role, said.text, said.name, said.tool_calls)


def _checked_copy(value: object) -> Message:
    if not isinstance(value, Message):
        raise ContentValidationError("message", f"it must be a Message, not {type(value).__name__}")
    try:
        return checked_message(value)
    except ContentValidationError as exc:
        raise ContentValidationError(f"message.{exc.field}", exc.reason) from exc


def _message(_: object, __: "Attribute[Any]", value: object) -> None:
    # What is read from the store passes converters over.
    _checked_copy(value)


@frozen
class RegisteredContent:
    """A content of a type that a caller registered, as it is stored.

    A process that did not register the class reads and commits such contents
    all the same. What a model reads is the message that was rendered when the
    content was made, and is never rendered again.

    Attributes:
        content_type: The name it was registered under.
        data: The fields of the value, JSON.
        message: What its `to_message` returned.
    """

    content_type: str = field(validator=_registered_name)
    data: dict[str, Any] = field(converter=_copied, validator=_object)
    message: Message = field(converter=_checked_copy, validator=_message)


BuiltIn: TypeAlias = (
    InstructionContent
    | DialogueContent
    | ToolIOContent
    | ReasoningContent
    | ArtifactContent
    | OutputContent
    | FreeformContent
    | SessionContent
)
Content: TypeAlias = BuiltIn | RegisteredContent

CONTENT_TYPES: MappingProxyType[str, type[BuiltIn]] = MappingProxyType({kind.content_type: kind for kind in get_args(BuiltIn)})
"""Every content class of Tract's own by its tag.

A class that is added requires a field that is neither `data` nor `message`:
files may hold a registered type of its name, which is told by its shape.
"""
