"""What goes to a model beside messages and settings: tools, and the form of the answer.

Imports `domain`, `errors` and `formats`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen


@frozen(eq=False, repr=False)
class Offer:
    """What one call offers the model.

    Attributes:
        tools: Tool schemas, in the format of OpenAI's Chat Completions.
        tool_choice: Which of them must or may be called, in the same format.
        response_format: What the answer must look like, in the same format.
    """

    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None


NOTHING = Offer()
"""What a call offers that asks for text alone."""


def offer_of(
    tools: Sequence[Mapping[str, Any]] | None,
    tool_choice: str | Mapping[str, Any] | None,
    response_format: Mapping[str, Any] | None,
) -> Offer:
    """Return what a call offers, by the arguments of its verb."""
    if tools is None and tool_choice is None and response_format is None:
        return NOTHING
    return Offer(tuple(tools or ()), tool_choice, response_format)
