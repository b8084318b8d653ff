"""What providers report that a call cost, in each of their shapes, as figures of ours.

Imports `events` and `errors`; start at `usage_from`. The shapes are those of

- OpenAI's Chat Completions: `CompletionUsage` of the openai package 3.54,
- OpenAI's Responses: `ResponseUsage` of the same,
- Anthropic's Messages: *Usage* in its API reference, where `input_tokens`
  leaves out what was written to the cache and what was read from it.
"""

from collections.abc import Mapping
from typing import Any

from attrs import fields

from tract.domain.canonical import INT64_MAX
from tract.domain.events import UsageFigures
from tract.errors import ContentValidationError

_OURS = frozenset(each.name for each in fields(UsageFigures))
_WRITTEN, _READ = "cache_creation_input_tokens", "cache_read_input_tokens"
_FIGURES = {
    **{name: name for name in _OURS},
    "prompt_tokens": "prompt",
    "completion_tokens": "completion",
    "input_tokens": "prompt",
    "output_tokens": "completion",
    _READ: "cached",
}
_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": "cached"},
    "completion_tokens_details": {"reasoning_tokens": "reasoning"},
    "input_tokens_details": {"cached_tokens": "cached"},
    "output_tokens_details": {"reasoning_tokens": "reasoning"},
}
_BESIDE = frozenset({"total_tokens", _WRITTEN, "cache_creation", "server_tool_use", "service_tier", "inference_geo"})
"""What says nothing that the rest does not, or is no count of tokens."""
_BESIDE_DETAILS = frozenset(
    {
        "accepted_prediction_tokens",
        "audio_tokens",
        "cache_write_tokens",
        "cache_write_tokens_details",
        "image_tokens",
        "rejected_prediction_tokens",
        "text_tokens",
    }
)


def usage_from(value: UsageFigures | Mapping[str, Any]) -> UsageFigures:
    """Return the figures of a `TokenUsage` or of a provider's usage object.

    Takes our own names and the shapes of OpenAI's Chat Completions, OpenAI's
    Responses and Anthropic's Messages. The prompt is the whole of it, what
    came from a cache included; so with Anthropic's names for the cache it is
    the sum of three figures, and `cached` is the part that was read.

    Raises:
        ContentValidationError: An unknown key, two names of one figure that
            say different things, or a figure that is not a whole number.
    """
    if isinstance(value, UsageFigures):
        return value
    if not isinstance(value, Mapping):
        raise ContentValidationError("usage", f"it must be a TokenUsage or a mapping, not {type(value).__name__}")
    figures: dict[str, int | None] = {}
    for key, item in value.items():
        if key in _FIGURES:
            _set(figures, _FIGURES[key], f"usage.{key}", item)
        elif key in _DETAILS:
            _take_details(figures, key, item)
        elif key not in _BESIDE:
            raise ContentValidationError(f"usage.{key}", "it is not a figure that is known")
    # Who sends the names of both has summed them up before.
    if value.get("input_tokens") is not None and value.get("prompt_tokens") is None:
        parts = [_figure(f"usage.{key}", value.get(key)) or 0 for key in ("input_tokens", _WRITTEN, _READ)]
        figures["prompt"] = _figure("usage.input_tokens", sum(parts))
    return UsageFigures(**figures)


def _take_details(figures: dict[str, int | None], key: str, details: object) -> None:
    if details is None:
        return
    if not isinstance(details, Mapping):
        raise ContentValidationError(f"usage.{key}", f"it must be a mapping, not {type(details).__name__}")
    for inner, item in details.items():
        if inner in _DETAILS[key]:
            _set(figures, _DETAILS[key][inner], f"usage.{key}.{inner}", item)
        elif inner not in _BESIDE_DETAILS:
            raise ContentValidationError(f"usage.{key}.{inner}", "it is not a figure that is known")


def _set(figures: dict[str, int | None], name: str, field: str, value: object) -> None:
    figure = _figure(field, value)
    if figure is None:
        return
    if figures.setdefault(name, figure) != figure:
        raise ContentValidationError(field, "another name of the same figure says something else")


def _figure(field: str, value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= INT64_MAX:
        raise ContentValidationError(field, "it must be a whole number, 0 or more")
    return value
