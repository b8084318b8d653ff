"""`python -m tract.admin`: the command line of `tract.admin`, with nothing but the standard library.

Exit codes: 0 all is well, 1 something is wrong with the log, the tables or the
exported file, 2 the command makes no sense or cannot be done, or what it found
cannot be printed, 130 it was interrupted. Imports `admin`; the commands stand in `commands`.
"""

import argparse
import asyncio
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, TypeAlias

import attrs

from tract.admin.commands import Result, parser
from tract.admin.reporting import Tell
from tract.admin.results import BackedUp, Progress, Rebuilt, Verification
from tract.errors import CorruptLogError, MalformedExportError, TractError

CLEAN, FINDINGS, CANNOT, INTERRUPTED = 0, 1, 2, 130

Showing: TypeAlias = Callable[[], AbstractContextManager[Tell | None]]
"""Shows progress as long as it is entered; gives None where nobody would see it."""


@contextmanager
def progress_line(stream: TextIO | None = None) -> Iterator[Tell | None]:
    """Show progress in one line on a terminal, and leave nothing of it; show nothing elsewhere.

    Args:
        stream: Where; by default stderr.
    """
    out = stream or sys.stderr
    if not out.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return

    def show(progress: Progress) -> None:
        # Back to the beginning, and what was longer before is cleared.
        _overwrite(f"{progress}\x1b[K")

    def _overwrite(text: str) -> None:
        # Whether anybody sees it changes nothing of what is done.
        with suppress(OSError):
            out.write(f"\r{text}")
            out.flush()

    try:
        yield show
    finally:
        _overwrite("\x1b[K")


def main(
    arguments: Sequence[str] | None = None,
    *,
    program: str = "python -m tract.admin",
    showing: Showing = progress_line,
) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: By default those of the process.
        program: What the command line is called.
        showing: How progress is shown.
    """
    # Either is None where the process was started with it closed.
    with redirect_stdout(sys.stdout or _Closed()), redirect_stderr(sys.stderr or _Closed()):
        for stream in (sys.stdout, sys.stderr):
            # A path may hold what the terminal cannot show.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return _main(_parsed(arguments, program), showing)
        except KeyboardInterrupt:
            return INTERRUPTED
        except _UnprintedError:
            return CANNOT


def _parsed(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    try:
        return parser(program).parse_args(arguments)
    except SystemExit as exc:
        # It explained something, and what it printed may not have got out.
        _print(sys.stderr if exc.code else sys.stdout, "")
        raise
    except OSError as exc:
        raise _UnprintedError from exc


def _main(given: argparse.Namespace, showing: Showing) -> int:
    try:
        with showing() as tell:
            result = asyncio.run(_run(given, tell))
    except (CorruptLogError, MalformedExportError) as exc:
        return _fail(exc, FINDINGS)
    except TractError as exc:
        return _fail(exc, CANNOT)
    except KeyboardInterrupt:
        _print(sys.stderr, f"Interrupted. {given.command.interrupted}\n")
        return INTERRUPTED
    _print(sys.stdout, f"{json.dumps(_plain(result)) if given.json else result}\n")
    return FINDINGS if isinstance(result, Verification | BackedUp | Rebuilt) and not result.is_clean else CLEAN


async def _run(given: argparse.Namespace, tell: Tell | None) -> Result:
    result: Result = await given.command.run(given, tell)
    return result


class _UnprintedError(Exception):
    """Whoever was to read it has left, or there is no room for it."""


class _Closed(io.TextIOBase):
    """What a process was started without."""

    def write(self, _: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _print(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as exc:
        with suppress(OSError):
            # Else Python tries once more at exit, and complains.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise _UnprintedError from exc


def _plain(result: Result) -> dict[str, Any]:
    """Return the fields of a result, and its verdict where it has one."""
    fields = attrs.asdict(result)
    return {**fields, "is_clean": result.is_clean} if isinstance(result, Verification | BackedUp | Rebuilt) else fields


def _fail(error: TractError, code: int) -> int:
    _print(sys.stderr, f"Error: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
