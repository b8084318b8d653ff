"""Requests to a model and what comes back, whoever the provider is.

Imports `config`, `events` and `messages`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.messages import ToolCall

TokenUsage = UsageFigures


@frozen
class ModelRequest:
    """What a client sends.

    Attributes:
        messages: In the format of OpenAI's Chat Completions.
        config: Model and settings.
        tools: Tool schemas, in the same format.
        tool_choice: Which tool must or may be called, in the same format: a
            word such as auto, required or none, or a mapping; None says nothing.
        response_format: What the answer must look like, in the same format, or None.
        timeout: Seconds of silence that are allowed, or None.
    """

    messages: Sequence[Mapping[str, Any]]
    config: LLMConfig
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None
    timeout: float | None = None


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
