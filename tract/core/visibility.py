"""Which texts a history shows: in what slot, or not any more.

A commit compiles by folding the whole of its history. Of a single slot only
the few commits count that name it, so those alone are folded here, in the same
order and by the same rules. Imports `domain`, `graph`, `log` and `operations`.
Read `Visibility`.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeAlias

import msgspec
from attrs import frozen

from tract.core.graph import Spot, has_merges, run_start
from tract.domain.commits import CommitOperation, Priority
from tract.domain.ids import BlobId, CommitId
from tract.domain.messages import Message
from tract.log.protocol import Query
from tract.operations.folding import EMPTY, Slot, SlotContent, Step, fold

Rank: TypeAlias = tuple[int, int]
"""Of a commit in a lineage; ranks compare as folding takes the commits."""
_SAID = Message("user", "")
"""Stands for every text: which slot shows whose is all that is asked."""
_targets = msgspec.json.Decoder(list[CommitId])


class Lineage:
    """The history of a commit, in the order in which it is folded.

    As section 5 of the design has it: the first parent's, then what the second
    one has beyond it, then the commit. Kept as stretches of runs, so that it
    costs as much as there are runs and merges.

    Args:
        query: The snapshot.
        head: The commit, its own ancestor.
    """

    def __init__(self, query: Query, head: Spot) -> None:
        self._stretches: dict[int, list[Rank]] = {}
        merges = has_merges(query)
        count = 0
        # A stretch is taken up once what is before it is: those wait as (run, last, is_ready).
        work = [(*head, False)]
        while work:
            run, last, is_ready = work.pop()
            taken = self._stretches.get(run)
            low = taken[-1][0] if taken else 0
            if last <= low:
                continue
            if is_ready:
                self._stretches.setdefault(run, []).append((last, count))
                count += 1
                continue
            before = None if low else run_start(query, run).before
            todo = [] if before is None else [(*before, False)]
            for number, *merged in query("search.merges", run, low, last) if merges else ():
                todo += [(run, number - 1, True), (merged[0], merged[1], False)]
            todo.append((run, last, True))
            work += reversed(todo)

    def rank(self, run: int, number: int) -> Rank | None:
        """Return when a commit is folded; None where it is not in the history."""
        stretches = self._stretches.get(run, [])
        found = bisect_left(stretches, (number, 0))
        return (stretches[found][1], number) if found < len(stretches) else None

    def order(self, commits: Iterable[Spot]) -> tuple[int, ...]:
        """Return the numbers of those of some commits that are in the history, as they are folded."""
        ranks = (self.rank(run, number) for run, number in commits)
        return tuple(number for _, number in sorted(rank for rank in ranks if rank is not None))


@frozen(eq=False, repr=False)
class Brought:
    """A commit that brought a text.

    Attributes:
        number: Its position in the log.
        run: The stretch of history that it belongs to.
        id: Its id.
        slot: The number of the slot that it brought it to.
    """

    number: int
    run: int
    id: CommitId
    slot: int


class Visibility:
    """What histories show, remembered while one snapshot is read.

    Many texts are of one slot, and many branches are one history as far as a
    slot's changes go. Each slot is folded once for all of these, so that a
    text costs a look-up where nothing changed its slot, and else, once a slot
    and different history, as much as there are changes of it.
    """

    def __init__(self, query: Query) -> None:
        self._changes = _Changes(query)
        self._slots: dict[tuple[int, Lineage], Slot | None] = {}
        self._folded: dict[int, dict[tuple[Spot, ...], dict[tuple[int, ...], Slot | None]]] = {}

    def find_priority(self, lineage: Lineage, text: Brought) -> Priority | None:
        """Return the priority of the slot that shows a text; None where none does any more.

        A slot that is skipped shows its text too.
        """
        if lineage.rank(text.run, text.number) is None:
            return None
        _, step = self._changes.step(text.number)
        if step.operation is CommitOperation.APPEND and not self._changes.of(text.number):
            return step.priority or Priority.NORMAL
        key = text.slot, lineage
        if key not in self._slots:
            self._slots[key] = self._slot(*key)
        slot = self._slots[key]
        return slot.priority if slot is not None and slot.live and slot.commit == text.id else None

    def _slot(self, number: int, lineage: Lineage) -> Slot | None:
        folded = self._folded.setdefault(number, {})
        for asked, slots in folded.items():
            order = lineage.order(asked)
            if order in slots:
                return slots[order]
        excerpt = _Excerpt(self._changes, lineage)
        slot = excerpt.slot(number)
        # What was asked led from one to the next: who answers it alike has the same slot.
        asked = tuple(excerpt.asked)
        folded.setdefault(asked, {})[lineage.order(asked)] = slot
        return slot


class _Changes:
    """What changes slots, each read once."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._of: dict[int, tuple[int, ...]] = {}
        self._steps: dict[int, tuple[int, Step]] = {}
        self._numbers: dict[CommitId, tuple[int, ...]] = {}

    def of(self, number: int) -> tuple[int, ...]:
        """Return the commits that edit, annotate, compress or revert one."""
        if number not in self._of:
            self._of[number] = tuple(row[0] for row in self._query("search.changes", number))
        return self._of[number]

    def step(self, number: int) -> tuple[int, Step]:
        """Return the run of a commit, and what it does."""
        if number not in self._steps:
            key, run, operation, targets, priority, has_content = self._query("search.step", number)[0]
            id, named = CommitId(key.hex()), tuple(_targets.decode(targets))
            content = SlotContent(id, "", BlobId(""), 1, _SAID, 0) if has_content else None
            given = None if priority is None else Priority(priority)
            self._steps[number] = run, Step(id, CommitOperation(operation), named, given, content)
        return self._steps[number]

    def numbers(self, id: CommitId) -> tuple[int, ...]:
        """Return the number of a commit; nothing where it is not there."""
        if id not in self._numbers:
            self._numbers[id] = tuple(row[0] for row in self._query("commits.by_id", bytes.fromhex(id)))
        return self._numbers[id]


class _Excerpt:
    """The part of a history that decides about one slot.

    Attributes:
        asked: The commits of which it was asked whether and when they are folded.
    """

    def __init__(self, changes: _Changes, lineage: Lineage) -> None:
        self.asked: dict[Spot, None] = {}
        self._changes = changes
        self._lineage = lineage
        self._steps: dict[int, tuple[Rank, Step]] = {}
        self._below: list[CommitId] = []

    def slot(self, number: int) -> Slot | None:
        """Return a slot at the end of the history, or None where there is none."""
        self._add(number)
        if number not in self._steps:
            return None
        id, more = self._steps[number][1].id, 1
        while True:
            steps = [step for _, step in sorted(self._steps.values(), key=lambda each: each[0])]
            found = next((slot for slot in fold(EMPTY, steps).slots if slot.id == id), None)
            if found is not None or not self._below:
                return found
            # A summary is there if one of the slots it was made of was: mostly the first.
            below, self._below = self._below[:more], self._below[more:]
            more *= 2
            for target in below:
                self._add(*self._changes.numbers(target))

    def _add(self, *numbers: int) -> None:
        """Take up commits, and all that change what they made."""
        for number in numbers:
            self._below += self._step(number)
        work = [change for number in numbers for change in self._changes.of(number)]
        while work:
            number = work.pop()
            if number not in self._steps:
                self._step(number)
                # What is not in the history is changed by nothing that is.
                work += self._changes.of(number) if number in self._steps else ()

    def _step(self, number: int) -> tuple[CommitId, ...]:
        """Take up one commit, if it is in the history; return what it was made of, where it is a summary."""
        run, step = self._changes.step(number)
        self.asked[run, number] = None
        rank = self._lineage.rank(run, number)
        if rank is None:
            return ()
        self._steps[number] = rank, step
        return step.targets if step.operation is CommitOperation.COMPRESS else ()
