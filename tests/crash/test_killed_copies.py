"""kill -9 while a store is copied, exported, imported or compacted: whole, or not there, and never in the way."""

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.crash.copying import backups, compacts, exports, import_once, imports
from tests.crash.processes import Process, Said, Work
from tests.crash.verifying import verified
from tract import AsyncTract, admin
from tract.admin.destinations import PARTIAL

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")

KILLS = 6
SEED = int(os.environ.get("TRACT_SEED") or SystemRandom().getrandbits(32))
"""What was random in a run that failed is printed, and can be asked for again."""


async def write(path: Path) -> None:
    async with AsyncTract.open(path, name="main", durability="normal") as t:
        await asyncio.gather(*(t.user(f"Number {number}. " * 20) for number in range(400)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write(found))
    asyncio.run(admin.export(found, found.with_suffix(".jsonl")))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


@pytest.fixture
def file(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written.with_suffix(".jsonl"), tmp_path / "log.jsonl"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


def killed(work: Work, random: Random, *arguments: str) -> list[Said]:
    """Run a process and kill it at some moment of its work."""
    with Process(work, *arguments) as process:
        return process.killed(1, random.uniform(0, 0.3))


def events_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("kind", ["backup", "export", "import"])
def test_what_was_being_made_when_it_was_killed_is_whole_or_not_there(path: Path, file: Path, folder: Path, kind: str) -> None:
    print(f"TRACT_SEED={SEED}")
    random, whole = Random(f"{SEED} {kind}"), file.read_bytes()
    works: dict[str, tuple[Work, Path]] = {"backup": (backups, path), "export": (exports, path), "import": (imports, file)}
    work, source = works[kind]
    for _ in range(KILLS):
        said = killed(work, random, str(source), str(folder))
        made = [Path(name) for word, name in said if word == "made"]
        begun = Path(said[-1][1]) if said[-1][0] == "begun" else None
        for one in [*made, *([begun] if begun is not None and begun.exists() else [])]:
            assert verified(one) == [] if one.suffix == ".db" else one.read_bytes() == whole
        # Nothing but what was made, and what is recognised of the one that was being made.
        left = names(folder) - {one.name for one in made}
        assert begun is not None or not left
        assert all(name == str(begun and begun.name) or name.startswith(f"{begun and begun.name}.tract-") for name in left)
        if begun is not None and not begun.exists():
            asyncio.run(again(kind, source, begun))
            assert names(folder) == {one.name for one in made} | {begun.name}
        shutil.rmtree(folder)
        folder.mkdir()


async def again(kind: str, source: Path, target: Path) -> None:
    """Make what was not finished."""
    if kind == "backup":
        await admin.backup(source, target)
    elif kind == "export":
        await admin.export(source, target)
    else:
        await admin.import_file(target, source)


def test_an_import_into_a_store_that_was_killed_is_there_as_a_whole_or_not_at_all(file: Path, folder: Path) -> None:
    print(f"TRACT_SEED={SEED}")
    random, whole = Random(f"{SEED} into"), file.read_text("utf-8").count('"line":"event"')

    async def other(path: Path) -> None:
        async with AsyncTract.open(path, name="other") as t:
            await t.user("Here before")

    for number in range(KILLS):
        path = folder / f"{number}.db"
        asyncio.run(other(path))
        before = len(events_of(path))
        said = killed(import_once, random, str(file), str(path))
        found = len(events_of(path)) - before
        assert found in ({whole} if said[-1][0] == "made" else {0, whole})
        assert verified(path) == []
        made = asyncio.run(admin.import_file(path, file))
        assert (made.known, made.events) == (found, whole - found)
        assert verified(path) == []
        assert not any(PARTIAL in name for name in names(folder))


def test_a_store_loses_nothing_when_compacting_it_is_killed(path: Path, folder: Path) -> None:
    print(f"TRACT_SEED={SEED}")
    random, before = Random(f"{SEED} compact"), events_of(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("CREATE TABLE ballast AS SELECT * FROM events")
        raw.execute("DROP TABLE ballast")
    for _ in range(KILLS):
        killed(compacts, random, str(path), str(folder))
        assert verified(path) == []
    assert events_of(path) == before
    made = asyncio.run(admin.compact(path))
    assert (made.is_vacuumed, made.unused) == (True, 0)
