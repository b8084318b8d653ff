"""`Condition`: what a config is asked for. Imports `canonical`, `config`, `read_only` and `errors`."""

from typing import Any, Literal, TypeAlias, get_args

import attrs
from attrs import fields_dict, frozen

from tract.domain import canonical
from tract.domain.config import LLMConfig
from tract.domain.read_only import hashable, plain, read_only
from tract.errors import ContentValidationError

Operator: TypeAlias = Literal["=", "!=", ">", "<", ">=", "<=", "in", "not in", "between", "exists"]
"""How a setting is compared."""
OPERATORS: tuple[Operator, ...] = get_args(Operator)
MOST_VALUES = 1_000
"""Values that one condition lists at the most."""
FIELDS = tuple(fields_dict(LLMConfig))
_ORDERED = frozenset({">", "<", ">=", "<=", "between"})
_LISTED = frozenset({"in", "not in"})


def _operand(value: object) -> object:
    try:
        return read_only(value)
    except RecursionError:
        raise ContentValidationError("value", f"it is nested more than {canonical.MAX_DEPTH} levels deep") from None


@frozen
class Condition:
    """What one setting of a config must be.

    A setting that is not set fits no condition but `exists` with False, so
    neither `!=` nor `not in`. Numbers are compared as numbers, whatever their
    Python type: 1 is 1.0, also within lists and objects; True is no number.
    Texts are ordered by code point. Lists and objects are equal as JSON, and
    have no order. What is of another kind than the operand is unequal to it,
    and neither more nor less.

    Attributes:
        field: A field of `LLMConfig`, or a dotted path into `extra` such as
            `extra.reasoning.effort`. Paths do not lead into lists. Where two
            places answer to one path, since keys hold dots, the one nearest
            to the top counts.
        operator: `=`, `!=`, `>`, `<`, `>=`, `<=`, `in`, `not in`, `between` or `exists`.
        value: What to compare with: a list for `in` and `not in`, the two
            ends, both included, for `between`; True or False for `exists`,
            where None is True.

    Raises:
        ContentValidationError: One of them makes no sense; it names which.
    """

    field: str
    operator: Operator
    value: Any = attrs.field(default=None, converter=_operand)

    def __attrs_post_init__(self) -> None:
        _check_field(self.field)
        if self.operator not in OPERATORS:
            raise ContentValidationError("operator", f"it must be one of {', '.join(OPERATORS)}")
        if self.operator == "exists":
            if self.value is not None and not isinstance(self.value, bool):
                raise ContentValidationError("value", "it must be True or False")
        else:
            _check_operands(self)

    def __hash__(self) -> int:
        return hash((self.field, self.operator, hashable(self.value)))

    @property
    def operands(self) -> list[Any]:
        """The values that a setting is compared with; none for `exists`."""
        if self.operator == "exists":
            return []
        return list(self.value) if self.operator in _LISTED or self.operator == "between" else [self.value]


def conditions_of(config: LLMConfig) -> tuple[Condition, ...]:
    """Return that each field that is set in *config* is equal, and each option of `extra`."""
    values = config.to_dict()
    extra = values.pop("extra", {})
    values.update((f"extra.{name}", value) for name, value in extra.items())
    return tuple(Condition(name, "=", value) for name, value in values.items())


def _check_field(name: object) -> None:
    if not isinstance(name, str) or not (name in FIELDS or name.startswith("extra.")):
        hint = f", such as extra.{name}" if isinstance(name, str) and name.isidentifier() and len(name) <= 40 else ""
        raise ContentValidationError("field", f"it must be one of {', '.join(FIELDS)}, or extra.NAME{hint}")
    _check_json("field", name)


def _check_json(field: str, value: object) -> None:
    try:
        canonical.check(value)
    except canonical.NotCanonicalError as exc:
        raise ContentValidationError(field, f"{exc}") from exc


def _check_operands(condition: Condition) -> None:
    operator, value = condition.operator, condition.value
    _check_json("value", plain(value))
    if operator in _LISTED and not (isinstance(value, list) and len(value) <= MOST_VALUES):
        raise ContentValidationError("value", f"it must be a list of {MOST_VALUES:,} values at most")
    if operator == "between" and not (isinstance(value, list) and len(value) == 2):
        raise ContentValidationError("value", "it must be the two ends, the lower one first")
    if value is None and operator in _ORDERED:
        raise ContentValidationError("value", f"{operator} needs one")
    operands = condition.operands
    if operator in _ORDERED and {_kind(each) for each in operands} not in ({"number"}, {"text"}):
        raise ContentValidationError("value", "it must be a number or a text, and both ends of one kind")
    if condition.field == "stop_sequences":
        if operator in _ORDERED or not all(_is_stops(each) for each in operands):
            raise ContentValidationError(
                "value", "stop sequences are compared by =, !=, in and not in, each as a whole list of texts"
            )
    elif condition.field != "extra" and not condition.field.startswith("extra."):
        kind = "text" if condition.field == "model" else "number"
        if any(_kind(each) != kind for each in operands):
            raise ContentValidationError("value", f"{condition.field} is compared with a {kind}; use exists for what is not set")


def _kind(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is_stops(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
