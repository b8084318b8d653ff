"""An OpenAI-compatible server in the process of the tests, on 127.0.0.1.

`serve` runs it in the event loop of the test; what it answers is a list of
small values (`Reply`, `Fail`, `CutAfter`, `Hold`, `Stall`, `Paced`, `Flood`,
`Chunks`, `Raw`), or a function of the request. Needs starlette and uvicorn; read `serve` first.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from inspect import isawaitable
from types import MappingProxyType
from typing import Any, TypeAlias

import uvicorn
from attrs import frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tract.testing.wire import (
    Behaviour,
    Chunks,
    CutAfter,
    Fail,
    Flood,
    HangUp,
    Hold,
    Paced,
    Raw,
    Repeated,
    Reply,
    Silence,
    Stall,
    Step,
    Stream,
    steps,
    whole,
)

__all__ = [
    "Behaviour",
    "Chunks",
    "CutAfter",
    "Fail",
    "Flood",
    "Hold",
    "Paced",
    "Raw",
    "Received",
    "Reply",
    "Server",
    "Stall",
    "echo",
    "serve",
]


@frozen
class Received:
    """A request that arrived.

    Attributes:
        body: Its JSON.
        key: The bearer key, or None; the server is the one place to see it.
    """

    body: Mapping[str, Any]
    key: str | None


Script: TypeAlias = Callable[[Received], Behaviour | Awaitable[Behaviour]] | Iterable[Behaviour]


def echo(request: Received) -> Reply:
    """Answer with the last message; what a server does that is told nothing."""
    return Reply(f"You said: {request.body['messages'][-1].get('content')}")


class Server:
    """A server that runs.

    Attributes:
        base_url: For the client, ending in `/v1`.
        requests: What arrived, in order.
        disconnects: How often a client went away before the end.
        sent: How many pieces of a `Flood` the sockets took.
        holds: How often a client that reads slowly held a `Flood` back.
    """

    def __init__(self, base_url: str, script: Script) -> None:
        self.base_url = base_url
        self.requests: list[Received] = []
        self.disconnects = 0
        self.sent = 0
        self.holds = 0
        self._behaviour_for = script if callable(script) else _in_order(script)
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()

    async def received(self, count: int = 1) -> None:
        """Wait until *count* requests have arrived."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def disconnected(self, count: int = 1) -> None:
        """Wait until *count* clients have gone away before the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.disconnects >= count)

    async def held_back(self, count: int = 1) -> None:
        """Wait until clients that read slowly have held a `Flood` back *count* times."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.holds >= count)

    async def complete(self, request: Request) -> Response:
        """Answer one request as the script says."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        received = Received(await request.json(), key if scheme == "Bearer" else None)
        async with self._changed:
            self.requests.append(received)
            self._changed.notify_all()
        behaviour = self._behaviour_for(received)
        if isawaitable(behaviour):
            behaviour = await behaviour
        return self._response(received.body, Reply(behaviour) if isinstance(behaviour, str) else behaviour)

    def _response(self, body: Mapping[str, Any], behaviour: Fail | Stream) -> Response:
        if isinstance(behaviour, Fail):
            return _failure(behaviour)
        if isinstance(behaviour, Reply) and not body.get("stream"):
            return _json(whole(body, behaviour))
        return _EventStream(self, steps(body, behaviour))

    async def count_disconnect(self) -> None:
        """Record that a client went away before the end."""
        async with self._changed:
            self.disconnects += 1
            self._changed.notify_all()

    async def count_hold(self) -> None:
        """Record that a client holds an answer back."""
        async with self._changed:
            self.holds += 1
            self._changed.notify_all()

    async def closing(self) -> None:
        """Wait until the server is about to stop."""
        await self._closing.wait()

    def close(self) -> None:
        """Let go of every request that is held."""
        self._closing.set()


@asynccontextmanager
async def serve(behaviour: Script = echo) -> AsyncIterator[Server]:
    """Serve `/v1/chat/completions` on a port of 127.0.0.1 that is free.

    Args:
        behaviour: One for each request, in order, or a function of the
            request, which may be async. By default it echoes. A request
            beyond the list is refused with status 400.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", behaviour)
        route = Route("/v1/chat/completions", server.complete, methods=["POST"])
        http = _Uvicorn(Starlette(routes=[route]))
        running = asyncio.create_task(http.serve(sockets=[listener]))
        try:
            await http.wait_started()
            yield server
        finally:
            server.close()
            http.stop()
            await running


class _Uvicorn(uvicorn.Server):
    """uvicorn without signal handlers and without ticks, so it starts and stops at once."""

    def __init__(self, app: Starlette) -> None:
        # At any other level it logs each cut that a test asked for as an error.
        quiet: dict[str, Any] = {"log_config": None, "log_level": "critical", "access_log": False}
        super().__init__(uvicorn.Config(app, http="h11", ws="none", lifespan="off", **quiet))
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self._started.set()
        await self._stopping.wait()

    async def wait_started(self) -> None:
        await self._started.wait()

    def stop(self) -> None:
        self._stopping.set()


class _EventStream(Response):
    """Server-sent events that may wait, or break off, and notice when the client leaves."""

    def __init__(self, server: Server, steps: Sequence[Step]) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self._server = server
        self._steps = steps
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_disconnect(receive))
        closing = asyncio.create_task(self._server.closing())
        tasks = (sending, leaving, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not sending.done():
                await self._server.count_disconnect()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        for step in self._steps:
            match step:
                case HangUp():
                    # uvicorn closes the connection of an answer that was not ended.
                    return
                case bytes():
                    await self._send_piece(send, step)
                case Silence():
                    await asyncio.Event().wait()
                case Repeated(data, count):
                    for _ in range(count):
                        await self._send_held(send, data)
                case AsyncIterable():
                    async for piece in step:
                        await self._send_piece(send, piece)
                case _:
                    await step.wait()
        await self._send_piece(send, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(self, send: Send, data: bytes) -> None:
        if not self._has_started:
            self._has_started = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _send_held(self, send: Send, data: bytes) -> None:
        """Send a piece; one that the sockets do not take within a turn of the loop is held back."""
        sending = asyncio.ensure_future(self._send_piece(send, data))
        try:
            await asyncio.wait((sending,), timeout=0)
            if not sending.done():
                await self._server.count_hold()
            await sending
        finally:
            sending.cancel()
        self._server.sent += 1


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _in_order(script: Iterable[Behaviour]) -> Callable[[Received], Behaviour]:
    waiting = list(script)
    scripted = len(waiting)

    def behaviour_for(_: Received) -> Behaviour:
        if not waiting:
            return Fail(400, body=f"The server was called once more than its {scripted} behaviours.")
        return waiting.pop(0)

    return behaviour_for


def _failure(fail: Fail) -> Response:
    if isinstance(fail.body, str):
        return Response(fail.body, fail.status, dict(fail.headers), media_type="text/html")
    error = {"message": f"The test asked for {fail.status}.", "type": "test", "param": None, "code": None}
    return _json({"error": error} if fail.body is None else fail.body, fail.status, fail.headers)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(json.dumps(value), status, dict(headers), media_type="application/json")
