"""Requests to a model and what comes back, whoever the provider is.

Imports `config`, `events`, `messages` and `payloads`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.messages import ToolCall
from tract.domain.payloads import Payload

TokenUsage = UsageFigures


@frozen
class ModelRequest:
    """What a client sends.

    Args:
        messages: In the format of OpenAI's Chat Completions.

    Attributes:
        config: Model and settings.
        tools: Tool schemas, in the same format.
        tool_choice: Which tool must or may be called, in the same format: a
            word such as auto, required or none, or a mapping; None says nothing.
        response_format: What the answer must look like, in the same format, or None.
        timeout: Seconds of silence that are allowed, before the answer and in
            it, or None for as many as the client allows. It is the client's
            to keep to it: nobody else watches the time.
    """

    # Not in the repr, which finds its way into logs: these are a user's words.
    _messages: Sequence[Mapping[str, Any]] | Payload = field(repr=False)
    config: LLMConfig
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None
    timeout: float | None = None

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages, in the format of OpenAI's Chat Completions."""
        return self._messages.messages if isinstance(self._messages, Payload) else self._messages

    def find_json(self, before: bytes = b"", after: bytes = b"") -> bytes | None:
        """Return the messages as JSON, a list, where that is at hand.

        Cheaper by far than to look at `messages`; None where they were given
        as mappings, or somebody looked at them.

        Args:
            before: What to put before the list, in the same copy.
            after: What to put behind it.
        """
        return self._messages.find_json(before, after) if isinstance(self._messages, Payload) else None


@frozen
class Attempt:
    """One HTTP request of a model call.

    Attributes:
        number: 1 for the first.
        figures: What it cost, if the provider told.
        error: Class name of what went wrong, or None.
    """

    number: int
    figures: UsageFigures | None = None
    error: str | None = None


@frozen
class ModelReply:
    """A whole answer.

    Attributes:
        text: What was said; None when only tools are called.
        model: The model that answered, by the provider's word.
        finish_reason: Such as stop, length or tool_calls.
        tool_calls: What it calls.
        usage: As reported, or None.
        attempts: Every attempt, the last being the one that succeeded.
        reasoning: What the model thought before it answered, or None where
            the provider does not tell.
        refusal: Why the model refused to answer, in its own words; None where
            it did not.
    """

    text: str | None
    model: str | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: UsageFigures | None = None
    attempts: tuple[Attempt, ...] = (Attempt(1),)
    reasoning: str | None = None
    refusal: str | None = None
