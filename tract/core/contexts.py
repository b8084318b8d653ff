"""Loading compiled contexts: the nearest one that is known, plus what came since.

A context is a pure function of a commit, so what is kept here is never stale.
What is kept in the file is as good. Everything runs on a reader's thread.
Imports `domain` to `operations`, `log`, `bounding`, `graph` and `kept`.
"""

import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec

from tract.core.bounding import superseded, too_many
from tract.core.graph import Node, ancestors, node, stretches
from tract.core.kept import decode_config, find_kept, find_kept_place
from tract.domain.commits import CommitOperation, Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import BlobId, CommitId
from tract.domain.statistics import ContextStatistics
from tract.formats.reading import decode_content
from tract.formats.rendering import render
from tract.log.protocol import Query
from tract.operations.context import EMPTY, Context
from tract.operations.folding import fold
from tract.operations.freezing import Memory
from tract.operations.graph import linearise
from tract.operations.slots import SlotContent, Step

__all__ = ["CAPACITY", "RECENT", "ContextCache", "decode_config"]

CAPACITY = 256
"""Contexts that are kept; those of one history share nearly all of it."""
RECENT = 256
"""Commits made here whose steps are kept, so that they are not read back."""
FAR = 256
"""Numbers between a context that is known and the one that is sought, from which
the file may have a nearer one."""
AS_FOLDED = 30
"""Commits whose words are read again in the time in which one is folded."""
HISTORIES = 8
"""Histories whose leaves are remembered, so that they are frozen once."""


# Read straight into the few fields that folding needs: cattrs would cost ten
# times as much for each of 10,000 commits.
class _ContentJson(msgspec.Struct, gc=False):
    type: str
    blob: BlobId


class _CommitJson(msgspec.Struct, gc=False):
    operation: CommitOperation
    targets: tuple[CommitId, ...]
    content: _ContentJson | None
    priority: Priority | None
    rendering: int | None


class _RecordedJson(msgspec.Struct, gc=False):
    commit: _CommitJson
    tokens: int | None


_recorded = msgspec.json.Decoder(_RecordedJson)


class Known:
    """Recent contexts that come from one edition of the tables, by the number of their commit.

    Args:
        edition: The edition.

    Attributes:
        edition: The edition.
        looked: The position up to which it was looked which contexts to keep in the file.
    """

    def __init__(self, edition: int) -> None:
        self.edition = edition
        self.looked = 0
        self._memories: OrderedDict[int, Memory] = OrderedDict()
        self._kept: OrderedDict[int, tuple[int, Context]] = OrderedDict()
        self._by_run: dict[int, list[int]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, number: int) -> Context | None:
        """Return the context of a commit if it is known."""
        with self._lock:
            found = self._kept.get(number)
            if found is None:
                return None
            self._kept.move_to_end(number)
            return found[1]

    def put(self, number: int, run: int, context: Context) -> None:
        """Know the context of a commit from now on."""
        with self._lock:
            if number in self._kept:
                return
            self._kept[number] = (run, context)
            insort(self._by_run.setdefault(run, []), number)
            if len(self._kept) > CAPACITY:
                self._drop(next(iter(self._kept)))

    def knows(self, number: int) -> bool:
        """Say whether the context of a commit is in memory."""
        return number in self._kept

    def copy(self) -> "Known":
        """Return one that knows the same, and learns on its own."""
        other = Known(self.edition)
        with self._lock:
            other._kept, other._memories = self._kept.copy(), self._memories.copy()
            other._by_run = {run: [*numbers] for run, numbers in self._by_run.items()}
        return other

    def bound(self, number: int, run: int, *, is_thawed: bool) -> None:
        """Drop what holds the text again that one holds which is here since now, and what holds too much."""
        with self._lock:
            numbers = self._by_run.get(run, [])
            for each in superseded(self._kept, numbers[: bisect_left(numbers, number)]) if is_thawed else ():
                self._drop(each)
            gone = too_many(self._kept)
            for each in gone:
                self._drop(each)
            if gone:
                # They hold leaves, with the text.
                self._memories.clear()

    def _drop(self, number: int) -> None:
        run, _ = self._kept.pop(number)
        self._by_run[run].remove(number)
        if not self._by_run[run]:
            del self._by_run[run]

    def nearest(self, run: int, last: int) -> tuple[int, Context] | None:
        """Return number and context of the last commit of a run, up to a number, that is known."""
        with self._lock:
            numbers = self._by_run.get(run, [])
            place = bisect_right(numbers, last)
            return (numbers[place - 1], self._kept[numbers[place - 1]][1]) if place else None

    def grown(self, least: int) -> set[int]:
        """Return the commits with a context that has *least* slots and changes more than when it was kept."""
        with self._lock:
            kept = list(self._kept.items())
        return {number for number, (_, context) in kept if context.growth >= least}

    def memory(self, origin: int) -> Memory:
        """Return what is known of the leaves of a history."""
        with self._lock:
            return self._memories.get(origin) or Memory()

    def memorise(self, origin: int, memory: Memory) -> None:
        """Know the leaves of a history from now on."""
        with self._lock:
            self._memories[origin] = memory
            self._memories.move_to_end(origin)
            if len(self._memories) > HISTORIES:
                self._memories.popitem(last=False)


class ContextCache:
    """What was compiled of one store.

    Args:
        where: The store, for people.
        reads_kept: Whether to begin with what is kept in the file.
    """

    def __init__(self, where: str, *, reads_kept: bool = True) -> None:
        self._where = where
        self._reads_kept = reads_kept
        self._known = Known(0)
        self._recent: OrderedDict[int, tuple[Step, int | None]] = OrderedDict()
        self._lock = threading.Lock()
        self._found = self._grew = self._folded = 0

    def remember(self, number: int, step: Step, parent: int | None = None) -> None:
        """Keep the step of a commit that was just appended here.

        To read it back would be a third of the time of a compile after an append.

        Args:
            number: The commit's.
            step: What it does.
            parent: The number of the commit that it stands on, where that is
                known: then nobody has to compile this one before the next.
        """
        with self._lock:
            self._recent[number] = (step, parent)
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)

    def aside(self) -> "ContextCache":
        """Return a cache that knows what this one knows, and that this one learns nothing from."""
        other = ContextCache(self._where, reads_kept=self._reads_kept)
        with self._lock:
            other._known, other._recent = self._known.copy(), self._recent.copy()
        return other

    def find_known(self, query: Query, head: Node) -> int | None:
        """Return the last first-parent ancestor of *head*, or itself, whose context is in memory."""
        known = self.known(query)
        return next((found[0] for run, last in stretches(query, head) if (found := known.nearest(run, last))), None)

    def statistics(self) -> ContextStatistics:
        """Return how the contexts came about that were asked for."""
        with self._lock:
            return ContextStatistics(self._found, self._grew, self._folded, len(self._known))

    def context(self, query: Query, head: Node | None) -> Context:
        """Return the context after *head*, folding what is not known yet."""
        if head is None:
            return EMPTY
        known = self.known(query)
        found = self._find(known, head.number) or self._grown(known, head)
        if found is not None:
            return found
        base, context, segments = self._way_to(query, known, head)
        rows = [row for run, low, last in segments if low < last for row in query("commits.steps", run, low, last)]
        if any(row[3] is not None for row in rows):
            rows = _with_merged(query, head, base)
        if rows:
            context = fold(context, self._steps(query, rows))
            known.put(head.number, head.run, context)
            if base is None:
                # Others share the text of what they go on from: to add all of it up takes 0.1 ms.
                known.bound(head.number, head.run, is_thawed=False)
        with self._lock:
            self._folded += 1
        return context

    def steps(self, query: Query, base: Node, head: Node) -> tuple[Step, ...]:
        """Return what leads from a first-parent ancestor to *head*, in order."""
        rows: list[Any] = []
        for run, last in stretches(query, head):
            low = base.number if run == base.run else 0
            rows[:0] = query("commits.steps", run, low, last)
            if low:
                break
        if any(row[3] is not None for row in rows):
            rows = _with_merged(query, head, base.number)
        return tuple(self._steps(query, rows))

    def known(self, query: Query) -> Known:
        """Return what is known of the tables that a snapshot shows.

        They are made anew where rows were damaged, so nothing that comes from
        those before is used, and nothing that comes from them arrives later.
        """
        edition = query.in_use.editions.get("commits", 0)
        known = self._known
        if known.edition == edition:
            return known
        with self._lock:
            if self._known.edition < edition:
                self._known = Known(edition)
            return self._known if self._known.edition == edition else Known(edition)

    def grown(self, least: int) -> set[int]:
        """Return the commits with a context that has *least* slots and changes more than when it was kept."""
        return self._known.grown(least)

    def _find(self, known: Known, number: int) -> Context | None:
        found = known.find(number)
        if found is not None:
            with self._lock:
                self._found += 1
        return found

    def _grown(self, known: Known, head: Node) -> Context | None:
        """Return the context after appends made here, if one that they go on from is known."""
        steps, before = self._steps_since(known, head)
        if before is None:
            return None
        with self._lock:
            self._grew += 1
        context = fold(before, steps)
        known.put(head.number, head.run, context)
        return context

    def _steps_since(self, known: Known, head: Node) -> tuple[list[Step], Context | None]:
        """Return what led from a context that is known to *head*, and that context; None where a step is not at hand."""
        steps: list[Step] = []
        with self._lock:
            recent, parent = self._recent.get(head.number), head.parent
            while recent is not None and parent is not None:
                steps.insert(0, recent[0])
                before = known.find(parent)
                if before is not None:
                    return steps, before
                recent = self._recent.get(parent)
                parent = None if recent is None else recent[1]
        return steps, None

    def _nearest(self, query: Query, known: Known, run: int, last: int) -> tuple[int, Context] | None:
        found = known.nearest(run, last)
        above = 0 if found is None else found[0]
        if not self._reads_kept or (found is not None and last - above < FAR):
            return found
        if above and not _is_worth_reading(query, run, above, last):
            return found
        kept = find_kept(query, self._where, run, range(above + 1, last + 1))
        if kept is None:
            return found
        known.put(kept.number, run, kept.context)
        known.bound(kept.number, run, is_thawed=True)
        known.memorise(kept.origin, kept.memory)
        return kept.number, kept.context

    def _way_to(self, query: Query, known: Known, head: Node) -> tuple[int | None, Context, list[tuple[int, int, int]]]:
        """Return the nearest known first-parent ancestor, its context, and the ranges from there to *head*.

        A range is a run, the number before it and its last number.
        """
        segments: list[tuple[int, int, int]] = []
        for run, last in stretches(query, head):
            nearest = self._nearest(query, known, run, last)
            segments.append((run, 0 if nearest is None else nearest[0], last))
            if nearest is not None:
                return *nearest, segments[::-1]
        return None, EMPTY, segments[::-1]

    def _steps(self, query: Query, rows: list[Any]) -> Iterator[Step]:
        for _, key, _, _, data, stored, config in rows:
            recorded = _recorded.decode(data)
            commit, id, content = recorded.commit, key.hex(), None
            if commit.content is not None:
                content = _slot_content(id, commit, stored, recorded.tokens or 0)
            made_with = None if config is None else self._config(query, config)
            # By position here and below: names cost a tenth of a cold compile.
            yield Step(id, commit.operation, commit.targets, commit.priority, content, made_with)

    @staticmethod
    def _config(query: Query, number: int) -> LLMConfig:
        config: LLMConfig | None = query.facts.get(("config", number))
        if config is None:
            config = decode_config(query("commits.blob_by_number", number)[0][0])
            query.facts["config", number] = config
        return config


def _slot_content(id: CommitId, commit: _CommitJson, stored: bytes, tokens: int) -> SlotContent:
    content, rendering = commit.content, commit.rendering
    assert content is not None
    assert rendering is not None
    message = render(decode_content(content.type, stored), rendering)
    return SlotContent(id, content.type, content.blob, rendering, message, tokens)


def _with_merged(query: Query, head: Node, base: int | None) -> list[Any]:
    """Return the rows of every ancestor of *head* that *base* has not, linearised."""
    known = {} if base is None else ancestors(query, node(query, base))
    loaded = {}
    for run, last in ancestors(query, head, known).items():
        low = known.get(run, 0)
        if last > low:
            loaded.update({row[0]: row for row in query("commits.steps", run, low, last)})

    def parents(number: int) -> list[int]:
        _, _, parent, merged, *_ = loaded[number]
        return [above for above in (parent, merged) if above in loaded]

    return [loaded[number] for number in linearise(head.number, parents)]


def _is_worth_reading(query: Query, run: int, above: int, last: int) -> bool:
    """Say whether reading the words of a context of the file costs less than folding what it has beyond *above*."""
    kept = find_kept_place(query, run, last)
    if kept is None or kept[0] <= above:
        return False
    _, depth = kept
    return (depth - node(query, above).depth) * AS_FOLDED > depth
