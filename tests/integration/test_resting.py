"""What is done beside a store while nobody writes to it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import request
from tract import AsyncTract
from tract.core.keeping import STRIDE
from tract.core.resting import AtRest
from tract.errors import StoreError
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import FixedClock


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AtRest, "quiet", 0.01)


async def opened(path: Path) -> SqliteStore:
    return await SqliteStore.open(
        str(path), create=True, durability="full", clock=FixedClock(), statements=load(*SQL), projections=INLINE
    )


async def test_a_long_history_is_kept_in_the_file_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        async with t.batch():
            for number in range(STRIDE):
                await t.user(f"message {number}")
        with closing(sqlite3.connect(path)) as connection:
            async with asyncio.timeout(30):
                mark = t.mark()
                while connection.execute("SELECT count(*) FROM contexts").fetchone() == (0,):
                    await t.changed(mark)
                    mark = t.mark()


async def test_an_error_that_nobody_expected_does_not_end_it(tmp_path: Path) -> None:
    store, done = await opened(tmp_path / "log.db"), asyncio.Event()
    failures: list[Exception] = [OSError("hush"), MemoryError()]

    async def work() -> None:
        if failures:
            raise failures.pop()
        done.set()

    AtRest(store, work).start()
    await asyncio.wait_for(done.wait(), 10)
    await store.aclose()


async def test_it_works_once_at_first_and_once_after_what_is_written(tmp_path: Path) -> None:
    store, done = await opened(tmp_path / "log.db"), asyncio.Semaphore(0)

    async def work() -> None:
        done.release()

    resting = AtRest(store, work)
    resting.start()
    resting.start()
    await done.acquire()
    assert done.locked()
    await store.append(request())
    await asyncio.wait_for(done.acquire(), 10)
    await store.aclose()
    assert done.locked()


async def test_what_the_store_refuses_is_tried_again(tmp_path: Path) -> None:
    store, tries, done = await opened(tmp_path / "log.db"), iter(range(3)), asyncio.Event()

    async def work() -> None:
        if next(tries) < 2:
            raise StoreError
        done.set()

    AtRest(store, work).start()
    await asyncio.wait_for(done.wait(), 10)
    await store.aclose()


async def test_closing_the_store_cuts_the_work_short(tmp_path: Path) -> None:
    store, begun = await opened(tmp_path / "log.db"), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    AtRest(store, work).start()
    await begun.wait()
    await asyncio.wait_for(store.aclose(), 10)
