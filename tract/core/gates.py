"""Who may write to a branch while a turn or a batch is running on it.

Turns and batches on one branch follow one another; verbs that add slots wait
behind a turn of another task, and whatever moves the branch behind a batch,
first come first served. From inside the turn or the batch itself waiting would
wait for itself, so that is refused. Imports `errors`.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from attrs import define, field

from tract.errors import BatchError, TurnInProgressError

Key: TypeAlias = tuple[int, str]
"""A tract's number and a branch."""


@define(eq=False, repr=False)
class Hold:
    """A turn's hold on a branch, or a batch's, which keeps out changes of slots too."""

    key: Key
    is_batch: bool = False


@define(eq=False, repr=False)
class _Waiter:
    """Somebody who waits.

    Attributes:
        hold: What they will hold; None for one append or change.
        passes_turns: Whether only a batch is in their way.
        admitted: Done when they are let in.
    """

    hold: Hold | None
    passes_turns: bool
    admitted: "asyncio.Future[None]"


@define(eq=False, repr=False)
class _Gate:
    """A branch that somebody waits for.

    Attributes:
        turn: The turn or batch that holds it.
        passing: Appends that were admitted and are not yet with the writer;
            a turn that began before them would find them in its way.
        waiting: Who comes next.
    """

    turn: Hold | None = None
    passing: int = 0
    waiting: deque[_Waiter] = field(factory=deque)


_inside: ContextVar[tuple[Hold, ...]] = ContextVar("tract_turns", default=())


class Gates:
    """One gate a branch, for every handle of one store in this process."""

    def __init__(self) -> None:
        self._gates: dict[Key, _Gate] = {}

    async def pass_through(self, tract: int, branch: str, *, adds_slots: bool = True) -> None:
        """Return when a commit to the branch may go to the writer.

        The caller hands it over before its next await.

        Args:
            tract: The tract's number.
            branch: The branch.
            adds_slots: Whether a turn is in its way, and not only a batch.

        Raises:
            TurnInProgressError: The caller is inside the turn it would wait for.
            BatchError: The same with a batch.
        """
        gate = self._gates.get((tract, branch))
        if gate is not None and (adds_slots or (gate.turn is not None and gate.turn.is_batch)):
            await self._wait((tract, branch), gate, None, passes_turns=not adds_slots)

    async def enter(self, tract: int, branch: str, *, is_batch: bool = False) -> Hold:
        """Wait for the branch and hold it; `leave` gives it up.

        Raises:
            TurnInProgressError: The caller is inside a turn on the branch.
            BatchError: It is inside a batch on the branch.
        """
        key = (tract, branch)
        hold, gate = Hold(key, is_batch), self._gates.get(key)
        if gate is None:
            self._gates[key] = _Gate(hold)
        else:
            await self._wait(key, gate, hold)
        return hold

    @staticmethod
    def is_inside(turn: Hold) -> bool:
        """Say whether the caller is part of the turn, in whatever task."""
        return turn in _inside.get()

    def leave(self, turn: Hold) -> None:
        """Let the next ones pass; twice is nothing."""
        gate = self._gates.get(turn.key)
        if gate is not None and gate.turn is turn:
            gate.turn = None
            self._admit(turn.key, gate)

    @contextmanager
    def inside(self, turn: Hold) -> Iterator[None]:
        """Mark what the block starts as part of the turn."""
        _inside.set((*_inside.get(), turn))
        try:
            yield
        finally:
            _inside.set(tuple(each for each in _inside.get() if each is not turn))

    async def _wait(self, key: Key, gate: _Gate, hold: Hold | None, *, passes_turns: bool = False) -> None:
        if gate.turn is not None and gate.turn in _inside.get():
            raise _refusal(gate.turn)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(hold, passes_turns, loop.create_future())
        gate.waiting.append(waiter)
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            if waiter in gate.waiting:
                gate.waiting.remove(waiter)
            if not waiter.admitted.cancelled():
                # Admitted in the moment it was cancelled: hand that on.
                self._passed(key, gate) if hold is None else self.leave(hold)
            raise
        if hold is None:
            loop.call_soon(self._passed, key, gate)

    def _passed(self, key: Key, gate: _Gate) -> None:
        gate.passing -= 1
        self._admit(key, gate)

    def _admit(self, key: Key, gate: _Gate) -> None:
        """Let in who comes next: single commits together, a turn or a batch alone."""
        while gate.waiting and gate.turn is None:
            if gate.waiting[0].hold is not None and gate.passing:
                return
            self._let_in(gate, gate.waiting.popleft())
        if gate.turn is not None and not gate.turn.is_batch:
            for waiter in [waiter for waiter in gate.waiting if waiter.passes_turns]:
                gate.waiting.remove(waiter)
                self._let_in(gate, waiter)
        if gate.turn is None and not gate.passing and self._gates.get(key) is gate:
            del self._gates[key]

    def _let_in(self, gate: _Gate, waiter: _Waiter) -> None:
        if waiter.admitted.done():
            return
        if waiter.hold is None:
            gate.passing += 1
        else:
            gate.turn = waiter.hold
        waiter.admitted.set_result(None)


def _refusal(hold: Hold) -> TurnInProgressError | BatchError:
    branch = hold.key[1]
    if not hold.is_batch:
        return TurnInProgressError(branch)
    return BatchError(
        branch,
        "must end before turns and other handles can write there, and this call comes from inside it, so waiting would "
        "never end: call it after the block",
    )
