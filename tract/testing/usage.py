"""What a made-up answer costs: plausible, and always the same.

Imports `domain`, `formats` and `llm`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tract.domain.events import UsageFigures
from tract.domain.messages import Message, ToolCall
from tract.formats.openai import part_from_openai
from tract.llm.counting import ApproximateCounter

_counter = ApproximateCounter()


def usage_of(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    text: str | None,
    tool_calls: Sequence[ToolCall],
    reasoning: str | None = None,
) -> UsageFigures:
    """Return figures by `ApproximateCounter`.

    The prompt is 3, plus each message by the price list of
    `tract.llm.counting`, plus each tool schema as JSON; the completion is
    the text and the reasoning, plus name and arguments of each call.
    """
    prompt = 3 + sum(_counter.count_message(_message(message)) for message in messages)
    prompt += sum(_counter.count(json.dumps(tool, ensure_ascii=False)) for tool in tools)
    thought = None if reasoning is None else _counter.count(reasoning)
    completion = _counter.count(text or "") + (thought or 0)
    completion += sum(_counter.count(call.name) + _counter.count(call.arguments) for call in tool_calls)
    return UsageFigures(prompt=prompt, completion=completion, reasoning=thought)


def _message(message: Mapping[str, Any]) -> Message:
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()
    )
    content = message.get("content")
    if isinstance(content, list):
        content = tuple(part_from_openai(part, f"content[{index}]") for index, part in enumerate(content))
    return Message(message["role"], content, message.get("name"), calls)
