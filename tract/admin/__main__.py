"""`python -m tract.admin`: the command line of `tract.admin`, with nothing but the standard library.

Exit codes: 0 all is well, 1 something is wrong with the log or the tables, 2
the store cannot be opened, or the command makes no sense. Imports `admin`.
"""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence

from tract.admin import Rebuilt, StoreStatus, Verification, rebuild, status, verify
from tract.errors import CorruptLogError, TractError
from tract.projections import INLINE

CLEAN, FINDINGS, CANNOT_OPEN, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A path may hold what the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = _parser().parse_args(arguments)
    try:
        code = asyncio.run(_run(given))
        sys.stdout.flush()
    except CorruptLogError as exc:
        return _fail(exc, FINDINGS)
    except TractError as exc:
        return _fail(exc, CANNOT_OPEN)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has left; there is nobody to tell, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINDINGS
    return code


async def _run(given: argparse.Namespace) -> int:
    if given.command == "verify":
        found = await verify(given.path)
        _say(found)
        return CLEAN if found.is_clean else FINDINGS
    _say(await (status(given.path) if given.command == "status" else rebuild(given.path, given.projection)))
    return CLEAN


def _say(result: StoreStatus | Verification | Rebuilt) -> None:
    sys.stdout.write(f"{result}\n")


def _fail(error: TractError, code: int) -> int:
    sys.stderr.write(f"Error: {error}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tract.admin",
        description="Look after a store of Tract.",
        epilog="Exit codes: 0 all is well, 1 something is wrong with the log or the tables, 2 the store cannot be opened.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does in (
        ("status", "say what the store holds; changes nothing"),
        ("verify", "check the file, the log, the blobs and the tables; changes nothing"),
        ("rebuild", "make the tables of the projections anew from the log, all or nothing"),
    ):
        command = commands.add_parser(name, help=does, description=f"{does[:1].upper()}{does[1:]}.")
        command.add_argument("path", metavar="PATH", help="the file of the store")
        if name == "rebuild":
            command.add_argument(
                "--projection",
                choices=[projection.name for projection in INLINE],
                help="only this one, with those whose tables it reads",
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
