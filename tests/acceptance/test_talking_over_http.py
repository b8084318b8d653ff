"""Story: the same conversation with a real server on the other side of a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, state, texts
from tract import AsyncTract, DialogueContent, LLMConfig, OpenAIClient, TokenUsage, ToolCall
from tract.errors import (
    ClosedError,
    HeadMovedError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelNotConfiguredError,
    ModelRateLimitError,
    ModelResponseError,
    ModelTimeoutError,
)
from tract.testing.server import Behaviour, CutAfter, Fail, Hold, Reply, Server, serve

KEY = "sk-test-0123456789abcdef"


@asynccontextmanager
async def talking(*behaviours: Behaviour, where: str = ":memory:") -> AsyncIterator[tuple[AsyncTract, Server]]:
    async with serve(behaviours) as server, AsyncTract.open(where, base_url=server.base_url, model="tiny", api_key=KEY) as t:
        yield t, server


class Naps:
    """A sleep that takes no time and remembers how long it was to be."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@asynccontextmanager
async def retrying(*behaviours: Behaviour) -> AsyncIterator[tuple[AsyncTract, Server, Naps]]:
    naps = Naps()
    async with serve(behaviours) as server:
        client = OpenAIClient(base_url=server.base_url, api_key=KEY, sleep=naps)
        async with AsyncTract.open(llm=client, model="tiny") as t:
            yield t, server, naps
        await client.aclose()


async def test_chat_over_http_records_question_and_answer() -> None:
    usage = TokenUsage(prompt=12, completion=3, cached=1, reasoning=0)
    async with talking(Reply("Hello there.", usage=usage, model="tiny-2026")) as (t, server):
        await t.system("Be kind.")
        response = await t.chat("Hi", llm_config=LLMConfig(temperature=0.5))
        assert (response.text, response.usage, response.finish_reason) == ("Hello there.", usage, "stop")
        assert response.generation_config == LLMConfig(model="tiny-2026", temperature=0.5)
        assert await texts(t) == ["Be kind.", "Hi", "Hello there."]
    (received,) = server.requests
    assert (received.key, received.body["model"], received.body["temperature"], received.body["messages"]) == (
        KEY,
        "tiny",
        0.5,
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
    )


async def test_a_server_of_ones_own_needs_no_key() -> None:
    async with serve() as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        assert (await t.chat("Hi")).text == "You said: Hi"


async def test_without_key_and_url_chat_says_so_and_records_nothing() -> None:
    async with AsyncTract.open(model="tiny") as t:
        before = await state(t)
        with pytest.raises(ModelNotConfiguredError):
            await t.chat("Hi")
        assert await state(t) == before


async def test_a_stream_over_http_hands_on_the_deltas() -> None:
    async with talking(Reply("One two three.")) as (t, _):
        async with t.stream("Count") as stream:
            deltas = [delta async for delta in stream]
        assert (deltas, stream.response.text) == (["One ", "two ", "three."], "One two three.")


async def test_the_first_delta_comes_while_the_server_still_holds_the_rest() -> None:
    go_on = asyncio.Event()
    async with talking(Hold(go_on, ["One "], then=Reply("two."))) as (t, _), t.stream("Count") as stream:
        deltas = []
        async for delta in stream:
            deltas.append(delta)
            go_on.set()
        assert deltas == ["One ", "two."]


async def test_a_tool_call_goes_there_and_back() -> None:
    call = ToolCall("call-1", "look_up", '{"seat":  "12A", "n": 1.0}')
    async with talking(Reply(None, tool_calls=(call,)), Reply("Window.")) as (t, server):
        first = await t.chat("Which seat?")
        await t.tool_result("call-1", "", tool_name="look_up")
        second = await t.generate()
        assert (first.tool_calls, first.finish_reason, second.text) == ((call,), "tool_calls", "Window.")
        assert server.requests[1].body["messages"] == (await t.compile("HEAD~1")).to_openai()


async def test_a_status_of_reported_usage() -> None:
    async with talking(Reply("Hello.", usage=TokenUsage(prompt=50, completion=5))) as (t, _):
        await t.chat("Hi")
        more = await t.user("more")
        status = await t.status()
        assert (status.token_count, status.token_source) == (55 + (more.tokens or 0), "reported:tiny")


FAILURES: list[tuple[Behaviour, type[ModelError], int | None]] = [
    (Fail(400), ModelResponseError, 400),
    (Fail(401), ModelAuthError, 401),
    (Fail(403), ModelAuthError, 403),
    (Fail(404), ModelResponseError, 404),
    (Fail(400, body={"error": {"message": "too long", "code": "context_length_exceeded"}}), ModelContextError, 400),
    (Fail(418, body="I am a teapot"), ModelResponseError, 418),
    (CutAfter(["Half "]), ModelConnectionError, None),
]


@pytest.mark.parametrize(("behaviour", "error", "status"), FAILURES)
async def test_a_failure_leaves_the_branch_where_it_was(
    behaviour: Behaviour, error: type[ModelError], status: int | None
) -> None:
    async with talking(behaviour, Reply("Hello.")) as (t, server):
        await t.user("before")
        before = await state(t)
        with pytest.raises(error) as caught:
            await t.chat("Hi")
        assert (await state(t), caught.value.status, len(server.requests)) == (before, status, 1)
        assert caught.value.question is not None
        assert caught.value.generation is not None
        assert (await t.show(caught.value.question)).content == DialogueContent("user", "Hi")
        await t.chat("Hi")
        assert await texts(t) == ["before", "Hi", "Hello."]


async def test_a_failure_never_shows_the_key() -> None:
    async with talking(Fail(401)) as (t, _):
        with pytest.raises(ModelAuthError) as caught:
            await t.chat("Hi")
        assert KEY not in f"{caught.value}{caught.value!r}{t!r}"


async def test_a_cut_stream_keeps_what_arrived_off_the_branch() -> None:
    async with talking(CutAfter(["Half ", "an ", "answer"])) as (t, _):
        with pytest.raises(ModelConnectionError) as caught:
            await t.chat("Hi")
        assert caught.value.partial is not None
        assert (await t.show(caught.value.partial)).content == DialogueContent("assistant", "Half an answer")
        assert await t.head() is None


async def test_the_wait_that_a_rate_limit_asks_for_is_kept_and_then_named() -> None:
    limited = Fail(429, headers={"Retry-After": "7"})
    async with retrying(limited, limited, limited, Reply("Hello.")) as (t, server, naps):
        with pytest.raises(ModelRateLimitError) as caught:
            await t.chat("Hi")
        assert (caught.value.retry_after, naps.seconds, len(server.requests), await t.head()) == (7.0, [7.0, 7.0], 3, None)
        await t.chat("Hi")
        assert await texts(t) == ["Hi", "Hello."]


async def test_an_error_of_the_server_is_tried_again_and_the_question_stands_once() -> None:
    async with retrying(Fail(500), Fail(503), Reply("Hello.")) as (t, server, naps):
        response = await t.chat("Hi")
        assert (response.text, len(server.requests), len(naps.seconds)) == ("Hello.", 3, 2)
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_server_that_keeps_failing_is_an_error() -> None:
    async with retrying(Fail(500), Fail(500), Fail(500)) as (t, server, _):
        before = await state(t)
        with pytest.raises(ModelResponseError) as caught:
            await t.chat("Hi")
        assert (caught.value.status, len(server.requests), await state(t)) == (500, 3, before)


async def test_a_refused_connection_is_an_error_and_leaves_the_branch() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    client = OpenAIClient(base_url=url, max_retries=0)
    async with AsyncTract.open(llm=client, model="tiny") as t:
        before = await state(t)
        with pytest.raises(ModelConnectionError) as caught:
            await t.chat("Hi")
        assert (caught.value.partial, caught.value.question is None, await state(t)) == (None, False, before)
    await client.aclose()


async def test_a_server_that_is_silent_for_too_long_is_an_error() -> None:
    async with serve([Hold(asyncio.Event(), ["Half "])]) as server:
        client = OpenAIClient(base_url=server.base_url, max_retries=0)
        async with AsyncTract.open(llm=client, model="tiny") as t:
            with pytest.raises(ModelTimeoutError) as caught:
                await t.chat("Hi", timeout=0.2)
            assert caught.value.partial is not None
            assert (await t.show(caught.value.partial)).content == DialogueContent("assistant", "Half ")
        await client.aclose()


async def cancelled_stream(t: AsyncTract, **options: Any) -> None:
    seen = asyncio.Event()

    async def read() -> None:
        async with t.stream("Hi", **options) as stream:
            async for _ in stream:
                seen.set()

    turn = asyncio.create_task(read())
    await seen.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn


@pytest.mark.parametrize(
    ("options", "kept"), [({}, []), ({"keep_partial": True}, ["Hi", "Half "]), ({"keep_partial": False}, [])]
)
async def test_a_cancelled_turn_closes_the_connection(options: dict[str, bool], kept: list[str]) -> None:
    async with talking(Hold(asyncio.Event(), ["Half "])) as (t, server):
        await cancelled_stream(t, **options)
        async with asyncio.timeout(5):
            await server.disconnected()
        assert await texts(t) == kept


async def test_break_closes_the_connection_and_keeps_the_part() -> None:
    async with talking(Hold(asyncio.Event(), ["Half "])) as (t, server):
        async with t.stream("Hi") as stream:
            async for _ in stream:
                break
        async with asyncio.timeout(5):
            await server.disconnected()
        assert (await texts(t), stream.response.finish_reason) == (["Hi", "Half "], "cancelled")


async def test_an_exception_in_the_block_closes_the_connection() -> None:
    async with talking(Hold(asyncio.Event(), ["Half "])) as (t, server):
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Hi") as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        async with asyncio.timeout(5):
            await server.disconnected()
        assert await t.head() is None


async def test_a_time_out_before_the_first_byte_closes_the_connection() -> None:
    async with talking(Hold(asyncio.Event())) as (t, server):
        turn = asyncio.create_task(t.chat("Hi"))
        await server.received()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        async with asyncio.timeout(5):
            await server.disconnected()
        assert await t.head() is None


async def test_asyncio_timeout_around_chat_ends_it() -> None:
    async with talking(Hold(asyncio.Event(), ["Half "]), Reply("Hello.")) as (t, server):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await t.chat("Hi")
        async with asyncio.timeout(5):
            await server.disconnected()
        await t.chat("Hi")
        assert await texts(t) == ["Hi", "Hello."]


async def test_closing_during_a_turn_closes_the_connection(path: str) -> None:
    async with talking(Hold(asyncio.Event(), ["Half "]), where=path) as (t, server):
        turn = asyncio.create_task(t.chat("Hi"))
        await server.received()
        async with asyncio.timeout(3):
            await t.aclose()
            await server.disconnected()
        await asyncio.wait([turn])
        assert turn.cancelled()
    async with AsyncTract.open(path) as t:
        assert await t.head() is None


async def test_an_append_of_another_process_keeps_the_paid_answer_off_the_branch(path: str) -> None:
    go_on = asyncio.Event()
    async with talking(Hold(go_on, ["Hello "], then=Reply("there.")), where=path) as (t, server):
        turn = asyncio.create_task(t.chat("Hi"))
        await server.received()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        go_on.set()
        with pytest.raises(HeadMovedError) as caught:
            await turn
        assert caught.value.answer is not None
        await t.branch("taken", at=caught.value.answer)
        assert (await texts(t, "main"), await texts(t)) == (["meanwhile"], ["Hi", "Hello there."])


async def test_turns_on_two_branches_are_at_the_server_at_once() -> None:
    go_on = asyncio.Event()
    async with talking(*[Hold(go_on, then=Reply("Hello."))] * 2) as (t, server):
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other:
            turns = asyncio.gather(t.chat("one"), other.chat("two"))
            async with asyncio.timeout(5):
                await server.received(2)
            go_on.set()
            await turns
        assert (await texts(t), await texts(t, "other")) == (["one", "Hello."], ["two", "Hello."])


async def test_turns_on_one_branch_come_to_the_server_one_after_another() -> None:
    seen: list[Sequence[str]] = []
    async with talking(Reply("a"), Reply("b"), Reply("c")) as (t, server):
        await asyncio.gather(*(t.chat(f"{number}") for number in range(3)))
        seen = [[message["content"] for message in received.body["messages"]] for received in server.requests]
        assert seen == [["0"], ["0", "a", "1"], ["0", "a", "1", "b", "2"]]


async def test_a_client_made_by_open_is_closed_with_the_tract() -> None:
    async with talking(Reply("Hello.")) as (t, _):
        await t.chat("Hi")
        await t.aclose()
        with pytest.raises(ClosedError):
            await t.chat("Hi")


async def test_a_run_over_http_sends_tools_and_results() -> None:
    call = ToolCall("call-1", "look_up", '{"seat":  "12A"}')

    async def look_up(seat: str) -> dict[str, str]:
        """Look up a seat."""
        return {"seat": seat, "at": "window"}

    usage = [TokenUsage(prompt=20, completion=9), TokenUsage(prompt=40, completion=3)]
    async with talking(Reply(None, tool_calls=(call,), usage=usage[0]), Reply("Window.", usage=usage[1])) as (t, server):
        result = await t.run("Which seat?", tools=[look_up])
        assert (result.text, result.finish_reason) == ("Window.", "stop")
        assert result.usage == TokenUsage(prompt=60, completion=12)
        first, second = (request.body for request in server.requests)
        assert first["tools"] == second["tools"]
        assert first["tools"][0]["function"]["name"] == "look_up"
        assert second["messages"] == (await t.compile("HEAD~1")).to_openai()
        assert second["messages"][-1]["content"] == '{"at":"window","seat":"12A"}'


async def test_a_server_gets_what_compile_gives_however_the_conversation_changes() -> None:
    async with serve() as server, AsyncTract.open(base_url=server.base_url, model="tiny", api_key=KEY) as t:
        first = await t.system("Be kind.")
        for number in range(70):
            await t.user(f'Note {number}: \N{WAVING HAND SIGN} "quoted" \\ \n</s>')
        await t.chat("One")
        await t.edit(first.id, "Be brief.")
        await t.chat("Two")
        await t.skip((await t.log(limit=1000))[40].id)
        await t.commit(DialogueContent("assistant", None, tool_calls=(ToolCall("1", "look", '{ "q":1e1}'),)))
        await t.chat("Three")
        sent = [request.body["messages"] for request in server.requests]
        asked = [record.question for record in reversed(await t.generations())]
        assert sent == [(await t.compile(question)).to_openai() for question in asked]
