"""Stop an answer half-way: on purpose, by a time-out, and from somewhere else.

Shows `stream`, `break`, `asyncio.timeout`, `follow`, `generations` and taking a
partial answer with `branch(at=)`. Needs rich: `pip install -e ".[cli]"`.

    python cookbook/stream_and_cancel.py
    OPENAI_API_KEY=... python cookbook/stream_and_cancel.py --model gpt-4o-mini
    python cookbook/stream_and_cancel.py --base-url http://127.0.0.1:11434/v1 --model qwen3

Without a key and a server it talks to `ScriptedLLM`, and says so.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tract import AsyncTract, LLMClient, ModelRequest, OpenAIClient, TractError
from tract.testing import ScriptedLLM

QUESTION = "Count slowly, one number a word."
NUMBERS = ["One. ", "Two. ", "Three. ", "Four. ", "Five. ", "Six. ", "Seven. ", "Eight."]
ENOUGH = 3
"""Pieces of the answer after which we have seen enough."""
SECONDS = 0.5
"""Before we run out of patience."""
console = Console(highlight=False)


def scripted(_: ModelRequest) -> AsyncIterator[str]:
    """Stand in for a model: fast at first, and then it stalls for ever."""

    async def deltas() -> AsyncIterator[str]:
        for number in NUMBERS[:5]:
            await asyncio.sleep(0.02)
            yield number
        await asyncio.Event().wait()

    return deltas()


def choose_model(options: argparse.Namespace) -> tuple[LLMClient, str]:
    """Return the configured model with its name, or a scripted one."""
    if options.base_url or os.environ.get("OPENAI_API_KEY"):
        model = options.model or "gpt-4o-mini"
        console.print(f"Talking to {model}.")
        return OpenAIClient(base_url=options.base_url), model
    console.print("No OPENAI_API_KEY and no --base-url: the model is scripted (ScriptedLLM).")
    return ScriptedLLM(scripted), "scripted"


async def leave_on_purpose(t: AsyncTract) -> None:
    """Break out of the block: question and what was seen stay on the branch."""
    console.rule("break: what you saw stays on the branch", align="left")
    seen = 0
    async with t.stream(QUESTION) as answer:
        async for delta in answer:
            console.print(delta, end="", style="cyan")
            seen += 1
            if seen == ENOUGH:
                break
    response = answer.response
    console.print(f"\n{response.finish_reason}, by {response.generation_config.model}: {response.commit_info}")


async def run_out_of_patience(t: AsyncTract) -> None:
    """Time out: the branch is where it was, and what arrived is kept beside it."""
    console.rule("asyncio.timeout: the branch is where it was", align="left")
    before = await t.head()
    try:
        async with asyncio.timeout(SECONDS):
            console.print(str(await t.chat(QUESTION)))
    except TimeoutError:
        same = await t.head() == before
        console.print(f"Timed out after {SECONDS} s. The branch {'did not move' if same else 'MOVED'}.")


async def stop_from_elsewhere(t: AsyncTract) -> None:
    """Watch an answer from another task, which could be another process, and stop it from there."""
    console.rule("follow: watch it from anywhere", align="left")
    asked = asyncio.Event()

    async def ask() -> None:
        async with t.stream(QUESTION) as answer:
            asked.set()
            async for _ in answer:
                pass

    asking = asyncio.create_task(ask())
    await asked.wait()
    (running,) = await t.generations(1)
    following = t.follow(running.id)
    async for delta in following:
        console.print(str(delta), end="", style="magenta")
        if delta.cursor >= len("".join(NUMBERS[:ENOUGH])):
            asking.cancel()
    await asyncio.wait([asking])
    console.print(f"\nThe follower saw {following.cursor} characters; the call was {following.generation.status}.")


async def look(t: AsyncTract) -> None:
    """List every call, and take a partial answer after all."""
    console.rule("generations: nothing that arrived is lost", align="left")
    table = Table("call", "status", "kept as", "what arrived", box=None, header_style="dim")
    for call in reversed(await t.generations()):
        table.add_row(call.id[-8:], call.status, (call.answer or "")[:8], Text(call.text))
    console.print(table)
    kept = [call for call in await t.generations() if call.answer and call.status == "cancelled"]
    if kept and kept[0].answer:
        await t.branch("after-all", at=kept[0].answer)
        console.print(f"\nTaken with branch('after-all', at={kept[0].answer[:8]!r}); the model would read:")
        for message in (await t.compile()).messages:
            console.print(f"  {message.role:<9} {message.content}")


async def run(options: argparse.Namespace) -> None:
    llm, model = choose_model(options)
    try:
        with TemporaryDirectory() as folder:
            async with AsyncTract.open(Path(folder) / "stream.db", llm=llm, model=model) as t:
                await t.system("Do as you are told.")
                await leave_on_purpose(t)
                await run_out_of_patience(t)
                await stop_from_elsewhere(t)
                await look(t)
    finally:
        await llm.aclose()  # a client of our own is ours to close


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Stop an answer half-way.")
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
