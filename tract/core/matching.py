"""Which commits have a config that fits some conditions, one after another.

Configs that fit each condition are streams in the order in which they were
first used, and the streams are moved on together. A config stands under the
number of the commit that used it first; the commits that use one again come
from a table of their own. Everything here is a function over a `Query` and runs
on a reader's thread. Imports `domain`, `graph`, `operations` and `log`; read
`Matches.numbers` first.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeAlias

import msgspec
from attrs import frozen

from tract.core.graph import LAST_POSITION
from tract.log.protocol import Query, Row
from tract.operations.querying import BELOW_REST, Indexed, Missing, Points, Sought, Span

FEW = 1_000
"""So many configs, at the most, are looked at one by one."""
GLANCE = 128
"""Commits that are looked at, one after another, before each config is asked for its own."""
BLOCK = 1_024
"""Numbers among which each config is looked up, where one is sought that lacks something."""
FIRST, MOST = 16, 4_096
"""Rows that a stream reads at first, and at the most at once."""
EXCLUDED = 3
"""Values that a statement leaves out."""


@frozen(eq=False, repr=False)
class Way:
    """In which order commits are sought.

    Attributes:
        sign: What makes a number one that grows along the way.
        start: Before the first commit.
        within: Names the statement that finds configs by a range of values.
        equal: By one value.
        uses: Names the one that finds the commits that use a config again.
        used: And those that use any config again.
        in_run: And those of a run that have a config.
    """

    sign: int
    start: int
    within: str
    equal: str
    uses: str
    used: str
    in_run: str


NEWEST = Way(
    sign=-1,
    start=LAST_POSITION,
    within="configs.newest_within",
    equal="configs.newest_equal",
    uses="configs.newest_uses",
    used="configs.newest_used",
    in_run="configs.newest_in_run",
)
OLDEST = Way(
    sign=1,
    start=0,
    within="configs.oldest_within",
    equal="configs.oldest_equal",
    uses="configs.oldest_uses",
    used="configs.oldest_used",
    in_run="configs.oldest_in_run",
)


@frozen(eq=False, repr=False)
class Reach:
    """Which commits count: those of a tract, or those of a history.

    Attributes:
        family: The number of the family.
        tract: The number of the tract; None for all of the family.
        bounds: By run, the number of the last commit that counts; None for all.
    """

    family: int
    tract: int | None = None
    bounds: Mapping[int, int] | None = None

    @property
    def parameters(self) -> tuple[int | None, str | None]:
        """What statements take to leave out commits that do not count, not all of them."""
        return self.tract, None if self.bounds is None else msgspec.json.encode(list(self.bounds)).decode()

    def has(self, number: int, run: int) -> bool:
        """Say whether a commit counts that `parameters` do not leave out."""
        return self.bounds is None or self.bounds.get(run, 0) >= number


Found: TypeAlias = tuple[int, int]
"""A commit, by number and run; or a config, by those of the commit that used it first."""
Place: TypeAlias = tuple[Indexed, int]
"""A place of the index by value: a value and the number of a config."""
Fetch: TypeAlias = Callable[[int, int], Sequence[Row]]
"""Returns so many of the rows behind a number, or fewer; none at the end alone. They begin with number and run."""


class Stream(Protocol):
    """Configs in some order."""

    def seek(self, key: int) -> Found | None:
        """Return the first one that is at a place or behind it; places never go back."""
        ...


class _Rows:
    """What a statement finds, read piece by piece."""

    def __init__(self, sign: int, fetch: Fetch) -> None:
        self._sign, self._fetch = sign, fetch
        self._rows: Sequence[Row] = ()
        self._keys: list[int] = []
        self._at, self._size, self._is_over = 0, FIRST, False

    def seek(self, key: int) -> Found | None:
        self._at = bisect_left(self._keys, key, self._at)
        if self._at == len(self._keys):
            # What was read is before the place that is sought.
            rows = () if self._is_over else self._fetch(self._sign * (key - 1), self._size)
            if not rows:
                self._is_over = True
                return None
            self._size = min(4 * self._size, MOST)
            self._rows, self._keys, self._at = rows, [self._sign * row[0] for row in rows], 0
        return self._rows[self._at][0], self._rows[self._at][1]


class _Any:
    """What is in one of several streams."""

    def __init__(self, sign: int, streams: Sequence[Stream]) -> None:
        self._sign, self._streams = sign, streams

    def seek(self, key: int) -> Found | None:
        found = [each for stream in self._streams if (each := stream.seek(key)) is not None]
        return min(found, key=lambda each: self._sign * each[0]) if found else None


class _Lacking:
    """Configs in which a setting is not set.

    Where they are rare, ranges of configs are counted, and the settings in
    them, which is a tenth of the work of looking each one up; those with a
    difference are halved.
    """

    def __init__(self, query: Query, sign: int, path: str, reach: Reach) -> None:
        self._query, self._sign, self._path, self._reach = query, sign, path, reach
        ((last,),) = query("configs.last", reach.family)
        self._last = sign * (last or 0)
        self._ranges: list[tuple[int, int, int | None]] = []
        self._has_begun = False
        self._found: Sequence[Found] = ()
        self._keys: list[int] = []

    def seek(self, key: int) -> Found | None:
        if not self._has_begun:
            self._begin(key)
        while True:
            at = bisect_left(self._keys, key)
            if at < len(self._keys):
                return self._found[at]
            if not self._ranges:
                return None
            low, high, lacking = self._ranges.pop()
            if high < key or lacking == 0:
                continue
            if high - low < BLOCK:
                self._look(low, high)
            else:
                self._halve(low, high, lacking)

    def _begin(self, key: int) -> None:
        """Take what comes first as it is, and the rest as one range."""
        end = self._last if self._sign > 0 else -1
        low = max(key, self._last) if self._sign < 0 else key
        near = min(low + BLOCK - 1, end)
        self._ranges = [(near + 1, end, None), (low, near, None)]
        self._has_begun = True

    def _look(self, low: int, high: int) -> None:
        numbers = sorted((self._sign * low, self._sign * high))
        rows = self._query("configs.without", self._reach.family, self._path, *numbers, *self._reach.parameters)
        self._found = sorted(((row[0], row[1]) for row in rows), key=lambda found: self._sign * found[0])
        self._keys = [self._sign * number for number, _ in self._found]

    def _halve(self, low: int, high: int, lacking: int | None) -> None:
        total = self._lack(low, high) if lacking is None else lacking
        middle = (low + high) // 2
        near = self._lack(low, middle) if total else 0
        self._ranges += [(middle + 1, high, total - near), (low, middle, near)]

    def _lack(self, low: int, high: int) -> int:
        """Return how many configs of a range lack the setting."""
        low, high = sorted((self._sign * low, self._sign * high))
        ((configs,),) = self._query("configs.count", self._reach.family, low, high)
        ((settings,),) = self._query("configs.count_with", self._reach.family, self._path, low, high)
        return int(configs) - int(settings)


def _ranges(condition: Points | Span) -> Iterable[tuple[Place, Place]]:
    """Return between which places of the index the configs stand that fit a condition."""
    if isinstance(condition, Points):
        return [((value, -1), (value, LAST_POSITION)) for value in condition.values]
    lows: list[Place] = [(condition.low, -1), *((value, LAST_POSITION) for value in condition.excluded)]
    highs: list[Place] = [*((value, -1) for value in condition.excluded), (condition.high, LAST_POSITION)]
    return zip(lows, highs, strict=True)


def _agreed(way: Way, start: int, streams: Sequence[Stream]) -> Iterator[Found]:
    """Yield what is in all of some streams, behind a number."""
    key = way.sign * start + 1
    while (found := streams[0].seek(key)) is not None:
        key = way.sign * found[0]
        for stream in streams[1:]:
            other = stream.seek(key)
            if other is None:
                return
            if other != found:
                key = way.sign * other[0]
                break
        else:
            yield found
            key += 1


class Matches:
    """The commits with a config that fits.

    Args:
        query: The snapshot.
        way: In which order they are sought.
        reach: Which of them count.
        conditions: What the config must be, at least one thing.
    """

    def __init__(self, query: Query, way: Way, reach: Reach, conditions: Sequence[Sought]) -> None:
        self._query, self._way, self._reach = query, way, reach
        # What is rare leads: the others are then asked for little.
        few = [(each, self._few(each)) for each in conditions]
        self._conditions = sorted(few, key=lambda each: FEW + 1 if each[1] is None else len(each[1]))

    def numbers(self, start: int) -> Iterator[int]:
        """Yield the commits behind a number, each once."""
        query, way, everyone = self._query, self._way, Reach(self._reach.family)
        firsts = self._counted(_agreed(way, start, self._streams(self._reach)))
        if not query("configs.has_uses", self._reach.family):
            return firsts
        # Forwards, a config may have been used first before the place and again behind it.
        known = start if way is NEWEST else way.start
        configs = [number for number, _ in islice(_agreed(way, known, self._streams(everyone)), FEW + 1)]
        again = self._used(start) if len(configs) > FEW else self._used_of(configs, start)
        return heapq.merge(firsts, self._counted(again), key=lambda number: way.sign * number)

    def _streams(self, reach: Reach) -> list[Stream]:
        """Return a stream for each condition, the first one of configs whose first commit is within *reach*."""
        first, *rest = self._conditions
        return [self._stream(*first, reach), *(self._stream(*each, Reach(reach.family)) for each in rest)]

    def _stream(self, condition: Sought, few: Sequence[Row] | None, reach: Reach) -> Stream:
        sign = self._way.sign
        if few is not None:
            rows = sorted((row for row in few if reach.tract in (None, row[2])), key=lambda row: sign * row[0])
            keys = [sign * row[0] for row in rows]
            return _Rows(sign, lambda start, _: rows[bisect_left(keys, sign * start + 1) :])
        if isinstance(condition, Points):
            return _Any(sign, [_Rows(sign, self._equal(condition.path, value, reach)) for value in condition.values])
        if isinstance(condition, Missing):
            return _Lacking(self._query, sign, condition.path, reach)
        return _Rows(sign, self._within(condition, reach))

    def _few(self, condition: Sought) -> Sequence[Row] | None:
        """Return the configs that fit a condition, if they are few; None also where a stream is as good."""
        rows: list[Row] = []
        if isinstance(condition, Missing) or (isinstance(condition, Points) and len(condition.values) == 1):
            return None
        for low, high in _ranges(condition):
            rows += self._query("configs.between", self._reach.family, condition.path, *low, *high, FEW + 1 - len(rows))
            if len(rows) > FEW:
                return None
        return rows

    def _equal(self, path: str, value: Indexed, reach: Reach) -> Fetch:
        query, name, limits = self._query, self._way.equal, reach.parameters
        return lambda start, count: query(name, reach.family, path, start, *limits, count, value)

    def _within(self, span: Span, reach: Reach) -> Fetch:
        excluded = (span.excluded + (BELOW_REST,) * EXCLUDED)[:EXCLUDED]
        limits = reach.parameters

        def fetch(start: int, count: int) -> Sequence[Row]:
            while True:
                rows = self._query(
                    self._way.within, reach.family, span.path, start, *limits, count, span.low, span.high, *excluded
                )
                fitting = [row for row in rows if span.holds(row[2])] if len(span.excluded) > EXCLUDED else rows
                if fitting or not rows:
                    return fitting
                start, count = rows[-1][0], min(4 * count, MOST)

        return fetch

    def _used_of(self, configs: Sequence[int], start: int) -> Iterator[Found]:
        """Yield the commits that use some configs again, behind a number."""
        query, way, limits = self._query, self._way, self._reach.parameters
        # Where they are many, a glance at what comes next finds more than to ask for each of them.
        rows = query(way.used, self._reach.family, start, *limits, GLANCE)
        wanted = set(configs)
        yield from ((number, run) for number, run, config in rows if config in wanted)
        if len(rows) < GLANCE:
            return
        start = rows[-1][0]

        def uses(config: int) -> Iterator[Found]:
            return pieces(lambda after, count: query(way.uses, config, after, *limits, count), start)

        again = query("configs.used", msgspec.json.encode(configs).decode())
        yield from heapq.merge(*(uses(config) for (config,) in again), key=lambda found: way.sign * found[0])

    def _used(self, start: int) -> Iterator[Found]:
        """Yield the commits that use again what fits, behind a number, looking at each."""
        limits, known = self._reach.parameters, dict[int, bool]()
        for row in pieces(lambda after, count: self._query(self._way.used, self._reach.family, after, *limits, count), start):
            number, run, config = row
            if config not in known:
                known[config] = self._fits(config)
            if known[config]:
                yield number, run

    def _fits(self, config: int) -> bool:
        """Say whether a config fits all conditions."""
        for condition, _ in self._conditions:
            rows = self._query("configs.value", self._reach.family, condition.path, config)
            if not condition.holds(rows[0][0] if rows else None):
                return False
        return True

    def _counted(self, found: Iterable[Found]) -> Iterator[int]:
        """Yield the commits that count, in their order; up to where there can be no more."""
        bounds = self._reach.bounds
        last = None if bounds is None or self._way is NEWEST else max(bounds.values(), default=0)
        for number, run in found:
            if last is not None and number > last:
                return
            if self._reach.has(number, run):
                yield number


def pieces(fetch: Fetch, start: int) -> Iterator[Row]:
    """Yield all rows behind a number."""
    size = FIRST
    while rows := fetch(start, size):
        yield from rows
        start, size = rows[-1][0], min(4 * size, MOST)
