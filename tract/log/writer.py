"""The one task that writes: it drains a queue into transactions.

Callers hand a request over and wait. Whatever waits when a batch ends goes
into the next one together (group commit), without a timer. Imports `protocol`
and `metering`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
from attrs import define

from tract.domain.events import Event
from tract.errors import ClosedError
from tract.log.batch import Outcome
from tract.log.metering import Meter
from tract.log.protocol import Request, Scratch, Work

T = TypeVar("T")
Result: TypeAlias = "asyncio.Future[Any]"

BATCH = 256
"""Requests in one transaction at the most, so that no one waits for long."""
CAPACITY = 4096
"""Requests that may wait; beyond it, callers wait for a place."""


@define(eq=False, repr=False)
class _Pending:
    request: Work
    result: Result
    is_owned: bool
    """An owned request is written even when nobody waits for it any more."""
    is_taken: bool = False

    @property
    def is_withdrawn(self) -> bool:
        return not self.is_owned and self.result.cancelled()


@define(eq=False, repr=False)
class PendingWrite(Generic[T]):
    """A request or a scratch that the writer owns."""

    _result: "asyncio.Future[T]"

    async def wait(self) -> T:
        """Return what was written; leaving early does not withdraw it."""
        return await asyncio.shield(self._result)


class Writer:
    """A queue and the task that empties it.

    Attributes:
        meter: Counts what was written.

    Args:
        run: Writes one batch and returns an outcome for each request.
        rest: Called when the queue is empty, for work that should not make
            anybody wait.
    """

    def __init__(self, run: Callable[[Sequence[Work]], Awaitable[list[Outcome]]], rest: Callable[[], Awaitable[None]]) -> None:
        self._run = run
        self._rest = rest
        self.meter = Meter()
        self._queue: list[_Pending] = []
        self._work = asyncio.Event()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._promised = 0
        self._closing = False

    @property
    def waiting(self) -> int:
        """How many requests wait to be written, in the queue or for a place there."""
        places = self._promised + sum(not place.done() for place in self._waiting)
        return places + sum(not pending.is_withdrawn for pending in self._queue)

    async def append(self, request: Request, then: Callable[[], None] | None) -> tuple[Event, ...]:
        """Wait for a place, then for the result; cancelling before the writer took it withdraws it."""
        if not self._closing and not self._has_room():
            await self._place()
        pending = self._enqueue(request, is_owned=False)
        if then is None:
            events: tuple[Event, ...] = await pending.result
            return events
        pending.result.add_done_callback(lambda done: None if done.cancelled() or done.exception() else then())
        return await _followed(pending)

    def _has_room(self) -> bool:
        return len(self._queue) + self._promised < CAPACITY

    async def _place(self) -> None:
        """Wait for a place in the queue, which nobody who came later is given before."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                # Given in the moment of the cancellation: the next one takes it.
                self._promised -= 1
                self._promise()
            raise
        self._promised -= 1

    def _promise(self) -> None:
        """Give the places that are free to those who wait longest; all of them go when it closes.

        Called whenever a place becomes free, so that nobody waits while there is one.
        """
        while self._waiting and (self._closing or self._has_room()):
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._promised += 1

    def submit(self, request: Request) -> PendingWrite[tuple[Event, ...]]:
        """Hand *request* over for good."""
        return PendingWrite(self._enqueue(request, is_owned=True).result)

    def scratch(self, scratch: Scratch) -> PendingWrite[tuple[int, ...]]:
        """Hand *scratch* over for good."""
        return PendingWrite(self._enqueue(scratch, is_owned=True).result)

    def _enqueue(self, request: Work, *, is_owned: bool) -> _Pending:
        if self._closing:
            raise ClosedError("store")
        result: Result = asyncio.get_running_loop().create_future()
        pending = _Pending(request, result, is_owned)
        self._queue.append(pending)
        self._work.set()
        return pending

    def close(self) -> None:
        """Refuse what comes from now on; `work` ends when the queue is empty."""
        self._closing = True
        self._work.set()
        self._promise()

    async def work(self) -> None:
        """Write until closed and empty; whatever ends it, nobody waits for ever."""
        try:
            await self._drain()
        finally:
            self.close()
            for pending in self._queue:
                _settle(pending.result, ClosedError("store"))

    async def _drain(self) -> None:
        while True:
            batch = self._take()
            if batch:
                await self._write(batch)
            elif self._closing:
                return
            else:
                await self._rest()
                if not self._queue and not self._closing:
                    self._work.clear()
                    await self._work.wait()

    def _take(self) -> list[_Pending]:
        batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
        self._promise()
        taken = [pending for pending in batch if not pending.is_withdrawn]
        for pending in taken:
            pending.is_taken = True
        return taken

    async def _write(self, batch: list[_Pending]) -> None:
        requests, start = [pending.request for pending in batch], perf_counter()
        try:
            outcomes = await self._run(requests)
        except BaseException as exc:
            cause = ClosedError("store") if isinstance(exc, asyncio.CancelledError) else exc
            for pending in batch:
                _settle(pending.result, cause)
            if not isinstance(exc, Exception):
                raise
            return
        self.meter.note(requests, outcomes, perf_counter() - start)
        for pending, outcome in zip(batch, outcomes, strict=True):
            _settle(pending.result, outcome)


async def _followed(pending: _Pending) -> tuple[Event, ...]:
    """Return the result of a request that something must follow.

    A caller that is cancelled too late to withdraw it stays for its end, so
    that what follows has happened when the cancellation is seen.
    """
    try:
        events: tuple[Event, ...] = await asyncio.shield(pending.result)
    except asyncio.CancelledError:
        if pending.is_taken:
            with anyio.CancelScope(shield=True):
                await asyncio.wait((pending.result,))
        else:
            pending.result.cancel()
        raise
    return events


def _settle(result: Result, outcome: "Outcome | BaseException") -> None:
    if result.done():
        return
    if isinstance(outcome, BaseException):
        result.set_exception(outcome)
        # A caller that left never looks at it; asyncio would complain.
        result.exception()
    else:
        result.set_result(outcome)
