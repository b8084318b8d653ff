"""What a budget costs: one look-up by key, whatever the length of the history."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import pytest

from tract import AsyncTract, TokenBudget
from tract.domain.events import Event
from tract.domain.ids import OperationId
from tract.errors import BudgetExceededError
from tract.log.halts import InUse
from tract.log.protocol import Decide, Query, Statement
from tract.testing import ScriptedLLM

T = TypeVar("T")


class Watched(AsyncTract):
    """A tract that notes the statements that its verbs read with."""

    seen: list[str]

    async def record(
        self, operation: OperationId, decide: Decide, *, reads: Sequence[Statement] = (), **options: Any
    ) -> tuple[Event, ...]:
        self.seen += [read.name for read in reads]
        return await super().record(operation, decide, reads=reads, **options)

    async def read(self, query: Callable[[Query], T]) -> T:
        return await super().read(lambda ask: query(Noting(ask, self.seen)))


class Noting:
    """A query that notes what it is asked."""

    def __init__(self, query: Query, seen: list[str]) -> None:
        self._query = query
        self._seen = seen

    @property
    def facts(self) -> dict[Any, Any]:
        return self._query.facts

    @property
    def in_use(self) -> InUse:
        return self._query.in_use

    def __call__(self, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self._seen.append(name)
        return self._query(name, *parameters)


async def statements(t: Watched, write: Any) -> list[str]:
    t.seen = []
    await write(t)
    return list(t.seen)


async def grow(t: AsyncTract, count: int) -> None:
    for number in range(count):
        await t.user(f"word {number}")


@pytest.mark.parametrize("budget", [None, TokenBudget(1), TokenBudget(10**9, "reject", compress_at=1)])
async def test_an_append_reads_the_branch_and_the_budget_and_compiles_nothing(budget: TokenBudget | None) -> None:
    found = []
    async with Watched.open(budget=budget) as t:
        t.seen = []
        for count in (1, 10, 300):
            await grow(t, count)
            found.append(await statements(t, lambda t: t.user("Hello.")))
    assert found == [["refs.branch", "settings.budget"]] * 3


async def test_the_status_reads_the_same_few_rows_whatever_the_length() -> None:
    found = []
    async with Watched.open(budget=TokenBudget(1)) as t:
        t.seen = []
        for count in (1, 10, 300):
            await grow(t, count)
            found.append(await statements(t, lambda t: t.status()))
    assert found == [["refs.branch", "generations.last_report", "settings.budget"]] * 3


async def test_a_refused_question_reads_nothing_of_the_history() -> None:
    async with Watched.open(budget=TokenBudget(3, "reject"), llm=ScriptedLLM([]), model="tiny") as t:
        t.seen = []
        with pytest.raises(BudgetExceededError):
            await t.chat("Hi")
        assert "settings.budget" in t.seen
        assert [name for name in t.seen if name.startswith(("commits.", "log."))] == []


def plans(connection: sqlite3.Connection, statement: str, *parameters: Any) -> Iterable[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


async def test_the_budget_is_found_by_key(tmp_path: Any) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        await t.configure(budget=TokenBudget(1))
    with closing(sqlite3.connect(path)) as connection:
        statement = "SELECT max_tokens FROM settings WHERE tract = ? AND max_tokens IS NOT NULL"
        assert plans(connection, statement, 1) == ["SEARCH settings USING INTEGER PRIMARY KEY (rowid=?)"]
