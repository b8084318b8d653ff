"""`OpenAIClient` against a real HTTP server on loopback: retries, failures, what is sent."""

import asyncio
import gc
import json
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import openai
import pytest
from anyio.from_thread import start_blocking_portal

from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.messages import ToolCall
from tract.errors import (
    ClosedError,
    ConfigError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelNotConfiguredError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelResponseError,
    ModelTimeoutError,
)
from tract.llm.openai_client import OpenAIClient, OpenAIStream
from tract.testing.server import Chunks, CutAfter, Fail, Hold, Script, Server, serve

KEY = "sk-test-0123456789abcdef"
REQUEST = ModelRequest([{"role": "user", "content": "Hi"}], LLMConfig(model="tiny"))


class Naps:
    """A sleep that takes no time and remembers how long it was to be."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def connected(script: Script, **options: Any) -> AsyncIterator[tuple[OpenAIClient, Server]]:
    async with serve(script) as server:
        client = OpenAIClient(**{"base_url": server.base_url, "api_key": KEY, **options})
        try:
            yield client, server
        finally:
            await client.aclose()


async def failure_of(client: OpenAIClient, request: ModelRequest = REQUEST) -> tuple[ModelError, tuple[Attempt, ...]]:
    async with client.stream(request) as answer:
        with pytest.raises(ModelError) as caught:
            async for _ in answer:
                pass
        return caught.value, answer.attempts


def refused(code: str | None, message: str, status: int = 400) -> Fail:
    return Fail(status, body={"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "odd", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


async def test_a_rate_limit_waits_as_long_as_the_provider_asks(naps: Naps) -> None:
    async with connected([Fail(429, {"Retry-After": "7.5"}), "Hello"], sleep=naps) as (client, _):
        reply = await client.complete(REQUEST)
    assert naps.seconds == [7.5]
    assert reply.text == "Hello"
    assert [attempt.error for attempt in reply.attempts] == ["ModelRateLimitError", None]


async def test_a_date_to_retry_at_is_read_against_the_providers_clock(naps: Naps) -> None:
    headers = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:12 GMT"}
    async with connected([Fail(429, headers), "Hello"], sleep=naps) as (client, _):
        await client.complete(REQUEST)
    assert naps.seconds == [12.0]


async def test_no_wait_is_longer_than_a_minute(naps: Naps) -> None:
    async with connected([Fail(429, {"Retry-After": "3600"}), "Hello"], sleep=naps) as (client, _):
        await client.complete(REQUEST)
    assert naps.seconds == [60.0]


@pytest.mark.parametrize("header", ["soon", "nan", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_wait_that_makes_no_sense_does_not_stop_the_retry(naps: Naps, header: str) -> None:
    async with connected([Fail(429, {"Retry-After": header}), "Hello"], sleep=naps) as (client, _):
        await client.complete(REQUEST)
    assert len(naps.seconds) == 1
    assert 0 <= naps.seconds[0] <= 0.5


async def test_a_rate_limit_that_stays_says_how_long_to_wait(naps: Naps) -> None:
    async with connected([Fail(429, {"Retry-After": "3600"})] * 3, sleep=naps) as (client, server):
        error, attempts = await failure_of(client)
    assert isinstance(error, ModelRateLimitError)
    assert (error.status, error.retry_after) == (429, 3600.0)
    assert attempts == tuple(Attempt(number, error="ModelRateLimitError") for number in (1, 2, 3))
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_status_that_may_pass_is_tried_again(naps: Naps, status: int) -> None:
    async with connected([Fail(status), "Hello"], sleep=naps) as (client, server):
        assert (await client.complete(REQUEST)).text == "Hello"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelResponseError),
        (401, ModelAuthError),
        (403, ModelAuthError),
        (404, ModelResponseError),
        (413, ModelResponseError),
        (422, ModelResponseError),
    ],
)
async def test_a_status_that_stays_is_not_tried_again(naps: Naps, status: int, kind: type[ModelError]) -> None:
    async with connected([Fail(status), "Hello"], sleep=naps) as (client, server):
        error, attempts = await failure_of(client)
    assert (type(error), error.status) == (kind, status)
    assert attempts == (Attempt(1, error=kind.__name__),)
    assert len(server.requests) == 1


async def test_waits_grow_when_the_provider_names_none(naps: Naps) -> None:
    async with connected([Fail(500)] * 7, sleep=naps, max_retries=6) as (client, _):
        await failure_of(client)
    for waited, most in zip(naps.seconds, [0.5, 1, 2, 4, 8, 8], strict=True):
        assert most * 0.75 <= waited <= most


async def test_no_retries_means_one_attempt(naps: Naps) -> None:
    async with connected([Fail(500), "Hello"], sleep=naps, max_retries=0) as (client, server):
        error, _ = await failure_of(client)
    assert isinstance(error, ModelResponseError)
    assert (error.status, len(server.requests), naps.seconds) == (500, 1, [])


async def test_an_answer_cut_before_its_first_delta_is_tried_again(naps: Naps) -> None:
    async with connected([CutAfter(()), "Hello"], sleep=naps) as (client, _):
        reply = await client.complete(REQUEST)
    assert [attempt.error for attempt in reply.attempts] == ["ModelConnectionError", None]


async def test_an_answer_cut_in_the_middle_is_not_tried_again(naps: Naps) -> None:
    async with connected([CutAfter(["Half ", "an "]), "Hello"], sleep=naps) as (client, server):
        deltas = []
        async with client.stream(REQUEST) as answer:
            with pytest.raises(ModelConnectionError):
                async for text in answer:
                    deltas.append(text)
    assert deltas == ["Half ", "an "]
    assert answer.attempts == (Attempt(1, error="ModelConnectionError"),)
    assert len(server.requests) == 1


async def test_a_tool_call_cut_in_the_middle_is_not_tried_again(naps: Naps) -> None:
    fragment = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}
    async with connected([Chunks([chunk({"tool_calls": [fragment]})]), "Hello"], sleep=naps) as (client, server):
        error, _ = await failure_of(client)
    assert isinstance(error, ModelConnectionError)
    assert len(server.requests) == 1


async def test_a_server_that_is_not_there_is_a_connection_error(naps: Naps) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client = OpenAIClient(base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}/v1", sleep=naps)
        error, attempts = await failure_of(client)
        await client.aclose()
    assert isinstance(error, ModelConnectionError)
    assert [attempt.error for attempt in attempts] == ["ModelConnectionError"] * 3


async def test_silence_before_the_answer_is_tried_again(naps: Naps) -> None:
    async with connected([Hold(anyio.Event()), "Hello"], sleep=naps, timeout=0.5) as (client, _):
        reply = await client.complete(REQUEST)
    assert [attempt.error for attempt in reply.attempts] == ["ModelTimeoutError", None]


async def test_silence_in_the_middle_of_an_answer_is_a_timeout(naps: Naps) -> None:
    async with connected([Hold(anyio.Event(), ["Half "])], sleep=naps) as (client, _):
        error, attempts = await failure_of(client, ModelRequest(REQUEST.messages, REQUEST.config, timeout=0.5))
    assert isinstance(error, ModelTimeoutError)
    assert attempts == (Attempt(1, error="ModelTimeoutError"),)


async def test_an_error_of_complete_names_its_attempts(naps: Naps) -> None:
    async with connected([Fail(500), Fail(429), Fail(401)], sleep=naps) as (client, _):
        with pytest.raises(ModelAuthError) as caught:
            await client.complete(REQUEST)
    assert caught.value.__notes__ == ["Attempts: ModelResponseError, ModelRateLimitError, ModelAuthError."]


async def test_leaving_the_block_closes_the_connection() -> None:
    async with connected([Hold(anyio.Event(), ["Half "])]) as (client, server):
        async with client.stream(REQUEST) as answer:
            assert await anext(aiter(answer)) == "Half "
        await server.disconnected()
    assert server.disconnects == 1


@pytest.mark.parametrize("deltas", [(), ("Half ",)], ids=["before the answer", "in its middle"])
async def test_a_cancelled_call_ends_and_closes_the_connection(deltas: tuple[str, ...]) -> None:
    async with connected([Hold(anyio.Event(), deltas)]) as (client, server):
        call = asyncio.create_task(client.complete(REQUEST))
        await server.received()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.disconnected()


async def test_a_timeout_of_the_callers_own_stays_the_callers() -> None:
    async with connected([Hold(anyio.Event(), ["Half "])]) as (client, server):

        async def expire() -> None:
            await server.received()
            own.reschedule(asyncio.get_running_loop().time())

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as own, asyncio.TaskGroup() as group:
                group.create_task(expire())
                await client.complete(REQUEST)
        await server.disconnected()


async def test_closing_the_client_ends_an_answer_on_its_way() -> None:
    async with connected([Hold(anyio.Event(), ["Half "])]) as (client, server), client.stream(REQUEST) as answer:
        texts = aiter(answer)
        await anext(texts)
        await client.aclose()
        with pytest.raises(ModelConnectionError):
            await anext(texts)
        await server.disconnected()


async def test_leaving_the_block_ends_what_another_task_still_reads() -> None:
    async with connected([Hold(anyio.Event(), ["Half "])]) as (client, server):
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in answer:
                begun.set()

        async with client.stream(REQUEST) as answer:
            reading = asyncio.create_task(read())
            await begun.wait()
        await server.disconnected()
        with pytest.raises(ModelConnectionError):
            await reading


async def test_closing_the_client_before_its_first_call_is_nothing() -> None:
    client = OpenAIClient(api_key=KEY)
    await client.aclose()
    with pytest.raises(ClosedError):
        client.stream(REQUEST)


async def test_settings_are_sent_under_the_names_of_openai() -> None:
    config = LLMConfig(
        model="tiny",
        temperature=0.5,
        top_p=0.9,
        max_tokens=100,
        stop_sequences=("END", "STOP"),
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        top_k=40,
        seed=7,
        extra={"min_p": 0.05, "reasoning": {"effort": "low"}},
    )
    tool = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}
    async with connected(["Hello"]) as (client, server):
        await client.complete(ModelRequest(REQUEST.messages, config, (tool,)))
    assert server.requests[0].body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "stop": ["END", "STOP"],
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "top_k": 40,
        "seed": 7,
        "min_p": 0.05,
        "reasoning": {"effort": "low"},
        "tools": [tool],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@asynccontextmanager
async def proxied(
    monkeypatch: pytest.MonkeyPatch, base_url: str, **options: Any
) -> AsyncIterator[tuple[OpenAIClient, list[Any]]]:
    """A client that takes a server of this machine for whatever its URL names, and the bodies that arrive there."""
    bodies: list[Any] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        bodies.append(json.loads(await reader.readexactly(int(size.partition(b":")[2]))))
        said = b'{"choices":[{"message":{"content":"Hello"}}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        client = OpenAIClient(base_url=base_url, api_key=KEY, **options)
        try:
            yield client, bodies
        finally:
            await client.aclose()


@pytest.mark.parametrize(
    "url",
    ["http://api.openai.com/v1", "http://EU.api.OpenAI.com./v1", "http://mine.openai.azure.com/openai/v1"],
)
async def test_openai_and_azure_are_told_the_longest_answer_by_the_name_that_all_their_models_know(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    async with proxied(monkeypatch, url) as (client, bodies):
        await client.complete(ModelRequest(REQUEST.messages, LLMConfig(model="tiny", max_tokens=100)))
    assert {"max_tokens", "max_completion_tokens"} & bodies[0].keys() == {"max_completion_tokens"}
    assert bodies[0]["max_completion_tokens"] == 100


@pytest.mark.parametrize("url", ["http://openrouter.example/v1", "http://notopenai.com/v1", "http://openai.com.example/v1"])
async def test_other_servers_are_told_the_longest_answer_as_max_tokens(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    async with proxied(monkeypatch, url) as (client, bodies):
        await client.complete(ModelRequest(REQUEST.messages, LLMConfig(model="tiny", max_tokens=100)))
    assert {"max_tokens", "max_completion_tokens"} & bodies[0].keys() == {"max_tokens"}
    assert bodies[0]["max_tokens"] == 100


@pytest.mark.parametrize("url", ["http://api.openai.com/v1", "http://openrouter.example/v1"])
async def test_a_longest_answer_among_the_options_is_sent_where_the_field_is_not_set(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    config = LLMConfig(model="tiny", extra={"max_completion_tokens": 50})
    async with proxied(monkeypatch, url) as (client, bodies):
        await client.complete(ModelRequest(REQUEST.messages, config))
    assert {name: value for name, value in bodies[0].items() if name.startswith("max")} == {"max_completion_tokens": 50}


@pytest.mark.parametrize(
    ("url", "name"), [("http://api.openai.com/v1", "max_completion_tokens"), ("http://openrouter.example/v1", "max_tokens")]
)
async def test_a_longest_answer_among_the_options_gives_way_to_the_field(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str
) -> None:
    config = LLMConfig(model="tiny", max_tokens=100, extra={"max_completion_tokens": 50})
    async with proxied(monkeypatch, url) as (client, bodies):
        await client.complete(ModelRequest(REQUEST.messages, config))
    assert {name: value for name, value in bodies[0].items() if name.startswith("max")} == {name: 100}


@pytest.mark.parametrize(
    "failure",
    [
        Fail(400, body={"error": {"message": "secret", "type": None, "param": "prompt", "code": "content_filter"}}),
        Chunks([{"error": {"message": "secret", "code": "content_filter"}}]),
    ],
    ids=["Azure", "within a stream"],
)
async def test_a_prompt_that_a_filter_stopped_is_a_refusal_and_not_tried_again(failure: Fail | Chunks) -> None:
    async with connected([failure]) as (client, server):
        error, attempts = await failure_of(client)
    assert (type(error), len(attempts), len(server.requests)) == (ModelRefusalError, 1, 1)
    assert "Ask otherwise" in str(error)
    assert "secret" not in str(error)


async def test_settings_that_are_not_set_are_not_sent() -> None:
    async with connected(["Hello"]) as (client, server):
        await client.complete(REQUEST)
    assert server.requests[0].body.keys() == {"model", "messages", "stream", "stream_options"}


async def test_messages_are_sent_as_they_are() -> None:
    function = {"name": "search", "arguments": '{ "q":1e1}'}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief.", "name": "rules"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]},
        {"role": "tool", "content": "", "tool_call_id": "a", "name": "search"},
        {"role": "assistant", "tool_calls": []},
    ]
    async with connected(["Hello"]) as (client, server):
        await client.complete(ModelRequest(messages, REQUEST.config))
    assert server.requests[0].body["messages"] == messages


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_client_connects_anew_in_another_event_loop() -> None:
    async def ask() -> str | None:
        return (await client.complete(REQUEST)).text

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(["one", "two"])) as server:
        client = OpenAIClient(base_url=server.base_url, api_key=KEY, max_retries=0)
        assert [asyncio.run(ask()) for _ in range(2)] == ["one", "two"]
        asyncio.run(client.aclose())
        # The first loop is gone and cannot close its sockets; the interpreter does.
        gc.collect()


async def test_a_request_without_a_model_is_refused_before_it_is_sent() -> None:
    async with connected(["Hello"]) as (client, server):
        with pytest.raises(ModelNotConfiguredError, match="model"):
            client.stream(ModelRequest(REQUEST.messages, LLMConfig()))
    assert server.requests == []


async def test_tool_calls_are_assembled_by_index_with_their_arguments_verbatim() -> None:
    def fragment(index: int, arguments: str, **more: str) -> dict[str, Any]:
        name = {"name": more.pop("name")} if "name" in more else {}
        return {"tool_calls": [{"index": index, **more, "function": {**name, "arguments": arguments}}]}

    parts = [
        fragment(1, "", id="b", name="book"),
        fragment(0, '{"q" :', id="a", name="search"),
        fragment(1, "not"),
        fragment(0, " 1}"),
        fragment(1, " JSON"),
    ]
    async with connected([Chunks([*map(chunk, parts), chunk({}, "tool_calls")])]) as (client, _):
        reply = await client.complete(REQUEST)
    assert reply.tool_calls == (ToolCall("a", "search", '{"q" : 1}'), ToolCall("b", "book", "not JSON"))


async def test_whole_tool_calls_without_index_and_id_are_told_apart() -> None:
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("search", "book")]
    async with connected([Chunks([chunk({"tool_calls": calls}, "tool_calls")])]) as (client, _):
        reply = await client.complete(REQUEST)
    assert reply.tool_calls == (ToolCall("call_0", "search", "{}"), ToolCall("call_1", "book", "{}"))


def called(arguments: str, name: str | None = "look", **more: Any) -> dict[str, Any]:
    """A delta with one fragment of a call."""
    return {"tool_calls": [{**more, "function": {**({"name": name} if name else {}), "arguments": arguments}}]}


A, B = ToolCall("a", "look", '{"p": 1}'), ToolCall("b", "look", '{"p": 2}')
CALLS: dict[str, tuple[list[dict[str, Any]], tuple[ToolCall, ...]]] = {
    "whole ones, all with index 0": (
        [called(A.arguments, index=0, id="a"), called(B.arguments, index=0, id="b")],
        (A, B),
    ),
    "fragments without index under one id and name": ([called('{"p":', id="a"), called(" 1}", id="a")], (A,)),
    "fragments without index under one id": ([called('{"p":', id="a"), called(" 1}", None, id="a")], (A,)),
    "two calls without index, their fragments in turn": (
        [called('{"p":', id="a"), called('{"p":', id="b"), called(" 1}", None, id="a"), called(" 2}", None, id="b")],
        (A, B),
    ),
    "an index and another id with every fragment": (
        [called('{"p":', index=0, id="a"), called(" 1}", None, index=0, id="z")],
        (A,),
    ),
    "index 0 for both, their fragments in turn": (
        [
            called('{"p":', index=0, id="a"),
            called('{"p":', index=0, id="b"),
            called(" 1}", None, index=0, id="a"),
            called(" 2}", None, index=0),
        ],
        (A, B),
    ),
    "an id that looks like one made here, and none": (
        [called("", index=0, id="call_1"), called("", index=1), called("", index=2)],
        (ToolCall("call_1", "look", ""), ToolCall("call_0", "look", ""), ToolCall("call_2", "look", "")),
    ),
}
"""The deltas of odd servers, and the calls that they mean."""


@pytest.mark.parametrize(("deltas", "calls"), CALLS.values(), ids=CALLS)
async def test_calls_of_odd_servers_are_told_apart(deltas: list[Any], calls: tuple[ToolCall, ...]) -> None:
    async with connected([Chunks([*map(chunk, deltas), chunk({}, "tool_calls")])]) as (client, _):
        reply = await client.complete(REQUEST)
    assert reply.tool_calls == calls


@pytest.mark.parametrize("choices", [[], [{"index": 0, "delta": {}, "finish_reason": "stop"}]], ids=["without", "with"])
async def test_usage_is_read_from_a_last_chunk_with_or_without_choices(choices: list[Any]) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "queue_time": 0.1, "prompt_tokens_details": None}
    chunks = [chunk({"content": "Hello"}, "stop"), {"choices": choices, "usage": usage}]
    async with connected([Chunks(chunks)]) as (client, _):
        reply = await client.complete(REQUEST)
    assert reply == ModelReply("Hello", "odd", "stop", (), UsageFigures(5, 2), (Attempt(1, UsageFigures(5, 2)),))


async def test_a_refusal_is_told_apart_from_a_text() -> None:
    deltas: list[dict[str, Any]] = [{"content": "Well. ", "refusal": None}, {"refusal": "I "}, {"refusal": "will not."}]
    async with connected([Chunks([*map(chunk, deltas), chunk({}, "stop")])]) as (client, _):
        reply = await client.complete(REQUEST)
    assert (reply.text, reply.refusal) == ("Well. ", "I will not.")


async def test_a_refusal_of_a_server_that_does_not_stream_is_told_apart() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    async with connected([Fail(200, body={"choices": [{"message": message, "finish_reason": "stop"}]})]) as (client, _):
        reply = await client.complete(REQUEST)
    assert (reply.text, reply.refusal) == (None, "I will not.")


DETAILS = [{"type": "reasoning.text", "text": "Two "}, {"type": "reasoning.encrypted", "data": "c2VjcmV0"}]
THOUGHTS: dict[str, tuple[list[dict[str, Any]], str | None]] = {
    "DeepSeek": ([{"content": None, "reasoning_content": "Two "}, {"reasoning_content": "and two."}], "Two and two."),
    "vLLM": ([{"reasoning": "Two "}, {"reasoning": "and two."}], "Two and two."),
    "both names at once": (
        [{"reasoning": text, "reasoning_content": text} for text in ("Two ", "and two.")],
        "Two and two.",
    ),
    "one name after the other": ([{"reasoning_content": "Two "}, {"reasoning": "and two."}], "Two and two."),
    "OpenRouter": ([{"reasoning": "Two ", "reasoning_details": DETAILS}, {"reasoning": "and two."}], "Two and two."),
    "details alone": (
        [{"reasoning": None, "reasoning_details": DETAILS}, {"reasoning_details": [{"summary": "and two."}]}],
        "Two and two.",
    ),
    "an empty one beside another": ([{"reasoning_content": "", "reasoning": "Two and two."}], "Two and two."),
    "a letter cut in two": ([{"reasoning": "\ud83d"}, {"reasoning": "\ude00"}], "\U0001f600"),
    "half a letter": ([{"reasoning": "Two \ud83d"}], "Two \ufffd"),
    "no text": ([{"reasoning": 7, "reasoning_content": ["x"], "reasoning_details": "x"}], None),
    "odd details": ([{"reasoning_details": [None, "x", {"text": 7}, {"type": "reasoning.encrypted", "data": "x"}]}], None),
    "nothing": ([{"reasoning": None, "reasoning_content": "", "reasoning_details": []}], None),
}


@pytest.mark.parametrize(("deltas", "reasoning"), THOUGHTS.values(), ids=THOUGHTS)
async def test_reasoning_is_read_once_whatever_it_is_called(deltas: list[dict[str, Any]], reasoning: str | None) -> None:
    thinking = Chunks([*map(chunk, deltas), chunk({"content": "Four."}, "stop")])
    async with connected([thinking]) as (client, _), client.stream(REQUEST) as answer:
        texts = [text async for text in answer]
    assert (texts, answer.reply.text, answer.reply.reasoning) == (["Four."], "Four.", reasoning)


async def test_reasoning_of_a_server_that_does_not_stream_is_read() -> None:
    message = {"role": "assistant", "content": "Four.", "reasoning_content": "Two and two."}
    async with connected([Fail(200, body={"choices": [{"message": message, "finish_reason": "stop"}]})]) as (client, _):
        assert (await client.complete(REQUEST)).reasoning == "Two and two."


async def test_an_answer_that_was_cut_while_the_model_thought_is_tried_again(naps: Naps) -> None:
    cut = Chunks([chunk({"reasoning": "Two "})], done=False)
    whole = Chunks([chunk({"reasoning": "And two."}), chunk({"content": "Four."}, "stop")])
    async with connected([cut, whole], sleep=naps) as (client, _):
        reply = await client.complete(REQUEST)
    assert (reply.text, reply.reasoning, len(reply.attempts)) == ("Four.", "And two.", 2)


QUOTAS: dict[str, Fail | Chunks] = {
    "OpenAI": Fail(429, body={"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}),
    "OpenAI, by its type": Fail(429, body={"error": {"message": "no", "type": "insufficient_quota", "code": "new"}}),
    "OpenAI, by its code": Fail(429, body={"error": {"message": "no", "type": "x", "code": "project_spend_limit_exceeded"}}),
    "OpenRouter": Fail(402, body={"error": {"message": "Insufficient credits", "code": 402}}),
    "a server of few words": Fail(402, body="Payment required"),
    "within a stream": Chunks([{"error": {"message": "no", "code": 402}}]),
    "within a stream, by its type": Chunks([{"error": {"message": "no", "type": "insufficient_quota"}}]),
}


@pytest.mark.parametrize("behaviour", QUOTAS.values(), ids=QUOTAS)
async def test_an_account_without_credit_is_not_asked_again(naps: Naps, behaviour: Fail | Chunks) -> None:
    async with connected([behaviour, "Hello"], sleep=naps) as (client, server):
        error, attempts = await failure_of(client)
    assert type(error) is ModelQuotaError
    assert (attempts, len(server.requests), naps.seconds) == ((Attempt(1, error="ModelQuotaError"),), 1, [])


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "slow_down", None, 429])
async def test_a_rate_limit_is_no_quota(naps: Naps, code: object) -> None:
    limited = Fail(429, body={"error": {"message": "You exceeded your current quota", "type": "requests", "code": code}})
    async with connected([limited, "Hello"], sleep=naps) as (client, _):
        reply = await client.complete(REQUEST)
    assert [attempt.error for attempt in reply.attempts] == ["ModelRateLimitError", None]


async def test_a_stream_without_a_done_marker_is_whole_when_it_gave_its_reason() -> None:
    async with connected([Chunks([chunk({"content": "Hello"}, "stop")], done=False)]) as (client, _):
        assert (await client.complete(REQUEST)).text == "Hello"


async def test_a_stream_that_ends_without_a_reason_was_cut() -> None:
    async with connected([Chunks([chunk({"content": "Hello"})], done=False)]) as (client, _):
        error, _attempts = await failure_of(client)
    assert isinstance(error, ModelConnectionError)


async def test_an_answer_that_a_server_does_not_stream_is_taken_whole() -> None:
    message = {"role": "assistant", "content": "Hello"}
    body = {"model": "odd", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    async with connected([Fail(200, body=body)]) as (client, _):
        reply = await client.complete(REQUEST)
    assert reply == ModelReply("Hello", "odd", "stop")


@pytest.mark.parametrize(
    "behaviour",
    [
        Fail(200, body={"error": {"message": "no", "code": None}}),
        Fail(200, body={"choices": []}),
        Fail(200, body="<html>Welcome</html>"),
        Chunks([{"choices": []}]),
        Chunks([{"error": {"message": "no", "code": None}}]),
        Chunks(["Hello"]),
        Chunks([None]),
        Chunks([[1]]),
        Chunks([chunk({"content": ["Hello"]})]),
        Chunks([chunk({"content": "\ud83d"}, "stop")]),
        Chunks([{"choices": "Hello"}]),
        Chunks([{"choices": ["Hello"]}]),
        Chunks([chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, "tool_calls")]),
        Chunks([chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "a b"}}]}, "tool_calls")]),
    ],
    ids=repr,
)
async def test_an_answer_that_makes_no_sense_is_a_response_error(naps: Naps, behaviour: Fail | Chunks) -> None:
    async with connected([behaviour], sleep=naps) as (client, _):
        error, attempts = await failure_of(client)
    assert isinstance(error, ModelResponseError)
    assert attempts == (Attempt(1, error="ModelResponseError"),)


@pytest.mark.parametrize(("code", "kind"), [(429, ModelRateLimitError), ("invalid_api_key", ModelAuthError)])
async def test_an_error_inside_a_stream_is_read_by_its_code(naps: Naps, code: object, kind: type[ModelError]) -> None:
    event = {"error": {"message": "no", "code": code}}
    async with connected([Chunks([chunk({"content": "Half"}), event])], sleep=naps) as (client, _):
        error, _ = await failure_of(client)
    assert type(error) is kind


@pytest.mark.parametrize(
    ("fail", "tokens", "limit"),
    [
        (
            refused(
                "context_length_exceeded",
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 10,001 tokens.",
            ),
            10001,
            8192,
        ),
        (
            refused(
                None,
                "This model's maximum context length is 4097 tokens, however you requested 5360 tokens (1360 in the "
                "messages, 4000 in the completion).",
            ),
            5360,
            4097,
        ),
        (
            refused(
                "context_length_exceeded",
                "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 283000 tokens.",
            ),
            283000,
            272000,
        ),
        (refused("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), 210000, 200000),
        (
            Fail(
                400,
                body={
                    "error": {
                        "code": 400,
                        "message": "the request exceeds the available context size",
                        "type": "exceed_context_size_error",
                        "n_prompt_tokens": 900,
                        "n_ctx": 512,
                    }
                },
            ),
            900,
            512,
        ),
        (
            refused(
                "400",
                "This endpoint's maximum context length is 131072 tokens. However, you requested about 138956 tokens "
                "(7884 of text input, 131072 in the output).",
            ),
            138956,
            131072,
        ),
        (
            refused("400", "This model's maximum context length is 2048 tokens. However, your request has 3000 input tokens."),
            3000,
            2048,
        ),
        (
            refused("400", "The input token count (314175) exceeds the maximum number of tokens allowed (131072)."),
            314175,
            131072,
        ),
        (refused("context_length_exceeded", "Too long."), None, None),
    ],
    ids=[
        "openai",
        "openai older",
        "openai newer",
        "anthropic",
        "llama.cpp",
        "openrouter",
        "vllm",
        "gemini",
        "without figures",
    ],
)
async def test_a_context_that_is_too_long_tells_its_figures(fail: Fail, tokens: int | None, limit: int | None) -> None:
    async with connected([fail]) as (client, _):
        error, _attempts = await failure_of(client)
    assert isinstance(error, ModelContextError)
    assert (error.tokens, error.limit, error.status) == (tokens, limit, 400)


async def test_the_key_reaches_the_server_and_no_error_text(naps: Naps) -> None:
    said = f"Incorrect API key provided: {KEY[:11]}. The user said: my secret."
    async with connected([refused("invalid_api_key", said, status=401)], sleep=naps) as (client, server):
        error, _ = await failure_of(client)
    assert server.requests[0].key == KEY
    for words in (str(error), repr(error), repr(client)):
        assert KEY[:11] not in words
        assert "my secret" not in words


@pytest.mark.parametrize("fail", [Fail(429), Fail(500), CutAfter(()), Fail(200, body="<html>")], ids=repr)
async def test_the_key_is_in_no_traceback(naps: Naps, fail: Fail | CutAfter) -> None:
    async with connected([fail], sleep=naps, max_retries=0) as (client, _):
        error, _ = await failure_of(client)
    assert KEY not in "".join(traceback.format_exception(error))


def test_the_repr_shows_where_a_client_connects_without_the_password() -> None:
    client = OpenAIClient(api_key=KEY, base_url="https://ada:hunter2@example.org:8000/v1?token=hunter3")
    assert repr(client) == "OpenAIClient(base_url='https://example.org:8000/v1')"


async def test_the_key_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    async with connected(["Hello"], api_key=None) as (client, server):
        await client.complete(REQUEST)
    assert server.requests[0].key == "sk-from-the-environment"


async def test_a_server_of_ones_own_needs_no_key() -> None:
    async with connected(["Hello"], api_key=None) as (client, _):
        assert (await client.complete(REQUEST)).text == "Hello"


def test_no_key_at_all_is_noticed_before_any_call() -> None:
    with pytest.raises(ModelNotConfiguredError, match="API key"):
        OpenAIClient()


def test_space_around_a_key_is_no_part_of_it() -> None:
    OpenAIClient(api_key=f" {KEY}\n")


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk-a\nb"], ids=ascii)
def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAIClient(api_key=key)
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("options", [{"max_retries": -1}, {"timeout": 0}, {"base_url": "http://[::1"}], ids=repr)
def test_a_setting_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        OpenAIClient(api_key=KEY, **options)


async def test_a_client_that_cannot_be_made_ready_fails_without_an_attempt(naps: Naps) -> None:
    async def connect() -> Any:
        raise FileNotFoundError

    async with OpenAIStream(connect, 2, naps) as answer:
        with pytest.raises(ModelConnectionError):
            await anext(answer)
    assert (answer.attempts, naps.seconds) == ((), [])


async def test_our_error_names_its_cause(naps: Naps) -> None:
    async with connected([Fail(404)], sleep=naps) as (client, _):
        error, _ = await failure_of(client)
    assert isinstance(error.__cause__, openai.NotFoundError)


def test_nothing_slow_is_imported_before_the_first_call() -> None:
    code = (
        "import sys; from tract.llm.openai_client import OpenAIClient; import tract.testing; "
        "OpenAIClient(api_key='sk-none'); "
        "print(sorted({'openai', 'httpx', 'httpx2', 'starlette', 'uvicorn', 'splintr'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
