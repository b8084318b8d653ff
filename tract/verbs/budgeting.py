"""Holding what a verb adds to a branch against the budget.

The decision falls inside the transaction that writes, by the totals of the
commit's row: it compiles nothing, and no two writers slip under a budget
together. Imports `core` and `operations.budgeting`.
"""

import asyncio
from collections.abc import Sequence

from tract.core import TractCore
from tract.core.graph import PER_CONTEXT
from tract.diagnostics import note, warn
from tract.domain.budgets import BudgetReport, TokenBudget
from tract.domain.events import CommitRecorded
from tract.domain.ids import CommitId
from tract.log.protocol import Row, Statement
from tract.operations.budgeting import Source, check_budget


class Spending:
    """What one call adds to a branch, held against the budget in force.

    `read` goes last among the reads of the append, whose first is
    `refs.branch`; its decision calls `check` or `check_batch`; and once it was written, `tell`.

    Args:
        t: The tract.
        branch: The one that is added to.
        offered: What the tools cost that are sent with the context.
    """

    def __init__(self, t: TractCore, branch: str, offered: int = 0) -> None:
        self._t = t
        self._branch = branch
        self._offered = offered
        self._report: BudgetReport | None = None
        self._passes_mark = False

    @property
    def read(self) -> Statement:
        """The read that `check` needs."""
        return Statement("settings.budget", (self._t.place.tract,))

    def check(self, rows: Sequence[Sequence[Row]], source: Source, *added: CommitRecorded | None) -> None:
        """Let the commits be added behind the head of the branch, or refuse.

        Args:
            rows: Of the append's reads.
            source: Where the tokens come from.
            *added: The commits, one behind the other; None for one that is
                not there, as where a model is asked without a question.

        Raises:
            BudgetExceededError: The budget refuses it.
        """
        self._report = None
        budget = self._t.settings.budget_by(rows[-1])
        if budget is None:
            return
        before = _tokens(rows) + self._offered
        commits = [recorded for recorded in added if recorded is not None]
        after = before + sum(recorded.token_delta for recorded in commits)
        if check_budget(budget, source, before, after):
            commit = commits[-1].commit.id if commits else CommitId(rows[0][0][0].hex())
            self._report = BudgetReport(self._t.id, self._branch, commit, after, budget)
            self._passes_mark = _marks(budget, before) != _marks(budget, after)

    def check_batch(self, rows: Sequence[Sequence[Row]], growth: int, *added: CommitRecorded) -> None:
        """Let a batch be added, or refuse it for what the caller added in it.

        The outcomes in it were paid for: they are told of, and never the
        reason to refuse what came with them.

        Args:
            rows: Of the append's reads.
            growth: What it adds beside outcomes.
            *added: All its commits.

        Raises:
            BudgetExceededError: The budget refuses it.
        """
        budget, before = self._t.settings.budget_by(rows[-1]), _tokens(rows)
        check_budget(budget, Source.CALLER, before, before + growth)
        self.check(rows, Source.OUTCOME, *added)

    async def tell(self) -> None:
        """Tell `on_budget` what the last check found, if anything.

        A log line says so too, once for each time that a mark is passed.
        What was written stands, so that an exception of `on_budget` goes to
        the event loop's exception handler, as that of any callback: raised
        here, it would say that the call had failed.
        """
        report, self._report = self._report, None
        if report is None:
            return
        if self._passes_mark:
            _log(report)
        try:
            await self._t.collaborators.on_budget(report)
        except Exception as exc:  # noqa: BLE001 - whatever the caller's own function raises
            context = {"message": "on_budget raised; what it was told of is written", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)


def _tokens(rows: Sequence[Sequence[Row]]) -> int:
    id, _, _, _, _, _, tokens = rows[0][0]
    return PER_CONTEXT if id is None else int(tokens)


def _marks(budget: TokenBudget, tokens: int) -> tuple[bool, bool]:
    return budget.is_near(tokens), budget.is_over(tokens)


def _log(report: BudgetReport) -> None:
    facts: dict[str, str | float | None] = {
        "tract": report.tract_id,
        "branch": report.branch,
        "tokens": report.tokens,
        "limit": report.budget.max_tokens,
    }
    if report.is_over:
        warn("budget.exceeded", **facts)
    else:
        note("budget.near", **facts)
