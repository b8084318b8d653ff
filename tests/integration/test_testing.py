"""`tract.testing`: what users' own tests are built on."""

from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio
import pytest

from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.messages import ToolCall
from tract.errors import ModelRateLimitError
from tract.testing import Cut, FixedClock, ScriptedLLM
from tract.testing.server import Behaviour, CutAfter, Fail, Hold, Received, Reply, serve

# httpx with openai 2, httpx2 with openai 3.
httpx: Any = import_module("httpx2" if find_spec("httpx2") else "httpx")

REQUEST = ModelRequest([{"role": "user", "content": "Hi"}], LLMConfig(model="tiny"))
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_scripted_model_gives_its_replies_in_order_and_records_what_was_sent() -> None:
    llm = ScriptedLLM(["One", "Two"])
    assert [(await llm.complete(REQUEST)).text for _ in range(2)] == ["One", "Two"]
    assert llm.requests == [REQUEST, REQUEST]


async def test_a_scripted_model_that_is_asked_once_too_often_says_so() -> None:
    llm = ScriptedLLM(["One"])
    await llm.complete(REQUEST)
    with pytest.raises(RuntimeError, match="once more than its 1 replies"):
        await llm.complete(REQUEST)


async def test_a_scripted_model_can_be_a_function_of_the_request() -> None:
    llm = ScriptedLLM(lambda request: f"You sent {len(request.messages)}.")
    assert (await llm.complete(REQUEST)).text == "You sent 1."


async def test_a_scripted_model_raises_what_it_is_told_to() -> None:
    error = ModelRateLimitError(retry_after=3.0)
    async with ScriptedLLM([error]).stream(REQUEST) as answer:
        with pytest.raises(ModelRateLimitError) as caught:
            await anext(aiter(answer))
    assert caught.value is error
    assert answer.attempts == (Attempt(1, error="ModelRateLimitError"),)


async def test_a_scripted_model_streams_the_deltas_it_is_given_but_no_empty_one() -> None:
    async with ScriptedLLM([["Hel", "", "lo"]]).stream(REQUEST) as answer:
        assert [text async for text in answer] == ["Hel", "lo"]
        assert answer.reply.text == "Hello"


async def test_an_async_function_can_hold_an_answer_back() -> None:
    asked, go = anyio.Event(), anyio.Event()

    async def reply(_: ModelRequest) -> str:
        asked.set()
        await go.wait()
        return "At last"

    said: list[str | None] = []

    async def ask() -> None:
        said.append((await ScriptedLLM(reply).complete(REQUEST)).text)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await asked.wait()
        assert said == []
        go.set()
    assert said == ["At last"]


async def test_an_async_iterator_can_hold_the_rest_of_an_answer_back() -> None:
    go = anyio.Event()

    async def deltas() -> AsyncIterator[str]:
        yield "Half "
        await go.wait()
        yield "and half"

    async with ScriptedLLM([Cut(deltas(), ModelRateLimitError())]).stream(REQUEST) as answer:
        texts = aiter(answer)
        assert await anext(texts) == "Half "
        go.set()
        assert await anext(texts) == "and half"
        with pytest.raises(ModelRateLimitError):
            await anext(texts)


async def test_a_scripted_model_can_report_no_usage() -> None:
    reply = await ScriptedLLM(["Hello"], reports_usage=False).complete(REQUEST)
    assert reply == ModelReply("Hello", "tiny", "stop")


async def test_attempts_of_a_scripted_reply_are_kept() -> None:
    attempts = (Attempt(1, error="ModelTimeoutError"), Attempt(2))
    usage = UsageFigures(prompt=1, completion=2)
    reply = await ScriptedLLM([ModelReply("Hello", usage=usage, attempts=attempts)]).complete(REQUEST)
    assert reply.attempts == (attempts[0], Attempt(2, usage))


def test_a_clock_goes_on_by_its_step() -> None:
    clock = FixedClock(start=1_000, step=5)
    assert [clock(), clock(), clock()] == [1_000, 1_005, 1_010]


def test_a_clock_can_be_advanced_by_seconds() -> None:
    clock = FixedClock(start=0, step=0)
    clock.advance(1.5)
    assert clock() == 1_500_000


async def test_the_server_echoes_when_it_is_told_nothing() -> None:
    async with serve() as server, httpx.AsyncClient() as http:
        body = (await http.post(f"{server.base_url}/chat/completions", json=BODY)).json()
    assert body["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "You said: Hi"}, "finish_reason": "stop"}]


async def test_the_server_answers_whole_when_it_is_not_asked_to_stream() -> None:
    usage = UsageFigures(prompt=5, completion=2)
    async with serve([Reply(None, (ToolCall("a", "f", "{}"),), usage)]) as server, httpx.AsyncClient() as http:
        body = (await http.post(f"{server.base_url}/chat/completions", json=BODY)).json()
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert body["choices"][0]["message"] == {"role": "assistant", "content": None, "tool_calls": [call]}
    assert (body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]) == (5, 7)


async def test_the_server_reports_usage_in_a_stream_only_when_asked() -> None:
    async with serve(["Hello"]) as server, httpx.AsyncClient() as http:
        told = (await http.post(f"{server.base_url}/chat/completions", json=BODY | {"stream": True})).text
    assert "usage" not in told
    assert told.endswith("data: [DONE]\n\n")


async def test_the_server_records_the_body_and_the_key() -> None:
    async with serve() as server, httpx.AsyncClient() as http:
        await http.post(f"{server.base_url}/chat/completions", json=BODY, headers={"Authorization": "Bearer sk-1"})
        await http.post(f"{server.base_url}/chat/completions", json=BODY)
    assert server.requests == [Received(BODY, "sk-1"), Received(BODY, None)]


async def test_the_server_closes_the_connection_in_the_middle_of_a_stream() -> None:
    async with serve([CutAfter(["Half"])]) as server, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(f"{server.base_url}/chat/completions", json=BODY | {"stream": True})


async def test_the_server_refuses_what_goes_beyond_its_list() -> None:
    async with serve([]) as server, httpx.AsyncClient() as http:
        answer = await http.post(f"{server.base_url}/chat/completions", json=BODY)
    assert (answer.status_code, answer.text) == (400, "The server was called once more than its 0 behaviours.")


async def test_the_server_asks_a_function_what_to_do() -> None:
    async def behaviour(request: Received) -> Behaviour:
        return Fail(418, {"Retry-After": "1"}) if request.body["model"] == "tiny" else "Hello"

    async with serve(behaviour) as server, httpx.AsyncClient() as http:
        answer = await http.post(f"{server.base_url}/chat/completions", json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (418, "1")


async def test_a_held_answer_goes_on_with_its_event() -> None:
    go = anyio.Event()
    async with serve([Hold(go, ["Half "], Reply("and half"))]) as server, httpx.AsyncClient() as http:
        body: Any = BODY | {"stream": True}
        async with http.stream("POST", f"{server.base_url}/chat/completions", json=body) as answer:
            lines = answer.aiter_lines()
            async for line in lines:
                if "Half" in line:
                    break
            go.set()
            rest = [line async for line in lines if line]
    assert any("and " in line for line in rest)
    assert rest[-1] == "data: [DONE]"
    assert server.disconnects == 0


async def test_the_server_stops_although_an_answer_is_held() -> None:
    async with httpx.AsyncClient() as http, anyio.create_task_group() as group:

        async def ask(url: str) -> None:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post(url, json=BODY | {"stream": True})

        async with serve([Hold(anyio.Event(), ["Half"])]) as server:
            group.start_soon(ask, f"{server.base_url}/chat/completions")
            await server.received()
