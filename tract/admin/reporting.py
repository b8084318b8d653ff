"""Telling a caller how far work on a thread has come.

`Reports` is made where the caller is, and told on the thread. Imports
`results` and `threads`; read `on_thread_telling` first.
"""

import asyncio
import os
import time
from collections.abc import Callable
from threading import Event
from typing import TypeAlias, TypeVar

from tract.admin.results import Progress
from tract.admin.threads import on_thread

T = TypeVar("T")
Tell: TypeAlias = Callable[[Progress], None]

_PAUSE = 0.1
"""Seconds between two calls of the caller's function, except at both ends of a stretch."""


class Reports:
    """What work says while it runs; the caller's function is called on the caller's event loop.

    Made in a coroutine, used from any thread. A function that raises ends the
    work: what it raised comes out of the next `reached`, or of `close`.

    Args:
        tell: The caller's function, or None, where nobody listens.
    """

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._failure: Exception | None = None
        self._total, self._unit = 0, ""
        self._begun = self._due = 0.0

    def begin(self, total: int, unit: str) -> None:
        """Begin a stretch of *total* units."""
        self._total, self._unit = total, unit
        self._begun = time.perf_counter()
        self._due = 0.0
        self.reached(0)

    def reached(self, done: int, total: int | None = None) -> None:
        """Say how many units of the stretch are done, and how many there are if they grew; cheap enough for every hundredth."""
        self.close()
        self._total = self._total if total is None else total
        if self._tell is None:
            return
        now = time.perf_counter()
        if now >= self._due or done >= self._total > 0:
            self._due = now + _PAUSE
            progress = Progress(done, self._total, self._unit, now - self._begun)
            self._loop.call_soon_threadsafe(self._call, self._tell, progress)

    def close(self) -> None:
        """Raise what the caller's function raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def _call(self, tell: Tell, progress: Progress) -> None:
        if self._failure is None:
            try:
                tell(progress)
            except Exception as exc:  # noqa: BLE001 - it is the caller's, to whom it is handed on
                self._failure = exc


async def on_thread_telling(work: Callable[[str, Event, Reports], T], path: str | os.PathLike[str], tell: Tell | None) -> T:
    """Return what *work* returns, as `on_thread` does, while *tell* hears how far it has come.

    Raises:
        ConfigError: *path* is no path.
    """
    reports = Reports(tell)
    # The loop calls what it was handed in the order it was handed it, so all
    # of it was told before the result is seen.
    found = await on_thread(lambda place, stop: work(place, stop, reports), path)
    reports.close()
    return found
