"""What a model reads: messages and tool calls, before any provider's format.

Imports `parts`.
"""

from typing import TypeAlias

from attrs import frozen
from msgspec import UNSET, UnsetType

from tract.domain.parts import Part, TextPart

Absent: TypeAlias = UnsetType
ABSENT = UNSET
"""Stands for a text that was not there at all, which is neither null nor
empty: providers send all three, and they come back as they were. As an
argument's default it is what was not given, where None means something."""

Said: TypeAlias = str | None | Absent | tuple[Part, ...]
"""What a message says: one text, or several parts."""


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
        content: The text, or the parts; None and `ABSENT` are kept apart.
        name: Of the speaker, or of the tool that answers.
        tool_calls: What an assistant message calls.
        tool_call_id: Which call a tool message answers.
    """

    role: str
    content: Said = ABSENT
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """What of the content can be read: of several parts a line each, `[image]` for an image."""
        if isinstance(self.content, tuple):
            return "\n".join(part.text if isinstance(part, TextPart) else "[image]" for part in self.content)
        return self.content if isinstance(self.content, str) else ""
