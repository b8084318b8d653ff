"""What tests read from a tract to compare whole values."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

from tract import AsyncTract


async def texts(t: AsyncTract, at: str | None = None) -> list[str | None]:
    """Return what each compiled message says."""
    return [message.get("content") for message in (await t.compile(at)).to_openai()]


async def previews(t: AsyncTract, at: str | None = None) -> list[str]:
    """Return the messages of the whole log, oldest first."""
    return [info.message for info in reversed(await t.log(10_000, at=at))]


async def state(t: AsyncTract) -> tuple[Any, ...]:
    """Return all that a refused call must leave as it was."""
    return await t.head(), await t.log(10_000), await t.branches(), str(await t.status()), t.current_branch


def recorded(path: str) -> int:
    """Return how many events a file holds."""
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
    return int(count)


async def from_elsewhere(path: str, write: Callable[[AsyncTract], Awaitable[object]]) -> None:
    """Write to a store as another process does: through an event loop and a store object of its own."""

    async def run() -> None:
        async with AsyncTract.open(path) as t:
            await write(t)

    await asyncio.to_thread(asyncio.run, run())
