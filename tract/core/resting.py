"""Work that is done once a store was written to and is then left alone for a moment.

Imports `errors` and `log`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from tract.diagnostics import warn
from tract.errors import ClosedError
from tract.log.protocol import EventStore

_ROUNDS = 10
"""Moments after which it is done although nobody leaves the store alone."""


class AtRest:
    """A task beside a store that works when nobody waits for the store.

    Args:
        store: The store, which ends it.
        work: What to do; may be cancelled at any await.
        finish: What to do last, while the store closes; raises nothing.

    Attributes:
        quiet: Seconds in which nothing is written, before the work.
    """

    quiet: ClassVar[float] = 1.0

    def __init__(
        self, store: EventStore, work: Callable[[], Awaitable[object]], finish: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self._store = store
        self._work = work
        self._finish = finish
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; twice is once.

        Raises:
            ClosedError: The store is closed.
        """
        if self._task is None:
            self._store.accompany(self)
            self._task = asyncio.create_task(self._run(), name=f"tract at rest, {self._store.where}")

    async def aclose(self) -> None:
        """Stop at once, and do what is to be done last."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            if self._finish is not None:
                await self._finish()

    async def _run(self) -> None:
        while True:
            try:
                # What was written before it began counts too.
                mark = await self._left_alone()
                await self._work()
                await self._store.changed(mark, is_patient=True)
            except ClosedError:
                return
            except Exception as exc:  # noqa: BLE001 - as the reason may be gone then
                # What was not done is done another time.
                warn("rest.failed", store=self._store.where, error=type(exc).__name__)
                await asyncio.sleep(self.quiet)

    async def _left_alone(self) -> int:
        """Return the mark from which on nothing was written for a while."""
        for _ in range(_ROUNDS):
            mark = self._store.mark()
            await asyncio.sleep(self.quiet)
            if self._store.mark() == mark:
                break
        return mark
