"""Models that tests hold back, and tracts that talk to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tract import (
    AsyncTract,
    ModelRequest,
)
from tract.testing import ScriptedLLM

Talk = Callable[[AsyncTract], Awaitable[object]]


class Held:
    """A model that says some words, then waits until it is let go."""

    def __init__(self, before: tuple[str, ...] = ("Half ",), after: tuple[str, ...] = ("done.",)) -> None:
        self.has_begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self._before, self._after = before, after

    def __call__(self, request: ModelRequest) -> AsyncIterator[str]:
        return self._deltas()

    async def _deltas(self) -> AsyncIterator[str]:
        for delta in self._before:
            yield delta
        self.has_begun.set()
        await self.go_on.wait()
        for delta in self._after:
            yield delta


def opened(replies: Any, where: str = ":memory:", **options: Any) -> Any:
    return AsyncTract.open(where, llm=ScriptedLLM(replies), **{"model": "tiny", **options})


class Dictated:
    """A model that says what the test dictates, as soon as it does."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | Exception | None] = asyncio.Queue()

    def __call__(self, request: ModelRequest) -> AsyncIterator[str]:
        return self._deltas()

    def say(self, *deltas: str) -> None:
        for delta in deltas:
            self._lines.put_nowait(delta)

    def end(self, error: Exception | None = None) -> None:
        self._lines.put_nowait(error)

    async def _deltas(self) -> AsyncIterator[str]:
        while (line := await self._lines.get()) is not None:
            if isinstance(line, Exception):
                raise line
            yield line
