"""Story: a history compiles to the same messages for ever, and to ones that a provider accepts."""

import asyncio
from typing import Any

import openai
import pytest

from tests.acceptance.reading import texts
from tract import (
    AsyncTract,
    DialogueContent,
    InstructionContent,
    LLMConfig,
    Message,
    ReasoningContent,
    ToolCall,
    ToolIOContent,
    from_openai,
)
from tract.errors import AmbiguousRefError, RefNotFoundError
from tract.testing.server import serve

NOTHING = "[no result recorded]"


def call(id: str) -> ToolCall:
    return ToolCall(id, "look", '{"at":  1.0}')


async def ask(t: AsyncTract, *ids: str, text: str | None = None) -> str:
    info = await t.commit(DialogueContent("assistant", text, tool_calls=tuple(map(call, ids))))
    return info.id


async def short(t: AsyncTract, at: str | None = None) -> list[str]:
    """Return each message as one line: who, what it answers, what it says or calls."""
    lines = []
    for message in (await t.compile(at)).messages:
        calls = ",".join(each.id for each in message.tool_calls)
        answers = f"<{message.tool_call_id}>" if message.role == "tool" else ""
        lines.append(f"{message.role}{answers}: {message.content or f'calls {calls}'}")
    return lines


async def repairs(t: AsyncTract) -> list[tuple[str, str, str | None]]:
    return [(repair.kind, repair.slot, repair.call_id) for repair in (await t.compile()).repairs]


async def test_an_empty_tract_compiles_to_nothing(t: AsyncTract) -> None:
    context = await t.compile()
    assert (context.to_openai(), context.head, context.token_count, len(context)) == ([], None, 3, 0)


async def test_the_same_commit_compiles_alike_after_reopening_and_through_another_handle(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.system("Be kind.")
        slot = await t.user("one")
        await ask(t, "a")
        await t.edit(slot.id, "two")
        first = await t.compile()
        async with AsyncTract.open(path) as second:
            other = await second.compile(first.head)
    async with AsyncTract.open(path) as t:
        again = await t.compile(first.head)
    whole = [(context.digest, context.payload_digest, context.to_openai(), context.head) for context in (first, other, again)]
    assert whole == [whole[0]] * 3


async def test_two_different_contexts_have_two_digests(t: AsyncTract) -> None:
    one, two = await t.user("one"), await t.user("two")
    assert (await t.compile(one.id)).digest != (await t.compile(two.id)).digest


async def test_hiding_and_showing_again_gives_the_digest_back(t: AsyncTract) -> None:
    slot = await t.user("one")
    before = await t.compile()
    await t.skip(slot.id)
    hidden = await t.compile()
    await t.annotate(slot.id, "normal")
    after = await t.compile()
    assert (before.digest == after.digest, before.digest == hidden.digest) == (True, False)


async def test_messages_of_the_same_role_stay_apart(t: AsyncTract) -> None:
    for text in ("one", "two", "three"):
        await t.user(text)
    assert await short(t) == ["user: one", "user: two", "user: three"]


async def test_each_message_is_traceable(t: AsyncTract) -> None:
    config = LLMConfig(model="tiny")
    first = await t.system("Be kind.")
    second = await t.assistant("Hi.", generation_config=config)
    context = await t.compile()
    assert list(context.messages) == [Message("system", "Be kind."), Message("assistant", "Hi.")]
    assert list(context.commit_ids) == list(context.slot_ids) == [first.id, second.id]
    assert list(context.generation_configs) == [None, config]
    assert list(context.token_counts) == [first.tokens, second.tokens]
    assert context.token_count == 3 + sum(info.tokens or 0 for info in (first, second))


async def test_a_compiled_context_prints_what_it_holds(t: AsyncTract) -> None:
    info = await t.commit(DialogueContent("assistant", tool_calls=(call("a"),)))
    context = await t.compile()
    assert str(context).splitlines() == [
        f"Compiled context at {info.id[:8]}",
        f"  2 messages, {context.token_count} tokens (counted:o200k_base)",
        "  repairs: 1 closed",
    ]


async def test_an_unanswered_call_is_closed_at_the_end(t: AsyncTract) -> None:
    slot = await ask(t, "a")
    assert await short(t) == ["assistant: calls a", f"tool<a>: {NOTHING}"]
    assert await repairs(t) == [("closed", slot, "a")]


async def test_an_unanswered_call_is_closed_in_the_middle(t: AsyncTract) -> None:
    slot = await ask(t, "a")
    await t.user("next")
    assert await short(t) == ["assistant: calls a", f"tool<a>: {NOTHING}", "user: next"]
    assert await repairs(t) == [("closed", slot, "a")]


async def test_a_late_result_moves_behind_its_call(t: AsyncTract) -> None:
    await ask(t, "a")
    await t.user("next")
    result = await t.tool_result("a", "found")
    assert await short(t) == ["assistant: calls a", "tool<a>: found", "user: next"]
    assert await repairs(t) == [("moved", result.id, "a")]


async def test_a_late_result_is_not_seen_at_the_commits_before_it(t: AsyncTract) -> None:
    await ask(t, "a")
    before = await t.user("next")
    await t.tool_result("a", "found")
    assert await short(t, before.id) == ["assistant: calls a", f"tool<a>: {NOTHING}", "user: next"]


async def test_results_stand_in_the_order_they_were_recorded(t: AsyncTract) -> None:
    slot = await ask(t, "a", "b", "c")
    await t.tool_result("c", "found c")
    await t.tool_result("a", "found a")
    assert await short(t) == ["assistant: calls a,b,c", "tool<c>: found c", "tool<a>: found a", f"tool<b>: {NOTHING}"]
    assert await repairs(t) == [("closed", slot, "b")]


async def test_a_result_without_its_call_is_left_out(t: AsyncTract) -> None:
    await t.user("one")
    orphan = await t.tool_result("a", "found")
    assert await short(t) == ["user: one"]
    assert await repairs(t) == [("orphan", orphan.id, "a")]


async def test_a_second_result_of_a_call_is_left_out(t: AsyncTract) -> None:
    await ask(t, "a")
    await t.tool_result("a", "found")
    second = await t.tool_result("a", "found again")
    assert await short(t) == ["assistant: calls a", "tool<a>: found"]
    assert await repairs(t) == [("duplicate", second.id, "a")]


async def test_an_id_used_again_belongs_to_the_nearest_earlier_call(t: AsyncTract) -> None:
    for text in ("one", "two"):
        await ask(t, "a", text=text)
        await t.tool_result("a", f"found {text}")
    assert await short(t) == ["assistant: one", "tool<a>: found one", "assistant: two", "tool<a>: found two"]
    assert await repairs(t) == []


async def test_two_open_calls_of_one_id_are_answered_the_nearest_first(t: AsyncTract) -> None:
    first = await ask(t, "a", text="one")
    await ask(t, "a", text="two")
    nearest = await t.tool_result("a", "found first")
    assert await short(t) == ["assistant: one", f"tool<a>: {NOTHING}", "assistant: two", "tool<a>: found first"]
    later = await t.tool_result("a", "found later")
    assert await short(t) == ["assistant: one", "tool<a>: found later", "assistant: two", "tool<a>: found first"]
    assert (await repairs(t), nearest.id == first) == ([("moved", later.id, "a")], False)


async def test_one_id_twice_in_one_message_takes_two_results(t: AsyncTract) -> None:
    await ask(t, "a", "a")
    await t.tool_result("a", "first")
    await t.tool_result("a", "second")
    assert (await short(t), await repairs(t)) == (["assistant: calls a,a", "tool<a>: first", "tool<a>: second"], [])


async def test_a_call_committed_on_its_own_is_answered_too(t: AsyncTract) -> None:
    await t.commit(ToolIOContent("look", "call", text="{}", call_id="a"))
    await t.tool_result("a", {"found": 1})
    assert (await short(t), await repairs(t)) == (["assistant: calls a", 'tool<a>: {"found":1}'], [])


async def test_a_hidden_slot_between_call_and_result_is_no_repair(t: AsyncTract) -> None:
    await ask(t, "a")
    await t.commit(ReasoningContent("Hm."))
    await t.tool_result("a", "found")
    assert (await short(t), await repairs(t)) == (["assistant: calls a", "tool<a>: found"], [])


async def test_a_result_of_another_branch_does_not_answer(t: AsyncTract) -> None:
    await ask(t, "a")
    await t.branch("other")
    await t.tool_result("a", "found")
    assert (await short(t, "main"), await short(t, "other")) == (
        ["assistant: calls a", f"tool<a>: {NOTHING}"],
        ["assistant: calls a", "tool<a>: found"],
    )


async def test_editing_a_call_away_leaves_its_result_out(t: AsyncTract) -> None:
    slot = await ask(t, "a")
    result = await t.tool_result("a", "found")
    await t.edit(slot, DialogueContent("assistant", "No need."))
    assert (await short(t), await repairs(t)) == (["assistant: No need."], [("orphan", result.id, "a")])


async def test_closings_count_for_the_compiled_context(t: AsyncTract) -> None:
    await ask(t, "a")
    open_context = await t.compile()
    result = await t.tool_result("a", NOTHING)
    answered = await t.compile()
    assert (open_context.token_count, list(open_context.token_counts)[1]) == (answered.token_count, None)
    assert list(answered.token_counts)[1] == result.tokens


async def test_orphans_do_not_count_for_the_compiled_context(t: AsyncTract) -> None:
    await t.user("one")
    before = await t.compile()
    await t.tool_result("a", "found")
    assert (await t.compile()).token_count == before.token_count


async def numbered(t: AsyncTract, count: int = 4) -> list[str]:
    return [(await t.user(f"{number}")).id for number in range(count)]


async def test_refs_name_commits(t: AsyncTract) -> None:
    ids = await numbered(t)
    await t.branch("other", at="HEAD~2")
    refs = {
        "HEAD": ids[1],
        "HEAD~": ids[0],
        "HEAD~0": ids[1],
        "main": ids[3],
        "main~1": ids[2],
        "main~3": ids[0],
        "other~1": ids[0],
        ids[2]: ids[2],
        f"{ids[3]}~2": ids[1],
        ids[2][:20]: ids[2],
        f"{ids[3][:30]}~1": ids[2],
    }
    assert {ref: (await t.compile(ref)).head for ref in refs} == refs


@pytest.mark.parametrize(
    "ref",
    [
        "nothing",
        "",
        "HEAD~4",
        "main~99999999999999999999",
        "HEAD~-1",
        "HEAD~1~1",
        "HEAD~x",
        "~1",
        "f" * 65,
        "ORIG_HEAD",
        "head",
        "\ud800",
        "\ud800~1",
    ],
)
async def test_an_unknown_ref_is_an_error_and_never_the_full_context(t: AsyncTract, ref: str) -> None:
    await numbered(t)
    with pytest.raises(RefNotFoundError):
        await t.compile(ref)


async def test_a_ref_that_is_no_string_is_an_error(t: AsyncTract) -> None:
    await numbered(t)
    with pytest.raises(RefNotFoundError):
        await t.compile(5)  # type: ignore[arg-type]


async def test_a_misspelt_branch_is_an_error_that_names_the_near_ones(t: AsyncTract) -> None:
    await numbered(t)
    await t.branch("feature-login", switch=False)
    with pytest.raises(RefNotFoundError) as caught:
        await t.compile("feature-logni")
    assert (caught.value.name, caught.value.near) == ("feature-logni", ("feature-login",))


async def test_prefixes_shorter_than_four_are_refused(t: AsyncTract) -> None:
    ids = await numbered(t)
    with pytest.raises(RefNotFoundError):
        await t.compile(ids[0][:3])


async def test_a_prefix_of_odd_length_is_enough(t: AsyncTract) -> None:
    ids = await numbered(t)
    assert [(await t.compile(ids[1][:length])).head for length in (9, 10, 11, 63)] == [ids[1]] * 4


async def test_a_prefix_of_four_is_enough(t: AsyncTract) -> None:
    info = await t.user("one")
    assert (await t.compile(info.id[:4])).head == info.id


async def alike(t: AsyncTract) -> tuple[str, list[str]]:
    """Commit until two ids begin with the same four digits."""
    seen: dict[str, list[str]] = {}
    while True:
        for info in await asyncio.gather(*(t.user("x") for _ in range(400))):
            found = seen.setdefault(info.id[:4], [])
            found.append(info.id)
            if len(found) == 2:
                return info.id[:4], found


async def test_a_prefix_of_several_commits_is_ambiguous_until_it_is_longer(t: AsyncTract) -> None:
    prefix, found = await alike(t)
    with pytest.raises(AmbiguousRefError) as caught:
        await t.compile(prefix)
    longer = [(await t.compile(id[:24])).head for id in found]
    assert (caught.value.prefix, set(found) <= set(caught.value.ids), longer) == (prefix, True, found)


async def test_a_branch_whose_name_looks_like_a_prefix_is_the_branch(t: AsyncTract) -> None:
    ids = await numbered(t)
    await t.branch(ids[0][:8], at=ids[2], switch=False)
    assert (await t.compile(ids[0][:8])).head == ids[2]


async def test_a_commit_of_another_tract_of_the_file_is_not_found(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        foreign = await one.user("one's")
        await two.user("two's")
        for ref in (foreign.id, foreign.id[:12]):
            with pytest.raises(RefNotFoundError):
                await two.compile(ref)


async def test_an_unborn_branch_names_no_commit_but_compiles_to_nothing(t: AsyncTract) -> None:
    with pytest.raises(RefNotFoundError):
        await t.compile("HEAD")
    assert (await t.compile()).to_openai() == []


CONVERSATION: list[Any] = [
    InstructionContent("Be kind."),
    DialogueContent("system", "Be brief.", "policy"),
    DialogueContent("user", "Hi", "anna"),
    DialogueContent("assistant", None, tool_calls=(call("a"), call("b"))),
    ToolIOContent("look", text="", call_id="a"),
    ToolIOContent(payload=[1, {"x": None}], call_id="b"),
    DialogueContent("assistant", "Done."),
]


async def test_to_openai_is_what_chat_completions_take(t: AsyncTract) -> None:
    for content in CONVERSATION:
        await t.commit(content)
    function = {"name": "look", "arguments": '{"at":  1.0}'}
    assert (await t.compile()).to_openai() == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief.", "name": "policy"},
        {"role": "user", "content": "Hi", "name": "anna"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": function},
                {"id": "b", "type": "function", "function": function},
            ],
        },
        {"role": "tool", "content": "", "name": "look", "tool_call_id": "a"},
        {"role": "tool", "content": '[1,{"x":null}]', "tool_call_id": "b"},
        {"role": "assistant", "content": "Done."},
    ]


async def test_to_dicts_has_calls_in_our_own_words(t: AsyncTract) -> None:
    for content in CONVERSATION[3:5]:
        await t.commit(content)
    assert (await t.compile()).to_dicts() == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": id, "name": "look", "arguments": '{"at":  1.0}'} for id in ("a", "b")],
        },
        {"role": "tool", "content": "", "name": "look", "tool_call_id": "a"},
        {"role": "tool", "content": NOTHING, "tool_call_id": "b"},
    ]


async def test_what_compiles_can_be_read_in_again(t: AsyncTract) -> None:
    for content in CONVERSATION:
        await t.commit(content)
    messages = (await t.compile()).to_openai()
    async with AsyncTract.open() as other:
        for content in from_openai(messages):
            await other.commit(content)
        assert (await other.compile()).to_openai() == messages


async def test_the_openai_client_takes_the_messages_unchanged(t: AsyncTract) -> None:
    for content in CONVERSATION:
        await t.commit(content)
    messages = (await t.compile()).to_openai()
    async with serve(["Hello."]) as server, openai.AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
        answer = await client.chat.completions.create(model="tiny", messages=messages)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "Hello."
    assert [received.body["messages"] for received in server.requests] == [messages]


async def test_the_openai_client_takes_every_real_conversation(t: AsyncTract, trajectories: list[list[dict[str, Any]]]) -> None:
    conversations = trajectories[:10]
    async with serve() as server, openai.AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
        for number, messages in enumerate(conversations):
            await t.branch(f"conversation-{number}")
            for content in from_openai(messages):
                await t.commit(content)
            compiled: Any = (await t.compile()).to_openai()
            await client.chat.completions.create(model="tiny", messages=compiled)
            await t.switch("main")
    assert [received.body["messages"] for received in server.requests] == conversations


async def test_compiling_reads_no_more_than_it_should(t: AsyncTract) -> None:
    await numbered(t)
    before = await t.log()
    await t.compile()
    assert (await t.log(), await texts(t)) == (before, ["0", "1", "2", "3"])
