"""Where projections stand still, and what making them anew came to.

Imports nothing of ours.
"""

from msgspec import Struct


class Halt(Struct, frozen=True, eq=False):
    """An event that a projection cannot fold.

    Attributes:
        projection: Its name.
        stream: The family that it stops for, 16 bytes; empty where it stops for all.
        position: The event's.
        finding: What is wrong, with no text of the user's.
    """

    projection: str
    stream: bytes
    position: int
    finding: str


class Rebuilding(Struct, frozen=True, eq=False):
    """What a rebuild did.

    Attributes:
        projections: Those that were rebuilt, in their order.
        events: How many the log had when it was done.
        resumed: How many of them an earlier rebuild had folded, which was killed.
        holds: How long its transactions, and emptying the write-ahead log
            between them, held the write lock, in seconds: the median, the
            99th percentile and the longest.
        swap: How long the one did that put the tables in use.
        halts: Where projections met an event that they could not fold.
        leftovers: Tables that nobody uses any more and that could not be removed.
    """

    projections: tuple[str, ...]
    events: int
    resumed: int
    holds: tuple[float, float, float]
    swap: float
    halts: tuple[Halt, ...]
    leftovers: tuple[str, ...] = ()
