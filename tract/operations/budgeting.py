"""Whether a budget lets a context grow, and whether anybody is to be told.

Pure and O(1): totals come from the commit's row, nothing is compiled. Imports
`domain` and `errors`.
"""

from enum import Enum

from tract.domain.budgets import TokenBudget
from tract.errors import BudgetExceededError


class Source(Enum):
    """Where the tokens come from, which says what a budget may do about them."""

    CALLER = "caller"
    """Somebody writes: refused where the context grows beyond the budget."""
    TURN = "turn"
    """A model is about to be asked: refused where the context is beyond it,
    whoever made it so."""
    OUTCOME = "outcome"
    """An answer, a tool result, a resolution: it was paid for, never refused."""


def check_budget(budget: TokenBudget | None, source: Source, before: int, after: int) -> bool:
    """Return whether `on_budget` is to be told of a context that comes to cost *after*.

    What does not make the context larger is neither refused nor told of, so
    that a context beyond its budget can be brought back.

    Args:
        budget: The one in force.
        source: Where the tokens come from.
        before: What the context cost before.
        after: What it will cost.

    Raises:
        BudgetExceededError: The budget refuses it.
    """
    if budget is None or (after <= before and source is not Source.TURN):
        return False
    is_over = budget.is_over(after)
    if is_over and budget.action == "reject" and source is not Source.OUTCOME:
        raise BudgetExceededError(after, budget.max_tokens)
    return is_over or budget.is_near(after)
