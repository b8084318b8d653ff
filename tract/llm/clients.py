"""`OperationClients`: whom a handle asks for what, where it is not whom it asks by default.

Imports `domain` and `protocol`.
"""

from typing import Any

from attrs import Attribute, asdict, field, frozen

from tract.domain.operation_configs import OperationName
from tract.errors import ConfigError
from tract.llm.protocol import LLMClient, require_client


def _whom_to_ask(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None:
        require_client(f"clients.{attribute.name}", value)


@frozen(kw_only=True)
class OperationClients:
    """The clients that are asked for each operation, in the place of the handle's own.

    They belong to the handle that was given them, and to its worktrees, and
    are never stored: they hold keys. Closing the tract does not close them.

    Attributes:
        chat: For every turn, such as those of `chat`, `generate` and `stream`.
        merge: For resolving conflicts.
        compress: For summaries.
        orchestrate: For deciding on steps.
        collapse: For the results of children.

    Raises:
        ConfigError: One of them has not the shape of an `LLMClient`.
        TypeError: There is no such operation.
    """

    chat: LLMClient | None = field(default=None, validator=_whom_to_ask)
    merge: LLMClient | None = field(default=None, validator=_whom_to_ask)
    compress: LLMClient | None = field(default=None, validator=_whom_to_ask)
    orchestrate: LLMClient | None = field(default=None, validator=_whom_to_ask)
    collapse: LLMClient | None = field(default=None, validator=_whom_to_ask)

    def find(self, operation: OperationName) -> LLMClient | None:
        """Return the client of an operation; None where there is none."""
        found: LLMClient | None = asdict(self, recurse=False)[operation]
        return found


def require_clients(value: object) -> None:
    """Refuse what are no `OperationClients`.

    Raises:
        ConfigError: Naming `clients`.
    """
    if not isinstance(value, OperationClients):
        raise ConfigError("clients", f"it must be OperationClients, not {type(value).__name__}")
