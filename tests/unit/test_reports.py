"""What providers report that a call cost, and which figures of ours that is: a table of their shapes."""

from typing import Any

import pytest
from openai.types import CompletionUsage
from openai.types.responses import ResponseUsage

from tract.domain.events import UsageFigures
from tract.domain.reports import usage_from
from tract.errors import ContentValidationError

CHAT = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 30,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 3},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 150,
}
ANTHROPIC = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 15,
    "cache_read_input_tokens": 80,
    "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 50,
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
}
ALL = UsageFigures(100, 50, 80, 30)

SHAPES: dict[str, tuple[Any, UsageFigures]] = {
    "ours": (ALL, ALL),
    "ours as a mapping": ({"prompt": 100, "completion": 50, "cached": 80, "reasoning": 30}, ALL),
    "Chat Completions": (CHAT, ALL),
    "Chat Completions by the openai package": (CompletionUsage.model_validate(CHAT).model_dump(), ALL),
    "Responses": (RESPONSES, ALL),
    "Responses by the openai package": (ResponseUsage.model_validate(RESPONSES).model_dump(), ALL),
    "Messages": (ANTHROPIC, UsageFigures(100, 50, 80)),
    "Messages without a cache": ({"input_tokens": 5, "output_tokens": 50}, UsageFigures(5, 50)),
    "Messages with nulls": (
        {"input_tokens": 5, "output_tokens": 50, "cache_creation_input_tokens": None, "cache_read_input_tokens": None},
        UsageFigures(5, 50),
    ),
    "the end of a stream of Messages": ({"output_tokens": 50}, UsageFigures(completion=50)),
    "both names, summed up before": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "cache_creation_input_tokens": 15,
            "cache_read_input_tokens": 80,
            "prompt_tokens_details": {"cached_tokens": 80},
        },
        UsageFigures(100, 50, 80),
    ),
    "details of null": ({"prompt_tokens": 100, "prompt_tokens_details": None}, UsageFigures(100)),
    "figures of null": ({"prompt_tokens": None, "completion": None}, UsageFigures()),
    "nothing": ({}, UsageFigures()),
}


@pytest.mark.parametrize(("reported", "figures"), SHAPES.values(), ids=SHAPES)
def test_each_published_shape_is_understood(reported: Any, figures: UsageFigures) -> None:
    assert usage_from(reported) == figures


REFUSED: dict[str, tuple[Any, str]] = {
    "an unknown key": ({"prompt_tokens": 1, "promt": 2}, "usage.promt"),
    "an unknown detail": ({"prompt_tokens_details": {"cashed_tokens": 2}}, "usage.prompt_tokens_details.cashed_tokens"),
    "a detail of the other side": (
        {"completion_tokens_details": {"cached_tokens": 2}},
        "usage.completion_tokens_details.cached_tokens",
    ),
    "details that are none": ({"prompt_tokens_details": 7}, "usage.prompt_tokens_details"),
    "two names that differ": ({"prompt_tokens": 1, "prompt": 2}, "usage.prompt"),
    "a text": ({"prompt_tokens": "7"}, "usage.prompt_tokens"),
    "a fraction": ({"completion_tokens": 7.0}, "usage.completion_tokens"),
    "true": ({"cached": True}, "usage.cached"),
    "less than nothing": ({"input_tokens": -1}, "usage.input_tokens"),
    "more than 64 bits": ({"output_tokens": 2**63}, "usage.output_tokens"),
    "a sum of more than 64 bits": ({"input_tokens": 2**63 - 1, "cache_read_input_tokens": 1}, "usage.input_tokens"),
    "a cache that is no number": ({"input_tokens": 1, "cache_creation_input_tokens": "1"}, "usage.cache_creation_input_tokens"),
    "a list": ([("prompt", 1)], "usage"),
    "nothing at all": (None, "usage"),
}


@pytest.mark.parametrize(("reported", "field"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_by_its_name(reported: Any, field: str) -> None:
    with pytest.raises(ContentValidationError) as caught:
        usage_from(reported)
    assert caught.value.field == field
