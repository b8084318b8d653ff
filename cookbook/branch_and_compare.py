"""Ask one question in two worlds at once, and compare what comes back.

Shows `branch(at=)`, `edit`, `worktree` for two turns at the same time, streams
side by side, and `compile` of either branch. Needs rich: `pip install -e ".[cli]"`.

    python cookbook/branch_and_compare.py
    OPENAI_API_KEY=... python cookbook/branch_and_compare.py --model gpt-4o-mini
    python cookbook/branch_and_compare.py --base-url http://127.0.0.1:11434/v1 --model qwen3

Without a key and a server it talks to `ScriptedLLM`, and says so.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.columns import Columns
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tract import AsyncTract, CompiledContext, LLMClient, ModelRequest, OpenAIClient, TractError
from tract.testing import ScriptedLLM

FACT = "We ship to Austria only."
OTHER_FACT = "We ship to all of Europe."
QUESTION = "A customer in Lisbon asks for delivery. What do I answer, in one sentence?"
PLAIN, OTHER = "main", "europe"
console = Console(highlight=False)


def scripted(request: ModelRequest) -> AsyncIterator[str]:
    """Stand in for a model: answer by what the context says, word by word."""
    said = " ".join(str(message["content"]) for message in request.messages)
    answer = "Gladly: four days to Lisbon." if OTHER_FACT in said else "Sorry, we deliver within Austria only."

    async def deltas() -> AsyncIterator[str]:
        for word in answer.split(" "):
            await asyncio.sleep(0.05 if console.is_terminal else 0)
            yield f"{word} "

    return deltas()


def choose_model(options: argparse.Namespace) -> tuple[LLMClient, str]:
    """Return the configured model with its name, or a scripted one."""
    if options.base_url or os.environ.get("OPENAI_API_KEY"):
        model = options.model or "gpt-4o-mini"
        console.print(f"Talking to {model}.")
        return OpenAIClient(base_url=options.base_url), model
    console.print("No OPENAI_API_KEY and no --base-url: the model is scripted (ScriptedLLM).")
    return ScriptedLLM(scripted), "scripted"


async def fork(t: AsyncTract) -> None:
    """Say what is true, and on a second branch something else instead."""
    await t.system("You answer customers of a small shop.")
    fact = await t.user(FACT)
    await t.branch(OTHER, at=fact.id, switch=False)  # copies nothing
    async with await t.worktree(OTHER) as other:
        await other.edit(fact.id, OTHER_FACT, message="what if we shipped abroad?")


async def ask_both(t: AsyncTract) -> None:
    """Ask on both branches at the same time: turns on two branches do not wait for each other."""
    said = {PLAIN: Text(), OTHER: Text()}

    def side_by_side() -> Columns:
        return Columns([Panel(text, title=name, width=38) for name, text in said.items()])

    # A handle has one HEAD; the second branch gets a handle of its own.
    async with await t.worktree(OTHER) as other:
        with Live(side_by_side(), console=console, auto_refresh=False) as live:

            async def ask(handle: AsyncTract, name: str) -> None:
                async with handle.stream(QUESTION) as answer:
                    async for delta in answer:
                        said[name].append(delta)
                        live.update(side_by_side(), refresh=console.is_terminal)

            await asyncio.gather(ask(t, PLAIN), ask(other, OTHER))
    console.print()


def differences(ours: CompiledContext, theirs: CompiledContext) -> Table:
    """Return the two contexts line by line, with what differs marked."""
    table = Table("role", PLAIN, OTHER, title="What the model read, and said", title_justify="left", box=None, header_style="dim")
    for one, another in zip(ours.messages, theirs.messages, strict=True):
        style = "" if one == another else "yellow"
        table.add_row(one.role, Text(str(one.content), style=style), Text(str(another.content), style=style))
    return table


async def compare(t: AsyncTract) -> None:
    """Show where the branches stand to each other, and what differs."""
    for branch in await t.branches():
        console.print(str(branch))
    console.print()
    console.print(differences(await t.compile(PLAIN), await t.compile(OTHER)))


async def run(options: argparse.Namespace) -> None:
    llm, model = choose_model(options)
    try:
        with TemporaryDirectory() as folder:
            async with AsyncTract.open(Path(folder) / "compare.db", llm=llm, model=model) as t:
                await fork(t)
                await ask_both(t)
                await compare(t)
    finally:
        await llm.aclose()  # a client of our own is ours to close


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Ask one question in two worlds at once.")
    parser.add_argument("--model", help="which model to ask; gpt-4o-mini by default")
    parser.add_argument("--base-url", help="of any server that speaks OpenAI's Chat Completions")
    try:
        asyncio.run(run(parser.parse_args(arguments)))
    except TractError as exc:
        print(f"Error: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
