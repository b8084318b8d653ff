"""What a config is found by: its settings by path, as values of one total order.

SQLite has that order too: numbers, then texts, then bytes, which stand for all
the rest. Pure. Imports `domain`; read `sought` first.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from attrs import frozen

from tract.domain import canonical
from tract.domain.conditions import Condition

Indexed: TypeAlias = int | float | str | bytes
"""A setting in the index."""

BELOW_NUMBERS = float("-inf")
BELOW_TEXTS = float("inf")
BELOW_REST = b""
ABOVE_ALL = b"\xff" * 33
"""What no config holds, so each of them stands between two kinds."""
_DIGITS = 2.0**63


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a stored config by their paths; an object in `extra` is there itself and with all in it."""
    found: dict[str, Any] = {}
    level = list(config.items())
    while level:
        below: list[tuple[str, Any]] = []
        for path, value in sorted(level, key=lambda each: each[0]):
            found.setdefault(path, value)
            if isinstance(value, Mapping):
                below += [(f"{path}.{key}", item) for key, item in value.items()]
        level = below
    return found


def indexed(value: Any) -> Indexed:
    """Return what stands for a JSON value in the index: equal exactly where the values are."""
    if value is None or isinstance(value, bool):
        return canonical.encode(value)
    if isinstance(value, (int, float, str)):
        return value
    return canonical.sha256(canonical.encode(_leveled(value)))


def _leveled(value: Any) -> Any:
    """Return a value in which whole numbers are integers, as far as those go."""
    if isinstance(value, Mapping):
        return {key: _leveled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_leveled(item) for item in value]
    if isinstance(value, float) and value.is_integer() and -_DIGITS <= value < _DIGITS:
        return int(value)
    return value


def place(value: Indexed) -> tuple[int, Any]:
    """Return where a value stands in the order."""
    if isinstance(value, str):
        return 1, value
    return (2, value) if isinstance(value, bytes) else (0, value)


@frozen
class Points:
    """Some values.

    Attributes:
        path: Of the setting.
        values: The values, each once.
    """

    path: str
    values: tuple[Indexed, ...]

    def holds(self, value: Indexed | None) -> bool:
        """Say whether a setting fits; None where it is not set."""
        return value is not None and value in self.values


@frozen
class Span:
    """All values between two.

    Attributes:
        path: Of the setting.
        low: The lower end, included.
        high: The upper end, included.
        excluded: Values that are left out, in order.
    """

    path: str
    low: Indexed
    high: Indexed
    excluded: tuple[Indexed, ...] = ()

    def holds(self, value: Indexed | None) -> bool:
        """Say whether a setting fits; None where it is not set."""
        if value is None:
            return False
        return place(self.low) <= place(value) <= place(self.high) and value not in self.excluded


@frozen
class Missing:
    """That a setting is not set.

    Attributes:
        path: Of the setting.
    """

    path: str

    def holds(self, value: Indexed | None) -> bool:
        """Say whether a setting fits; None where it is not set."""
        return value is None


Sought: TypeAlias = Points | Span | Missing


def sought(condition: Condition) -> Sought:
    """Return which values of the index fit a condition."""
    path, operator = condition.field, condition.operator
    if operator == "exists":
        return Missing(path) if condition.value is False else Span(path, BELOW_NUMBERS, ABOVE_ALL)
    values = sorted({indexed(each) for each in condition.operands}, key=place)
    if operator in ("=", "in"):
        return Points(path, tuple(values))
    if operator in ("!=", "not in"):
        return Span(path, BELOW_NUMBERS, ABOVE_ALL, tuple(values))
    if operator == "between":
        low, high = (indexed(each) for each in condition.operands)
        return Span(path, low, high)
    (value,) = values
    bottom, top = (BELOW_TEXTS, BELOW_REST) if isinstance(value, str) else (BELOW_NUMBERS, BELOW_TEXTS)
    excluded = (value,) if operator in (">", "<") else ()
    return Span(path, value, top, excluded) if operator in (">", ">=") else Span(path, bottom, value, excluded)


def joined(conditions: Iterable[Sought]) -> tuple[Sought, ...]:
    """Return conditions that together mean the same, one for each path."""
    found: dict[str, Sought] = {}
    for condition in conditions:
        known = found.get(condition.path)
        found[condition.path] = condition if known is None else _both(known, condition)
    return tuple(found.values())


def _both(one: Sought, other: Sought) -> Sought:
    if isinstance(one, Points):
        return Points(one.path, tuple(value for value in one.values if other.holds(value)))
    if isinstance(other, Points):
        return _both(other, one)
    if isinstance(one, Span) and isinstance(other, Span):
        low, high = max(one.low, other.low, key=place), min(one.high, other.high, key=place)
        excluded = {each for each in (*one.excluded, *other.excluded) if place(low) <= place(each) <= place(high)}
        return Span(one.path, low, high, tuple(sorted(excluded, key=place)))
    # What is not set has no value, so only that can go together with it.
    return one if one == other else Points(one.path, ())
