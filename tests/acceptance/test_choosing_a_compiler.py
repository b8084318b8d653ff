"""Story: somebody wants the history told to the model in another form."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tract import AsyncTract, CompiledSlot, DialogueContent, InstructionContent, Message, TokenUsage, ToolCall, XMLCompiler
from tract.errors import CompilerError, ConfigError
from tract.testing import ScriptedLLM


class Loud:
    """A compiler of somebody's own."""

    name = "loud"
    version = 2

    def compile(self, slots: Sequence[CompiledSlot]) -> list[Message]:
        return [Message(slot.message.role, str(slot.message.content).upper()) for slot in slots]


class Broken(Loud):
    def compile(self, slots: Sequence[CompiledSlot]) -> list[Message]:
        raise ValueError("secret")


async def spoken(t: AsyncTract) -> None:
    await t.commit(InstructionContent("Be <kind>."))
    await t.user("Hi & hello")
    await t.commit(DialogueContent("assistant", None, tool_calls=(ToolCall("a", "look", '{"x": "<"}'),)))
    await t.tool_result("a", "<found>")


async def test_xml_puts_each_slot_into_a_tag_named_by_its_type() -> None:
    async with AsyncTract.open(compiler=XMLCompiler()) as t:
        await spoken(t)
        assert (await t.compile()).to_dicts() == [
            {"role": "system", "content": "<instruction>Be &lt;kind&gt;.</instruction>"},
            {"role": "user", "content": "<dialogue>Hi &amp; hello</dialogue>"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "name": "look", "arguments": '{"x": "<"}'}]},
            {"role": "tool", "content": "<found>", "tool_call_id": "a"},
        ]


async def test_a_compiler_of_ones_own_is_used() -> None:
    async with AsyncTract.open(compiler=Loud()) as t:
        await t.user("hi")
        context = await t.compile()
        assert (await texts(t), context.compiler) == (["HI"], "loud/2")


async def test_without_one_the_default_compiler_is_named(t: AsyncTract) -> None:
    assert (await t.compile()).compiler == "tract/1"


async def test_another_compiler_shows_the_same_history(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await spoken(t)
        plain = await t.compile()
    async with AsyncTract.open(path, compiler=XMLCompiler()) as t:
        shown = await t.compile()
    assert (shown.head, shown.digest, list(shown.slot_ids)) == (plain.head, plain.digest, list(plain.slot_ids))
    assert shown.payload_digest != plain.payload_digest


async def test_two_handles_of_one_store_compile_each_in_its_way(path: str) -> None:
    async with AsyncTract.open(path) as plain, AsyncTract.open(path, compiler=Loud()) as loud:
        await plain.user("hi")
        assert (await texts(loud), await texts(plain)) == (["HI"], ["hi"])


async def test_a_worktree_compiles_as_its_handle_does() -> None:
    async with AsyncTract.open(compiler=Loud()) as t:
        await t.user("hi")
        async with await t.worktree("main") as second:
            assert await texts(second) == ["HI"]


async def test_a_model_is_sent_what_the_compiler_made_and_the_record_names_it(path: str) -> None:
    llm = ScriptedLLM(["An answer."])
    async with AsyncTract.open(path, llm=llm, model="tiny", compiler=XMLCompiler()) as t:
        await t.chat("Hi")
    assert [list(request.messages) for request in llm.requests] == [[{"role": "user", "content": "<dialogue>Hi</dialogue>"}]]
    with closing(sqlite3.connect(path)) as connection:
        ((data,),) = connection.execute("SELECT data FROM events WHERE type = 'generation.started'").fetchall()
    assert json.loads(data)["compiler"] == "xml/1"


async def test_the_answer_is_recorded_as_it_came() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["An answer."]), model="tiny", compiler=XMLCompiler()) as t:
        response = await t.chat("Hi")
        assert (response.text, (await t.show("HEAD")).content) == ("An answer.", DialogueContent("assistant", "An answer."))


async def test_what_the_compiler_made_is_counted() -> None:
    async with AsyncTract.open(compiler=XMLCompiler()) as t:
        await spoken(t)
        context = await t.compile()
        count = t.collaborators.counter.count_message
        assert context.token_count == 3 + sum(map(count, context.messages))
        assert context.token_source == "counted:o200k_base"


async def test_a_report_of_the_provider_does_not_stand_for_what_another_compiler_made() -> None:
    async with AsyncTract.open(compiler=XMLCompiler()) as t:
        await t.assistant("Hi")
        await t.record_usage(TokenUsage(prompt=500, completion=5))
        assert (await t.compile()).token_source == "counted:o200k_base"


async def test_a_context_says_which_compiler_made_it() -> None:
    async with AsyncTract.open(compiler=Loud()) as t:
        await t.user("hi")
        assert "  compiler: loud/2" in str(await t.compile()).splitlines()


async def test_a_compiler_that_fails_is_named(path: str) -> None:
    async with AsyncTract.open(path, compiler=Broken()) as t:
        await t.user("hi")
        with pytest.raises(CompilerError, match="'loud/2' failed: it raised ValueError") as caught:
            await t.compile()
        assert "secret" not in str(caught.value)


async def test_a_turn_whose_compiler_fails_leaves_the_branch_as_it_was() -> None:
    llm = ScriptedLLM(["An answer."])
    async with AsyncTract.open(llm=llm, model="tiny", compiler=Broken()) as t:
        before = await t.user("hi")
        with pytest.raises(CompilerError):
            await t.chat("Hello?")
        assert (await t.head(), llm.requests) == (before.id, [])


async def test_a_turn_whose_compiler_fails_is_recorded_as_failed() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["An answer."]), model="tiny", compiler=Broken()) as t:
        with pytest.raises(CompilerError):
            await t.chat("Hello?")
        (info,) = await t.generations()
        assert (info.status, info.finish_reason) == ("failed", "CompilerError")


def lacking(name: str) -> Any:
    return type("Odd", (), {key: value for key, value in vars(Loud).items() if key in {"name", "version", "compile"} - {name}})()


def odd(**members: Any) -> Any:
    return type("Odd", (Loud,), members)()


async def _coroutine(self: Any, slots: Any) -> Any:
    return []


@pytest.mark.parametrize(
    "compiler",
    [
        Loud,
        lacking("name"),
        lacking("version"),
        lacking("compile"),
        odd(name=""),
        odd(name="two words"),
        odd(name=5),
        odd(name="x" * 41),
        odd(name="a/b"),
        odd(name="tract"),
        odd(version=0),
        odd(version="1"),
        odd(version=True),
        odd(compile=_coroutine),
    ],
)
async def test_what_is_no_compiler_is_refused_when_the_tract_is_opened(path: str, compiler: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        await AsyncTract.open(path, compiler=compiler)
    assert caught.value.field == "compiler"
