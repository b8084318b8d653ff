"""Collecting findings, so that a store that is wholly damaged does not fill the memory.

Imports `log`, `results` and `snapshots`.
"""

from collections.abc import Callable
from typing import TypeVar

from attrs import define, field

from tract.admin.results import Finding
from tract.admin.snapshots import tells_nothing
from tract.log.sqlite_errors import DATABASE_ERRORS

T = TypeVar("T")

MOST = 1000
"""Findings that are kept; of those beyond it only the number is."""


@define(eq=False, repr=False)
class Findings:
    """What was found so far.

    Attributes:
        kept: The first `MOST`.
        more: How many there were beyond them.
    """

    kept: list[Finding] = field(factory=list)
    more: int = 0

    def add(self, kind: str, where: str, what: str) -> None:
        """Add one; see `Finding`."""
        if len(self.kept) < MOST:
            self.kept.append(Finding(kind, where, what))
        else:
            self.more += 1

    def attempt(self, check: Callable[[], T], where: str) -> T | None:
        """Return what a check returns, or None where SQLite could not read that far, which is a finding.

        Raises:
            sqlite3.Error: It tells nothing of the store.
        """
        try:
            return check()
        except DATABASE_ERRORS as exc:
            if tells_nothing(exc):
                raise
            name = getattr(exc, "sqlite_errorname", type(exc).__name__)
            self.add("file", where, f"SQLite cannot read this to its end ({name})")
        return None
