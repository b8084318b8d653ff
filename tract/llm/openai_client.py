"""`OpenAIClient`: any server that speaks OpenAI's Chat Completions.

`OpenAIStream` is one call with its attempts, read it first. What is sent and
received is in `openai_answers`, what a failure means in `openai_errors`. The
only module that imports the openai package, and only at the first call. The
package sends; what comes back is read here, since its own reading costs more
and loses text of streams that are legal, if odd. Imports `errors`, `domain`,
`protocol` and `event_streams`.
"""

import asyncio
import json
import os
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from importlib import import_module
from inspect import signature
from types import AsyncGeneratorType, TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import anyio
from attrs import evolve, frozen

from tract.diagnostics import note
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.errors import (
    ClosedError,
    ConfigError,
    ModelConnectionError,
    ModelError,
    ModelNotConfiguredError,
    ModelResponseError,
    ModelTimeoutError,
)
from tract.llm.event_streams import EventDecoder
from tract.llm.openai_answers import Answer, body, name_of_limit
from tract.llm.openai_errors import ReportedError, is_transient, model_error, pause
from tract.llm.protocol import ModelStream

_Send: TypeAlias = Callable[[], Awaitable[Any]]
_Sleep: TypeAlias = Callable[[float], Awaitable[None]]
_CONNECT_TIMEOUT = 10.0
_PLACEHOLDER_KEY = "none"
_END = object()
_DONE = object()
_HEAD_BYTES = 9
"""Enough of a body to tell what it is: a byte order mark and `event:`."""
_field = re.compile(rb"(data|event|id|retry)?:")
_REST_SECONDS = 0.05
"""How long the end of a connection may take that could be used again."""


class OpenAIClient:
    """Talks to OpenAI, or to any server with the same Chat Completions API.

    Without *api_key* the environment's `OPENAI_API_KEY` is taken. A server of
    one's own (*base_url*) needs no key at all. Nothing is imported, connected
    or sent before the first call. A call is tried again, *max_retries* times
    at most, after 408, 409, 429, 5xx, a failed connection and a time-out, as
    long as nothing of the answer has arrived; every attempt is reported. Each
    event loop has connections of its own. OpenAI and Azure are sent `max_tokens`
    as `max_completion_tokens`.

    Args:
        api_key: Kept in memory, and never printed, stored or put into errors.
        base_url: Such as `http://127.0.0.1:8000/v1`; by default the
            environment's `OPENAI_BASE_URL`, or OpenAI itself.
        max_retries: Attempts after the first.
        timeout: Seconds of silence that are allowed, where a request does not
            say otherwise.
        sleep: How to wait between attempts, in seconds.

    Raises:
        ModelNotConfiguredError: There is no key, and no *base_url* either.
        ConfigError: The key or the URL cannot be one, or a number is negative.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        max_retries: int = 2,
        timeout: float = 600.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        if max_retries < 0:
            raise ConfigError("max_retries", "it must be 0 or more")
        if timeout <= 0:
            raise ConfigError("timeout", "it must be more than 0 seconds")
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._shown_url = _without_secrets(self._base_url)
        self._limit = name_of_limit(self._base_url)
        self._api_key = _key(api_key, has_server=self._base_url is not None)
        self._max_retries = max_retries
        self._timeout = timeout
        self._sleep = sleep
        self._connections: dict[asyncio.AbstractEventLoop, _Connection] = {}
        self._is_closed = False

    def __repr__(self) -> str:
        return f"OpenAIClient(base_url={self._shown_url!r})"

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Return the answer at once; it is streamed underneath.

        So silence is noticed as early as in `stream`, and the attempts stand
        on the reply or, by name, in a note on the error.

        Raises:
            ModelError: One of its kinds, after the retries.
            ModelNotConfiguredError: The request names no model.
            ClosedError: The client was closed.
        """
        async with self.stream(request) as answer:
            try:
                async for _ in answer:
                    pass
            except ModelError as exc:
                exc.add_note(f"Attempts: {', '.join(attempt.error or 'no error' for attempt in answer.attempts)}.")
                raise
            return answer.reply

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:
        """Return the answer as it comes; nothing is sent before it is iterated.

        Raises:
            ModelNotConfiguredError: The request names no model.
            ClosedError: The client was closed.
        """
        if self._is_closed:
            raise ClosedError("client")
        content = body(request, self._limit)
        seconds = self._timeout if request.timeout is None else request.timeout

        async def connect() -> _Send:
            connection = await self._connect()
            return lambda: connection.post(content, seconds)

        return OpenAIStream(connect, self._max_retries, self._sleep)

    async def aclose(self) -> None:
        """Close every connection of this event loop, and what is left of loops that ended; twice is nothing."""
        self._is_closed = True
        await self._disconnect(asyncio.get_running_loop())

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        if loop in self._connections:
            return self._connections[loop]
        # The import takes half a second, which the event loop must not lose.
        openai = await anyio.to_thread.run_sync(import_module, "openai")
        if self._is_closed:
            raise ClosedError("client")
        if loop not in self._connections:
            sdk = openai.AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, max_retries=0)
            # Earlier versions of the SDK take bytes as the body itself.
            name = "content" if "content" in signature(sdk.post).parameters else "body"
            self._connections[loop] = _Connection(sdk, openai, name)
        connection = self._connections[loop]
        await self._disconnect()
        return connection

    async def _disconnect(self, *loops: asyncio.AbstractEventLoop) -> None:
        """Close the connections of *loops* and of those that ended.

        A loop that ended cannot close its sockets, which the interpreter then
        does; but the SDK would try to, in whichever loop it is collected.
        """
        for loop in [*self._connections]:
            if loop in loops or loop.is_closed():
                connection = self._connections.pop(loop)
                with suppress(*([RuntimeError] if loop.is_closed() else [])):
                    await connection.sdk.close()


class OpenAIStream:
    """One model call: attempts until one of them begins to answer, then its text.

    What *connect* returns sends the request.
    """

    def __init__(self, connect: Callable[[], Awaitable[_Send]], max_retries: int, sleep: _Sleep) -> None:
        self._connect = connect
        self._max_retries = max_retries
        self._sleep = sleep
        self._attempts: list[Attempt] = []
        self._answer = Answer()
        self._response: Any = None
        self._chunks: AsyncGenerator[object, None] | None = None
        self._reply: ModelReply | None = None
        self._is_over = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._is_over = True
        await self._hang_up()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._is_over:
            try:
                text = await self._next_text()
            except Exception as exc:  # noqa: BLE001  (what model_error does not know is raised again)
                await self._fail(exc)
            else:
                if text:
                    return text
        raise StopAsyncIteration

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every HTTP request so far; one that was left has no error."""
        return tuple(self._attempts)

    @property
    def reply(self) -> ModelReply:
        """The whole answer, after the last text."""
        if self._reply is None:
            raise RuntimeError("The answer is not whole yet: iterate the stream to its end first.")
        return self._reply

    async def _next_text(self) -> str:
        """Return the next text of the attempt, or none when the answer is whole."""
        if self._chunks is None:
            # Who leaves before there is anything to send by has called no model.
            send = await self._connect()
            self._attempts.append(Attempt(len(self._attempts) + 1))
            self._answer = Answer()
            self._response = await send()
            self._chunks = _chunks(self._response.response)
        while (chunk := await self._next_chunk(self._chunks)) is not _END:
            if chunk is _DONE:
                self._answer.end()
            elif text := self._answer.add(chunk):
                return text
        self._finish()
        return ""

    async def _next_chunk(self, chunks: AsyncGenerator[object, None]) -> object:
        try:
            return await anext(chunks, _END)
        except Exception as exc:
            is_lost = isinstance(model_error(exc), (ModelConnectionError, ModelTimeoutError))
            if self._answer.finish_reason is None or not is_lost:
                raise
            # All was said; what is lost is the usage, if anything.
            return _END

    def _finish(self) -> None:
        if not self._answer.is_whole and not self._answer.is_void():
            raise ModelConnectionError("the answer was cut before its end")
        attempt = evolve(self._attempts[-1], figures=self._answer.usage)
        self._reply = self._answer.reply((*self._attempts[:-1], attempt))
        self._attempts[-1] = attempt
        self._is_over = True

    async def _fail(self, exc: Exception) -> None:
        """Record the failed attempt, then wait for the next or raise our error."""
        error = model_error(exc)
        if error is None:
            self._is_over = True
            raise exc
        if not self._attempts:
            self._is_over = True
            raise error from exc
        failed = evolve(self._attempts[-1], figures=self._answer.usage, error=type(error).__name__)
        self._attempts[-1] = failed
        await self._hang_up()
        if self._answer.has_begun or failed.number > self._max_retries or not is_transient(error):
            self._is_over = True
            raise error from (exc.__cause__ if error is exc else exc)
        # Spreads clients out in time; nothing secret hangs on it.
        seconds = pause(exc, failed.number, random.random())  # noqa: S311
        note("model.retried", attempt=failed.number, error=failed.error, status=error.status, wait=seconds)
        await self._sleep(seconds)

    async def _hang_up(self) -> None:
        response, chunks = self._response, self._chunks
        self._response, self._chunks = None, None
        with anyio.CancelScope(shield=True):
            if response is not None:
                await response.close()
            # Another task that is still reading ends it by the error it gets.
            if isinstance(chunks, AsyncGeneratorType) and not chunks.ag_running:
                await chunks.aclose()


@frozen
class _Connection:
    """What is asked of the SDK in one event loop, which takes the bytes of a body by the argument *name*."""

    sdk: Any
    openai: Any
    name: str

    async def post(self, content: bytes, seconds: float) -> Any:
        """Send a body and return the SDK's stream; allow *seconds* of silence, and less for connecting."""
        timeout = self.openai.Timeout(seconds, connect=min(seconds, _CONNECT_TIMEOUT))
        return await self.sdk.post(
            "/chat/completions",
            cast_to=dict[str, Any],
            options={"timeout": timeout},
            stream=True,
            stream_cls=self.openai.AsyncStream[dict[str, Any]],
            **{self.name: content},
        )


async def _chunks(http: Any) -> AsyncGenerator[object, None]:
    """Yield the chunks of an answer, and `_DONE` at its end mark.

    Proxies name event streams JSON and JSON an event stream, so the first
    bytes tell which it is. A wrong base_url answers with a web page.
    """
    decoder = EventDecoder()
    async with aclosing(http.aiter_bytes()) as pieces:
        head = await _head(pieces)
        if _is_whole(head, http.headers.get("content-type", "")):
            yield _chunk(b"".join([head, *[piece async for piece in pieces]]))
            return
        piece: bytes | None = head
        while piece is not None:
            for data in decoder.feed(piece):
                if data.startswith("[DONE]"):
                    yield _DONE
                    await _read_rest(pieces)
                    return
                yield _chunk(data)
            piece = await anext(pieces, None)


async def _head(pieces: AsyncIterator[bytes]) -> bytes:
    head = b""
    async for piece in pieces:
        head += piece
        if len(head.lstrip()) >= _HEAD_BYTES:
            break
    return head


def _is_whole(head: bytes, kind: str) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return True
    return ("json" in kind or "html" in kind) and not _field.match(start)


async def _read_rest(pieces: AsyncIterator[bytes]) -> None:
    """Read what is after the end, without which the connection cannot be used again."""
    with anyio.move_on_after(_REST_SECONDS):
        try:
            async for _ in pieces:
                pass
        except Exception as exc:
            # The answer is whole, whatever becomes of its connection.
            if model_error(exc) is None:
                raise


def _chunk(data: str | bytes) -> object:
    try:
        chunk: object = json.loads(data)
    except (ValueError, RecursionError) as exc:
        # No JSON, a number of thousands of digits, or brackets without end.
        raise ModelResponseError("the provider's answer could not be read") from exc
    if isinstance(chunk, Mapping) and chunk.get("error"):
        raise ReportedError(chunk["error"])
    return chunk


def _key(given: str | None, *, has_server: bool) -> str:
    key = (given or os.environ.get("OPENAI_API_KEY") or "").strip()
    if not key:
        if not has_server:
            raise ModelNotConfiguredError("API key")
        return _PLACEHOLDER_KEY
    # The HTTP library would quote such a key in its error.
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("api_key", "it holds characters that no key has")
    return key


def _without_secrets(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise ConfigError("base_url", "it is not a URL") from exc
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
