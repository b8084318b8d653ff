"""Waking whoever waits for something to be written, here or by another process.

Changes of this process are told; those of others are looked for, and only
while somebody waits. Imports `errors`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio

from tract.errors import ClosedError

Waiter: TypeAlias = "asyncio.Future[None]"

INTERVAL = 0.02
"""Seconds between two looks for what other processes wrote."""
PATIENT_INTERVAL = 1.0
"""The same where all who wait are patient."""


class Changes:
    """A count of the changes that were noticed, and those who wait for it to grow.

    It may count one change twice, since what was told is also seen by
    looking, and never misses one: whatever was written after `mark` is
    noticed at the latest by the first look after it.

    Args:
        look: Returns a number that differs from its last one if anybody wrote
            in between; None where nobody else can write.
        interval: Seconds between two looks, where somebody cannot wait for longer.
    """

    def __init__(self, look: Callable[[], Awaitable[int]] | None, interval: float = INTERVAL) -> None:
        self._look = look
        self._interval = interval
        self._count = 0
        # Kept while nobody looks: what was written meanwhile shows at the next look.
        self._seen: int | None = None
        self._waiters: set[Waiter] = set()
        self._impatient = 0
        self._hurry = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._is_closed = False

    def mark(self) -> int:
        """Return how many changes were noticed so far."""
        return self._count

    def note(self) -> None:
        """Count a change and wake everybody."""
        self._count += 1
        self._wake(None)

    async def changed(self, mark: int, *, is_patient: bool = False) -> None:
        """Wait until something changed after *mark*; who is patient hears of other processes later.

        Raises:
            ClosedError: It was closed, before or meanwhile.
            StoreError: It cannot be looked at any more.
        """
        if is_patient:
            while self._count <= mark:
                await self._next()
            return
        self._impatient += 1
        self._hurry.set()
        try:
            while self._count <= mark:
                await self._next()
        finally:
            self._impatient -= 1

    async def aclose(self) -> None:
        """Refuse everybody from now on, and stop looking."""
        self._is_closed = True
        self._wake(ClosedError("store"))
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait((self._watch,))

    async def _next(self) -> None:
        if self._is_closed:
            raise ClosedError("store")
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        if self._look is not None and self._watch is None:
            self._watch = asyncio.create_task(self._watching(self._look), name="tract watch for other writers")
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def _watching(self, look: Callable[[], Awaitable[int]]) -> None:
        # It ends by itself, an interval after the last waiter: one that is
        # woken, reads and waits again finds it still looking.
        try:
            while self._waiters:
                number = await look()
                if number != self._seen:
                    self._seen = number
                    self.note()
                await self._rest()
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._wake(exc)
        finally:
            self._watch = None

    async def _rest(self) -> None:
        if self._impatient:
            await asyncio.sleep(self._interval)
            return
        self._hurry.clear()
        with anyio.move_on_after(PATIENT_INTERVAL):
            await self._hurry.wait()

    def _wake(self, error: Exception | None) -> None:
        for waiter in self._waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
                # One that is cancelled now never looks at it; asyncio would complain.
                waiter.exception()
        self._waiters.clear()
