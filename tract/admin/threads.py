"""Work that blocks, on a thread of its own, for a caller that may be cancelled. Imports `errors`."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TypeVar

from tract.errors import ConfigError

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - nobody waits for it any more, so it is no error
    """Work on a thread saw that its caller left."""


def place_of(path: str | os.PathLike[str], field: str = "path") -> str:
    """Return the real path of a store, which may be named as `open` names it, or of another file.

    Args:
        path: As it was given.
        field: What the caller calls it; a `file` is no store.

    Raises:
        ConfigError: *path* is no path.
    """
    try:
        found = os.fsdecode(path)
        os.fsencode(found)
        found = str(Path(found).expanduser()) if found.startswith("~") else found
        return os.path.realpath(found if field == "file" else found.removeprefix("sqlite:///"))
    except (TypeError, ValueError, RuntimeError) as exc:
        raise ConfigError(field, "it must be the path of a file") from exc


def go_on(stop: Event) -> None:
    """Raise `Stopped` if nobody waits any more.

    Raises:
        Stopped: The caller left.
    """
    if stop.is_set():
        raise Stopped


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
