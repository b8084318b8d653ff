"""Story: how does every call of a model stand, those that run and those whose process died included?"""

import asyncio
from datetime import UTC, datetime
from threading import Event, get_ident
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, state, texts
from tests.acceptance.scripting import Dictated, opened
from tests.children import streaming
from tract import AsyncTract, GenerationInfo, LLMConfig, ModelReply, ToolCall
from tract.errors import ContentValidationError, ModelConnectionError
from tract.testing import Cut, FixedClock


async def newest(t: AsyncTract) -> GenerationInfo:
    (info, *_) = await t.generations()
    return info


async def test_without_a_call_there_is_none(t: AsyncTract) -> None:
    await t.user("Hi")
    assert await t.generations() == ()


async def test_a_completed_call_names_all_there_is_to_know() -> None:
    clock = FixedClock(1_700_000_000_000_000, step=0)
    async with opened(["Hello."], clock=clock, actor="support") as t:
        base = await t.system("Be kind.")
        response = await t.chat("Hi")
        info = await newest(t)
        question = response.commit_info.parents[0]
        moment = datetime.fromtimestamp(1_700_000_000, UTC)
        assert info == GenerationInfo(
            id=info.id,
            tract_id=t.id,
            verb="chat",
            branch="main",
            base=base.id,
            question=question,
            answer=response.commit_info.id,
            status="completed",
            text="Hello.",
            finish_reason="stop",
            model="tiny",
            started=moment,
            ended=moment,
            operation_id=response.commit_info.operation_id,
            actor="support",
        )


async def test_a_call_tells_the_verb_that_made_it() -> None:
    async with opened(["One.", "Two.", "Three."]) as t:
        await t.chat("Hi")
        await t.generate()
        async with t.stream("Go on") as stream:
            await stream.finish()
        assert [info.verb for info in await t.generations()] == ["stream", "generate", "chat"]


async def test_a_running_call_shows_what_has_arrived() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        shown = []
        for word in ("One ", "two "):
            model.say(word)
            await anext(stream)
            info = await newest(t)
            shown.append((info.status, info.text, info.answer, info.ended, info.finish_reason))
        assert shown == [("running", "One ", None, None, None), ("running", "One two ", None, None, None)]
        model.end()
        await stream.finish()


async def test_a_call_is_known_by_the_id_that_its_stream_tells() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        assert stream.generation == (await newest(t)).id
        model.say("One.")
        model.end()
        await stream.finish()


async def test_a_failed_call_shows_what_had_arrived_and_where_it_is_kept() -> None:
    async with opened([Cut(["Half ", "an "], ModelConnectionError())]) as t:
        with pytest.raises(ModelConnectionError) as caught:
            await t.chat("Hi")
        info = await newest(t)
        assert (info.status, info.text, info.finish_reason) == ("failed", "Half an ", "ModelConnectionError")
        assert (info.id, info.question, info.answer) == (caught.value.generation, caught.value.question, caught.value.partial)
        await t.branch("rescued", at=info.answer)
        assert await texts(t) == ["Hi", "Half an "]


async def test_a_call_that_was_left_shows_all_that_arrived() -> None:
    async with opened([["One ", "two."]]) as t:
        async with t.stream("Count") as stream:
            async for _ in stream:
                break
        info = await newest(t)
        assert (info.status, info.text, info.finish_reason, info.answer) == ("cancelled", "One two.", "cancelled", await t.head())


async def test_a_call_without_words_has_no_text() -> None:
    async with opened([ModelReply(None, tool_calls=(ToolCall("1", "look", "{}"),))]) as t:
        await t.chat("Hi")
        info = await newest(t)
        assert (info.status, info.text, info.finish_reason) == ("completed", "", "tool_calls")


async def test_a_call_whose_process_died_is_shown_as_interrupted_before_anybody_recorded_it(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One", "two")
            child.kill()
            shown = await newest(t)
        assert (shown.status, shown.text, shown.answer, shown.ended) == ("interrupted", "One two ", None, None)
        assert shown.question is not None


async def test_showing_a_call_as_interrupted_writes_nothing(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            child.kill()
        before = await state(t)
        assert await newest(t) == await newest(t)
        assert await state(t) == before


async def test_a_call_whose_process_died_is_recorded_as_interrupted_by_whoever_opens_the_store(path: str) -> None:
    with streaming(path) as child:
        child.stream("One", "two")
        child.kill()
    async with AsyncTract.open(path) as t:
        info = await newest(t)
        assert (info.id, info.status, info.text, info.finish_reason) == (
            child.generation,
            "interrupted",
            "One two ",
            "interrupted",
        )
        assert info.ended is not None
        assert await t.head() is None
        await t.branch("rescued", at=info.answer)
        assert await texts(t) == ["Count", "One two "]


async def test_a_call_that_began_while_somebody_looks_runs(path: str) -> None:
    model, go_on, held, is_held = Dictated(), Event(), set[int](), asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    def hold(_: object) -> None:
        if get_ident() not in held:
            held.add(get_ident())
            loop.call_soon_threadsafe(is_held.release)
        go_on.wait(10)

    async with opened(model, path) as t:
        # Two for each reader, one of which may be busy for somebody else just now.
        holding = [asyncio.create_task(t.read(hold)) for _ in range(4)]
        for _ in range(2):
            await is_held.acquire()
        looking = asyncio.create_task(t.generations())
        await asyncio.sleep(0)
        appends, mark = t.statistics().appends, t.mark()
        chat = asyncio.create_task(t.chat("Hi"))
        while t.statistics().appends == appends:
            await t.changed(mark)
            mark = t.mark()
        go_on.set()
        assert [info.status for info in await looking] == ["running"]
        model.say("Hello.")
        model.end()
        await asyncio.gather(chat, *holding)


async def test_opening_the_store_again_and_again_interrupts_no_call_of_this_process(path: str) -> None:
    async with opened(lambda _: "Hello.", path) as t:

        async def reopen() -> None:
            while not all(chat.done() for chat in chats):
                async with AsyncTract.open(path):
                    pass

        chats = [asyncio.create_task(t.chat(f"{number}")) for number in range(20)]
        await asyncio.gather(*chats, *(reopen() for _ in range(3)))
        assert {info.status for info in await t.generations(100)} == {"completed"}


async def test_the_newest_call_comes_first_and_the_limit_holds() -> None:
    async with opened(lambda request: f"To {request.messages[-1]['content']}") as t:
        for number in range(5):
            await t.chat(f"{number}")
        assert [info.text for info in await t.generations(3)] == ["To 4", "To 3", "To 2"]


async def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    async with opened(lambda request: f"To {request.messages[-1]['content']}") as t:
        for number in range(7):
            await t.chat(f"{number}")
        pages, cursor = [], None
        while page := await t.generations(3, cursor=cursor):
            pages.append([info.text for info in page])
            cursor = page[-1].id
            await t.chat("meanwhile")
        assert pages == [["To 6", "To 5", "To 4"], ["To 3", "To 2", "To 1"], ["To 0"]]


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, "3", None])
async def test_a_limit_that_makes_no_sense_is_refused(t: AsyncTract, limit: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.generations(limit)
    assert caught.value.field == "limit"


@pytest.mark.parametrize("cursor", ["", "nothing", 7, "01928c5e-0000-7000-8000-000000000001"])
async def test_a_cursor_that_is_no_call_is_refused(t: AsyncTract, cursor: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.generations(cursor=cursor)
    assert caught.value.field == "cursor"


async def test_calls_of_other_tracts_are_not_shown(path: str) -> None:
    async with opened(["Hello."], path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.chat("Hi")
        assert (len(await one.generations()), await two.generations()) == (1, ())


async def test_calls_on_every_branch_are_shown() -> None:
    async with opened(["One.", "Two."]) as t:
        await t.chat("Hi")
        await t.branch("other")
        await t.chat("Hi")
        assert [(info.branch, info.text) for info in await t.generations()] == [("other", "Two."), ("main", "One.")]


async def test_the_model_is_the_one_that_was_asked() -> None:
    async with opened([ModelReply("Hello.", model="tiny-2026")]) as t:
        await t.chat("Hi", llm_config=LLMConfig(model="larger"))
        assert (await newest(t)).model == "larger"


async def test_a_call_of_another_event_loop_shows_while_it_runs(path: str) -> None:
    model, found = Dictated(), []

    async def look(other: AsyncTract) -> None:
        found.append(await newest(other))

    async with opened(model, path) as t, t.stream("Count") as stream:
        model.say("One ")
        await anext(stream)
        await from_elsewhere(path, look)
        model.end()
        await stream.finish()
    assert [(info.status, info.text) for info in found] == [("running", "One ")]


async def test_a_call_reads_as_one_line() -> None:
    async with opened(["Hello there."]) as t:
        await t.chat("Hi")
        info = await newest(t)
        assert str(info) == f"{info.id} completed   on main ({(info.answer or '')[:8]}) tiny: Hello there."


async def test_generations_survive_closing_and_opening(path: str) -> None:
    async with opened(["Hello.", Cut(["Half "], ModelConnectionError())], path) as t:
        await t.chat("Hi")
        with pytest.raises(ModelConnectionError):
            await t.chat("Hi")
        before = await t.generations()
    async with AsyncTract.open(path) as t:
        assert await t.generations() == before
