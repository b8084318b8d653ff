"""Contexts that turns lead to, each going on from the one before: they are what a fresh store compiles."""

from pathlib import Path
from typing import Any

import pytest

from tests.recording import whole
from tract import AsyncTract, DialogueContent, ModelReply, ToolCall
from tract.errors import ModelResponseError
from tract.testing import ScriptedLLM


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "turns.db")


def opened(path: str, *replies: Any) -> Any:
    return AsyncTract.open(path, llm=ScriptedLLM(list(replies)), model="tiny", durability="normal")


async def compiled(t: AsyncTract) -> dict[str, Any]:
    """Return what every commit compiles to, answers and questions off the branch too."""
    ids = [record.id for record in await t.log(limit=1000)]
    calls = [id for each in await t.generations() for id in (each.question, each.answer) if id is not None]
    return {id: whole(await t.compile(id)) for id in dict.fromkeys((*ids, *calls))}


async def test_turns_and_appends_between_them(path: str) -> None:
    call = ModelReply(None, tool_calls=(ToolCall("1", "look", "{}"),))
    async with opened(path, "a", call, "b", "c") as t:
        await t.system("Be kind.")
        await t.chat("One")
        await t.chat("Two")
        await t.tool_result("1", "found")
        await t.generate()
        await t.commit(DialogueContent("user", "Three"))
        await t.user("Four")
        await t.chat("Five")
        warm = await compiled(t)
    async with opened(path) as t:
        assert await compiled(t) == warm


async def test_a_turn_whose_branch_was_edited_meanwhile(path: str) -> None:
    async with opened(path, "a", "b", "c") as t:
        first = await t.system("Be kind.")
        await t.chat("One")
        async with t.stream("Two") as stream:
            await t.edit(first.id, "Be brief.")
            await stream.finish()
        await t.chat("Three")
        warm = await compiled(t)
    async with opened(path) as t:
        assert await compiled(t) == warm


async def test_turns_that_failed_or_were_left(path: str) -> None:
    async with opened(path, "a", ModelResponseError("it broke"), "some words", "b") as t:
        await t.chat("One")
        with pytest.raises(ModelResponseError):
            await t.chat("Two")
        async with t.stream("Three") as stream:
            await anext(stream)
        await t.chat("Four")
        warm = await compiled(t)
    async with opened(path) as t:
        assert await compiled(t) == warm


async def test_turns_on_two_branches(path: str) -> None:
    async with opened(path, *"abcd") as t:
        await t.chat("One")
        await t.branch("other")
        await t.chat("Two")
        await t.switch("main")
        await t.chat("Three")
        await t.switch("other")
        await t.chat("Four")
        warm = await compiled(t)
    async with opened(path) as t:
        assert await compiled(t) == warm
