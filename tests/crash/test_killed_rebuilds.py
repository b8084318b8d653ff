"""A rebuild that is killed: the tables in use stay as they are, and the next one goes on."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.processes import Process
from tests.crash.rebuilds import whole
from tests.integration.test_projections import dump
from tract import AsyncTract, admin

ROOT = Path(__file__).parents[2]
HISTORIES = 100
HASH_SEEDS = ("1", "2")
KILLS = 12

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")


def started(folder: Path, hash_seed: str) -> "subprocess.Popen[str]":
    folder.mkdir()
    command = [sys.executable, "-m", "tests.crash.rebuilds", str(folder), f"{HISTORIES}"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_hundred_random_histories_rebuild_to_the_same_rows_killed_half_way_and_beside_writers(tmp_path: Path) -> None:
    processes = [started(tmp_path / seed, seed) for seed in HASH_SEEDS]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert said == [["done"]] * len(HASH_SEEDS)


async def long_history(path: Path) -> None:
    async with AsyncTract.open(path, name="one", durability="normal") as t:
        for _ in range(10):
            await asyncio.gather(*(t.user(f"{number}") for number in range(300)))


def test_a_rebuild_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    path, chance = tmp_path / "log.db", random.Random(5)
    asyncio.run(long_history(path))
    before = dump(path)
    for _ in range(KILLS):
        with Process(whole, str(path)) as process:
            process.killed(1, chance.uniform(0, 0.5))
        assert dump(path) == before
        assert asyncio.run(admin.verify(path)).is_clean
    asyncio.run(admin.rebuild(path))
    assert dump(path) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.db"]
