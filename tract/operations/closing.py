"""Tool units in a compiled context: every call answered, every answer called.

Providers refuse a context in which a call is not followed directly by its
result, so the slots that compile are arranged in lines: a slot with calls is
followed by its results in the order they were recorded, then by a `Closing`
for each call that has none. As many lines as there are calls, so a result
that comes later takes the place of a closing and no other line moves.

A result belongs to the nearest earlier unanswered call with its id, because
providers use ids again. Results without such a call are left out.

Imports `sequence` and `slots`. Start at `Arrangement`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from attrs import define, frozen

from tract.domain.ids import CommitId
from tract.domain.messages import ToolCall
from tract.operations.sequence import Transient, Vector
from tract.operations.slots import Closing, Line, Slot

Waiting: TypeAlias = tuple[int, "Waiting | None"]
"""Lines of slots with an unanswered call of one id: the nearest, then the rest."""


@define(eq=False, repr=False)
class Arrangement:
    """Lines under construction, by adding slots in context order.

    Attributes:
        lines: What compiles, so far.
        waiting: By call id, the lines whose call of that id has no result.
        tokens: Recorded counts of the slots in the lines.
        closings: How many lines are closings.
        shared: Whether somebody else holds *waiting*, so that it must be
            copied before it changes.
    """

    lines: Transient[Line]
    waiting: dict[str, Waiting]
    tokens: int = 0
    closings: int = 0
    shared: bool = True

    def add(self, slot: Slot) -> None:
        """Put a slot that compiles behind those there are."""
        message = slot.content.message
        if message.role == "tool":
            self._answer(slot, message.tool_call_id)
            return
        self.lines.append(slot)
        self.tokens += slot.content.tokens
        if message.tool_calls:
            self._wait(slot, len(self.lines) - 1, message.tool_calls)

    def add_unit(self, slots: Sequence[Slot], after: int) -> int:
        """Put the calling slot before *after* behind those there are, with the results next to it.

        Returns the place of the first slot that was not added. Counts no
        tokens.
        """
        lines, place, slot = self.lines.added, len(self.lines), slots[after - 1]
        lines.append(slot)
        calls = list(slot.content.message.tool_calls)
        wanted = [call.id for call in calls]
        while wanted and after < len(slots):
            result = slots[after].content.message
            if result.role != "tool" or result.tool_call_id not in wanted:
                break
            first = wanted.index(result.tool_call_id)
            del wanted[first], calls[first]
            lines.append(slots[after])
            after += 1
        if calls:
            self._wait(slot, place, calls)
        return after

    def add_all(self, slots: Iterable[Slot]) -> None:
        """Add every one of *slots*."""
        for slot in slots:
            self.add(slot)

    def replace(self, old: Slot, new: Slot, guess: int) -> None:
        """Put *new* where *old* is, if it is in a line; it must pair alike.

        Args:
            old: What to look for.
            new: What to put there.
            guess: The line to look at first.
        """
        base = self.lines.base
        try:
            place = guess if guess < len(base) and base[guess] is old else base.index(old)
        except ValueError:
            return
        self.lines[place] = new
        self.tokens += new.content.tokens - old.content.tokens
        message = new.content.message
        for at in range(place + 1, place + 1 + len(message.tool_calls) * (message.role != "tool")):
            line = self.lines[at]
            if isinstance(line, Closing):
                self.lines[at] = Closing(new, line.call)

    def _wait(self, slot: Slot, place: int, calls: Sequence[ToolCall]) -> None:
        """Close *calls* of the slot on line *place* until their results come."""
        waiting = self._own()
        self.closings += len(calls)
        for call in calls:
            self.lines.append(Closing(slot, call))
            waiting[call.id] = (place, waiting.get(call.id))

    def _answer(self, slot: Slot, call_id: str | None) -> None:
        found = None if call_id is None else self.waiting.get(call_id)
        if found is None or call_id is None:
            return
        place, rest = found
        waiting = self._own()
        if rest is None:
            del waiting[call_id]
        else:
            waiting[call_id] = rest
        self._place(slot, place + 1, call_id)
        self.closings -= 1
        self.tokens += slot.content.tokens

    def _place(self, slot: Slot, first: int, call_id: str) -> None:
        """Put a result before the closings from line *first* on, the fitting one of which goes."""
        lines = self.lines
        while not isinstance(lines[first], Closing):
            first += 1
        carried: Line = slot
        while True:
            here = lines[first]
            lines[first] = carried
            if isinstance(here, Closing) and here.call.id == call_id:
                return
            carried = here
            first += 1

    def _own(self) -> dict[str, Waiting]:
        if self.shared:
            self.waiting = dict(self.waiting)
            self.shared = False
        return self.waiting


def arrange(slots: Sequence[Slot], tokens: int) -> Arrangement:
    """Arrange all slots that compile, in context order.

    The same as adding them one by one to nothing, but results that stand
    with their call get their lines directly and no closing is made for them:
    a third of the time.

    Args:
        slots: What compiles.
        tokens: What they cost together.
    """
    arrangement = Arrangement(Transient.of(Vector()), {}, tokens, shared=False)
    lines = arrangement.lines.added
    at, end = 0, len(slots)
    while at < end:
        slot = slots[at]
        at += 1
        if slot.content.speaks_only:
            lines.append(slot)
        elif slot.content.message.role == "tool":
            arrangement.tokens -= slot.content.tokens
            arrangement.add(slot)
        else:
            at = arrangement.add_unit(slots, at)
    return arrangement


def pairs_alike(old: Slot, new: Slot) -> bool:
    """Tell whether calls and results fit together with *new* as with *old*."""
    if old.content is new.content:
        return True
    was, now = old.content.message, new.content.message
    if was.role != "tool" != now.role:
        return was.tool_calls == now.tool_calls
    return was.role == now.role and was.tool_call_id == now.tool_call_id


def find_unit(slots: Sequence[Slot], place: int) -> list[Slot]:
    """Return the tool unit of the slot at *place*, in order; the slot alone if it has none.

    Calls of one id are answered like brackets are closed, so it suffices to
    look back from a result to its call and onward from a call to its results.
    """
    slot = slots[place]
    if slot.content.message.role == "tool":
        caller = _find_call(slots, place)
        if caller is None:
            return [slot]
        place = caller
    return [slots[place], *_results(slots, place)]


def _find_call(slots: Sequence[Slot], place: int) -> int | None:
    """Return the place of the call that the result at *place* answers."""
    call_id = slots[place].content.message.tool_call_id
    depth = 1
    while place and call_id is not None:
        place -= 1
        if slots[place].content.speaks_only:
            continue
        message = slots[place].content.message
        if message.role == "tool":
            depth += message.tool_call_id == call_id
        elif message.tool_calls:
            depth -= sum(call.id == call_id for call in message.tool_calls)
            if depth <= 0:
                return place
    return None


def _results(slots: Sequence[Slot], place: int) -> Iterator[Slot]:
    """Yield the results that answer the calls at *place*."""
    open_calls = Counter(call.id for call in slots[place].content.message.tool_calls)
    later: Counter[str] = Counter()
    missing = open_calls.total()
    for at in range(place + 1, len(slots)):
        if not missing:
            return
        if slots[at].content.speaks_only:
            continue
        message = slots[at].content.message
        call_id = message.tool_call_id
        if message.role != "tool":
            later.update(call.id for call in message.tool_calls if call.id in open_calls)
        elif call_id is not None and later[call_id]:
            later[call_id] -= 1
        elif call_id is not None and open_calls[call_id]:
            open_calls[call_id] -= 1
            missing -= 1
            yield slots[at]


@frozen
class Repair:
    """One thing that was done so that a provider accepts the context.

    Attributes:
        kind: closed (a call without result), moved (a result that did not
            stand with its call), orphan (a result left out because nothing
            calls it) or duplicate (one left out because its call is
            answered).
        slot: The slot of the call, or of the result.
        call_id: The call; None for a result that names none.
    """

    kind: Literal["closed", "moved", "orphan", "duplicate"]
    slot: CommitId
    call_id: str | None


def find_repairs(slots: Iterable[Slot]) -> tuple[Repair, ...]:
    """Return what arranging slots that compile repairs, in their order."""
    repairs: list[list[Repair]] = []
    waiting: dict[str, list[tuple[int, Repair]]] = {}
    called: set[str] = set()
    standing = -1
    for place, slot in enumerate(slots):
        here = list[Repair]()
        repairs.append(here)
        if slot.content.speaks_only:
            standing = place
            continue
        message = slot.content.message
        call_id = message.tool_call_id
        if message.role != "tool":
            standing = place
            for call in reversed(message.tool_calls):
                closed = Repair("closed", slot.id, call.id)
                here.insert(0, closed)
                called.add(call.id)
                waiting.setdefault(call.id, []).append((place, closed))
        elif call_id is not None and waiting.get(call_id):
            caller, closed = waiting[call_id].pop()
            _forget(repairs[caller], closed)
            if caller != standing:
                here.append(Repair("moved", slot.id, call_id))
        else:
            here.append(Repair("duplicate" if call_id in called else "orphan", slot.id, call_id))
    return tuple(repair for here in repairs for repair in here)


def _forget(repairs: list[Repair], answered: Repair) -> None:
    repairs[:] = [repair for repair in repairs if repair is not answered]
