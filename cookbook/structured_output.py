"""Have a model fill in a form: ask for an attrs class, get an instance of it.

Shows `response_format=` and what happens when the answer is something else.

    python cookbook/structured_output.py
    OPENAI_API_KEY=... python cookbook/structured_output.py --model gpt-4o-mini
    python cookbook/structured_output.py --base-url http://127.0.0.1:11434/v1 --model qwen3

Without a key and a server it talks to `ScriptedLLM`, and says so.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from tract import AsyncTract, LLMClient, OpenAIClient, TractError
from tract.errors import ModelResponseError
from tract.testing import ScriptedLLM

MAIL = "Hi, the door of my locker squeaks since Monday, and somebody got locked in yesterday! Ann"
ANSWERS = [
    "I am sorry to hear that.",
    '{"title": "Locker door squeaks and locks people in", "urgency": "high", "reporter": "Ann", "tags": ["door", "safety"]}',
]


@frozen
class Ticket:
    """What support needs to know."""

    title: str
    urgency: Literal["low", "high"]
    reporter: str
    tags: tuple[str, ...]


def choose_model(options: argparse.Namespace) -> tuple[LLMClient, str]:
    """Return the configured model with its name, or a scripted one, whose first answer is no form."""
    if options.base_url or os.environ.get("OPENAI_API_KEY"):
        model = options.model or "gpt-4o-mini"
        print(f"Talking to {model}.")
        return OpenAIClient(base_url=options.base_url), model
    print("No OPENAI_API_KEY and no --base-url: the model is scripted (ScriptedLLM).")
    return ScriptedLLM(ANSWERS), "scripted"


async def file_ticket(t: AsyncTract, mail: str) -> Ticket:
    """Ask until the form is filled in, three times at the most."""
    for _ in range(2):
        try:
            return (await t.chat(mail, response_format=Ticket)).parsed
        except ModelResponseError as error:
            # The branch is where it was, so asking again doubles nothing.
            kept = (await t.show(error.partial)).content if error.partial else None
            print(f"Once more: {error}\n  it said {getattr(kept, 'text', None)!r}")
    return (await t.chat(mail, response_format=Ticket)).parsed


async def run(options: argparse.Namespace) -> None:
    llm, model = choose_model(options)
    try:
        async with AsyncTract.open(llm=llm, model=model) as t:
            await t.system("Make a ticket of each mail.")
            ticket = await file_ticket(t, MAIL)
            print(f"\n{ticket}\n\nOn the branch, without the try that failed:")
            for commit in reversed(await t.log()):
                print(f"  {commit}")
    finally:
        await llm.aclose()  # a client of our own is ours to close


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Structured output.")
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
