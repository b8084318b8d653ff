"""Tables derived from events: dropped and replayed, they come out the same.

Decides nothing. `INLINE` is what every store keeps in step with its appends,
`FOLLOWING` what `running` keeps up behind them.
Imports `domain` and `log`.
"""

from pathlib import Path

from tract.log import statements
from tract.log.protocol import FollowingProjection, Projection
from tract.projections.commits import Commits
from tract.projections.configs import Configs
from tract.projections.generations import Generations
from tract.projections.movements import Movements
from tract.projections.receipts import Receipts
from tract.projections.refs import Refs
from tract.projections.searching import Search
from tract.projections.settings import Settings
from tract.projections.tracts import Tracts
from tract.projections.usage import UsageSums

INLINE: tuple[Projection, ...] = (Tracts(), Commits(), Refs(), Movements(), Receipts(), Generations(), Settings())
"""In the order that they are applied: a later one may read an earlier one's tables."""

FOLLOWING: tuple[FollowingProjection, ...] = (UsageSums(), Search(), Configs())
"""What follows the log a little behind it, where somebody asked for it."""

SQL = (statements.SQL, Path(__file__).with_name("sql"))
"""The folders whose statements a store needs."""


def with_what_it_reads(name: str) -> tuple[str, ...]:
    """Return the projections to replay so that one comes out right, whatever became of the others.

    Its statements may read the tables of others as they were at that event,
    so those are replayed with it.

    Args:
        name: Of a projection.
    """
    everyone: tuple[Projection, ...] = (*INLINE, *FOLLOWING)
    by_name = {projection.name: projection for projection in everyone}
    wanted, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        wanted.add(one)
        waiting += by_name[one].reads
    return tuple(projection.name for projection in everyone if projection.name in wanted)


__all__ = ["FOLLOWING", "INLINE", "SQL", "with_what_it_reads"]
