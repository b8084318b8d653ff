"""What a handle says, without I/O, of how it asks models and at what cost.

Imports `domain`, `llm`, `models` and `settings`.
"""

from tract.core.models import Models
from tract.core.settings import Settings
from tract.domain.budgets import TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.operation_configs import OperationConfigs
from tract.llm.clients import OperationClients


class Asking:
    """The part of a handle that knows whom it asks, how, and what that may cost."""

    _models: Models
    _settings: Settings

    @property
    def config(self) -> LLMConfig:
        """How models are asked where a call does not say otherwise.

        What `open` or `configure_llm` gave this handle, field by field over
        what the tract was configured with, as this process knows it. Over it
        stands, for its operation, what `operations` says.
        """
        return self._settings.config

    @property
    def operations(self) -> OperationConfigs:
        """How models are asked for single operations, field by field over `config`.

        What the tract was configured with, as this process knows it.
        """
        return self._settings.operations

    @property
    def clients(self) -> OperationClients:
        """Whom this handle asks for single operations, in the place of its client."""
        return self._models.clients

    @property
    def budget(self) -> TokenBudget | None:
        """The most tokens a context may have here, and what happens beyond; None for no budget.

        What `open` gave this handle, else what the tract was configured with,
        as this process knows it. What is written or asked goes by what is
        stored in that moment, whichever process configured it.
        """
        return self._settings.budget

    @property
    def models(self) -> Models:
        """What this handle talks through."""
        return self._models

    @property
    def settings(self) -> Settings:
        """How this handle asks, and what its contexts may cost."""
        return self._settings
