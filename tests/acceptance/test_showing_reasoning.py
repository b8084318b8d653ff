"""Story: somebody wants a context with what the models thought, to read it or to send it on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tests.acceptance.scripting import opened
from tests.validators import check_anthropic, check_openai
from tract import AsyncTract, DialogueContent, ModelReply, ReasoningContent, TokenUsage, ToolCall, XMLCompiler
from tract.errors import ContentValidationError

CALL = ToolCall("a", "look", "{}")
SAID = ["Hi", "I wonder.", "Hello."]


@pytest.fixture
async def t() -> AsyncIterator[AsyncTract]:
    async with opened(lambda _: ModelReply("Hello.", reasoning="I wonder.", usage=TokenUsage(40, 9, reasoning=6))) as opened_:
        yield opened_


async def thinking(t: AsyncTract, **options: Any) -> list[Any]:
    return [message.content for message in (await t.compile(include_reasoning=True, **options)).messages]


async def test_reasoning_is_shown_where_it_stands(t: AsyncTract) -> None:
    await t.chat("Hi")
    context = await t.compile(include_reasoning=True)
    assert [(message.role, message.content) for message in context.messages] == [
        ("user", "Hi"),
        ("assistant", "I wonder."),
        ("assistant", "Hello."),
    ]
    assert len(context) == 3
    assert list(context.slot_ids) == [info.id for info in reversed(await t.log())]


async def test_showing_it_changes_nothing_for_who_does_not_ask(t: AsyncTract) -> None:
    await t.chat("Hi")
    before = await t.compile()
    shown = await t.compile(include_reasoning=True)
    after = await t.compile()
    assert await texts(t) == ["Hi", "Hello."]
    assert (before.digest, before.payload_digest, before.token_count) == (after.digest, after.payload_digest, after.token_count)
    assert len({before.digest, shown.digest}) == len({before.payload_digest, shown.payload_digest}) == 2


async def test_it_is_counted_on_top_of_what_the_provider_reported(t: AsyncTract) -> None:
    await t.chat("Hi")
    thought = await t.show("HEAD~1")
    shown = await t.compile(include_reasoning=True)
    assert (shown.token_count, shown.token_source) == (43 + (thought.info.tokens or 0), "reported:tiny")


async def test_without_reasoning_nothing_differs() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        plain, shown = await t.compile(), await t.compile(include_reasoning=True)
        assert (shown.to_openai(), shown.digest, shown.payload_digest, shown.token_count) == (
            plain.to_openai(),
            plain.digest,
            plain.payload_digest,
            plain.token_count,
        )


async def test_reasoning_that_somebody_skipped_stays_hidden(t: AsyncTract) -> None:
    await t.chat("Hi")
    thought = await t.show("HEAD~1")
    await t.skip(thought.info.id)
    assert await thinking(t) == ["Hi", "Hello."]
    await t.revert("HEAD")
    assert await thinking(t) == SAID


async def test_reasoning_that_compiles_anyway_is_shown_once(t: AsyncTract) -> None:
    await t.chat("Hi")
    await t.annotate("HEAD~1", "normal")
    assert (await texts(t), await thinking(t)) == (SAID, SAID)


async def test_other_contents_that_are_skipped_stay_hidden(t: AsyncTract) -> None:
    await t.commit("a note", priority="skip")
    await t.chat("Hi")
    assert await thinking(t) == SAID


async def test_between_a_call_and_its_result_it_comes_behind_both(t: AsyncTract) -> None:
    await t.user("Hi")
    await t.commit(DialogueContent("assistant", None, tool_calls=(CALL,)))
    await t.commit(ReasoningContent("Meanwhile."))
    await t.tool_result("a", "found")
    context = await t.compile(include_reasoning=True)
    assert [message.role for message in context.messages] == ["user", "assistant", "tool", "assistant"]
    assert [(repair.kind, repair.call_id) for repair in context.repairs] == [("moved", "a")]
    assert (await t.compile()).repairs == ()


async def test_what_is_shown_is_accepted_by_both_providers(t: AsyncTract) -> None:
    await t.chat("Hi")
    await t.commit(ReasoningContent("I had better look."))
    await t.commit(DialogueContent("assistant", None, tool_calls=(CALL,)))
    await t.commit(ReasoningContent("Meanwhile."))
    await t.tool_result("a", "found")
    await t.generate()
    context = await t.compile(include_reasoning=True)
    check_openai(context.to_openai())
    check_anthropic(context.to_anthropic())


async def test_an_edited_thought_bears_the_mark(t: AsyncTract) -> None:
    await t.chat("Hi")
    await t.edit("HEAD~1", "I ponder.")
    assert await thinking(t, include_edit_marks=True) == ["Hi", "I ponder. [edited]", "Hello."]


async def test_an_order_names_what_is_shown(t: AsyncTract) -> None:
    await t.chat("Hi")
    question, thought, answer = (info.id for info in reversed(await t.log()))
    assert await thinking(t, order=[answer, thought, question]) == SAID[::-1]
    with pytest.raises(ContentValidationError, match="leaves out 1 of 3"):
        await t.compile(order=[answer, question], include_reasoning=True)


async def test_another_compiler_is_given_it_as_reasoning() -> None:
    async with opened([ModelReply("Hello.", reasoning="I wonder.")], compiler=XMLCompiler()) as t:
        await t.chat("Hi")
        assert "<reasoning" in str((await thinking(t))[1])


async def test_at_an_earlier_commit_only_what_was_thought_until_then_is_shown(t: AsyncTract) -> None:
    first = await t.chat("Hi")
    await t.chat("Again")
    assert [message.content for message in (await t.compile(first.commit_info.id, include_reasoning=True)).messages] == SAID
