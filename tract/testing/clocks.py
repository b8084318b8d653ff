"""Clocks that tell the time they are told. Imports nothing of ours."""

from attrs import define, field


@define
class FixedClock:
    """A clock that goes on by a fixed step each time it is read.

    Attributes:
        now: What it will tell next, in microseconds since 1970, UTC; by
            default it begins with 1 January 2026.
        step: Microseconds between two readings; 0 stops it.
    """

    now: int = field(default=1_767_225_600_000_000, alias="start")
    step: int = 1

    def __call__(self) -> int:
        """Return the microseconds since 1970, UTC, and go on."""
        told = self.now
        self.now += self.step
        return told

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, rounded to whole microseconds."""
        self.now += round(seconds * 1_000_000)
