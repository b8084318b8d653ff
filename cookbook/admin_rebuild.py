"""Break a table of a store on purpose, have it found, and have it made anew from the log.

Shows `tract.admin`: `verify` names the row that is wrong, `rebuild` makes the
tables anew while an agent goes on writing, and `verify` is clean again. The
same from a shell: `python -m tract.admin verify agent.db`. Needs rich:
`pip install -e ".[cli]"`; asks no model.

    python cookbook/admin_rebuild.py
    python cookbook/admin_rebuild.py --messages 5000
"""

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import Progress as Bar
from rich.text import Text

from tract import AsyncTract, TractError, admin

MESSAGES = 300
console = Console(highlight=False)


async def fill(t: AsyncTract, messages: int) -> None:
    """Write a conversation on two branches."""
    async with t.batch():
        await t.system("You look after a small shop.")
        for number in range(messages):
            await t.user(f"What about order {number}?")
    first = (await t.log(1))[0]
    await t.branch("second-thoughts", switch=False)
    await t.edit(first.id, "What about the last order?")


def damage(path: Path) -> None:
    """Do what no verb of ours does: write to a table behind the log's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE refs SET head = (SELECT min(number) FROM commits) WHERE name = 'second-thoughts'")


async def look(path: Path) -> None:
    """Verify the store, and print what was found."""
    console.print(Text(str(await admin.verify(path))), soft_wrap=True)


async def heal(path: Path) -> None:
    """Rebuild every projection, with a bar, while somebody writes."""
    async with AsyncTract.open(path, create=False) as t:
        with Bar(console=console, transient=True) as bar:
            task = bar.add_task("rebuilding", total=None)
            done = asyncio.ensure_future(
                admin.rebuild(path, progress=lambda so_far: bar.update(task, completed=so_far.done, total=so_far.total))
            )
            written = 0
            while not done.done():
                await t.user(f"And this came in meanwhile, number {written}.")
                written += 1
            rebuilt = await done
    console.print(Text(str(rebuilt)), soft_wrap=True)
    console.print(f"{written} messages were written in the meantime.")


async def show(path: Path, messages: int) -> None:
    """Run the whole."""
    async with AsyncTract.open(path) as t:
        await fill(t, messages)
    console.rule("a store that is whole", align="left")
    await look(path)
    console.rule("a branch that somebody moved by hand", align="left")
    damage(path)
    await look(path)
    console.rule("made anew from the log", align="left")
    await heal(path)
    await look(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="how long the conversation is")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        try:
            asyncio.run(show(Path(folder) / "shop.db", options.messages))
        except TractError as exc:
            sys.stderr.write(f"Error: {exc}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
