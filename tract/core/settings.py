"""How a handle asks models and what its contexts may cost.

Its own settings stand over those that the tract was configured with, which all
handles of the tract in this process know in common. Imports `domain` and
`errors` to `log`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from tract.core.kept import decode_config, decode_operations
from tract.domain.budgets import BudgetReport, TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.ids import BlobId
from tract.domain.operation_configs import OperationConfigs, OperationName
from tract.errors import ConfigError
from tract.log.protocol import Query, Row

OnBudget: TypeAlias = Callable[[BudgetReport], Awaitable[None]]
"""Is told when a context grew to its budget's mark or beyond."""


async def tell_nobody(report: BudgetReport) -> None:
    """Stand in for an `on_budget` that was not given."""


def require_budget(value: object) -> None:
    """Refuse what is no `TokenBudget`.

    Raises:
        ConfigError: Naming `budget`.
    """
    if not isinstance(value, TokenBudget):
        raise ConfigError("budget", f"it must be a TokenBudget, not {type(value).__name__}")


@frozen(eq=False, repr=False)
class Configured:
    """What a tract was last configured with.

    Attributes:
        number: The position of the event that says so; 0 where none does.
        llm_config: How models are asked, or None.
        budget: What contexts may cost, or None.
        operations: How models are asked for single operations.
        edition: Of the tables that say so; None where it was recorded just now.
        config_blob: What *llm_config* is stored as, or None.
        operations_blob: What *operations* are stored as, or None.
    """

    number: int = 0
    llm_config: LLMConfig | None = None
    budget: TokenBudget | None = None
    operations: OperationConfigs = field(factory=OperationConfigs)
    edition: int | None = None
    config_blob: BlobId | None = None
    operations_blob: BlobId | None = None


def find_configured(query: Query, tract: int) -> Configured:
    """Return what a tract was configured with, by the tables of a snapshot."""
    return evolve(configured(query("settings.of_tract", tract)), edition=_edition(query))


def _edition(query: Query) -> int:
    return query.in_use.editions.get("settings", 0)


def configured(rows: Sequence[Row]) -> Configured:
    """Return what the rows of `settings.of_tract` say."""
    if not rows:
        return Configured()
    number, config_id, config, operations_id, operations, *budget = rows[0]
    return Configured(
        number,
        None if config is None else decode_config(config),
        _budget(budget),
        OperationConfigs() if operations is None else decode_operations(operations),
        config_blob=_blob_id(config_id),
        operations_blob=_blob_id(operations_id),
    )


def _blob_id(id: bytes | None) -> BlobId | None:
    return None if id is None else BlobId(id.hex())


def _budget(row: Sequence[Any]) -> TokenBudget | None:
    return None if row[0] is None else TokenBudget(*row)


class Settings:
    """A handle's own settings, over those of its tract.

    Args:
        tract: The number of the tract.
        known: What tracts were configured with, by number, as far as this
            process knows; shared by all handles of the store.
        config: The handle's own, field by field over the tract's.
        budget: The handle's own, in the place of the tract's; None for none.
    """

    def __init__(self, tract: int, known: dict[int, Configured], config: LLMConfig, budget: TokenBudget | None) -> None:
        self._tract = tract
        self._known = known
        self._config = config
        self._budget = budget

    @property
    def config(self) -> LLMConfig:
        """How models are asked where a call does not say otherwise."""
        stored = self._known.get(self._tract, _nothing).llm_config
        return self._config if stored is None else stored.override(self._config)

    @property
    def operations(self) -> OperationConfigs:
        """How models are asked for single operations, field by field over `config`."""
        return self._known.get(self._tract, _nothing).operations

    def config_for(self, operation: OperationName) -> LLMConfig:
        """Return how models are asked for an operation where a call does not say otherwise."""
        return self.config.override(self.operations.find(operation))

    @property
    def budget(self) -> TokenBudget | None:
        """The budget, as far as this process knows."""
        return self._budget or self._known.get(self._tract, _nothing).budget

    def budget_by(self, rows: Sequence[Row]) -> TokenBudget | None:
        """Return the budget in force, by the rows of `settings.budget`."""
        return self._budget or (_budget(rows[0]) if rows else None)

    def learn(self, found: Configured) -> None:
        """Take up what the tract is configured with, unless something newer is known."""
        known = self._known.get(self._tract, _nothing)
        edition = known.edition if found.edition is None else found.edition
        if (edition or 0, found.number) >= (known.edition or 0, known.number):
            self._known[self._tract] = evolve(found, edition=edition)

    def look(self, query: Query) -> None:
        """Learn what the tract is configured with again where the tables were made anew: they may have been damaged."""
        if _edition(query) > (self._known.get(self._tract, _nothing).edition or 0):
            self.learn(find_configured(query, self._tract))

    def ask_with(self, config: LLMConfig) -> None:
        """Have this handle ask with *config* from now on."""
        self._config = config

    def give_way(self, config: LLMConfig) -> None:
        """Drop what this handle's own config says where *config* says something too."""
        self._config = self._config.without(config)

    def drop_budget(self) -> None:
        """Drop this handle's own budget."""
        self._budget = None

    def copy(self) -> "Settings":
        """Return the same for another handle on the tract."""
        return Settings(self._tract, self._known, self._config, self._budget)


_nothing = Configured()
