"""Copies of a store: whole, alone, private, and never in anybody's way."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.processes import PATIENCE
from tests.integration.test_admin import NO_STORES, ROOT, WRITING, damage, dump, write_history
from tract import AsyncTract, admin
from tract.admin.destinations import Destination
from tract.errors import (
    ConfigError,
    DestinationExistsError,
    FolderNotFoundError,
    StoreLockedError,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write_history(found))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def events_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


async def test_a_copy_holds_all_that_the_store_does(path: Path, dest: Path) -> None:
    made = await admin.backup(path, dest)
    assert (made.path, made.copy, made.size) == (str(path), str(dest), dest.stat().st_size)
    assert (made.is_clean, made.verification.path, made.verification.events) == (True, str(dest), len(events_of(path)))
    assert events_of(dest) == events_of(path)
    assert dump(dest) == dump(path)


async def test_a_copy_is_one_file_that_says_whose_it_is(path: Path, dest: Path) -> None:
    await admin.backup(path, dest)
    assert files(dest.parent) == ["copy.db", "log.db"]
    for pragma in ("application_id", "user_version"):
        with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(dest)) as theirs:
            assert ours.execute(f"PRAGMA {pragma}").fetchone() == theirs.execute(f"PRAGMA {pragma}").fetchone()


async def test_a_copy_opens_as_a_store_and_compiles_to_the_same(path: Path, dest: Path) -> None:
    await admin.backup(path, dest)
    digests = []
    for one in (path, dest):
        async with AsyncTract.open(one, name="main", create=False) as t:
            digests.append([(await t.compile(branch.name)).digest for branch in await t.branches()])
    assert digests[0] == digests[1]


async def test_a_copy_holds_what_is_only_in_the_write_ahead_log(path: Path, dest: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.user("not in the file yet")
        await admin.backup(path, dest)
        assert events_of(dest) == events_of(path)


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no permissions of this kind")
async def test_a_copy_is_as_private_as_the_store(path: Path, dest: Path) -> None:
    path.chmod(0o600)
    await admin.backup(path, dest)
    assert dest.stat().st_mode & 0o777 == 0o600


async def test_progress_ends_with_the_last_page(path: Path, dest: Path) -> None:
    heard: list[admin.Progress] = []
    await admin.backup(path, dest, progress=heard.append)
    pages = [one for one in heard if one.unit == "pages"]
    assert pages[-1].done == pages[-1].total == dest.stat().st_size // 4096


async def test_a_copy_of_a_damaged_store_is_kept_and_says_so(path: Path, dest: Path) -> None:
    damage(path, "UPDATE events SET digest = zeroblob(32) WHERE position = 4")
    made = await admin.backup(path, dest)
    assert not made.is_clean
    assert "its digest is not" in str(made)
    assert events_of(dest) == events_of(path)


async def test_nothing_that_is_there_is_replaced(path: Path, dest: Path) -> None:
    dest.write_text("mine")
    with pytest.raises(DestinationExistsError) as caught:
        await admin.backup(path, dest)
    assert (caught.value.path, dest.read_text(), files(dest.parent)) == (str(dest), "mine", ["copy.db", "log.db"])


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
async def test_a_name_beside_which_the_log_of_another_database_lies_is_refused(path: Path, dest: Path, suffix: str) -> None:
    left = dest.with_name(f"{dest.name}{suffix}")
    left.write_bytes(b"left")
    with pytest.raises(DestinationExistsError) as caught:
        await admin.backup(path, dest)
    assert caught.value.path == str(left)


async def test_a_store_is_not_copied_onto_itself(path: Path) -> None:
    before = path.read_bytes()
    for dest in (path, path.parent / "." / path.name):
        with pytest.raises(DestinationExistsError):
            await admin.backup(path, dest)
    assert path.read_bytes() == before


async def test_a_folder_that_is_missing_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderNotFoundError) as caught:
        await admin.backup(path, tmp_path / "none" / "copy.db")
    assert caught.value.path == str(tmp_path / "none")


async def test_a_folder_is_no_place_for_a_copy(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DestinationExistsError):
        await admin.backup(path, tmp_path)


@pytest.mark.parametrize("dest", ["a\x00b", "a\ud800", 5], ids=ascii)
async def test_what_cannot_be_a_path_is_refused(path: Path, dest: object) -> None:
    with pytest.raises(ConfigError) as caught:
        await admin.backup(path, dest)  # type: ignore[arg-type]
    assert caught.value.field == "dest"


@pytest.mark.parametrize("make", NO_STORES, ids=lambda make: make.__name__)
async def test_what_is_no_store_is_not_copied(path: Path, dest: Path, make: Callable[[Path], None]) -> None:
    make(path)
    before = files(path.parent)
    with pytest.raises(NO_STORES[make]):
        await admin.backup(path, dest)
    assert files(path.parent) == before


async def test_a_file_that_sqlite_cannot_read_is_named_as_the_damaged_one(path: Path, dest: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 5])
    outcome = await asyncio.gather(admin.backup(path, dest), return_exceptions=True)
    # SQLite copies what is there, or says that it cannot; both are told.
    (found,) = outcome
    if isinstance(found, admin.BackedUp):
        assert not found.is_clean
    else:
        assert str(path) in str(found)
        assert files(path.parent) == ["log.db"]


async def test_a_copy_that_was_cancelled_leaves_nothing(path: Path, dest: Path) -> None:
    is_begun = asyncio.Event()
    copying = asyncio.create_task(admin.backup(path, dest, progress=lambda _: is_begun.set()))
    await is_begun.wait()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert files(path.parent) == ["log.db"]


async def test_what_the_callers_function_raises_ends_it_and_leaves_nothing(path: Path, dest: Path) -> None:
    def refuse(_: admin.Progress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError):
        await admin.backup(path, dest, progress=refuse)
    assert files(path.parent) == ["log.db"]


async def test_what_a_killed_process_left_is_removed_by_the_next(path: Path, dest: Path) -> None:
    for suffix in ("-partial", "-partial-wal", "-partial-shm", "-lock", "-next"):
        Path(f"{dest}.tract{suffix}").write_bytes(b"left")
    assert (await admin.backup(path, dest)).is_clean
    assert files(path.parent) == ["copy.db", "log.db"]


async def test_two_do_not_make_one_file(path: Path, dest: Path) -> None:
    other = Destination(str(dest))
    other.claim()
    try:
        with pytest.raises(StoreLockedError) as caught:
            await admin.backup(path, dest)
        assert caught.value.path == str(dest)
    finally:
        other.discard()
    assert files(path.parent) == ["log.db"]


async def test_who_is_slower_does_not_replace_what_was_made_meanwhile(path: Path, dest: Path) -> None:
    def appear(_: admin.Progress) -> None:
        dest.write_text("mine")

    with pytest.raises(DestinationExistsError):
        await admin.backup(path, dest, progress=appear)
    assert (dest.read_text(), files(path.parent)) == ("mine", ["copy.db", "log.db"])


async def test_a_store_of_no_events_is_copied(tmp_path: Path, dest: Path) -> None:
    path = tmp_path / "new.db"
    async with AsyncTract.open(path):
        pass
    assert (await admin.backup(path, dest)).is_clean


def test_beside_processes_that_write_each_copy_is_one_moment(path: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert [writer.stdout.readline() for _ in range(3)] == ["writing\n"] * 3
        try:
            made = [asyncio.run(admin.backup(path, tmp_path / f"{number}.db")) for number in range(4)]
            assert writer.poll() is None
        finally:
            writer.kill()
    assert all(one.is_clean for one in made)
    counts = [one.verification.events for one in made]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    log = events_of(path)
    for number, count in enumerate(counts):
        assert events_of(tmp_path / f"{number}.db") == log[:count]


FULL = """
import asyncio, resource, signal, sys
from tract import admin
from tract.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main(path, dest):
    await admin.status(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, resource.RLIM_INFINITY))
    try:
        await admin.backup(path, dest)
    except StoreError as error:
        print(error.path)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no such limits")
def test_a_copy_that_cannot_grow_is_named_and_nothing_is_left(path: Path, dest: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(dest)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{dest}\n", "")
    assert files(path.parent) == ["log.db"]


AS_NOBODY = """
import asyncio, os, sys
from tract import admin
from tract.errors import StoreReadOnlyError
async def main(path, dest):
    await admin.verify(path)  # what is loaded late may be out of reach afterwards
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        await admin.backup(path, dest)
    except StoreReadOnlyError as error:
        print(error.path)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
def test_a_folder_that_may_not_be_written_is_refused(written: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, dest = Path(shutil.copy(written, folder)), Path(folder) / "copy.db"
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(path), str(dest)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        Path(folder).chmod(0o755)
        assert files(Path(folder)) == ["log.db"]
    assert (done.stdout, done.stderr) == (f"{dest}\n", "")
