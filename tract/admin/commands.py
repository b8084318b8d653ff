"""The commands of the command line: their arguments, and what each calls.

Needs nothing but the standard library. Imports the other modules of `admin`
and `projections`.
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import frozen

from tract.admin.backing_up import backup
from tract.admin.compacting import compact
from tract.admin.exporting import export
from tract.admin.importing import import_file
from tract.admin.rebuilding import rebuild
from tract.admin.reporting import Tell
from tract.admin.results import BackedUp, Compacted, Exported, Imported, Rebuilt, Verification
from tract.admin.surveying import status
from tract.admin.surveys import StoreStatus
from tract.admin.verifying import verify
from tract.projections import FOLLOWING, INLINE

Result: TypeAlias = StoreStatus | Verification | Rebuilt | BackedUp | Exported | Imported | Compacted

_EXIT_CODES = (
    "Exit codes: 0 all is well, 1 something is wrong with the log, the tables or the exported file, "
    "2 the command makes no sense or cannot be done, such as on a file that is no store, "
    "or its result cannot be printed, 130 it was interrupted."
)


@frozen
class Command:
    """A command.

    Attributes:
        name: How it is called.
        does: What it does, for `--help`.
        run: Does it.
        interrupted: What is said where Ctrl-C ends it.
    """

    name: str
    does: str
    run: Callable[[argparse.Namespace, Tell | None], Awaitable[Result]]
    interrupted: str = "Nothing is half-done."


COMMANDS = (
    Command("status", "say what the store holds; changes nothing", lambda given, _: status(given.path)),
    Command(
        "verify",
        "check the file, the log, the blobs and the tables; changes nothing",
        lambda given, tell: verify(given.path, chain_only=given.chain, progress=tell),
    ),
    Command(
        "rebuild",
        "make the tables of the projections anew from the log",
        lambda given, tell: rebuild(given.path, given.projection, progress=tell),
        "Nothing in use is half-done; run it again to go on.",
    ),
    Command(
        "backup",
        "copy the store into a new file, and verify the copy",
        lambda given, tell: backup(given.path, given.dest, progress=tell),
    ),
    Command(
        "export",
        "write the log, or one family of it, to a new file of JSON Lines",
        lambda given, tell: export(given.path, given.file, family=given.family, progress=tell),
    ),
    Command(
        "import",
        "prove an exported file, and append what the store lacks of it; makes the store where there is none",
        lambda given, tell: import_file(given.path, given.file, progress=tell),
    ),
    Command(
        "compact",
        "empty the write-ahead log and, where nobody else has the store open, give unused room back",
        lambda given, tell: compact(given.path, progress=tell),
    ),
)


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; `command` is the one that was given.

    Args:
        program: What the command line is called.
    """
    made = argparse.ArgumentParser(
        prog=program,
        description="Look after a store of Tract, also while others write to it.",
        epilog=_EXIT_CODES,
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.does,
            description=f"{command.does[:1].upper()}{command.does[1:]}.",
            epilog=_EXIT_CODES,
        )
        one.set_defaults(command=command)
        one.add_argument("path", metavar="PATH", help="the file of the store")
        one.add_argument("--json", action="store_true", help="print the result as one JSON object")
        _add_arguments(command.name, one)
    return made


def _add_arguments(name: str, command: argparse.ArgumentParser) -> None:
    if name == "verify":
        command.add_argument("--chain", action="store_true", help="only whether the log was lost or changed; much faster")
    elif name == "rebuild":
        names = [projection.name for projection in (*INLINE, *FOLLOWING)]
        command.add_argument("--projection", choices=names, help="only this one, with those whose tables it reads")
    elif name == "backup":
        command.add_argument("dest", metavar="DEST", help="the file to be made; nothing that is there is replaced")
    elif name == "export":
        command.add_argument("file", metavar="FILE", help="the file to be made; nothing that is there is replaced")
        command.add_argument("--family", metavar="NAME", help="only the family of this root, by its name or id")
    elif name == "import":
        command.add_argument("file", metavar="FILE", help="what was exported")
