"""Story: somebody leaves before the answer is whole, or closes; what arrived is kept where it was wanted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.acceptance.reading import state, texts
from tests.acceptance.scripting import Dictated, Held, opened
from tract import AsyncTract, ModelReply, ModelRequest, ModelStream
from tract.domain.events import GenerationEnded
from tract.errors import ClosedError, ContentValidationError, ModelConnectionError, ModelTimeoutError, TurnStateError
from tract.testing import Cut, ScriptedLLM


async def test_break_keeps_question_and_partial_answer() -> None:
    async with opened([["One ", "two ", "three."]]) as t:
        async with t.stream("Count") as stream:
            async for _ in stream:
                break
        assert await texts(t) == ["Count", "One "]
        response = stream.response
        assert (response.text, response.finish_reason, response.usage, response.commit_info.id) == (
            "One ",
            "cancelled",
            None,
            await t.head(),
        )


async def test_return_keeps_question_and_partial_answer() -> None:
    async def first_word(t: AsyncTract) -> str:
        async with t.stream("Count") as stream:
            async for delta in stream:
                return delta
        return ""

    async with opened([["One ", "two ", "three."]]) as t:
        assert (await first_word(t), await texts(t)) == ("One ", ["Count", "One "])


async def test_break_keeps_nothing_if_asked_not_to() -> None:
    async with opened([["One ", "two."]]) as t:
        async with t.stream("Count", keep_partial=False) as stream:
            async for _ in stream:
                break
        assert await t.head() is None


async def test_leaving_before_anything_arrived_leaves_the_branch() -> None:
    async with opened([["One ", "two."]]) as t:
        await t.user("before")
        before = await state(t)
        async with t.stream("Count"):
            pass
        assert await state(t) == before


async def test_leaving_after_blank_text_alone_leaves_the_branch() -> None:
    async with opened([[" \n", "two."]]) as t:
        async with t.stream("Count") as stream:
            async for _ in stream:
                break
        assert await t.head() is None


async def test_an_exception_in_the_block_leaves_the_branch_and_comes_through() -> None:
    async with opened([["One ", "two."]]) as t:
        before = await state(t)
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count") as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        assert await state(t) == before


async def test_an_exception_in_the_block_keeps_the_partial_answer_if_asked_to() -> None:
    async with opened([["One ", "two."]]) as t:
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count", keep_partial=True) as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        assert await texts(t) == ["Count", "One "]


async def test_a_time_out_leaves_the_branch() -> None:
    held = Held()
    async with opened(held) as t:
        before = await state(t)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await t.chat("Hi")
        assert (held.has_begun.is_set(), await state(t)) == (True, before)


@pytest.mark.parametrize(
    ("options", "kept"), [({}, []), ({"keep_partial": False}, []), ({"keep_partial": True}, ["Hi", "Half "])]
)
async def test_a_cancelled_task_keeps_what_it_was_told_to(options: dict[str, bool], kept: list[str]) -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi", **options))
        await held.has_begun.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert await texts(t) == kept


@pytest.mark.parametrize(("options", "kept"), [({}, ["Hi"]), ({"keep_partial": True}, ["Hi", "Half "])])
async def test_a_cancelled_generate_keeps_what_it_was_told_to(options: dict[str, bool], kept: list[str]) -> None:
    held = Held()
    async with opened(held) as t:
        await t.user("Hi")
        turn = asyncio.create_task(t.generate(**options))
        await held.has_begun.wait()
        turn.cancel()
        await asyncio.wait([turn])
        assert (turn.cancelled(), await texts(t)) == (True, kept)


@pytest.mark.parametrize("error", [ModelConnectionError, ModelTimeoutError, ZeroDivisionError])
@pytest.mark.parametrize(
    ("options", "kept"), [({}, []), ({"keep_partial": False}, []), ({"keep_partial": True}, ["Hi", "Half "])]
)
async def test_a_call_that_fails_keeps_what_it_was_told_to(
    error: type[Exception], options: dict[str, bool], kept: list[str]
) -> None:
    async with opened([Cut(["Half "], error())]) as t:
        with pytest.raises(error):
            await t.chat("Hi", **options)
        assert await texts(t) == kept


async def test_a_failed_stream_that_keeps_its_part_keeps_what_was_seen() -> None:
    model = Dictated()
    async with opened(model) as t:
        with pytest.raises(ModelConnectionError) as caught:
            async with t.stream("Hi", keep_partial=True) as stream:
                model.say("One ")
                model.end(ModelConnectionError())
                [_ async for _ in stream]
        assert (await texts(t), caught.value.partial) == (["Hi", "One "], await t.head())


async def test_a_failed_call_that_keeps_its_part_and_has_none_leaves_the_branch() -> None:
    async with opened([ModelConnectionError()]) as t:
        with pytest.raises(ModelConnectionError):
            await t.chat("Hi", keep_partial=True)
        assert await t.head() is None


@pytest.mark.parametrize("keep_partial", ["no", 0, 1, []])
async def test_what_does_not_say_whether_to_keep_a_part_is_refused(keep_partial: Any) -> None:
    async with opened(["Hello."]) as t:
        for call in (t.chat("Hi", keep_partial=keep_partial), t.generate(keep_partial=keep_partial)):
            with pytest.raises(ContentValidationError):
                await call
        with pytest.raises(ContentValidationError):
            t.stream("Hi", keep_partial=keep_partial)


async def test_a_task_that_is_cancelled_twice_still_leaves_the_branch_free() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        turn.cancel()
        await asyncio.sleep(0)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        await t.user("free")
        assert await texts(t) == ["free"]


async def test_a_turn_cancelled_at_any_step_leaves_the_branch_free_and_whole() -> None:
    async with opened(lambda _: "Hello.") as t:
        for steps in range(60):
            turn = asyncio.create_task(t.chat(f"{steps}"))
            for _ in range(steps):
                await asyncio.sleep(0)
            turn.cancel()
            await asyncio.wait([turn])
        await t.user("free")
        *said, last = await texts(t)
        assert (last, said[1::2], len(set(said[::2]))) == ("free", ["Hello."] * (len(said) // 2), len(said) // 2)


async def test_closing_during_a_turn_cancels_and_records_it(path: str) -> None:
    held = Held()
    t = await opened(held, path)
    turn = asyncio.create_task(t.chat("Hi"))
    await held.has_begun.wait()
    async with asyncio.timeout(2):
        await t.aclose()
    await asyncio.wait([turn])
    assert turn.cancelled()
    async with opened(["Hello."], path) as t:
        assert (await t.head(), (await t.chat("Hi")).text) == (None, "Hello.")


async def test_closing_during_a_turn_that_keeps_its_part_keeps_it(path: str) -> None:
    held = Held()
    t = await opened(held, path)
    turn = asyncio.create_task(t.chat("Hi", keep_partial=True))
    await held.has_begun.wait()
    await t.aclose()
    await asyncio.wait([turn])
    async with AsyncTract.open(path) as t:
        assert await texts(t) == ["Hi", "Half "]


async def test_closing_from_inside_the_block_ends(path: str) -> None:
    t = await opened([["One ", "two."]], path)
    async with asyncio.timeout(2):
        try:
            async with t.stream("Count") as stream:
                async for _ in stream:
                    await t.aclose()
                    break
        except ClosedError:
            pass
    async with opened(["Hello."], path) as t:
        await t.chat("Hi")
        assert (await texts(t))[-2:] == ["Hi", "Hello."]


async def test_closing_frees_those_who_wait_behind_a_turn(path: str) -> None:
    held = Held()
    t = await opened(held, path)
    turn = asyncio.create_task(t.chat("Hi"))
    await held.has_begun.wait()
    behind = asyncio.create_task(t.chat("next"))
    append = asyncio.create_task(t.user("later"))
    await t.status()
    async with asyncio.timeout(2):
        await t.aclose()
        results = await asyncio.gather(turn, behind, append, return_exceptions=True)
    assert [isinstance(result, (asyncio.CancelledError, ClosedError)) for result in results] == [True] * 3


class Closing:
    """A client that takes its time to close the connection; then says how that went."""

    def __init__(self, replies: Any) -> None:
        self.go_on = asyncio.Event()
        self.closed: list[str] = []
        self._scripted = ScriptedLLM(replies)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelStream]:
        try:
            async with self._scripted.stream(request) as stream:
                yield stream
        finally:
            try:
                await self.go_on.wait()
                self.closed.append("closed")
            except asyncio.CancelledError:
                self.closed.append("cancelled")

    async def complete(self, request: ModelRequest) -> ModelReply:
        raise AssertionError

    async def aclose(self) -> None:
        pass


async def leave(t: AsyncTract) -> None:
    async with t.stream("Count") as stream:
        async for _ in stream:
            break


@pytest.mark.parametrize("replies", [[["One ", "two."]], Held()], ids=["read", "half"])
async def test_a_client_may_take_its_time_to_close_the_connection(replies: Any) -> None:
    client = Closing(replies)
    async with AsyncTract.open(llm=client, model="tiny") as t:
        leaving = asyncio.create_task(leave(t))
        async for event in t.events():
            if isinstance(event.body, GenerationEnded):
                break
        for _ in range(5):
            await asyncio.sleep(0)
        client.go_on.set()
        await leaving
        assert client.closed == ["closed"]


async def test_a_client_that_never_closes_its_connection_holds_up_no_closing() -> None:
    client = Closing(Held())
    t = await AsyncTract.open(llm=client, model="tiny")
    async with asyncio.timeout(2), t.stream("Count") as stream:
        await anext(stream)
        await t.aclose()
    await asyncio.sleep(0)
    assert client.closed == ["cancelled"]


async def test_who_waits_for_a_delta_when_another_task_leaves_comes_to_the_end() -> None:
    async with opened(Held()) as t:
        async with t.stream("Count") as stream:
            assert await anext(stream) == "Half "
            showing = asyncio.create_task(anext(stream, "the end"))
            await asyncio.sleep(0)
        assert await showing == "the end"


async def test_who_waits_for_the_whole_answer_when_another_task_leaves_is_told() -> None:
    async with opened(Held()) as t:
        async with t.stream("Count") as stream:
            finishing = asyncio.create_task(stream.finish())
            await asyncio.sleep(0)
        with pytest.raises(TurnStateError):
            await finishing


async def test_a_closed_tract_does_not_talk() -> None:
    t = await opened(["Hello."])
    await t.aclose()
    with pytest.raises(ClosedError):
        await t.chat("Hi")


async def test_a_turn_of_one_handle_outlives_the_closing_of_another(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        other = await AsyncTract.open(path)
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await other.aclose()
        held.go_on.set()
        assert (await turn).text == "Half done."
