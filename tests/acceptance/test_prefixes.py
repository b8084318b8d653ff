"""Story: what was sent before stands unchanged at the beginning of what is sent next, and I see how much of it."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere
from tests.acceptance.scripting import Held, opened
from tract import (
    AsyncTract,
    CompiledContext,
    DialogueContent,
    ImagePart,
    LLMConfig,
    ModelReply,
    Priority,
    TextPart,
    ToolCall,
    XMLCompiler,
    admin,
)
from tract.errors import ModelConnectionError
from tract.testing import ScriptedLLM
from tract.testing.server import Reply, serve

TURNS = 100
IMAGE = ImagePart(data="AAAA", media_type="image/png")


def packed(messages: Sequence[Any]) -> str:
    """Return messages as they are written into a request, without what ends the list."""
    return json.dumps(list(messages), ensure_ascii=False)[:-1]


def grew(payloads: Sequence[Sequence[Any]]) -> bool:
    """Tell whether each begins with the bytes of the one before."""
    packs = [packed(payload) for payload in payloads]
    return all(later.startswith(earlier) for earlier, later in pairwise(packs))


def answer(number: int) -> ModelReply:
    """Answer, now and then by calling tools, whose ids come again."""
    calls = (ToolCall("again", "look", '{"at": 1}'), ToolCall(f"call {number}", "look", "{}"))
    return (
        ModelReply("Let me look. " if number % 2 else None, tool_calls=calls) if number % 3 == 1 else ModelReply(f"No. {number}.")
    )


async def take_turn(t: AsyncTract, number: int) -> None:
    """Say something, and answer what was called before the next turn."""
    if number % 7 == 5:
        await t.commit(DialogueContent("user", (TextPart("Look at that."), IMAGE)))
    if number % 11 == 4:
        thought = await t.commit({"content_type": "reasoning", "text": f"Thought {number}"})
        await t.skip(thought.id)
    response = await t.chat(f"Question {number} \u00e4")
    for call in reversed(response.tool_calls):
        await t.tool_result(call.id, f"Seen by {number}")
    if number % 13 == 6:
        await t.pin(response.commit_info.id)


async def cached(t: AsyncTract, at: str | None = None, **options: Any) -> tuple[int, str | None]:
    compiled = await t.compile(at, **options)
    return compiled.cacheable_tokens, compiled.cache_break


def cost(compiled: CompiledContext, count: int | None = None) -> int:
    """Return what the first messages cost; all of them by default."""
    return sum(tokens or 0 for tokens in list(compiled.token_counts)[:count])


async def test_over_a_hundred_turns_every_request_begins_with_the_bytes_of_the_one_before() -> None:
    llm = ScriptedLLM([answer(number) for number in range(TURNS)])
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.system("Be kind.")
        for number in range(TURNS):
            await take_turn(t, number)
            assert (await t.compile()).cache_break is None
    assert grew([request.messages for request in llm.requests])


async def test_over_a_hundred_turns_the_same_holds_for_what_a_server_receives() -> None:
    replies = [Reply(reply.text, reply.tool_calls) for reply in map(answer, range(TURNS))]
    async with serve(replies) as server, AsyncTract.open(base_url=server.base_url, model="tiny", api_key="sk-test") as t:
        await t.system("Be kind.")
        for number in range(TURNS):
            await take_turn(t, number)
    assert len(server.requests) == TURNS
    assert grew([received.body["messages"] for received in server.requests])


async def test_over_a_hundred_turns_anthropic_is_given_the_messages_before_as_they_were() -> None:
    asked: list[dict[str, Any]] = []
    async with opened([answer(number) for number in range(TURNS)]) as t:
        await t.system("Be kind.")
        for number in range(TURNS):
            await take_turn(t, number)
            question = (await t.generations(limit=1))[0].question
            assert question is not None
            asked.append((await t.compile(question)).to_anthropic())
    assert {payload["system"] for payload in asked} == {"Be kind."}
    assert grew([payload["messages"] for payload in asked])


async def test_an_edit_in_the_middle_changes_nothing_before_its_slot() -> None:
    async with opened([answer(number) for number in range(20)]) as t:
        await t.system("Be kind.")
        for number in range(20):
            await take_turn(t, number)
        before = await t.compile()
        place = next(place for place, message in enumerate(before.messages) if message.content == "Question 10 \u00e4")
        edit = await t.edit(before.slot_ids[place], "Another question")
        after = await t.compile()
        assert packed(after.to_openai()[:place]) == packed(before.to_openai()[:place])
        assert after.to_openai()[place] != before.to_openai()[place]
        assert (after.cache_break, after.cacheable_tokens) == (edit.id, cost(after, place))


async def test_where_nothing_was_sent_nothing_is_cached(t: AsyncTract) -> None:
    assert await cached(t) == (0, None)
    await t.user("Hi")
    assert await cached(t) == (0, None)


async def test_all_that_was_sent_can_be_cached_and_no_more() -> None:
    async with opened(["Hello.", "Fine."]) as t:
        await t.system("Be kind.")
        for text, count in (("Hi", 2), ("How are you?", 4)):
            await t.chat(text)
            compiled = await t.compile()
            assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled, count), None)
        await t.user("More")
        assert await cached(t) == (cost(await t.compile(), 4), None)


async def test_the_commit_that_changed_what_was_sent_is_named() -> None:
    async with opened(["Hello.", "Fine."]) as t:
        system = await t.system("Be kind.")
        await t.chat("Hi")
        await t.chat("How are you?")
        ids = (await t.compile()).slot_ids
        costs = list((await t.compile()).token_counts)
        skip = await t.skip(ids[2])
        assert await cached(t) == (sum(map(int, costs[:2])), skip.id)
        edit = await t.edit(system.id, "Be brief.")
        assert await cached(t) == (0, edit.id)
        await t.revert(edit.id)
        assert await cached(t) == (sum(map(int, costs[:2])), skip.id)
        await t.revert(skip.id)
        assert await cached(t) == (sum(map(int, costs[:4])), None)


async def test_after_it_was_sent_a_change_is_part_of_what_can_be_cached() -> None:
    async with opened(["Hello.", "Fine."]) as t:
        await t.chat("Hi")
        edit = await t.edit((await t.compile()).slot_ids[0], "Hello")
        assert (await t.compile()).cache_break == edit.id
        await t.chat("How are you?")
        compiled = await t.compile()
        assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled, 3), None)


async def test_a_result_that_comes_after_its_call_was_sent_without_one_is_named() -> None:
    calling = ModelReply("Let me look.", tool_calls=(ToolCall("a", "look", "{}"),))
    async with opened([calling, "Nothing yet."]) as t:
        await t.chat("Hi")
        await t.chat("And?")
        result = await t.tool_result("a", "found")
        compiled = await t.compile()
        assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled, 2), result.id)


async def test_what_stands_in_for_a_missing_result_costs_what_it_is_counted_as() -> None:
    calling = ModelReply("Let me look.", tool_calls=(ToolCall("a", "look", "{}"),))
    llm = ScriptedLLM([calling, "Nothing yet."], reports_usage=False)
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.chat("Hi")
        await t.chat("And?")
        compiled = await t.compile()
        # All but the last answer and what the context costs beside its messages.
        assert compiled.cacheable_tokens == compiled.token_count - 3 - (compiled.token_counts[-1] or 0)


async def test_each_branch_has_its_own_record() -> None:
    async with opened(["Hello.", "Here."]) as t:
        await t.chat("Hi")
        await t.branch("other")
        assert await cached(t) == (0, None)
        await t.chat("Anybody?")
        other, main = await t.compile(), await t.compile("main")
        assert other.cacheable_tokens == cost(other, 3)
        assert main.cacheable_tokens == cost(main, 1)
        assert await cached(t, "main~1") == await cached(t, "main")
        await t.switch("main")
        assert await cached(t) == (cost(main, 1), None)
        assert await cached(t, "other") == (cost(other, 3), None)


async def test_a_commit_is_compared_with_what_was_sent_on_the_branch_one_stands_on() -> None:
    async with opened(["Hello.", "Fine."]) as t:
        first = (await t.chat("Hi")).commit_info.id
        await t.chat("How are you?")
        compiled = await t.compile(first)
        # All of it was sent, and more.
        assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled), None)


async def test_a_call_that_failed_was_sent_all_the_same() -> None:
    async with opened(["Hello.", ModelConnectionError("refused"), "Yes."]) as t:
        await t.chat("Hi")
        with pytest.raises(ModelConnectionError):
            await t.chat("Are you there?")
        compiled = await t.compile()
        assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled), None)
        await t.user("Are you there?")
        asked = await t.compile()
        assert (asked.cacheable_tokens, asked.cache_break) == (cost(asked), None)


async def test_what_is_said_in_the_place_of_a_question_that_failed_is_named() -> None:
    async with opened(["Hello.", ModelConnectionError("refused")]) as t:
        await t.chat("Hi")
        with pytest.raises(ModelConnectionError):
            await t.chat("Are you there?")
        kept = cost(await t.compile())
        said = await t.user("Something else")
        assert await cached(t) == (kept, said.id)
        hello = (await t.compile()).slot_ids[1]
        skip = await t.skip(hello)
        assert await cached(t) == (cost(await t.compile(), 1), skip.id)


async def test_what_is_on_its_way_was_sent() -> None:
    model = Held()
    async with opened(model) as t, t.stream("Hi") as stream:
        async for _ in stream:
            break
        assert (await t.compile()).cacheable_tokens == 0
        question = (await t.generations())[0].question
        compiled = await t.compile(question)
        assert compiled.cacheable_tokens == cost(compiled) > 0


async def test_the_record_is_found_again_after_reopening(path: str) -> None:
    calling = ModelReply("Let me look.", tool_calls=(ToolCall("a", "look", "{}"),))
    async with opened(["Hello.", calling], path) as t:
        await t.chat("Hi")
        await t.chat("Look")
        compiled = await t.compile()
        grown = (compiled.cacheable_tokens, compiled.cache_break)
    async with AsyncTract.open(path) as t:
        assert await cached(t) == grown == (cost(compiled, 3), None)
        await t.user("More")
        assert await cached(t) == grown
        edit = await t.edit(compiled.slot_ids[1], "Hi!")
        assert await cached(t) == (cost(compiled, 1), edit.id)
    async with AsyncTract.open(path) as t:
        assert await cached(t) == (cost(compiled, 1), edit.id)


@pytest.mark.parametrize("meanwhile", ["nothing", "an edit"])
async def test_where_the_text_that_was_sent_is_gone_the_rest_compiles_and_nothing_is_known_to_be_cached(
    path: str, meanwhile: str
) -> None:
    async with opened(["Hello.", ModelConnectionError("refused")], path) as t:
        await t.chat("Hi")
        with pytest.raises(ModelConnectionError):
            await t.chat("Are you there?")
        if meanwhile == "an edit":
            await t.edit((await t.compile()).slot_ids[0], "Hi!")
        before = await t.compile()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE blobs SET data = NULL, salt = NULL, fingerprint = NULL WHERE number = "
            "(SELECT c.content FROM commits c JOIN generations g ON g.question = c.id WHERE g.status = 'failed')"
        )
    async with AsyncTract.open(path) as t:
        compiled = await t.compile()
        assert (compiled.to_dicts(), compiled.cacheable_tokens, compiled.cache_break) == (before.to_dicts(), 0, None)


@pytest.mark.parametrize("what", ["nothing", "message", "hidden", "call", "result", "skip", "edit"])
async def test_whatever_came_since_a_process_that_begins_anew_sees_the_same(path: str, what: str) -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    async with opened([ModelReply("Let me look.", tool_calls=calls), "Nothing yet."], path) as t:
        await t.chat("Hi")
        await t.chat("And?")
        if what == "message":
            await t.user("More")
        elif what == "hidden":
            await t.commit({"content_type": "reasoning", "text": "Hm."}, priority=Priority.SKIP)
        elif what == "call":
            await t.commit(DialogueContent("assistant", None, tool_calls=calls))
        elif what == "result":
            await t.tool_result("b", "found")
        elif what == "skip":
            await t.skip((await t.compile()).slot_ids[0])
        elif what == "edit":
            await t.edit((await t.compile()).slot_ids[-1], "Nothing at all.")
        before = await cached(t)
    async with AsyncTract.open(path) as t:
        assert await cached(t) == before
        await t.user("On it goes")
        assert await cached(t) == before


@pytest.mark.parametrize("count", range(1, 9))
async def test_a_break_is_named_the_same_as_its_history_goes_on_and_by_who_reads_it_anew(path: str, count: int) -> None:
    async with opened(["Hello.", "Fine.", "Yes."], path) as t:
        for text in ("Hi", "How are you?", "Really?"):
            await t.chat(text)
        slots = (await t.compile()).slot_ids
        changes: list[Callable[[], Awaitable[object]]] = [
            lambda: t.edit(slots[3], "Well."),
            lambda: t.user("Behind it"),
            lambda: t.user("And behind that"),
            lambda: t.skip(slots[2]),
            lambda: t.user("Once more"),
            lambda: t.edit(slots[0], "Hi!"),
            lambda: t.revert("HEAD"),
            lambda: t.user("At last"),
        ]
        for change in changes[:count]:
            await change()
            seen = await cached(t)
    async with AsyncTract.open(path) as t:
        assert await cached(t) == seen


async def test_a_rebuild_changes_nothing_of_it(path: str) -> None:
    async with opened(["Hello.", "Fine."], path) as t:
        await t.chat("Hi")
        await t.chat("How are you?")
        skip = await t.skip((await t.compile()).slot_ids[1])
        before = await cached(t)
    await admin.rebuild(path)
    async with AsyncTract.open(path) as t:
        assert await cached(t) == before == (cost(await t.compile(), 1), skip.id)


async def test_what_another_process_sent_counts(path: str) -> None:
    async with opened(["Hello."], path) as t:
        await t.chat("Hi")
        before = await t.compile()

        async def talk(other: AsyncTract) -> None:
            await other.configure_llm(ScriptedLLM(["Fine."]), config=LLMConfig(model="tiny"))
            await other.chat("How are you?")

        assert before.cacheable_tokens == cost(before, 1)
        await from_elsewhere(path, talk)
        compiled = await t.compile()
        assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled, 3), None)


async def test_what_is_in_an_open_batch_is_compared_too() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        async with t.batch():
            edit = await t.edit((await t.compile()).slot_ids[0], "Hi!")
            assert await cached(t) == (0, edit.id)


async def test_another_order_is_compared_as_it_is_shown() -> None:
    async with opened(["Hello."]) as t:
        await t.system("Be kind.")
        await t.user("One")
        await t.chat("Two")
        first, one, two, last = (await t.compile()).slot_ids
        compiled = await t.compile(order=[first, two, one, last])
        assert (compiled.cacheable_tokens, compiled.cache_break) == (cost(compiled, 1), None)


async def test_marks_of_edits_are_compared_as_they_are_shown() -> None:
    async with opened(["Hello."]) as t:
        slot = await t.user("One")
        await t.edit(slot.id, "ONE")
        await t.chat("Two")
        assert await cached(t, include_edit_marks=True) == (0, None)
        compiled = await t.compile()
        assert compiled.cacheable_tokens == cost(compiled, 2)


async def test_with_another_compiler_its_messages_are_compared(path: str) -> None:
    async with opened(["Hello."], path, compiler=XMLCompiler()) as t:
        slot = await t.user("One")
        await t.chat("Two")
        compiled, count = await t.compile(), t.collaborators.counter.count_message
        assert compiled.cacheable_tokens == sum(map(count, compiled.messages[:2]))
    async with opened(["Fine."], path) as t:
        # What was sent was in tags, so that nothing of it is sent like this.
        assert await cached(t) == (0, None)
        await t.chat("Three")
    async with AsyncTract.open(path, compiler=XMLCompiler()) as t:
        assert await cached(t) == (0, None)
        edit = await t.edit(slot.id, "ONE")
        assert await cached(t) == (0, edit.id)


async def test_the_same_context_sent_again_by_another_compiler_was_sent_otherwise(path: str) -> None:
    refused = ModelConnectionError("refused")
    async with opened([refused], path) as t, opened([refused], path, compiler=XMLCompiler()) as other:
        await t.user("One")
        with pytest.raises(ModelConnectionError):
            await t.generate()
        assert (await cached(t)) == (cost(await t.compile()), None)
        with pytest.raises(ModelConnectionError):
            await other.generate()
        assert await cached(t) == (0, None)


async def test_what_was_sent_by_a_compiler_that_is_not_at_hand_is_not_known(path: str) -> None:
    class Shouting:
        name = "shouting"
        version = 1

        def compile(self, slots: Sequence[Any]) -> Sequence[Any]:
            return [slot.message for slot in slots]

    async with opened(["Hello."], path, compiler=Shouting()) as t:
        await t.chat("Hi")
        compiled = await t.compile()
        assert compiled.cacheable_tokens == cost(compiled, 1)
    async with AsyncTract.open(path) as t:
        assert await cached(t) == (0, None)


async def test_a_request_is_recorded_as_sent_only_when_it_was_compiled() -> None:
    class Failing:
        name = "failing"
        version = 1

        def compile(self, slots: Sequence[Any]) -> Sequence[Any]:
            if any(slot.message.content == "Fail" for slot in slots):
                raise ValueError
            return [slot.message for slot in slots]

    async with opened(["Hello."], compiler=Failing()) as t:
        await t.chat("Hi")
        grown = await cached(t)
        with pytest.raises(Exception, match="failing/1"):
            await t.chat("Fail")
        assert await cached(t) == grown
