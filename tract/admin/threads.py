"""Work that blocks, on a thread of its own, for a caller that may be cancelled. Imports `errors`."""

import asyncio
import os
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tract.errors import ConfigError

T = TypeVar("T")


def place_of(path: str | os.PathLike[str]) -> str:
    """Return the real path of a store.

    Raises:
        ConfigError: *path* is no path.
    """
    try:
        return os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError) as exc:
        raise ConfigError("path", "it must be the path of a file") from exc


async def on_thread(work: Callable[[str, Event], T], path: str | os.PathLike[str]) -> T:
    """Return what *work* returns; a caller that is cancelled stops it and sees its end.

    Raises:
        ConfigError: *path* is no path.
    """
    place, stop = place_of(path), Event()
    working = asyncio.ensure_future(asyncio.to_thread(work, place, stop))
    # What it raises after its caller left is nobody's; asyncio would complain.
    working.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait((working,))
        raise
