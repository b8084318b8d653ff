"""The index of configs: in step with the log however it came about, and right for any history."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.recording import recorded
from tract import AsyncTract, CommitInfo, Condition, LLMConfig, admin
from tract.core import histories, matching
from tract.core.graph import ancestors, find_node
from tract.log.halts import InUse
from tract.log.protocol import Row
from tract.log.statements import load
from tract.operations.querying import sought
from tract.projections import SQL
from tract.projections.configs import Configs
from tract.verbs.querying import Order

STATEMENTS = load(*SQL)


def random_config(chance: random.Random) -> LLMConfig:
    return LLMConfig(
        model=chance.choice([None, "m", "n"]),
        temperature=chance.choice([None, 0.5]),
        seed=chance.choice([2**53, 2**53 + 1]),
        stop_sequences=chance.choice([None, ("a", "b")]),
        extra=chance.choice([{}, {"a": 1}, {"a": 1.0}, {"a": {"b": [True, None]}}, {"a.b": "x", "a": {"b": False}}]),
    )


async def fill(path: Path, seed: int) -> None:
    """Two tracts that share configs, one of them on two branches."""
    chance = random.Random(seed)
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.user("Hi")
        await one.branch("side", switch=False)
        for number in range(60):
            t = chance.choice([one, two])
            if t is one:
                await one.switch(chance.choice(["main", "side"]))
            await t.commit(f"{number}", generation_config=random_config(chance) if chance.random() < 0.8 else None)
        await two.query_by_config("model", "exists")


def rows(path: Path) -> list[list[Any]]:
    """Every row of the tables, those in use."""
    with closing(sqlite3.connect(path)) as connection:
        ((edition,),) = connection.execute("SELECT edition FROM projections WHERE name = 'configs'").fetchall()
        names = {table: f"{table}__{edition}" if edition else table for table, _ in Configs.tables}
        return [connection.execute(STATEMENTS[name].replace(table, names[table])).fetchall() for table, name in Configs.tables]


@pytest.mark.parametrize("seed", range(3))
async def test_the_index_is_what_a_replay_of_the_log_makes(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "log.db"
    await fill(path, seed)
    assert (await admin.verify(path)).is_clean
    live = rows(path)
    await admin.rebuild(path, "configs")
    assert rows(path) == live
    assert all(live)


async def test_a_handle_that_is_open_asks_the_tables_that_were_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await fill(path, 1)
    async with AsyncTract.open(path, name="one") as t:
        before = await t.query_by_config("model", "exists", limit=100)
        await admin.rebuild(path)
        assert await t.query_by_config("model", "exists", limit=100) == before
        added = await t.commit("more", generation_config=LLMConfig(model="m"))
        assert await t.query_by_config("model", "exists", limit=100) == (added, *before)


async def test_a_setting_that_was_changed_in_the_index_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await fill(path, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE config_values SET value = 'other' WHERE value = 'm' AND path = 'model'")
    (found,) = (await admin.verify(path)).findings
    assert str(found).startswith("projection: table config_values, row ")
    assert "a replay makes another value" in str(found)


async def test_a_store_tells_how_far_the_index_has_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await fill(path, 2)
    told = [each for each in (await admin.status(path)).following if each.projection == "configs"]
    assert [(each.lag, each.halted) for each in told] == [(0, None)]


async def test_commits_without_a_config_take_no_row(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        for number in range(20):
            await t.user(f"{number}")
        assert await t.query_by_config("model", "exists") == ()
    assert rows(path) == [[], [], []]


async def test_a_config_that_many_commits_have_is_taken_apart_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        for number in range(20):
            await t.commit(f"{number}", generation_config=LLMConfig(model="m", seed=1))
        assert len(await t.query_by_config("model", "=", "m")) == 20
    assert [len(each) for each in rows(path)] == [1, 19, 2]


CONDITIONS = [Condition("model", "exists"), Condition("model", "!=", "m1"), Condition("temperature", "exists", value=False)]


@pytest.mark.parametrize(("short", "few"), [(histories.SHORT, matching.FEW), (0, matching.FEW), (0, 1)])
@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("seed", range(4))
async def test_a_branch_is_asked_with_what_was_merged_into_it(
    seed: int, order: Order, short: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "SHARE", 0)
    monkeypatch.setattr(histories, "SHORT", short)
    monkeypatch.setattr(matching, "FEW", few)
    async with AsyncTract.open() as t:
        recorder = await recorded(t, seed)
        heads = recorder.chance.sample(list(recorder.steps), 8)
        for number, head in enumerate(heads):
            await t.branch(f"b{number}", at=head, switch=False)
        for condition in CONDITIONS:
            fitting = [commit.id for commit in await t.query_by_config(condition, limit=1_000, order=order)]
            assert fitting
            for number, head in enumerate(heads):
                history = recorder.ancestors(head)
                found = await t.query_by_config(condition, branch=f"b{number}", limit=1_000, order=order)
                assert [commit.id for commit in found] == [id for id in fitting if id in history]


class Counting:
    """A query that counts the rows it is given."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.rows = connection, 0
        self.facts: dict[Any, Any] = {}
        self.in_use = InUse()

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        rows: list[Row] = self.connection.execute(STATEMENTS[name], parameters).fetchall()
        self.rows += len(rows)
        return rows


async def beside(path: Path, size: int) -> CommitInfo:
    """The head of a branch of three commits, which begins at the first of so many."""
    async with AsyncTract.open(path, name="one") as t:
        first = await t.commit("first", generation_config=LLMConfig(model="m"))
        async with t.batch():
            for number in range(size):
                await t.commit(f"{number}", generation_config=LLMConfig(model="m", seed=number))
        await t.branch("side", at=first.id)
        await t.commit("again", generation_config=LLMConfig(model="m"))
        head = await t.commit("other", generation_config=LLMConfig(model="m", seed=1))
        assert len(await t.query_by_config("model", "=", "m", branch="side")) == 3
        return head


@pytest.mark.parametrize("way", [matching.NEWEST, matching.OLDEST], ids=["newest", "oldest"])
async def test_of_a_short_branch_as_much_is_read_however_long_the_tract_is(tmp_path: Path, way: matching.Way) -> None:
    read = []
    for size in (100, 1_000):
        path = tmp_path / f"{size}.db"
        head = await beside(path, size)
        with closing(sqlite3.connect(path)) as connection:
            query = Counting(connection)
            ((family,),) = connection.execute("SELECT number FROM tracts WHERE name = 'one'")
            node = find_node(query, bytes.fromhex(head.id))
            assert node is not None
            reach = matching.Reach(family, bounds=ancestors(query, node))
            assert histories.is_short(query, reach)
            found = list(histories.looked_at(query, way, reach, [sought(Condition("model", "=", "m"))], way.start))
            read.append((len(found), query.rows))
    assert read[0] == read[1]
    assert read[0][0] == 3


async def test_many_tasks_find_what_each_of_them_made(tmp_path: Path) -> None:
    async with AsyncTract.open(tmp_path / "log.db") as t:

        async def is_found(number: int) -> bool:
            made = await t.commit(f"{number}", generation_config=LLMConfig(seed=number))
            return await t.query_by_config("seed", "=", number) == (made,)

        assert all(await asyncio.gather(*(is_found(number) for number in range(40))))
