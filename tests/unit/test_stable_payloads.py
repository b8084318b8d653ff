"""What is given to a provider changes nowhere before the first slot that changed, so that its cache hits."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, histories
from tests.strategies import contents
from tract.domain.messages import Message
from tract.domain.texts import is_blank
from tract.formats.anthropic import messages_to_anthropic
from tract.formats.openai import message_to_openai
from tract.formats.rendering import RENDERING, render
from tract.operations.compiling import CompiledContext
from tract.operations.context import EMPTY
from tract.operations.folding import fold


def packed(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def blocks_of(payload: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what is said, block by block with who says it: a string is one text."""
    said = []
    for message in payload["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        said += [(message["role"], block) for block in blocks]
    return said


def alike(one: list[Any], other: list[Any]) -> int:
    """Return how many items both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def check_openai(one: list[Message], other: list[Message]) -> None:
    shared = alike(one, other)
    mine, its = ([message_to_openai(message) for message in messages] for messages in (one, other))
    assert packed(mine[:shared]) == packed(its[:shared])


def check_anthropic(one: list[Message], other: list[Message]) -> None:
    """Whatever stands before the first message that differs is the same, block by block."""
    shared = one[: alike(one, other)]
    mine, its, both = map(messages_to_anthropic, (one, other, shared))
    if "system" in both:
        assert mine["system"].startswith(both["system"])
        assert its["system"].startswith(both["system"])
    if not any(one.role != "system" and (one.tool_calls or not is_blank(one.text)) for one in shared):
        # Nobody has said anything yet, so that it may be said first that they begin.
        return
    before = blocks_of(both)
    # The blanks at the end of a last answer come with what follows it.
    count = len(before) - 1 if before[-1][0] == "assistant" else len(before)
    assert packed(blocks_of(mine)[:count]) == packed(blocks_of(its)[:count]) == packed(before[:count])
    for payload in (mine, its):
        role, block = blocks_of(payload)[len(before) - 1]
        assert (role, stripped(block)) == (before[-1][0], stripped(before[-1][1]))


def stripped(block: dict[str, Any]) -> dict[str, Any]:
    return {**block, "text": block["text"].rstrip()} if block["type"] == "text" else block


@given(histories())
@settings(deadline=None)
def test_before_the_first_slot_that_differs_any_two_contexts_render_the_same(history: History) -> None:
    heads = list(history.steps)[-5:]
    compiled = [CompiledContext(fold(EMPTY, history.line(head)), head, 0, "counted:none") for head in heads]
    for one in compiled:
        for other in compiled:
            check_openai(list(one.messages), list(other.messages))
            check_anthropic(list(one.messages), list(other.messages))


spoken = st.lists(
    contents.map(lambda content: render(content, RENDERING)).filter(lambda one: not one.tool_calls and one.role != "tool"),
    max_size=6,
)
"""Conversations of every kind of content, images and blank texts among them."""


@given(spoken, spoken, spoken)
@settings(deadline=None)
def test_the_same_holds_for_contents_of_every_type(first: list[Message], one: list[Message], other: list[Message]) -> None:
    check_openai([*first, *one], [*first, *other])
    check_anthropic([*first, *one], [*first, *other])
