"""What a handle is made of: which tract it is, what it works with, what runs.

Classes that only this package sees, here and above, are neither compared nor
printed: `eq` and `repr` of attrs are two thirds of a class's time at import.
Imports `errors` to `log`, `settings` and `sharing`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from tract.core.edges import Clock
from tract.core.gates import Hold
from tract.core.settings import OnBudget
from tract.core.sharing import Shared
from tract.domain.ids import TractId, uuid_bytes
from tract.errors import ProjectionError
from tract.llm.protocol import TokenCounter
from tract.log.protocol import Query
from tract.operations.compilers import Compiler


@frozen(eq=False, repr=False)
class Identity:
    """Which tract this is.

    Attributes:
        id: Its id.
        name: Its name.
        number: Its row in the tracts table.
        stream: Its family.
    """

    id: TractId
    name: str
    number: int
    stream: TractId

    def require_sound(self, query: Query, file: str) -> None:
        """Refuse to read what is not what the log says.

        Args:
            query: The snapshot.
            file: The store, for people.

        Raises:
            ProjectionError: The family stands still.
        """
        halt = query.in_use.halted.get(uuid_bytes(self.stream)) if query.in_use.halted else None
        if halt is not None:
            raise ProjectionError(file, halt.projection, self.stream, halt.position, halt.finding)


@frozen(eq=False, repr=False)
class Collaborators:
    """What a handle was given to work with.

    Attributes:
        shared: The store and what is derived from it.
        counter: Counts tokens.
        clock: Tells the time of a verb call.
        actor: Recorded with everything done through this handle, in the clear.
        compiler: Makes messages of contexts.
        on_budget: Is told when a context grew to its budget's mark or beyond.
    """

    shared: Shared
    counter: TokenCounter
    clock: Clock
    actor: str | None
    compiler: Compiler
    on_budget: OnBudget


@frozen(eq=False, repr=False)
class InFlight:
    """A turn that is running: its task, its hold on the branch, how to end it, and when it has ended."""

    task: "asyncio.Task[Any]"
    hold: Hold
    end: Callable[[], Awaitable[None]]
    ended: "asyncio.Future[None]"
