"""Requests to a model and what comes back, whoever the provider is.

Imports `config`, `events`, `messages` and `payloads`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from tract.domain.canonical import INT64_MAX
from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.messages import ToolCall
from tract.domain.payloads import Payload
from tract.errors import ContentValidationError

TokenUsage = UsageFigures


def usage_from(value: "UsageFigures | Mapping[str, Any]") -> UsageFigures:
    """Return the figures of a `TokenUsage` or of a provider's usage object.

    Takes OpenAI's names (`prompt_tokens`, `completion_tokens`, `total_tokens`
    and the two `*_details`) and our own.

    Raises:
        ContentValidationError: An unknown key, or a figure that is not a
            whole number.
    """
    if isinstance(value, UsageFigures):
        return value
    if not isinstance(value, Mapping):
        raise ContentValidationError("usage", f"it must be a TokenUsage or a mapping, not {type(value).__name__}")
    figures: dict[str, int | None] = {}
    for key, item in value.items():
        name = _USAGE_KEYS.get(key)
        if name is not None:
            figures[name] = _figure(key, item)
        elif key in _DETAIL_KEYS:
            inner, target = _DETAIL_KEYS[key]
            if isinstance(item, Mapping) and item.get(inner) is not None:
                figures[target] = _figure(f"{key}.{inner}", item[inner])
        elif key != "total_tokens":
            raise ContentValidationError(f"usage.{key}", "it is not a figure that is known")
    return UsageFigures(**figures)


_USAGE_KEYS = {
    "prompt": "prompt",
    "completion": "completion",
    "cached": "cached",
    "reasoning": "reasoning",
    "prompt_tokens": "prompt",
    "completion_tokens": "completion",
}
_DETAIL_KEYS = {
    "prompt_tokens_details": ("cached_tokens", "cached"),
    "completion_tokens_details": ("reasoning_tokens", "reasoning"),
}


def _figure(name: str, value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= INT64_MAX:
        raise ContentValidationError(f"usage.{name}", "it must be a whole number, 0 or more")
    return value


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
        timeout: Seconds of silence that are allowed, or None.
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
