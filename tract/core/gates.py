"""Who may add to a branch while a turn is running on it.

Turns on one branch follow one another; verbs that add slots wait behind a turn
of another task, first come first served. From inside the turn itself waiting
would wait for itself, so that is refused. Imports `errors`.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from attrs import define, field

from tract.errors import TurnInProgressError

Key: TypeAlias = tuple[int, str]
"""A tract's number and a branch."""


@define(eq=False, repr=False)
class Hold:
    """A turn's hold on a branch."""

    key: Key


@define(eq=False, repr=False)
class _Waiter:
    is_turn: bool
    admitted: "asyncio.Future[Hold | None]"


@define(eq=False, repr=False)
class _Gate:
    """A branch that somebody waits for.

    Attributes:
        turn: The turn that holds it.
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

    async def pass_through(self, tract: int, branch: str) -> None:
        """Return when an append to the branch may go to the writer.

        The caller hands it over before its next await.

        Raises:
            TurnInProgressError: The caller is inside the turn it would wait for.
        """
        if (tract, branch) in self._gates:
            await self._wait((tract, branch), is_turn=False)

    async def enter(self, tract: int, branch: str) -> Hold:
        """Wait for the branch and hold it; `leave` gives it up.

        Raises:
            TurnInProgressError: The caller is inside a turn on the branch.
        """
        key = (tract, branch)
        if key in self._gates:
            turn = await self._wait(key, is_turn=True)
            assert turn is not None
        else:
            turn = Hold(key)
            self._gates[key] = _Gate(turn)
        return turn

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

    async def _wait(self, key: Key, *, is_turn: bool) -> Hold | None:
        gate, loop = self._gates[key], asyncio.get_running_loop()
        if gate.turn is not None and gate.turn in _inside.get():
            raise TurnInProgressError(key[1])
        waiter = _Waiter(is_turn, loop.create_future())
        gate.waiting.append(waiter)
        try:
            turn = await waiter.admitted
        except asyncio.CancelledError:
            if waiter in gate.waiting:
                gate.waiting.remove(waiter)
            if not waiter.admitted.cancelled():
                # Admitted in the moment it was cancelled: hand that on.
                turn = waiter.admitted.result()
                self._passed(key, gate) if turn is None else self.leave(turn)
            raise
        if not is_turn:
            loop.call_soon(self._passed, key, gate)
        return turn

    def _passed(self, key: Key, gate: _Gate) -> None:
        gate.passing -= 1
        self._admit(key, gate)

    def _admit(self, key: Key, gate: _Gate) -> None:
        """Let in who comes next: appends together, a turn alone."""
        while gate.waiting and gate.turn is None:
            if gate.waiting[0].is_turn and gate.passing:
                return
            waiter = gate.waiting.popleft()
            if waiter.admitted.done():
                continue
            if waiter.is_turn:
                gate.turn = Hold(key)
            else:
                gate.passing += 1
            waiter.admitted.set_result(gate.turn)
        if gate.turn is None and not gate.passing and self._gates.get(key) is gate:
            del self._gates[key]
