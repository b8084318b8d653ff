"""Many tasks, handles and processes write under one budget, and none of them slips beyond it."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.counting import WordCounter, words
from tract import AsyncTract, BudgetReport, TokenBudget
from tract.errors import BudgetExceededError
from tract.testing import ScriptedLLM

ROOT = Path(__file__).parents[2]
BUDGET = TokenBudget(103, "reject")
"""Room for a hundred words."""


async def refusals(calls: list[Awaitable[Any]]) -> int:
    """Run all calls at once; return how many the budget refused."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BudgetExceededError)]
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException) and outcome not in refused] == []
    return len(refused)


async def test_fifty_tasks_fill_a_budget_to_the_last_token_and_no_further(tmp_path: Path) -> None:
    async with AsyncTract.open(tmp_path / "log.db", budget=BUDGET, tokens=WordCounter()) as t:
        assert await refusals([t.user(words(4)) for _ in range(50)]) == 25
        assert ((await t.status()).token_count, (await t.compile()).token_count) == (103, 103)


async def test_fifty_handles_fill_a_configured_budget_and_no_further(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        opening = AsyncTract.open(tmp_path / "log.db", tokens=WordCounter())
        t = await stack.enter_async_context(opening)
        handles = [await stack.enter_async_context(await t.worktree("main", name=f"w{number}")) for number in range(50)]
        await t.configure(budget=BUDGET)
        assert await refusals([handle.user(words(4)) for handle in handles]) == 25
        assert (await t.status()).token_count == 103


async def test_tasks_that_write_edit_and_show_never_go_beyond_together(tmp_path: Path) -> None:
    totals: list[int] = []

    async def on_budget(report: BudgetReport) -> None:
        totals.append(report.tokens)

    budget = TokenBudget(103, "reject", compress_at=1)
    async with AsyncTract.open(tmp_path / "log.db", budget=budget, on_budget=on_budget, tokens=WordCounter()) as t:
        hidden = [await t.user(words(9), priority="skip") for _ in range(10)]
        shown = [await t.user(words(1)) for _ in range(10)]
        calls = [t.user(words(7)) for _ in range(10)]
        calls += [t.pin(slot.id) for slot in hidden]
        calls += [t.edit(slot.id, words(9)) for slot in shown]
        assert await refusals(list(calls)) > 0
        assert max(totals) == (await t.status()).token_count <= 103


async def test_turns_and_appends_at_once_leave_only_answers_beyond(tmp_path: Path) -> None:
    llm = ScriptedLLM(lambda _: words(5), reports_usage=False)
    async with AsyncTract.open(tmp_path / "log.db", budget=BUDGET, tokens=WordCounter(), llm=llm, model="tiny") as t:
        calls: list[Awaitable[Any]] = [t.chat(words(5)) for _ in range(20)]
        assert await refusals([*calls, *(t.user(words(5)) for _ in range(20))]) > 0
        assert 103 - 5 < (await t.status()).token_count <= 103 + 5


async def test_a_budget_that_is_configured_binds_whatever_is_written_after(tmp_path: Path) -> None:
    async with AsyncTract.open(tmp_path / "log.db", tokens=WordCounter()) as t:
        writing = [asyncio.create_task(t.user(words(4))) for _ in range(20)]
        await t.configure(budget=TokenBudget(1, "reject"))
        assert await refusals([t.user(words(4)) for _ in range(20)]) == 20
        await asyncio.gather(*writing, return_exceptions=True)


FILLING = """
import asyncio, sys
from tests.acceptance.counting import WordCounter, words
from tract import AsyncTract
from tract.errors import BudgetExceededError
async def main(path):
    async with AsyncTract.open(path, tokens=WordCounter()) as t:
        print("ready", flush=True)
        sys.stdin.readline()
        outcomes = await asyncio.gather(*(t.user(words(4)) for _ in range(25)), return_exceptions=True)
    print(sum(not isinstance(outcome, BaseException) for outcome in outcomes))
    print(*{type(outcome).__name__ for outcome in outcomes if isinstance(outcome, BaseException)})
asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_fill_a_configured_budget_and_no_further(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "log.db"

    async def configure() -> None:
        async with AsyncTract.open(path) as t:
            await t.configure(budget=BUDGET)

    async def total() -> int:
        async with AsyncTract.open(path) as t:
            return (await t.status()).token_count

    asyncio.run(configure())
    command = [sys.executable, "-c", FILLING, str(path)]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    done = [process.communicate(timeout=60) for process in running]
    assert [error for _, error in done] == [""] * processes
    assert sum(int(out.split()[0]) for out, _ in done) == 25
    assert {name for out, _ in done for name in out.split()[1:]} == {"BudgetExceededError"}
    assert asyncio.run(total()) == 103
