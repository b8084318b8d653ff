"""`python -m tract.admin`: the command line of `tract.admin`, with nothing but the standard library.

Exit codes: 0 all is well, 1 something is wrong with the log, the tables or the
exported file, 2 the command makes no sense or cannot be done, 130 it was
interrupted. Imports `admin`; the commands stand in `commands`.
"""

import argparse
import asyncio
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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
        out.write(f"\r{progress}\x1b[K")
        out.flush()

    try:
        yield show
    finally:
        out.write("\r\x1b[K")
        out.flush()


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
    for stream in (sys.stdout, sys.stderr):
        # A path may hold what the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = parser(program).parse_args(arguments)
    try:
        with showing() as tell:
            result = asyncio.run(_run(given, tell))
        _say(result, as_json=given.json)
    except (CorruptLogError, MalformedExportError) as exc:
        return _fail(exc, FINDINGS)
    except TractError as exc:
        return _fail(exc, CANNOT)
    except KeyboardInterrupt:
        sys.stderr.write(f"Interrupted. {given.command.interrupted}\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has left; there is nobody to tell, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINDINGS
    return FINDINGS if isinstance(result, Verification | BackedUp | Rebuilt) and not result.is_clean else CLEAN


async def _run(given: argparse.Namespace, tell: Tell | None) -> Result:
    result: Result = await given.command.run(given, tell)
    return result


def _say(result: Result, *, as_json: bool) -> None:
    sys.stdout.write(f"{json.dumps(_plain(result)) if as_json else result}\n")
    sys.stdout.flush()


def _plain(result: Result) -> dict[str, Any]:
    """Return the fields of a result, and its verdict where it has one."""
    fields = attrs.asdict(result)
    return {**fields, "is_clean": result.is_clean} if isinstance(result, Verification | BackedUp | Rebuilt) else fields


def _fail(error: TractError, code: int) -> int:
    sys.stderr.write(f"Error: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
