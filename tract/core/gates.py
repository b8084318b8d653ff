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


@define(eq=False)
class _Waiter:
    is_turn: bool
    turn: asyncio.Future[None]


@define(eq=False)
class Turn:
    """A turn that holds a branch."""

    key: Key


@define(eq=False)
class _Gate:
    turn: Turn | None = None
    waiting: deque[_Waiter] = field(factory=deque)


_inside: ContextVar[tuple[Turn, ...]] = ContextVar("tract_turns", default=())


class Gates:
    """One gate a branch, for every handle of one store in this process."""

    def __init__(self) -> None:
        self._gates: dict[Key, _Gate] = {}

    async def pass_through(self, tract: int, branch: str) -> None:
        """Return when an append to the branch may go to the writer.

        Raises:
            TurnInProgressError: The caller is inside the turn it would wait for.
        """
        if (tract, branch) in self._gates:
            await self._wait((tract, branch), is_turn=False)

    async def enter(self, tract: int, branch: str) -> Turn:
        """Wait for the branch and hold it; `leave` gives it up.

        Raises:
            TurnInProgressError: The caller is inside a turn on the branch.
        """
        key = (tract, branch)
        if key in self._gates:
            await self._wait(key, is_turn=True)
        turn = Turn(key)
        self._gates.setdefault(key, _Gate()).turn = turn
        return turn

    def leave(self, turn: Turn) -> None:
        """Let the next ones pass; twice is nothing."""
        gate = self._gates.get(turn.key)
        if gate is not None and gate.turn is turn:
            gate.turn = None
            self._wake(turn.key, gate)

    @contextmanager
    def inside(self, turn: Turn) -> Iterator[None]:
        """Mark what the block starts as part of the turn."""
        _inside.set((*_inside.get(), turn))
        try:
            yield
        finally:
            _inside.set(tuple(each for each in _inside.get() if each is not turn))

    async def _wait(self, key: Key, *, is_turn: bool) -> None:
        gate = self._gates[key]
        if gate.turn is not None and gate.turn in _inside.get():
            raise TurnInProgressError(key[1])
        waiter = _Waiter(is_turn, asyncio.get_running_loop().create_future())
        gate.waiting.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in gate.waiting:
                gate.waiting.remove(waiter)
            elif is_turn and gate.turn is None:
                # It was its turn already: hand it on.
                self._wake(key, gate)
            raise

    def _wake(self, key: Key, gate: _Gate) -> None:
        """Let appends pass up to the next turn, or let that one in."""
        while gate.waiting:
            waiter = gate.waiting.popleft()
            if waiter.turn.done():
                continue
            waiter.turn.set_result(None)
            if waiter.is_turn:
                return
        del self._gates[key]
