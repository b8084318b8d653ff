"""Processes that are killed, and what they had said by then.

A process is forked from a server that has imported everything already, so a
life costs milliseconds. It says what it did over a pipe, and only after the
call returned: what was heard is what was acknowledged. Read `Process` first.
"""

import json
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from select import select
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeAlias

Said: TypeAlias = list[Any]
"""A word for what happened, and its figures, as they come out of JSON."""
Work: TypeAlias = Callable[..., None]

PATIENCE = 60.0
"""Seconds after which a process that says nothing counts as stuck."""

IMPORTED = [
    "aiosqlite",
    "openai.resources.chat",
    "pytest",
    "tract.llm.openai_client",
    "tract.testing.server",
    "tests.crash.lives",
]
"""Once for all lives."""


@cache
def _forking() -> ForkServerContext:
    # A process forked from the tests' own would inherit threads and connections.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


class Voice:
    """What a process says with, and how it learns that it may end."""

    def __init__(self, speaking: Connection, ending: Connection) -> None:
        self._speaking = speaking
        self._ending = ending

    def say(self, *said: Any) -> None:
        """Write one line; what was said before the process died is heard."""
        line = json.dumps(said).encode() + b"\n"
        while line:
            line = line[os.write(self._speaking.fileno(), line) :]

    @property
    def ending(self) -> int:
        """What becomes readable when the process may end."""
        return self._ending.fileno()


def _live(work: Work, speaking: Connection, ending: Connection, arguments: tuple[Any, ...]) -> None:
    voice = Voice(speaking, ending)
    try:
        work(voice, *arguments)
    except BaseException:
        voice.say("failed", traceback.format_exc())
        raise


class Process:
    """A process, heard from outside.

    Args:
        work: A function of a module, called with a `Voice` and the arguments.
        arguments: Plain values.
    """

    def __init__(self, work: Work, *arguments: Any) -> None:
        context = _forking()
        self._hearing, speaking = context.Pipe(duplex=False)
        ending, self._keeping = context.Pipe(duplex=False)
        self._rest = b""
        self._process = context.Process(target=_live, args=(work, speaking, ending, arguments), daemon=True)
        self._process.start()
        speaking.close()
        ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._keeping.close()
        self._hearing.close()

    def heard(self) -> Said:
        """Return the next thing that it says."""
        for said in self._lines(monotonic() + PATIENCE):
            return said
        raise AssertionError("it says nothing any more")

    def said(self) -> list[Said]:
        """Return what it has said since it was last listened to."""
        return list(self._lines(monotonic()))

    def killed(self, lines: int, rest: float) -> list[Said]:
        """Kill it, some seconds after it has said so many lines; return all that it had said."""
        said = [self.heard() for _ in range(lines)]
        said += self._lines(monotonic() + rest)
        self._process.kill()
        said += self._lines(monotonic() + PATIENCE)
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL, f"it had ended by itself: {said[-1:]}"
        return said

    def ended(self) -> list[Said]:
        """Let it end; return what it says until then."""
        self._keeping.close()
        said = list(self._lines(monotonic() + PATIENCE))
        self._process.join()
        assert self._process.exitcode == 0
        return said

    def _lines(self, until: float) -> Iterator[Said]:
        """Yield what it says up to a moment, or to its end; a line that was cut off was never said."""
        is_late = False
        while True:
            line, found, self._rest = self._rest.partition(b"\n")
            if found:
                said = json.loads(line)
                assert said[0] != "failed", said[1]
                yield said
                continue
            self._rest = line
            if is_late or not select([self._hearing], [], [], max(until - monotonic(), 0.0))[0]:
                return
            # One that talks without a pause is not listened to for ever.
            is_late = monotonic() > until
            more = os.read(self._hearing.fileno(), 1 << 20)
            if not more:
                return
            self._rest += more
