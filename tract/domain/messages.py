"""What a model reads: messages and tool calls, before any provider's format.

Imports nothing of ours.
"""

from typing import TypeAlias

from attrs import frozen
from msgspec import UNSET, UnsetType

Absent: TypeAlias = UnsetType
ABSENT = UNSET
"""Stands for a text that was not there at all, which is neither null nor
empty: providers send all three, and they come back as they were. As an
argument's default it is what was not given, where None means something."""


@frozen
class ToolCall:
    """One call that the model asked for.

    Attributes:
        id: The provider's id; providers use ids again.
        name: Of the tool, `[A-Za-z0-9_-]{1,64}`.
        arguments: The argument string, verbatim: not always valid JSON.
    """

    id: str
    name: str
    arguments: str


@frozen
class Message:
    """One message of a compiled context.

    Attributes:
        role: system, user, assistant or tool.
        content: The text; None and `ABSENT` are kept apart.
        name: Of the speaker, or of the tool that answers.
        tool_calls: What an assistant message calls.
        tool_call_id: Which call a tool message answers.
    """

    role: str
    content: str | None | Absent
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
