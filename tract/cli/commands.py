"""The commands, and how their errors are told.

Needs click and rich. Imports `admin`, `errors`, `demo` and `progress`.
"""

import asyncio
import sys
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path

import click

from tract.admin.__main__ import main as look_after
from tract.cli.demo import Demo
from tract.cli.progress import progress_bar
from tract.errors import TractError


def installed_version() -> str:
    """Return the version of the distribution, or that there is none."""
    try:
        return version("tract-context")
    except PackageNotFoundError:
        return "(not installed)"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version(), prog_name="tract")
def tract() -> None:
    """Version control for what an LLM is told."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A model may write what a Windows code page does not have.
        sys.stdout.reconfigure(errors="replace")


@tract.command()
@click.option("--live", is_flag=True, help="Talk to a real model instead of a scripted one. Reads OPENAI_API_KEY.")
@click.option("--model", metavar="NAME", help="The model to talk to, with --live.")
@click.option("--base-url", metavar="URL", help="Any server that speaks OpenAI's Chat Completions, with --live.")
@click.option("--db", metavar="PATH", type=click.Path(path_type=Path), help="Keep the history in this file.")
def demo(*, live: bool, model: str | None, base_url: str | None, db: Path | None) -> None:
    """Show a conversation that is pinned, edited, branched, reopened.

    Takes a few seconds. Without --live the model is scripted: no key and no
    network are needed. Without --db the file is deleted at the end.
    """
    if not live and (model or base_url):
        raise click.UsageError("--model and --base-url choose a real model: add --live.")
    try:
        is_whole = asyncio.run(Demo.prepare(live=live, model=model, base_url=base_url).run(db))
    except TractError as exc:
        raise click.ClickException(str(exc)) from exc
    if not is_whole:
        raise click.ClickException("The reopened file compiles to something else than before. Please report this.")


@tract.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND PATH ...")
def admin(arguments: tuple[str, ...]) -> None:
    """Look after a store: status, verify, rebuild, backup, export, import, compact."""
    sys.exit(look_after(arguments, program="tract admin", showing=progress_bar))
