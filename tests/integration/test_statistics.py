"""What a store in a file tells of its lock, its write-ahead log and its readers."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders import request
from tract.domain.events import BranchCreated
from tract.errors import StoreLockedError
from tract.log.locking import WriteLock
from tract.log.protocol import Query
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import FixedClock


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


async def opened(where: str) -> SqliteStore:
    return await SqliteStore.open(
        where, create=True, durability="full", clock=FixedClock(), statements=load(*SQL), projections=INLINE
    )


@pytest.fixture
async def store(path: str) -> AsyncIterator[SqliteStore]:
    found = await opened(path)
    yield found
    await found.aclose()


async def appended(store: SqliteStore, branch: str = "a") -> None:
    await store.append(request(BranchCreated(branch, None)))


async def test_who_finds_the_lock_taken_counts_one_wait_and_how_long_it_was(
    store: SqliteStore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = WriteLock(path)
    lock.acquire()
    # Whoever holds it lets go in the first pause of whoever waits.
    monkeypatch.setattr("time.sleep", lambda _: lock.close())
    await appended(store)
    found = store.statistics()
    assert (found.lock_waits, found.appends) == (1, 1)
    assert 0 < found.lock_seconds <= found.commit.max


async def test_a_wait_that_is_given_up_is_one_too(path: str) -> None:
    with WriteLock(path) as lock:
        late = WriteLock(path, patience=0)
        with pytest.raises(StoreLockedError):
            late.acquire()
        late.close()
    lock.close()
    assert late.waits == 1
    assert late.waited > 0


async def test_who_finds_the_lock_free_has_not_waited(store: SqliteStore) -> None:
    await appended(store)
    assert (store.statistics().lock_waits, store.statistics().lock_seconds) == (0, 0.0)


async def test_the_write_ahead_log_has_the_size_of_its_file(store: SqliteStore, path: str) -> None:
    await appended(store)
    assert store.statistics().wal_size == Path(f"{path}-wal").stat().st_size > 0


async def test_a_write_ahead_log_that_is_gone_has_no_size(store: SqliteStore, path: str) -> None:
    Path(f"{path}-wal").unlink()
    assert store.statistics().wal_size == 0


async def test_a_checkpoint_is_counted(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.log.write_connection.WAL_LIMIT_PAGES", 0)
    assert store.statistics().checkpoints == 0
    await appended(store)
    assert store.statistics().checkpoints == 1


async def test_reads_are_under_way_as_long_as_they_have_a_connection_and_wait_otherwise(store: SqliteStore) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def look(_: Query) -> None:
        entered.release()
        assert leave.wait(30)

    looking = [asyncio.create_task(store.read(look)) for _ in range(5)]
    for _ in range(2):
        assert await asyncio.to_thread(entered.acquire, timeout=30)
    counted = (store.statistics().readers_busy, store.statistics().reads_waiting)
    leave.set()
    await asyncio.gather(*looking)
    assert counted == (2, 3)
    assert (store.statistics().readers_busy, store.statistics().reads_waiting) == (0, 0)


async def test_opening_a_file_twice_counts_once(store: SqliteStore, path: str) -> None:
    again = await opened(path)
    await appended(store, "a")
    await appended(again, "b")
    assert again.statistics() == store.statistics()
    assert store.statistics().appends == 2
    await again.aclose()


async def test_a_store_in_memory_has_no_lock_and_no_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ":memory:-wal").write_bytes(b"of somebody else")
    store = await opened(":memory:")
    await appended(store)
    found = store.statistics()
    await store.aclose()
    assert (found.appends, found.wal_size, found.lock_waits, found.checkpoints) == (1, 0, 0, 0)
