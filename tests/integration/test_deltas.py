"""Deltas on their way to the file: together, in order, and never with a gap."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.scripting import Dictated, opened
from tests.builders import uuid
from tests.memory_store import MemoryStore
from tract import AsyncTract
from tract.core.deltas import FLUSH_SECONDS, SYNC_SECONDS, Deltas
from tract.domain.ids import GenerationId, uuid_bytes
from tract.errors import TractError
from tract.log.sqlite_files import ThreadConnection
from tract.log.statements import load
from tract.projections import INLINE, SQL
from tract.testing import FixedClock

BLOCK = "CREATE TRIGGER blocked BEFORE INSERT ON partials BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


def execute(path: str, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()


def pieces(path: str, generation: str | None) -> list[tuple[int, str]]:
    assert generation is not None
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT start, text FROM partials WHERE generation = ? ORDER BY start"
        return connection.execute(sql, (uuid_bytes(generation),)).fetchall()


async def test_pieces_stand_one_behind_the_other(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        model.say(*(f"{number} é😀 " for number in range(100)))
        text = "".join([await anext(stream) for _ in range(100)])
        found = pieces(path, stream.generation)
        assert "".join(piece for _, piece in found) == text
        assert [start for start, _ in found] == [sum(len(piece) for _, piece in found[:index]) for index in range(len(found))]
        model.end()
        await stream.finish()


async def test_what_comes_at_once_is_written_at_once(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        model.say(*(f"{number} " for number in range(500)))
        for _ in range(500):
            await anext(stream)
        assert len(pieces(path, stream.generation)) < 100
        model.end()
        await stream.finish()


async def test_the_first_delta_of_each_call_does_not_wait_for_the_pause_between_writes(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tract.core.deltas.FLUSH_SECONDS", 3600.0)
    async with opened(lambda _: ["One "], path) as t:
        for number in range(3):
            async with t.stream(f"{number}") as stream:
                assert await asyncio.wait_for(anext(stream), 10) == "One "


async def test_later_deltas_wait_for_the_pause_between_writes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.core.deltas.FLUSH_SECONDS", 3600.0)
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        model.say("One ", "two ")
        assert await anext(stream) == "One "
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)
        assert "".join(piece for _, piece in pieces(path, stream.generation)) == "One "


def test_the_pause_between_writes_is_ten_milliseconds() -> None:
    assert FLUSH_SECONDS == 0.010


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The level of synchronous at which each transaction that holds deltas, leases or events was committed."""
    found: list[str] = []

    class Traced(ThreadConnection):
        """A connection that notes its commits."""

        level = "FULL"
        counts = False

        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self.set_trace_callback(self._note)

        def _note(self, sql: str) -> None:
            if sql.startswith("PRAGMA synchronous = "):
                # FULL is 2, NORMAL is 1.
                self.level = {"2": "FULL", "1": "NORMAL"}.get(level := sql.rpartition(" ")[2], level)
            elif sql.startswith("INSERT INTO") and sql.split()[2] in ("partials", "leases", "events"):
                self.counts = True
            elif sql == "COMMIT":
                found.extend([self.level] * self.counts)
                self.counts = False

    monkeypatch.setattr("tract.log.sqlite_files.ThreadConnection", Traced)
    return found


async def test_what_was_handed_on_reaches_the_disk_within_a_second_although_nothing_follows(
    path: str, levels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tract.core.deltas.SYNC_SECONDS", 0.001)
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        levels.clear()
        model.say("One ")
        await anext(stream)
        while levels[:2] != ["NORMAL", "FULL"]:
            assert levels in ([], ["NORMAL"])
            await asyncio.wait_for(t.changed(t.mark()), 10)


async def test_no_delta_waits_for_the_disk_before_that(path: str, levels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.core.deltas.SYNC_SECONDS", 3600.0)
    model = Dictated()
    async with opened(model, path, search=False) as t, t.stream("Count") as stream:
        levels.clear()
        for number in range(5):
            model.say(f"{number} ")
            await anext(stream)
        assert levels == ["NORMAL"] * 5


async def test_deltas_never_wait_for_the_disk_where_durability_is_normal(
    path: str, levels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tract.core.deltas.SYNC_SECONDS", 0.0)
    model = Dictated()
    async with opened(model, path, durability="normal") as t, t.stream("Count") as stream:
        for number in range(5):
            model.say(f"{number} ")
            await anext(stream)
        assert set(levels) == {"NORMAL"}


def test_what_was_handed_on_may_be_missing_for_a_second_when_the_machine_loses_power() -> None:
    assert SYNC_SECONDS == 1.0


async def test_a_delta_that_could_not_be_written_is_not_handed_on_and_fails_the_call(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t:
        with pytest.raises(TractError):
            async with t.stream("Count") as stream:
                model.say("One ")
                assert await anext(stream) == "One "
                execute(path, BLOCK)
                model.say("two ")
                await anext(stream)
        assert [(info.status, info.text) for info in await t.generations()] == [("failed", "One two ")]


async def test_what_could_not_be_written_for_a_while_leaves_no_gap(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t:
        chat = asyncio.create_task(t.chat("Count"))
        model.say("One ")
        generation = await written(t, "One ")
        execute(path, BLOCK)
        model.say("two ")
        await refused(t)
        execute(path, "DROP TRIGGER blocked")
        model.say("three ")
        await written(t, "One two three ")
        assert "".join(piece for _, piece in pieces(path, generation)) == "One two three "
        model.end()
        assert (await chat).text == "One two three "


async def test_a_renewal_that_fails_leaves_the_deltas_as_they_were(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.core.deltas.RENEW_SECONDS", 0.001)
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        model.say("One ")
        assert await anext(stream) == "One "
        execute(path, "CREATE TRIGGER blocked BEFORE UPDATE ON leases BEGIN SELECT RAISE(ABORT, 'no'); END")
        for _ in range(3):
            await t.changed(t.mark())
        execute(path, "DROP TRIGGER blocked")
        model.say("two ", "three.")
        model.end()
        assert [delta async for delta in stream] == ["two ", "three."]


async def test_who_waits_behind_a_write_under_way_is_let_go_when_the_call_ends() -> None:
    clock, call = FixedClock(), GenerationId(uuid(1))
    store = MemoryStore(clock, load(*SQL), INLINE)
    deltas = Deltas(store)
    deltas.begin(call, clock)
    async with store.one_at_a_time:
        deltas.write(call, "One ", is_watched=True)
        behind = deltas.write(call, "two ", is_watched=True)
        deltas.end(call)
    await asyncio.wait_for(behind.wait(call), 10)
    deltas.forget(call)
    await store.aclose()


async def written(t: AsyncTract, text: str) -> str:
    """Wait until so much of the only call is written, and return its id."""
    while True:
        mark = t.mark()
        found = await t.generations()
        if found and found[0].text == text:
            return found[0].id
        await t.changed(mark)


async def refused(t: AsyncTract) -> None:
    """Wait until a write was tried once more."""
    await t.changed(t.mark())
