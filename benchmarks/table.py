"""Results of benchmarks and how they are shown.

Imports nothing of ours. Read `Row` first.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import frozen

Unit: TypeAlias = Literal["s", "/s", "B", "x"]
"""Seconds, things a second, bytes, or a bare number."""


@frozen
class Target:
    """What a row must reach.

    Attributes:
        limit: The figure.
        of: Whether it bounds the ratio or our own figure.
        is_least: Whether the figure must be at least the limit.
    """

    limit: float
    of: Literal["ratio", "ours"] = "ratio"
    is_least: bool = False

    def is_met(self, value: float) -> bool:
        """Return whether *value* reaches it."""
        return value >= self.limit if self.is_least else value <= self.limit


@frozen
class Row:
    """One comparison.

    Attributes:
        what: The work.
        ours: Our figure.
        unit: Of both figures.
        floor: The other side's figure, None where there is none.
        against: What the other side is.
        target: What must be reached, None where the row only informs.
    """

    what: str
    ours: float
    unit: Unit
    floor: float | None = None
    against: str = ""
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """Ours to the other side's."""
        return None if not self.floor else self.ours / self.floor

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        value = self.ours if self.target.of == "ours" else self.ratio
        return value is not None and self.target.is_met(value)

    def cells(self) -> Sequence[str]:
        """Return the columns of `COLUMNS`."""
        floor = "" if self.floor is None else shown(self.floor, self.unit)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return (self.what, shown(self.ours, self.unit), floor, self.against, ratio, self._target(), _MET[self.is_met])

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "what": self.what,
            "ours": self.ours,
            "unit": self.unit,
            "floor": self.floor,
            "against": self.against,
            "ratio": self.ratio,
            "target": self._target(),
            "met": self.is_met,
        }

    def _target(self) -> str:
        if self.target is None:
            return ""
        sign = ">=" if self.target.is_least else "<="
        limit = shown(self.target.limit, self.unit) if self.target.of == "ours" else f"{self.target.limit:.2f}x"
        return f"{sign} {limit}"


FLAT = 1.5
"""How much more the largest size may cost than the smallest to be called flat;
medians of one and the same work differ by as much on a busy machine."""


@frozen
class Growth:
    """One figure at growing sizes; it must stay flat.

    Attributes:
        what: The work.
        figures: Seconds by size.
        limit: What none of the figures may exceed, or None.
    """

    what: str
    figures: Mapping[int, float]
    limit: float | None = None

    @property
    def ratio(self) -> float:
        """The largest size's figure to the smallest one's."""
        return self.figures[max(self.figures)] / self.figures[min(self.figures)]

    @property
    def is_met(self) -> bool:
        """Whether it is flat, and below the limit everywhere."""
        return self.ratio <= FLAT and (self.limit is None or max(self.figures.values()) <= self.limit)

    def cells(self, sizes: Iterable[int]) -> Sequence[str]:
        """Return the row, with a column for each of *sizes*."""
        columns = (shown(self.figures[size], "s") if size in self.figures else "" for size in sizes)
        return (self.what, *columns, f"{self.ratio:.2f}x", self._target(), _MET[self.is_met])

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "what": self.what,
            "figures": {str(size): figure for size, figure in self.figures.items()},
            "ratio": self.ratio,
            "target": self._target(),
            "met": self.is_met,
        }

    def _target(self) -> str:
        flat = f"<= {FLAT:.2f}x"
        return flat if self.limit is None else f"{flat}, <= {shown(self.limit, 's')}"


Result: TypeAlias = Row | Growth

_MET = {None: "", True: "yes", False: "MISSED"}
COLUMNS = ("what", "ours", "floor", "against", "ratio", "target", "met")


def shown(value: float, unit: Unit) -> str:
    """Return a figure with three digits and its unit."""
    match unit:
        case "s":
            if abs(value) >= 1:
                return f"{value:.2f} s"
            return f"{value * 1e3:.3g} ms" if abs(value) >= 1e-3 else f"{value * 1e6:.3g} us"
        case "/s":
            return f"{value:,.0f}/s"
        case "B":
            return f"{value / 1e6:,.2f} MB"
        case "x":
            return f"{value:,.0f}"


def text_of(results: Sequence[Result]) -> str:
    """Return the results as tables: comparisons first, growth after."""
    rows = [result.cells() for result in results if isinstance(result, Row)]
    growing = [result for result in results if isinstance(result, Growth)]
    sizes = sorted({size for growth in growing for size in growth.figures})
    parts = []
    if rows:
        parts.append(_aligned([COLUMNS, *rows]))
    if growing:
        head = ("what, by size", *(f"{size:,}" for size in sizes), "last/first", "target", "met")
        parts.append(_aligned([head, *(growth.cells(sizes) for growth in growing)]))
    return "\n\n".join(parts)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
