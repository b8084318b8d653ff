"""Making projections anew from the log, beside everybody who reads and writes.

Tables of the next edition are filled in portions, each read, checked and
folded on a reader and then written in a transaction of some milliseconds. Once
nearly all of the log is in them, one more transaction folds in the rest and
puts them in use, and the old ones are cleared away. Killed at any moment, the
next rebuild goes on there. Imports `protocol`, `batch`, `refolding` and
`shadows`. Read `Rebuild.run` first.
"""

from array import array
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from msgspec.structs import replace

from tract.errors import CorruptLogError
from tract.log import shadows
from tract.log.batch import BatchRunner
from tract.log.halts import Rebuilding
from tract.log.protocol import Query
from tract.log.refolding import WORDS, Portion, Refold
from tract.log.shadows import Cleared, Held, Shadow

HOLD = 0.0035
"""Seconds that a transaction shall hold the write lock; one that is met by others takes longer."""
LONGEST_HOLD = 0.012
"""The same while the log grows faster than it is read."""
FIRST, FEWEST, MOST = 64, 16, 2_000
"""Events of a portion: of the first one, and the bounds of those that follow."""
REST = 64
"""Events that the swap folds in, which holds the lock for some milliseconds more."""
ROWS, MOST_ROWS = 1_000, 100_000
"""Rows that are removed at once, at first and at the most."""


class Rebuild:
    """One rebuild of projections of a store.

    Args:
        runner: Of the store.
        names: The projections to rebuild; None for all.
        read: Runs a function over one snapshot.
        write: Runs a function of `shadows` on the thread of the writer's
            connection; is given how many pages it may add to the write-ahead
            log, it, and its arguments. Returns what it did, and for how many
            seconds the lock was held to empty that log.
        tell: Is told how many events are folded, of how many.
    """

    def __init__(
        self,
        runner: BatchRunner,
        names: Collection[str] | None,
        read: Callable[[Callable[[Query], Any]], Awaitable[Any]],
        write: Callable[..., Awaitable[tuple[Any, float]]],
        tell: Callable[[int, int], None],
    ) -> None:
        self._runner, self._names = runner, names
        self._read, self._run, self._tell = read, write, tell
        # Eight bytes for each of thousands of portions.
        self._holds = array("d")
        self._stuck: set[str] = set()

    async def run(self) -> Rebuilding:
        """Fill, swap and clear away.

        Raises:
            CorruptLogError: The log cannot be read to its end; nothing was changed.
            NewerSchemaError: A later version made tables of one of them.
            RebuildRunningError: Another rebuild came between.
            StoreError: What is filled so far is gone on with next time.
        """
        shadow: Shadow = await self._write(64, shadows.begin, self._names)
        await self._clear()
        begun = shadow.position
        try:
            shadow, swapped = await self._filled_and_swapped(shadow)
        except CorruptLogError:
            await self._write(8, shadows.discard, shadow)
            await self._clear()
            raise
        await self._clear()
        await self._clear(shadows.clear_contexts)
        holds = sorted(self._holds)
        return Rebuilding(
            projections=tuple(each.name for each in shadow.projections),
            events=swapped.position,
            resumed=begun,
            holds=(holds[len(holds) // 2], holds[len(holds) * 99 // 100], holds[-1]),
            swap=swapped.seconds,
            halts=(*shadow.halts, *swapped.halts),
            leftovers=tuple(sorted(self._stuck)),
        )

    async def _filled_and_swapped(self, shadow: Shadow) -> tuple[Shadow, Held]:
        refold = Refold(self._runner.where, shadow.projections, shadow.halts)
        begun, events, hold, tries = shadow.position, FIRST, HOLD, 0
        before: int | None = None
        while True:
            portion, end = await self._read(partial(_next, refold, shadow.position, events))
            behind = end - shadow.position
            # Where the log grows faster than it is read, others have to wait longer.
            hold = min(hold * 1.25, LONGEST_HOLD) if before is not None and behind >= before else max(hold / 1.25, HOLD)
            before = behind
            if portion is not None:
                filled: Held = await self._write(12 + portion.after - portion.before, shadows.fill, shadow, portion)
                refold.halt(filled.halts)
                shadow = replace(shadow, position=filled.position, halts=(*shadow.halts, *filled.halts))
                self._holds.append(filled.seconds)
                events = _adapted(portion.after - portion.before, hold / filled.seconds, FEWEST, MOST)
                self._tell(shadow.position - begun, max(end, shadow.position) - begun)
            if portion is None or portion.is_last:
                # And where they write without a pause, ever more is left to the swap.
                most = min(REST << (tries // 8), MOST)
                weight = WORDS * (most // REST)
                swapped: Held | None = await self._write(12 + most, shadows.swap, shadow, most, weight)
                if swapped is not None:
                    self._holds.append(swapped.seconds)
                    return shadow, swapped
                tries += 1

    async def _write(self, pages: int, work: Callable[..., Any], *args: Any) -> Any:
        done, emptying = await self._run(pages, work, *args)
        if emptying:
            self._holds.append(emptying)
        return done

    async def _clear(self, clear: Callable[..., Cleared | None] = shadows.clear) -> None:
        rows = ROWS
        while True:
            cleared: Cleared | None = await self._write(12 + rows // 64, clear, rows, frozenset(self._stuck))
            if cleared is None:
                return
            self._holds.append(cleared.seconds)
            if cleared.stuck:
                self._stuck.add(cleared.stuck)
            # Rows of another table take another time.
            rows = _adapted(rows, HOLD / cleared.seconds, FEWEST, MOST_ROWS) if cleared.is_more else ROWS


def _next(refold: Refold, position: int, most: int, query: Query) -> tuple[Portion | None, int]:
    """Return the next portion, and where the log ends."""
    ((end,),) = query("log.last_position")
    return refold.read(query, position, most), end


def _adapted(number: int, factor: float, fewest: int, most: int) -> int:
    """Return how many to take next, to come nearer to the time that they shall take."""
    return int(min(max(number * min(max(factor, 0.5), 2.0), fewest), most))
