"""Collecting findings, so that a store that is wholly damaged does not fill the memory.

Imports `results`.
"""

from attrs import define, field

from tract.admin.results import Finding

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
