"""`ScriptedLLM`: a model that says what the test tells it to.

Imports `errors`, `domain` and `llm`; read `ScriptedLLM` first.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from inspect import isawaitable
from typing import TypeAlias, TypeVar

from attrs import evolve, field, frozen

from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.errors import ClosedError, ConfigError, ModelTimeoutError
from tract.llm.protocol import ModelStream
from tract.testing.usage import usage_of

Deltas: TypeAlias = Sequence[str] | AsyncIterable[str]
T = TypeVar("T")


@frozen
class Cut:
    """A reply that breaks off.

    Attributes:
        deltas: The texts that arrive first.
        error: What is raised then.
    """

    deltas: Deltas
    error: BaseException = field(eq=False)


Reply: TypeAlias = str | ModelReply | BaseException | Cut | Deltas
"""A text; a whole answer; an exception to raise; texts and then an exception;
or the very deltas, which an async iterator may hold back until an event."""

Script: TypeAlias = Callable[[ModelRequest], Reply | Awaitable[Reply]] | Iterable[Reply]


def words_of(text: str) -> list[str]:
    """Return *text* in pieces that end where a word begins; joined, they are it."""
    return [piece for piece in re.split(r"(?<=\s)(?=\S)", text) if piece]


class ScriptedLLM:
    """A model client for tests: no network, no clock, the same each time.

    A text is streamed word by word, as are the words of a refusal; reasoning
    stands on the reply alone. What a reply leaves open is filled in:
    the model of the request (or `scripted`), the finish reason, and a usage
    as `tract.testing.usage` counts it. A script that is silent for longer than
    the `timeout` of the request, before its reply or before its next delta, is
    a `ModelTimeoutError`; what a script raises itself stays what it is.

    Example::

        llm = ScriptedLLM(["Hello!", Cut(["Half an "], ModelConnectionError())])
        llm = ScriptedLLM(lambda request: f"You sent {len(request.messages)} messages.")

    Args:
        replies: One reply for each call, in order, or a function of the
            request that returns one; it may be async and wait for an event.
        reports_usage: Whether usage that a reply leaves open is filled in.

    Raises:
        ConfigError: *replies* is one string.

    Attributes:
        requests: What was sent, in order.
    """

    def __init__(self, replies: Script, *, reports_usage: bool = True) -> None:
        self.requests: list[ModelRequest] = []
        if isinstance(replies, str):
            raise ConfigError("replies", "it must be a list of replies or a function, not one string")
        self._reply_to = replies if callable(replies) else _in_order(replies)
        self._reports_usage = reports_usage
        self._is_closed = False

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Return the answer at once."""
        async with self.stream(request) as answer:
            async for _ in answer:
                pass
            return answer.reply

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:
        """Return the answer as it comes; the script is asked at the first iteration."""
        if self._is_closed:
            raise ClosedError("client")
        return self._answer(request)

    async def aclose(self) -> None:
        """Refuse further calls; twice is nothing."""
        self._is_closed = True

    @asynccontextmanager
    async def _answer(self, request: ModelRequest) -> AsyncIterator[ModelStream]:
        answer = _ScriptedStream(self._ask, request, reports_usage=self._reports_usage)
        async with aclosing(answer.deltas):
            yield answer

    async def _ask(self, request: ModelRequest) -> Reply:
        self.requests.append(request)
        reply = self._reply_to(request)
        return await reply if isawaitable(reply) else reply


class _ScriptedStream:
    def __init__(self, ask: Callable[[ModelRequest], Awaitable[Reply]], request: ModelRequest, *, reports_usage: bool) -> None:
        self.attempts: tuple[Attempt, ...] = ()
        self.deltas = self._run(ask, request)
        self._request = request
        self._reports_usage = reports_usage
        self._reply: ModelReply | None = None

    def __aiter__(self) -> AsyncIterator[str]:
        return self.deltas

    @property
    def reply(self) -> ModelReply:
        if self._reply is None:
            raise RuntimeError("The answer is not whole yet: iterate the stream to its end first.")
        return self._reply

    async def _run(self, ask: Callable[[ModelRequest], Awaitable[Reply]], request: ModelRequest) -> AsyncGenerator[str, None]:
        self.attempts = (Attempt(1),)
        try:
            reply = await _in_time(ask(request), request.timeout)
            if isinstance(reply, BaseException):
                raise reply
            said: list[str] = []
            async with aclosing(_deltas(reply)) as deltas:
                while (delta := await _in_time(anext(deltas, None), request.timeout)) is not None:
                    said.append(delta)
                    if delta:
                        yield delta
            if isinstance(reply, Cut):
                raise reply.error
        except Exception as exc:
            self.attempts = (Attempt(1, error=type(exc).__name__),)
            raise
        self._reply = self._whole(reply if isinstance(reply, ModelReply) else ModelReply("".join(said)))
        self.attempts = self._reply.attempts

    def _whole(self, reply: ModelReply) -> ModelReply:
        usage = reply.usage
        if usage is None and self._reports_usage:
            said = f"{reply.text or ''}{reply.refusal or ''}"
            usage = usage_of(self._request.messages, self._request.tools, said, reply.tool_calls, reply.reasoning)
        last = reply.attempts[-1]
        return evolve(
            reply,
            model=reply.model or self._request.config.model or "scripted",
            finish_reason=reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop"),
            usage=usage,
            attempts=(*reply.attempts[:-1], evolve(last, figures=last.figures or usage)),
        )


async def _in_time(call: Awaitable[T], seconds: float | None) -> T:
    """Wait for the model, no longer than its silence is allowed."""
    try:
        async with asyncio.timeout(seconds) as silence:
            return await call
    except TimeoutError as exc:
        if not silence.expired():
            raise
        raise ModelTimeoutError("the model was silent for too long") from exc


def _in_order(replies: Iterable[Reply]) -> Callable[[ModelRequest], Reply]:
    waiting = list(replies)
    scripted = len(waiting)

    def reply_to(_: ModelRequest) -> Reply:
        if not waiting:
            raise RuntimeError(f"ScriptedLLM was called once more than its {scripted} replies; give it another one.")
        return waiting.pop(0)

    return reply_to


async def _deltas(reply: str | ModelReply | Cut | Deltas) -> AsyncGenerator[str, None]:
    source: Deltas
    if isinstance(reply, str):
        source = words_of(reply)
    elif isinstance(reply, ModelReply):
        source = [*words_of(reply.text or ""), *words_of(reply.refusal or "")]
    else:
        source = reply.deltas if isinstance(reply, Cut) else reply
    if isinstance(source, AsyncIterable):
        async for delta in source:
            yield delta
    else:
        for delta in source:
            yield delta
