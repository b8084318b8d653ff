"""The fold: a commit history, step by step, into a context.

`fold` is total: whatever the steps, it gives a context, because a commit
that finds nothing to act on has no effect. The verbs refuse what makes no
sense before it is recorded. The table in section 5 of the design says what
each operation does; each has one method here.

Imports `domain`, `context`, `sequence`, `slots` and `closing`. Read `fold`, then
the methods of `_Draft`.
"""

from collections.abc import Callable, Container, Iterable, Sequence

from attrs import define

from tract.domain.commits import CommitOperation, Priority
from tract.domain.ids import CommitId
from tract.operations.closing import arrange, pairs_alike
from tract.operations.context import EMPTY, Annotated, Change, Context, Edited, Reordered
from tract.operations.rearranging import Damage, rearrange
from tract.operations.sequence import Transient, Vector
from tract.operations.slots import Closing, Line, Slot, SlotContent, Step

__all__ = ["EMPTY", "Closing", "Context", "Line", "Slot", "SlotContent", "Step", "fold"]


def fold(context: Context, steps: Iterable[Step]) -> Context:
    """Return the context after *steps*; never fails, never changes *context*.

    An append costs the same at any size. Folding many steps at once is
    linear in them: lines are arranged once, at the end.
    """
    draft = _Draft.of(context)
    for step in steps:
        _OPERATIONS[step.operation](draft, step)
    return draft.freeze()


@define(eq=False, repr=False)
class _Draft:
    """A context under construction; each operation is one method."""

    base: Context
    slots: Transient[Slot]
    order: Vector[int]
    changes: Transient[Change]
    index: dict[CommitId, int]
    index_shared: bool
    slot_count: int
    slot_tokens: int
    appended: list[int]
    damage: Damage
    mixed: bool = False

    @classmethod
    def of(cls, base: Context) -> "_Draft":
        slots, changes = Transient.of(base.slots), Transient.of(base.changes)
        # Not everybody's history belongs into the index of EMPTY.
        shared = len(base.index) > 0
        index = base.index if shared else {}
        damage = Damage({}, set())
        return cls(base, slots, base.order, changes, index, shared, base.slot_count, base.slot_tokens, [], damage)

    def append(self, step: Step) -> None:
        if step.content is not None:
            self.appended.append(self._create(step, step.content, ()))

    def edit(self, step: Step) -> None:
        for number, slot in self._find_slots(step.targets[:1]).items():
            if step.content is not None:
                self._record(Edited(step.id, number, slot.content, slot.config))
                config = slot.config if step.config is None else step.config
                self._put(number, slot, slot.with_content(step.content, config))

    def annotate(self, step: Step) -> None:
        slots = self._find_slots(step.targets)
        if step.priority is None or not slots:
            return
        before = tuple((number, slot.priority, slot.priority_by) for number, slot in slots.items())
        self._record(Annotated(step.id, before))
        for number, slot in slots.items():
            self._put(number, slot, slot.with_priority(step.priority, step.id))

    def compress(self, step: Step) -> None:
        found = self._find_slots(step.targets)
        slots = {number: slot for number, slot in found.items() if slot.live and slot.priority is not Priority.PINNED}
        if step.content is None or not slots:
            return
        first, segment = self._segment(slots)
        took = tuple(number for number in segment if number in slots)
        for number, slot in slots.items():
            self._put(number, slot, slot.removed(step.id))
        summary = self._create(step, step.content, took)
        self._replace_order(first, segment, [summary, *(number for number in segment if number not in slots)])

    def reorder(self, step: Step) -> None:
        slots = {number: slot for number, slot in self._find_slots(step.targets).items() if slot.live}
        if not slots:
            return
        first, segment = self._segment(slots)
        movers = tuple((number, slot.moved_by) for number, slot in slots.items())
        self._record(Reordered(step.id, self._ordered(), movers))
        for number, slot in slots.items():
            self._put(number, slot, slot.moved(step.id))
        self._replace_order(first, segment, [*slots, *(number for number in segment if number not in slots)])

    def merge(self, step: Step) -> None:
        """Add nothing: the other side's commits were folded before it."""

    def revert(self, step: Step) -> None:
        target = step.targets[0] if step.targets else None
        number = None if target is None else self._find_entry(target)
        if number is None:
            return
        if number >= 0:
            if number < len(self.slots) and self.slots[number].id == target:
                self._uncompress(number, step.id)
            return
        change = self.changes[~number] if ~number < len(self.changes) else None
        if change is None or change.commit != target:
            return
        if isinstance(change, Edited):
            self._unedit(change)
        elif isinstance(change, Annotated):
            self._unannotate(change)
        else:
            self._unreorder(change)

    def _unedit(self, change: Edited) -> None:
        slot = self.slots[change.number]
        if slot.content.commit == change.commit:
            self._put(change.number, slot, slot.with_content(change.content, change.config))

    def _unannotate(self, change: Annotated) -> None:
        for number, priority, by in change.before:
            slot = self.slots[number]
            if slot.priority_by == change.commit:
                self._put(number, slot, slot.with_priority(priority, by))

    def _uncompress(self, number: int, revert: CommitId) -> None:
        summary = self.slots[number]
        if not summary.took or not summary.live:
            return
        self._put(number, summary, summary.removed(revert))
        for taken in summary.took:
            slot = self.slots[taken]
            self._put(taken, slot, slot.removed(None))
        self._replace_order(self._ordered().index(number), (number,), summary.took)

    def _unreorder(self, change: Reordered) -> None:
        back = {}
        for number, by in change.before:
            slot = self.slots[number]
            if slot.live and slot.moved_by == change.commit:
                back[number] = by
        order = self._ordered()
        live = set(order)
        followers: dict[int | None, list[int]] = {}
        previous: int | None = None
        for number in change.order:
            if number in back:
                followers.setdefault(previous, []).append(number)
            elif number in live:
                previous = number
        restored = list(followers.get(None, ()))
        for number in order:
            if number not in back:
                restored.append(number)
            if number in followers:
                restored.extend(followers[number])
        for number, by in back.items():
            slot = self.slots[number]
            self._put(number, slot, slot.moved(by))
        self._replace_changed(order, restored)

    def _create(self, step: Step, content: SlotContent, took: tuple[int, ...]) -> int:
        number = len(self.slots)
        priority = step.priority or Priority.NORMAL
        self.slots.append(Slot(step.id, content, step.config, priority, took=took))
        self._enter(step.id, number)
        if priority is not Priority.SKIP:
            self.slot_count += 1
            self.slot_tokens += content.tokens
        return number

    def _record(self, change: Change) -> None:
        self._enter(change.commit, ~len(self.changes))
        self.changes.append(change)

    def _enter(self, commit: CommitId, number: int) -> None:
        if self.index_shared:
            if self.index.setdefault(commit, number) == number:
                return
            # The commit has another number on another branch: part ways.
            self.index = dict(self.index)
            self.index_shared = False
        self.index[commit] = number

    def _put(self, number: int, old: Slot, new: Slot) -> None:
        self.slots[number] = new
        was, now = old.compiles, new.compiles
        if was:
            self.slot_count -= 1
            self.slot_tokens -= old.content.tokens
        if now:
            self.slot_count += 1
            self.slot_tokens += new.content.tokens
        if number >= self.slots.size:
            return
        if was and now and pairs_alike(old, new):
            self.damage.replaced.setdefault(number, old)
        elif was or now:
            self.damage.touched.add(number)

    def _find_slots(self, commits: Iterable[CommitId]) -> dict[int, Slot]:
        found = {}
        for commit in commits:
            number = self._find_entry(commit)
            if number is not None and 0 <= number < len(self.slots) and (slot := self.slots[number]).id == commit:
                found[number] = slot
        return found

    def _find_entry(self, commit: CommitId) -> int | None:
        entry = self.index.get(commit)
        return self.base.older.find(commit) if entry is None else entry

    def _ordered(self) -> Vector[int]:
        if self.appended:
            self.order = self.order.extend(self.appended)
            self.appended = []
            self.mixed = True
        return self.order

    def _segment(self, numbers: Container[int]) -> tuple[int, tuple[int, ...]]:
        """Return the stretch of the order from the first of *numbers* to the last, and its place."""
        order = self._ordered()
        places = [place for place, number in enumerate(order) if number in numbers]
        return places[0], order[places[0] : places[-1] + 1]

    def _replace_order(self, first: int, old: Sequence[int], new: Sequence[int]) -> None:
        order = self._ordered()
        if tuple(old) != tuple(new):
            self.damage.widen(first, len(order) - first - len(old))
            self.order = order.splice(first, first + len(old), new)

    def _replace_changed(self, old: Vector[int], new: Sequence[int]) -> None:
        """Replace the order by one of the same length, but only from the first difference to the last."""
        different = [place for place, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
        if different:
            first, stop = different[0], different[-1] + 1
            self._replace_order(first, old[first:stop], new[first:stop])

    def freeze(self) -> Context:
        slots, changes = self.slots.freeze(), self.changes.freeze()
        arrangement = None
        if self.base.lines and not self.mixed:
            arrangement = rearrange(self.base, slots, self.order, self.damage)
        if arrangement is None:
            numbered = list(slots)
            live = [numbered[number] for number in self._ordered()]
            arrangement = arrange([slot for slot in live if slot.priority is not Priority.SKIP], self.slot_tokens)
        else:
            arrangement.add_all(slot for number in self.appended if (slot := self.slots[number]).compiles)
        return Context(
            slots,
            self._ordered(),
            arrangement.lines.freeze(),
            changes,
            self.slot_count,
            self.slot_tokens,
            arrangement.tokens,
            arrangement.closings,
            self.base.chains.copy(),
            arrangement.waiting,
            self._bounded_index(),
            self.base.older,
        )

    def _bounded_index(self) -> dict[CommitId, int]:
        """Return the index, or one of this history alone when others' branches have filled it."""
        if len(self.index) <= 4 * (len(self.slots) + len(self.changes)) + 4096:
            return self.index
        older = self.base.older
        index = {self.slots[number].id: number for number in range(older.slots, len(self.slots))}
        index.update({self.changes[number].commit: ~number for number in range(older.changes, len(self.changes))})
        return index


_OPERATIONS: dict[CommitOperation, Callable[[_Draft, Step], None]] = {
    CommitOperation.APPEND: _Draft.append,
    CommitOperation.EDIT: _Draft.edit,
    CommitOperation.ANNOTATE: _Draft.annotate,
    CommitOperation.COMPRESS: _Draft.compress,
    CommitOperation.REORDER: _Draft.reorder,
    CommitOperation.MERGE: _Draft.merge,
    CommitOperation.REVERT: _Draft.revert,
}
