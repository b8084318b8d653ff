"""Where projections stand still, which tables are in use, and what making them anew came to.

Imports nothing of ours.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

_none: Mapping[Any, Any] = MappingProxyType({})


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


class InUse(Struct, frozen=True, eq=False):
    """Which tables are in use.

    Attributes:
        editions: Theirs, by the name of the projection; 0 where none is given.
        halted: Where the families stand still that do, by their 16 bytes.
    """

    editions: Mapping[str, int] = _none
    halted: Mapping[bytes, Halt] = _none


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
