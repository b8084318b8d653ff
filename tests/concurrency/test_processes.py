"""Several processes on one file: they take turns, nothing is lost, and none is kept out."""

import asyncio
import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.builders import broken_links
from tract import AsyncTract, CommitInfo, admin
from tract.errors import StoreFailedError, StoreLockedError, StoreReadOnlyError, StoreVanishedError
from tract.log.locking import WriteLock
from tract.log.store import SqliteStore

if sys.platform == "win32":
    pytest.skip("the platform has neither flock nor fork", allow_module_level=True)

import fcntl

ROOT = Path(__file__).parents[2]

Process: TypeAlias = "subprocess.Popen[str]"

APPENDING = """
import asyncio, json, sys
from time import perf_counter
from tract import AsyncTract

async def main(path, who, branch, times):
    async with AsyncTract.open() as t:
        await t.user("loads whatever is loaded late")
    async with AsyncTract.open(path) as t:
        if branch not in [each.name for each in await t.branches()]:
            await t.branch(branch)
        elif t.current_branch != branch:
            await t.switch(branch)
        print("ready", flush=True)
        sys.stdin.readline()
        said, waits = [], []
        for number in range(int(times)):
            start = perf_counter()
            said.append((await t.user(f"{who} {number}")).id)
            waits.append(perf_counter() - start)
    print(json.dumps([said, waits]))

asyncio.run(main(*sys.argv[1:]))
"""


def started(script: str, *arguments: object) -> Process:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*processes: Process) -> Iterator[tuple[Process, ...]]:
    """Processes that said they are ready; whatever happens, they end."""
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(process)
            stack.callback(process.kill)
        for process in processes:
            assert heard(process) == "ready"
        yield processes


def heard(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def appended(*processes: Process) -> list[tuple[list[str], list[float]]]:
    """What each process said when they append at once, and how long each append took."""
    with running(*processes):
        for process in processes:
            tell(process)
        done = [process.communicate(timeout=120) for process in processes]
    assert [errors for _, errors in done] == [""] * len(processes)
    return [json.loads(output) for output, _ in done]


def line(path: Path, branch: str = "main") -> list[CommitInfo]:
    """The first parents of a branch, oldest first; fails if they are no chain."""

    async def read() -> list[CommitInfo]:
        async with AsyncTract.open(str(path), create=False) as t:
            return list(reversed(await t.log(100_000, at=branch)))

    found = asyncio.run(read())
    assert [info.parents for info in found] == [(), *((info.id,) for info in found[:-1])]
    return found


def check_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert broken_links(connection.execute("SELECT * FROM events ORDER BY position").fetchall()) == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_eight_processes_on_one_branch_lose_nothing_and_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    told = appended(*(started(APPENDING, path, number, "main", 200) for number in range(8)))
    place: dict[str, int] = {info.id: number for number, info in enumerate(line(path))}
    assert len(place) == 1600
    for said, _ in told:
        places = [place[id] for id in said]
        assert places == sorted(places)
    check_file(path)
    longest = max(max(waits) for _, waits in told)
    print(f"\n8 processes, 200 appends each on one branch: the longest wait of an append was {longest * 1000:.0f} ms")


def test_processes_on_branches_of_their_own_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    told = appended(*(started(APPENDING, path, number, f"b{number}", 50) for number in range(4)))
    for number, (said, _) in enumerate(told):
        assert [info.id for info in line(path, f"b{number}")] == said
    check_file(path)


BUSY = """
import asyncio, json, os, sys
from tract import AsyncTract

async def main(path):
    async with AsyncTract.open(path) as t:
        await t.user("first")
        print("ready", flush=True)
        asyncio.get_running_loop().add_reader(0, (done := asyncio.Event()).set)
        count = 0
        while not done.is_set():
            await asyncio.gather(*(t.user(f"{os.getpid()} {number}") for number in range(20)))
            count += 1
    print(count)

asyncio.run(main(sys.argv[1]))
"""


async def test_of_two_busy_processes_each_gets_its_share(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with running(started(BUSY, path), started(BUSY, path)) as both:
        async with AsyncTract.open(str(path)) as t:
            store = t.collaborators.shared.store
            while (await t.status()).slots < 2000:
                await store.changed(store.mark())
        for process in both:
            tell(process)
        done = [process.communicate(timeout=60) for process in both]
    assert [errors for _, errors in done] == ["", ""]
    counts = [int(output) for output, _ in done]
    assert min(counts) >= sum(counts) / 4


HOLDING = """
import sys
from tract.log.locking import WriteLock
lock = WriteLock(sys.argv[1])
lock.acquire()
print("ready", flush=True)
sys.stdin.readline()
"""


async def test_a_lock_that_is_kept_too_long_is_a_typed_error_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    monkeypatch.setattr(SqliteStore, "patience", 0.05)
    async with AsyncTract.open(str(path)) as t:
        before = await t.user("before")
        with running(started(HOLDING, path)) as (holder,):
            with pytest.raises(StoreLockedError) as caught:
                await t.user("kept out")
            assert caught.value.path == str(path)
            assert await t.head() == before.id
            tell(holder)
            holder.wait(30)
        assert (await t.user("after")).parents == (before.id,)


async def test_opening_waits_for_the_lock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.db"
    monkeypatch.setattr(SqliteStore, "patience", 0.05)
    with running(started(HOLDING, path)), pytest.raises(StoreLockedError):
        await AsyncTract.open(str(path))
    async with AsyncTract.open(str(path)) as t:
        await t.user("works")


async def test_reading_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
        with running(started(HOLDING, path)):
            assert [message["content"] for message in (await t.compile()).to_dicts()] == ["before"]


async def test_closing_does_not_wait_long_for_the_lock_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    t = await AsyncTract.open(str(path))
    said = await t.user("said")
    with running(started(HOLDING, path)):
        await asyncio.wait_for(t.aclose(), 10)
        # Without the lock nothing may be folded into the file.
        assert Path(f"{path}-wal").stat().st_size > 0
    async with AsyncTract.open(str(path)) as again:
        assert await again.head() == said.id
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"]


async def test_closing_does_not_wait_long_for_an_append_that_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    t = await AsyncTract.open(str(path))
    said = await t.user("said")
    with running(started(HOLDING, path)):
        waiting = asyncio.create_task(t.user("waits"))
        await asyncio.to_thread(wait_until_somebody_is_next, path)
        await asyncio.wait_for(t.aclose(), 10)
        with pytest.raises(StoreLockedError):
            await waiting
    async with AsyncTract.open(str(path)) as again:
        assert await again.head() == said.id


INTERRUPTED = """
import asyncio, sys
from tract import AsyncTract

async def main(path):
    async with AsyncTract.open(path) as t:
        await t.user("before")
        print("ready", flush=True)
        sys.stdin.readline()
        await t.user("waits")

asyncio.run(main(sys.argv[1]))
"""


def test_an_interrupt_does_not_wait_long_for_an_append_that_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with running(started(INTERRUPTED, path)) as (process,), running(started(HOLDING, path)):
        tell(process)
        wait_until_somebody_is_next(path)
        process.send_signal(signal.SIGINT)
        process.wait(10)


async def test_a_killed_process_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        with running(started(HOLDING, path)) as (holder,):
            waiting = asyncio.create_task(t.user("waits"))
            await asyncio.to_thread(wait_until_somebody_is_next, path)
            holder.kill()
            assert (await asyncio.wait_for(waiting, 10)).id == await t.head()


def wait_until_somebody_is_next(path: Path) -> None:
    with Path(f"{path}-next").open("rb") as file, suppress(BlockingIOError):
        while True:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)


FORKING = """
import os, sys
from tract.log.locking import WriteLock
lock = WriteLock(sys.argv[1])
lock.acquire()
if os.fork():
    print("ready", flush=True)
    os.read(0, 1)
    os._exit(0)
os.read(0, 100)
"""


def test_a_forked_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with running(started(FORKING, path)) as (parent,):
        # The child waits for its input, which ends with the block.
        parent.kill()
        parent.wait(30)
        lock = WriteLock(str(path), patience=0)
        lock.acquire()
        lock.close()


def test_of_two_locks_in_one_process_one_waits_for_the_other(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    one, two = WriteLock(path), WriteLock(path, patience=0)
    with one, pytest.raises(StoreLockedError):
        two.acquire()
    two.acquire()
    for lock in (one, two):
        lock.close()


def test_a_lock_whose_file_was_removed_is_taken_on_the_next_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    early, late = WriteLock(str(path)), WriteLock(str(path), patience=0)
    with late:
        pass
    with early:
        early.remove()
    with early, pytest.raises(StoreLockedError):
        late.acquire()
    assert Path(f"{path}-lock").exists()
    for lock in (early, late):
        lock.close()


@pytest.mark.parametrize("name", ["lock", "next"])
async def test_a_file_of_the_lock_that_cannot_be_made_is_a_typed_error_that_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "log.db"
    Path(f"{path}-{name}").mkdir()
    with pytest.raises(StoreFailedError) as caught:
        await AsyncTract.open(str(path))
    assert caught.value.code == "EISDIR"
    Path(f"{path}-{name}").rmdir()
    async with AsyncTract.open(str(path)) as t:
        await t.user("works")


async def test_a_store_goes_on_when_its_lock_files_vanish(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
        for name in ("lock", "next"):
            Path(f"{path}-{name}").unlink()
        await t.user("after")
        assert len(await t.log()) == 2


def test_the_last_process_to_close_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    appended(*(started(APPENDING, path, number, "main", 5) for number in range(4)))
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"]


@pytest.mark.parametrize("mode", [0o666, 0o600, 0o640])
async def test_the_files_of_the_lock_are_for_those_that_the_database_is_for(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)):
        pass
    path.chmod(mode)
    async with AsyncTract.open(str(path)):
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["log.db", "log.db-wal", "log.db-shm", "log.db-lock", "log.db-next"], mode)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
async def test_what_root_makes_beside_a_store_belongs_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)):
        pass
    os.chown(path, 65534, 65534)
    async with AsyncTract.open(str(path)):
        owners = {file.name: (file.stat().st_uid, file.stat().st_gid) for file in tmp_path.iterdir()}
    names = ["log.db", "log.db-wal", "log.db-shm", "log.db-lock", "log.db-next"]
    assert owners == dict.fromkeys(names, (65534, 65534))


def test_a_file_of_the_lock_that_may_not_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, *_: object) -> int:
        raise PermissionError(errno.EACCES, "refused", path)

    (tmp_path / "log.db-lock").touch()
    # Root, as whom tests may run, is refused nothing.
    monkeypatch.setattr(os, "open", refuse)
    lock = WriteLock(str(tmp_path / "log.db"))
    with pytest.raises(StoreReadOnlyError) as caught:
        lock.acquire()
    assert caught.value.path == str(tmp_path / "log.db-lock")


async def test_no_file_of_a_lock_is_made_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with AsyncTract.open() as t:
        await t.user("said")
    assert list(tmp_path.iterdir()) == []


async def test_a_second_event_loop_of_a_process_does_not_open_the_file_to_others(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("one")

        async def open_elsewhere() -> None:
            async with AsyncTract.open(str(path)) as other:
                await other.user("two")

        await asyncio.to_thread(asyncio.run, open_elsewhere())
        # Were our locks gone, each would think that it is the last to close.
        appended(started(APPENDING, path, "three", "main", 1))
        await t.user("four")
        appended(started(APPENDING, path, "five", "main", 1))
        assert len(await t.log()) == 5
    check_file(path)


@pytest.mark.parametrize("look", [admin.status, admin.verify, admin.rebuild])
async def test_looking_at_a_store_that_is_open_here_does_not_open_it_to_others(
    tmp_path: Path, look: Callable[[str], Awaitable[object]]
) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("one")
        await look(str(path))
        # Were our locks gone, each would think that it is the last to close.
        appended(started(APPENDING, path, "two", "main", 1))
        await t.user("three")
        appended(started(APPENDING, path, "four", "main", 1))
        assert len(await t.log()) == 4
    check_file(path)


async def test_a_store_whose_write_ahead_log_was_removed_leaves_that_of_others_alone_when_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
    t = await AsyncTract.open(str(path))
    for end in ("wal", "shm"):
        Path(f"{path}-{end}").unlink()
    with pytest.raises(StoreVanishedError):
        await t.user("refused")
    ((said, _),) = appended(started(APPENDING, path, "other", "main", 20))
    await t.aclose()
    assert [info.id for info in await asyncio.to_thread(line, path)][1:] == said
    check_file(path)


async def test_a_store_whose_write_ahead_log_was_removed_puts_nothing_into_the_file_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    monkeypatch.setattr("tract.log.write_connection.CHECKPOINT_PAGES", 0)
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
    before = path.read_bytes()
    t = await AsyncTract.open(str(path))
    for end in ("wal", "shm"):
        Path(f"{path}-{end}").unlink()
    with pytest.raises(StoreVanishedError):
        await t.user("refused")
    with pytest.raises(StoreVanishedError):
        await t.user("refused too")
    await t.aclose()
    assert path.read_bytes() == before
