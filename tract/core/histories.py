"""Which commits of a short history have a config that fits: each of its own is looked at.

The index of all configs costs what the tract has; a branch of a few commits
beside a long one is answered sooner from the few. Everything here is a function
over a `Query` and runs on a reader's thread. Imports `graph`, `matching`,
`operations` and `log`.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from tract.core.graph import node, run_start
from tract.core.matching import Reach, Way, pieces
from tract.log.protocol import Query, Row
from tract.operations.querying import Sought

SHORT = 1_000
"""Commits that a short history has at the most."""
SHARE = 16
"""Positions that the log has at least for each of them: else the index is as good, and better for what is rare."""
RUNS = 64
"""And runs: each is a question of its own."""
PORTION = 64
"""Commits whose configs are looked at together."""


def is_short(query: Query, reach: Reach) -> bool:
    """Say whether so few commits count, of all that there are, that each is best looked at."""
    if reach.bounds is None or len(reach.bounds) > RUNS:
        return False
    total = sum(1 + node(query, last).depth - run_start(query, run).depth for run, last in reach.bounds.items())
    ((last,),) = query("log.last_position")
    return total <= SHORT and total * SHARE <= int(last)


def looked_at(query: Query, way: Way, reach: Reach, conditions: Sequence[Sought], start: int) -> Iterator[int]:
    """Yield the commits of a history behind a number whose config fits all conditions.

    Args:
        query: The snapshot.
        way: In which order they are sought.
        reach: The history.
        conditions: What the config must be.
        start: The number.
    """
    runs = (_of_run(query, way, reach.family, spot, start) for spot in (reach.bounds or {}).items())
    rows = heapq.merge(*runs, key=lambda row: way.sign * row[0])
    while portion := list(islice(rows, PORTION)):
        fitting = _fitting(query, reach.family, conditions, {config for _, config in portion})
        yield from (number for number, config in portion if config in fitting)


def _of_run(query: Query, way: Way, family: int, spot: tuple[int, int], start: int) -> Iterator[Row]:
    """Yield the commits of a run that count and have a config, with its number."""
    run, last = spot

    def fetch(behind: int, count: int) -> Sequence[Row]:
        between = (behind, last + 1) if way.sign > 0 else (0, min(behind, last + 1))
        return query(way.in_run, family, run, *between, count)

    return pieces(fetch, start)


def _fitting(query: Query, family: int, conditions: Sequence[Sought], configs: set[int]) -> set[int]:
    """Return those of some configs that fit all conditions."""
    for condition in conditions:
        found = query("configs.values", family, condition.path, msgspec.json.encode(sorted(configs)).decode())
        values = {row[0]: row[1] for row in found}
        configs = {config for config in configs if condition.holds(values.get(config))}
    return configs
