"""`OperationConfigs`: how models are asked for what, where it is not how they are asked by default.

Imports only `errors` and `config`.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from attrs import Attribute, asdict, evolve, field, frozen

from tract.domain.config import LLMConfig, stored_config
from tract.errors import ConfigError

OperationName: TypeAlias = Literal["chat", "merge", "compress", "orchestrate", "collapse"]
"""What a model is asked for: `chat` is every turn, the others are verbs that ask one to do their work."""

OPERATIONS: tuple[OperationName, ...] = get_args(OperationName)


def _how_to_ask(_: object, attribute: "Attribute[Any]", value: object) -> None:
    require_operation_config(attribute.name, value)


def require_operation_config(operation: str, value: object) -> None:
    """Refuse what neither says how a model is asked for an operation nor that nothing is said.

    Raises:
        ConfigError: Naming `operations.` and the operation.
    """
    if value is not None and not isinstance(value, LLMConfig):
        raise ConfigError(f"operations.{operation}", f"it must be an LLMConfig, not {type(value).__name__}")


def require_operations(value: object) -> None:
    """Refuse what are no `OperationConfigs`.

    Raises:
        ConfigError: Naming `operations`.
    """
    if not isinstance(value, OperationConfigs):
        raise ConfigError("operations", f"it must be OperationConfigs, not {type(value).__name__}")


@frozen(kw_only=True)
class OperationConfigs:
    """How models are asked for each operation, field by field over how they are asked by default.

    What is stored of them holds no key: a config refuses what looks like one.

    Attributes:
        chat: For every turn, such as those of `chat`, `generate` and `stream`.
        merge: For resolving conflicts.
        compress: For summaries.
        orchestrate: For deciding on steps.
        collapse: For the results of children.

    Raises:
        ConfigError: One of them is no `LLMConfig`.
        TypeError: There is no such operation.
    """

    chat: LLMConfig | None = field(default=None, validator=_how_to_ask)
    merge: LLMConfig | None = field(default=None, validator=_how_to_ask)
    compress: LLMConfig | None = field(default=None, validator=_how_to_ask)
    orchestrate: LLMConfig | None = field(default=None, validator=_how_to_ask)
    collapse: LLMConfig | None = field(default=None, validator=_how_to_ask)

    def __repr__(self) -> str:
        return f"OperationConfigs({', '.join(f'{name}={config!r}' for name, config in self.given().items())})"

    def given(self) -> dict[OperationName, LLMConfig]:
        """Return the configs that are set, by operation."""
        return {name: config for name, config in self._by_name().items() if config is not None}

    def find(self, operation: OperationName) -> LLMConfig | None:
        """Return the config of an operation; None where nothing is said of it."""
        return self._by_name()[operation]

    def replace(self, changes: Mapping[OperationName, LLMConfig | None]) -> "OperationConfigs":
        """Return these with others in the place of those that are named; None removes one."""
        return evolve(self, **{str(name): config for name, config in changes.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the configs that are set, as JSON values."""
        return {name: config.to_dict() for name, config in self.given().items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "OperationConfigs":
        """Return the configs of a mapping such as `to_dict` gives; each is read as by `LLMConfig.from_dict`.

        Raises:
            ConfigError: It is no mapping, there is no such operation, or a
                config is refused.
        """
        if not isinstance(values, Mapping):
            raise ConfigError("operations", f"it must be a mapping, not {type(values).__name__}")
        return cls(**{name: _read(name, value) for name, value in values.items() if value is not None})

    def _by_name(self) -> dict[OperationName, LLMConfig | None]:
        values = asdict(self, recurse=False)
        return {name: values[name] for name in OPERATIONS}


def _read(name: str, value: object) -> LLMConfig:
    if name not in OPERATIONS:
        raise ConfigError(f"operations.{name}", f"there is no such operation; there are {', '.join(OPERATIONS)}")
    if not isinstance(value, Mapping):
        raise ConfigError(f"operations.{name}", f"it must be a mapping, not {type(value).__name__}")
    try:
        return LLMConfig.from_dict(value)
    except ConfigError as exc:
        raise ConfigError(f"operations.{name}.{exc.field}", exc.reason) from exc


def stored_operations(values: Mapping[str, Any]) -> OperationConfigs:
    """Return the configs that were stored, which say nothing else.

    Raises:
        ConfigError: There is no such operation, or a config is none that is stored.
    """
    for name in values:
        if name not in OPERATIONS:
            raise ConfigError(f"operations.{name}", "there is no such operation")
    return OperationConfigs(**{name: stored_config(value) for name, value in values.items()})
