"""How a time is found: without looking at every movement, and not from a detached HEAD."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tract import AsyncTract
from tract.core.graph import Head, head_at
from tract.errors import BranchNotFoundError, DetachedHeadError
from tract.log.protocol import Query, Row

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counting:
    """A query that counts what it is asked."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self.facts = query.facts
        self.in_use = query.in_use
        self.asked = 0

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        self.asked += 1
        return self._query(name, *parameters)


async def test_a_time_in_a_long_history_takes_few_look_ups() -> None:
    async with AsyncTract.open() as t:
        for number in range(600):
            await t.user(f"{number}")
        middle = (await t.log(1, at="HEAD~300"))[0]

        def find(query: Query) -> tuple[object, int]:
            counting = Counting(query)
            (event,) = query("log.operation_events", bytes.fromhex(middle.operation_id.replace("-", "")))
            found = head_at(counting, t.place, "main", event[9])
            return (None if found is None else found.id), counting.asked

        found, asked = await t.read(find)
        assert (found, asked < 20) == (middle.id, True)


async def test_a_detached_head_has_no_past() -> None:
    async with AsyncTract.open() as t:
        info = await t.user("one")
        t.move_head(Head(None, info.id))
        with pytest.raises(DetachedHeadError):
            await t.compile(at_time=NOW)


async def test_a_branch_that_is_gone_is_named() -> None:
    async with AsyncTract.open() as t:
        t.move_head(Head("gone"))
        with pytest.raises(BranchNotFoundError):
            await t.compile(at_time=NOW)
