"""What a context may cost. Imports `canonical`, `ids` and `errors`."""

from typing import Any, Literal

from attrs import Attribute, field, frozen

from tract.domain.canonical import INT64_MAX
from tract.domain.ids import CommitId, TractId
from tract.errors import ConfigError


def _whole(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if type(value) is not int or not 1 <= value <= INT64_MAX:
        raise ConfigError(attribute.name, "it must be a whole number of tokens, 1 or more")


def _action(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value not in ("warn", "reject"):
        raise ConfigError(attribute.name, "it must be warn or reject")


def _mark(budget: "TokenBudget", attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    _whole(budget, attribute, value)
    if isinstance(value, int) and value > budget.max_tokens:
        raise ConfigError(attribute.name, "it must not be more than max_tokens")


@frozen
class TokenBudget:
    """The most tokens that a context may have, and what happens beyond.

    Held against the recorded counts, within the transaction that writes, so
    that no two writers slip under it together. What another compiler makes of
    the history, such as the tags of `XMLCompiler`, is not counted.

    Attributes:
        max_tokens: The most, 1 or more; a context of just so many is within.
        action: `warn` writes and sends all the same, and tells `on_budget`.
            `reject` refuses what the caller writes and a turn before it is
            sent; answers, tool results and resolutions are never refused.
        compress_at: Tokens from which `on_budget` is told already, at most
            `max_tokens`; None tells it only beyond those.

    Raises:
        ConfigError: A value is out of its range.
    """

    max_tokens: int = field(validator=_whole)
    action: Literal["warn", "reject"] = field(default="warn", validator=_action)
    compress_at: int | None = field(default=None, validator=_mark)

    def is_over(self, tokens: int) -> bool:
        """Say whether a context of so many tokens is beyond the budget."""
        return tokens > self.max_tokens

    def is_near(self, tokens: int) -> bool:
        """Say whether a context of so many tokens has come to where compressing is due."""
        return self.compress_at is not None and tokens >= self.compress_at


@frozen
class BudgetReport:
    """What `on_budget` is told: a context grew to its budget's mark or beyond.

    Attributes:
        tract_id: Whose context.
        branch: On which branch, or for which branch a question is asked.
        commit: With which commit: one that was recorded, or the one that is
            about to be sent to a model.
        tokens: What the context costs there, at recorded counts.
        budget: The budget in force.
    """

    tract_id: TractId
    branch: str
    commit: CommitId
    tokens: int
    budget: TokenBudget

    @property
    def is_over(self) -> bool:
        """Whether the context is beyond the budget, and not only near."""
        return self.budget.is_over(self.tokens)

    def __str__(self) -> str:
        return f"{self.tokens:,} of {self.budget.max_tokens:,} tokens on {self.branch} at {self.commit[:8]}"
