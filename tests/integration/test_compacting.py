"""Giving back room: of the write-ahead log beside writers, of the file where nobody has it open."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import noise
from tests.integration.test_admin import NO_STORES, ROOT, WRITING, dump, write_history
from tract import AsyncTract, admin
from tract.errors import ConfigError, CorruptLogError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write_history(found))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


def swell(path: Path) -> None:
    """Give the file pages that nothing stands in."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("CREATE TABLE ballast (data)")
        raw.execute("INSERT INTO ballast VALUES (randomblob(1000000))")
        raw.execute("DROP TABLE ballast")


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_unused_pages_are_given_back_where_nobody_else_has_it_open(path: Path) -> None:
    before = path.stat().st_size
    swell(path)
    made = await admin.compact(path)
    assert made.before >= before + 1_000_000
    assert (made.is_vacuumed, made.unused) == (True, 0)
    assert made.after == path.stat().st_size <= before
    assert files(path.parent) == ["log.db"]


async def test_the_log_and_the_tables_are_as_they_were(path: Path) -> None:
    before = dump(path)
    swell(path)
    await admin.compact(path)
    assert dump(path) == before
    found = await admin.verify(path)
    assert (found.findings, found.is_replayed) == ((), True)


async def test_a_store_stays_one_of_ours_with_its_schema(path: Path) -> None:
    schema = (await admin.status(path)).schema
    await admin.compact(path)
    assert (await admin.status(path)).schema == schema
    async with AsyncTract.open(path, name="main", create=False) as t:
        await t.user("more")


async def test_the_write_ahead_log_is_emptied_beside_a_tract_that_is_open(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.user(noise(500_000))
        wal = Path(f"{path}-wal")
        assert wal.stat().st_size > 500_000
        made = await admin.compact(path)
        assert (made.is_vacuumed, wal.stat().st_size) == (False, 0)
        assert made.before - made.after > 0
        assert "others have it open" in str(made)
        await t.user("goes on")
    assert (await admin.verify(path)).is_clean
    assert files(path.parent) == ["log.db"]


async def test_pages_that_are_free_for_what_comes_are_told(path: Path) -> None:
    swell(path)
    async with AsyncTract.open(path, name="main"):
        made = await admin.compact(path)
    assert made.unused >= 900_000
    assert "free for what comes" in str(made)


async def test_a_reader_that_keeps_the_write_ahead_log_is_not_waited_for_for_ever(path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.user("one")
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchone()
            await t.user("two")
            made = await admin.compact(path)
            assert not made.is_vacuumed
            assert made.after > path.stat().st_size
        await t.user("goes on")
    assert (await admin.verify(path)).is_clean


async def test_what_a_killed_process_left_in_the_write_ahead_log_is_folded_in(path: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied" / "log.db"
    copied.parent.mkdir()
    async with AsyncTract.open(path, name="main") as t:
        await t.user("only in the write-ahead log")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copied}{suffix}")
        events = (await admin.status(path)).events
    await admin.compact(copied)
    assert files(copied.parent) == ["log.db"]
    assert (await admin.status(copied)).events == events


async def test_a_compaction_that_was_cancelled_leaves_the_store_as_it_was(path: Path) -> None:
    is_begun = asyncio.Event()
    before = dump(path)
    working = asyncio.create_task(admin.compact(path, progress=lambda _: is_begun.set()))
    await is_begun.wait()
    working.cancel()
    await asyncio.wait((working,))
    assert dump(path) == before
    assert files(path.parent) == ["log.db"]


@pytest.mark.parametrize("make", NO_STORES, ids=lambda make: make.__name__)
async def test_what_is_no_store_is_refused_and_left_untouched(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(NO_STORES[make]):
        await admin.compact(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before


async def test_what_sqlite_finds_damaged_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(CorruptLogError):
        await admin.compact(path)


async def test_what_cannot_be_a_path_is_refused() -> None:
    with pytest.raises(ConfigError):
        await admin.compact("a\x00b")


def test_processes_that_write_go_on_meanwhile(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert [writer.stdout.readline() for _ in range(3)] == ["writing\n"] * 3
        try:
            counts = []
            for _ in range(5):
                assert not asyncio.run(admin.compact(path)).is_vacuumed
                counts.append(asyncio.run(admin.status(path)).events)
            assert writer.poll() is None
        finally:
            writer.kill()
    assert counts == sorted(set(counts))
    assert asyncio.run(admin.verify(path)).is_clean


def test_processes_that_open_and_close_it_wait_and_lose_nothing(path: Path) -> None:
    script = WRITING.replace("range(100_000)", "range(3)").replace("asyncio.run(main())", "while True:\n    asyncio.run(main())")
    script = script.replace("number == 20", "number == 2 and name == 'one'").replace('await t.branch(f"b{number}")', "pass")
    with subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            for _ in range(10):
                assert writer.stdout.readline() == "writing\n"
                asyncio.run(admin.compact(path))
            assert writer.poll() is None
        finally:
            writer.kill()
    assert asyncio.run(admin.verify(path)).is_clean
