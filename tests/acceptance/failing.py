"""Every way in which a provider fails, and a server that fails in one of them until it is mended."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from attrs import Factory, frozen

from tract import AsyncTract, ChatResponse, OpenAIClient, ToolCall
from tract.errors import (
    ModelAnswerError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelResponseError,
    ModelTimeoutError,
)
from tract.llm.counting import ApproximateCounter
from tract.testing.server import Behaviour, Chunks, CutAfter, Fail, Raw, Received, Reply, Server, Stall, serve

QUESTION, ANSWER, HALF = "Hi", "Hello there.", "Half "
ATTEMPTS = 3
"""What a client sends that retries as it does by default."""


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


BEGUN = event(chunk(content=HALF))


def error(status: int, **fields: Any) -> Fail:
    return Fail(status, body={"error": {"message": "My secret plan is too much.", "type": "x", "code": None, **fields}})


@frozen
class Failure:
    """One way to fail.

    Attributes:
        behaviour: What the server does.
        error: What the caller gets.
        partial: What arrived of the answer before.
        requests: How often the server is asked.
        facts: What the error says besides.
        timeout: The silence that is allowed, where that is what fails.
        tools: What the model is offered.
    """

    behaviour: Behaviour
    error: type[ModelError]
    partial: str = ""
    requests: int = 1
    facts: dict[str, Any] = Factory(dict)
    timeout: float | None = None
    tools: tuple[Callable[..., object], ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """What a call is given for it to fail in this way."""
        return {"timeout": self.timeout, **({"tools": self.tools} if self.tools else {})}


def look(city: str) -> str:
    """Look up a city."""
    return city


TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 10,001 tokens."
FAILURES: dict[str, Failure] = {
    "auth": Failure(error(401, code="invalid_api_key"), ModelAuthError, facts={"status": 401}),
    "quota": Failure(error(429, code="insufficient_quota"), ModelQuotaError, facts={"status": 429}),
    "no credit": Failure(error(402), ModelQuotaError, facts={"status": 402}),
    "rate limit": Failure(
        Fail(429, headers={"Retry-After": "7"}), ModelRateLimitError, requests=ATTEMPTS, facts={"retry_after": 7.0}
    ),
    "context too long": Failure(
        error(400, code="context_length_exceeded", message=TOO_LONG),
        ModelContextError,
        facts={"tokens": 10_001, "limit": 8192},
    ),
    "context too long, said in the stream": Failure(
        Chunks([{"error": {"message": TOO_LONG, "code": "context_length_exceeded"}}]), ModelContextError, facts={"limit": 8192}
    ),
    "server error": Failure(Fail(503), ModelResponseError, requests=ATTEMPTS, facts={"status": 503}),
    "malformed SSE": Failure(Raw([b"data: {broken\n\n"]), ModelResponseError),
    "malformed SSE in the middle": Failure(Raw([BEGUN, b"data: {broken\n\n"]), ModelResponseError, HALF),
    "no choices": Failure(Chunks([{"choices": []}]), ModelResponseError),
    "no choices, whole": Failure(Fail(200, body={"choices": []}), ModelResponseError),
    "null content": Failure(Reply(None), ModelResponseError),
    "null content, whole": Failure(
        Fail(200, body={"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}), ModelResponseError
    ),
    "blank content": Failure(Chunks([chunk(content=" \n"), chunk("stop")]), ModelResponseError),
    "a refusal": Failure(Reply(None, refusal="I will not."), ModelRefusalError, "I will not."),
    "a refusal, whole": Failure(
        Fail(200, body={"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}),
        ModelRefusalError,
        "No.",
    ),
    "a 200 with an error": Failure(error(200), ModelResponseError),
    "a 200 with an error of the rate": Failure(error(200, code=429), ModelRateLimitError, requests=ATTEMPTS),
    "an error in the middle": Failure(Chunks([chunk(content=HALF), {"error": {"message": "no"}}]), ModelResponseError, HALF),
    "a 200 with a page": Failure(Fail(200, body="<html>Welcome</html>"), ModelResponseError),
    "a stall": Failure(Stall(), ModelTimeoutError, requests=ATTEMPTS, timeout=0.1),
    "a stall in the middle": Failure(Stall([HALF]), ModelTimeoutError, HALF, timeout=0.5),
    "a cut": Failure(CutAfter(), ModelConnectionError, requests=ATTEMPTS),
    "a cut in the middle": Failure(CutAfter([HALF]), ModelConnectionError, HALF),
    "a cut in a call": Failure(
        Chunks([chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{"}}])], done=False),
        ModelConnectionError,
    ),
    "a call by no name": Failure(
        Chunks([chunk("tool_calls", tool_calls=[{"index": 0, "id": "a", "function": {"name": "a b", "arguments": "{}"}}])]),
        ModelResponseError,
    ),
    "a call of an unknown tool": Failure(Reply(HALF, (ToolCall("a", "find", "{}"),)), ModelAnswerError, HALF, tools=(look,)),
    "arguments that are no object": Failure(
        Reply(HALF, (ToolCall("a", "look", '["Oslo"]'),)), ModelAnswerError, HALF, tools=(look,)
    ),
    "arguments that are no JSON": Failure(
        Reply(HALF, (ToolCall("a", "look", '{"city": '),)), ModelAnswerError, HALF, tools=(look,)
    ),
}

each_failure = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)

Ask: TypeAlias = Callable[..., Awaitable[str]]


async def by_chat(t: AsyncTract, **options: Any) -> str:
    response: ChatResponse = await t.chat(QUESTION, **options)
    return response.text


async def by_generate(t: AsyncTract, **options: Any) -> str:
    response: ChatResponse = await t.generate(**options)
    return response.text


async def by_stream(t: AsyncTract, **options: Any) -> str:
    async with t.stream(QUESTION, **options) as stream:
        return "".join([delta async for delta in stream])


async def by_run(t: AsyncTract, **options: Any) -> str:
    return (await t.run(QUESTION, **options)).text


VERBS: tuple[Ask, ...] = (by_chat, by_generate, by_stream, by_run)
each_verb = pytest.mark.parametrize("ask", VERBS)
FAILING_CALLS = {
    f"{ask.__name__}-{name}": (failure, ask)
    for name, failure in FAILURES.items()
    for ask in VERBS
    # A run tells the model what was wrong with its call, and goes on.
    if not (ask is by_run and failure.error is ModelAnswerError)
}
each_failing_call = pytest.mark.parametrize(("failure", "ask"), FAILING_CALLS.values(), ids=FAILING_CALLS)


class Gate:
    """What somebody waits at until it is opened; it says when they are there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def wait(self) -> None:
        self.reached.set()
        await self._open.wait()


class Provider:
    """A server's mood.

    Attributes:
        behaviour: What it does until it is mended.
        before: What it waits at before it does anything, or None.
        asleep: What a client waits at between its attempts, or None.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.before: Gate | None = None
        self.asleep: Gate | None = None

    async def behave(self, _: Received) -> Behaviour:
        behaviour, gate = self.behaviour, self.before
        if gate is not None:
            await gate.wait()
        return behaviour

    async def sleep(self, seconds: float) -> None:
        if self.asleep is not None:
            await self.asleep.wait()

    def mend(self) -> None:
        """Answer from now on, and let go of whoever waits."""
        for gate in (self.before, self.asleep):
            if gate is not None:
                gate.open()
        self.before = self.asleep = None
        self.behaviour = Reply(ANSWER)


@asynccontextmanager
async def failing(behaviour: Behaviour, where: str = ":memory:") -> AsyncIterator[tuple[AsyncTract, Server, Provider]]:
    """A tract that talks to a server which fails, with one message before."""
    provider = Provider(behaviour)
    async with serve(provider.behave) as server:
        client = OpenAIClient(base_url=server.base_url, sleep=provider.sleep)
        try:
            async with AsyncTract.open(where, llm=client, model="tiny", tokens=ApproximateCounter()) as t:
                await t.user("before")
                yield t, server, provider
        finally:
            provider.mend()
            await client.aclose()


def history(ask: Ask) -> list[str]:
    """Return what is on the branch after one question and its answer."""
    return ["before", ANSWER] if ask is by_generate else ["before", QUESTION, ANSWER]
