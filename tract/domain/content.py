"""The eight kinds of content that a commit can carry.

A content is what was said, with its meaning kept: a tool result knows its
call, a session its decisions. `formats.rendering` turns it into a message.
Malformed values raise `ContentValidationError` when they are made, naming the
field. Imports `errors`, `canonical` and `messages`.
"""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias, get_args

from attrs import Attribute, field, frozen

from tract.domain import canonical
from tract.domain.messages import ABSENT, Absent, ToolCall
from tract.errors import ContentValidationError

_tool_name = re.compile(r"[A-Za-z0-9_-]{1,64}")

Check: TypeAlias = Callable[[Any, "Attribute[Any]", Any], None]


def require_text(field_name: str, value: object) -> None:
    """Refuse what is not a string, or cannot be written as UTF-8.

    Raises:
        ContentValidationError: Naming *field_name*.
    """
    if type(value) is not str:
        raise ContentValidationError(field_name, f"it must be a string, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise ContentValidationError(field_name, "it holds a lone surrogate, which is not text") from exc


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
        text: What was said; None and `ABSENT` are kept apart from `""`.
        name: Of the speaker, where there are several.
        tool_calls: What an assistant calls, in its order.
    """

    content_type: ClassVar[str] = "dialogue"
    role: str = field(validator=_one_of("system", "user", "assistant"))
    text: str | None | Absent = field(default=ABSENT, validator=_text_or_null)
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


Content: TypeAlias = (
    InstructionContent
    | DialogueContent
    | ToolIOContent
    | ReasoningContent
    | ArtifactContent
    | OutputContent
    | FreeformContent
    | SessionContent
)

CONTENT_TYPES: MappingProxyType[str, type[Content]] = MappingProxyType({kind.content_type: kind for kind in get_args(Content)})
"""Every content class by its tag."""
