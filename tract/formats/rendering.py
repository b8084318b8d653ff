"""From a content to the message that a model reads.

A commit records the number of the rendering it was made under and compiles
with that one for ever, so a released rendering is never changed: a better one
gets the next number. `tests/migration/renderings.json` holds rendering 1 in
place. Imports `errors` and `domain`; start at `render`.
"""

from collections.abc import Callable
from typing import Any

from tract.domain import canonical
from tract.domain.commits import Priority
from tract.domain.content import (
    ArtifactContent,
    Content,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    OutputContent,
    ReasoningContent,
    RegisteredContent,
    SessionContent,
    ToolIOContent,
)
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.errors import ContentValidationError
from tract.formats.registry import registered_priority

RENDERING = 1
"""The newest rendering; what commits made now record."""

CLOSING_TEXT = "[no result recorded]"
"""What rendering 1 puts in the place of a result that never came."""


def render(content: Content, rendering: int = RENDERING) -> Message:
    """Return the message of *content*, for ever the same under one number.

    Raises:
        ContentValidationError: This version does not know the rendering.
    """
    renderer = _RENDERERS.get((rendering, type(content)))
    if renderer is None:
        raise _unknown(rendering)
    return renderer(content)


def close(call: ToolCall, rendering: int) -> Message:
    """Return the tool message that stands in for the missing result of *call*.

    Args:
        call: The call that nothing answered.
        rendering: The number of the commit that holds the call.

    Raises:
        ContentValidationError: This version does not know the rendering.
    """
    try:
        text = _CLOSINGS[rendering]
    except KeyError:
        raise _unknown(rendering) from None
    return Message("tool", text, tool_call_id=call.id)


def default_priority(content: Content) -> Priority:
    """Return the priority that a new slot has when none was given."""
    if isinstance(content, RegisteredContent):
        return registered_priority(content.content_type)
    return _PRIORITIES.get(type(content), Priority.NORMAL)


def _unknown(rendering: int) -> ContentValidationError:
    return ContentValidationError("rendering", f"number {rendering} is not known; this version knows 1 to {RENDERING}")


def _system(content: InstructionContent) -> Message:
    return Message("system", content.text)


def _dialogue(content: DialogueContent) -> Message:
    return Message(content.role, content.text, content.name, content.tool_calls)


def _registered(content: RegisteredContent) -> Message:
    return content.message


def _assistant(content: ReasoningContent | OutputContent) -> Message:
    return Message("assistant", content.text)


def _artifact(content: ArtifactContent) -> Message:
    return Message("assistant", content.content)


def _freeform(content: FreeformContent) -> Message:
    return Message("assistant", _json(content.payload))


def _tool_io(content: ToolIOContent) -> Message:
    text = _json(content.payload) if content.text is ABSENT else content.text
    if content.direction == "call":
        return Message("assistant", None, tool_calls=(ToolCall(content.call_id or "", content.tool_name or "", text),))
    return Message("tool", text, content.tool_name, tool_call_id=content.call_id)


def _session(content: SessionContent) -> Message:
    lines = [f"Session {content.session_type}", content.summary]
    for heading, items in (
        ("Decisions:", content.decisions),
        ("Failed approaches:", content.failed_approaches),
        ("Next steps:", content.next_steps),
    ):
        if items:
            lines += (heading, *(f"- {item}" for item in items))
    return Message("system", "\n".join(lines))


def _json(payload: canonical.JSON) -> str:
    return canonical.encode(payload).decode()


_RENDERERS: dict[tuple[int, type[Content]], Callable[[Any], Message]] = {
    (1, InstructionContent): _system,
    (1, DialogueContent): _dialogue,
    (1, ToolIOContent): _tool_io,
    (1, ReasoningContent): _assistant,
    (1, ArtifactContent): _artifact,
    (1, OutputContent): _assistant,
    (1, FreeformContent): _freeform,
    (1, SessionContent): _session,
    (1, RegisteredContent): _registered,
}

_CLOSINGS = {1: CLOSING_TEXT}

_PRIORITIES: dict[type[Content], Priority] = {
    InstructionContent: Priority.PINNED,
    SessionContent: Priority.PINNED,
    ReasoningContent: Priority.SKIP,
}
