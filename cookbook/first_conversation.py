"""A first conversation: ask, correct a fact on a branch, and find it all again.

Shows `system`, `user`, `stream`, `branch`, `edit`, `chat`, `log` and reopening.

    python cookbook/first_conversation.py
    OPENAI_API_KEY=... python cookbook/first_conversation.py --model gpt-4o-mini
    python cookbook/first_conversation.py --base-url http://127.0.0.1:11434/v1 --model qwen3

Without a key and a server it talks to `ScriptedLLM`, whose answers are written
below, and says so.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tract import AsyncTract, LLMClient, ModelRequest, OpenAIClient, TractError
from tract.testing import ScriptedLLM

QUESTION = "What can I cook tonight?"


def scripted(request: ModelRequest) -> str:
    """Stand in for a model: answer by what the context says."""
    said = " ".join(str(message["content"]) for message in request.messages)
    return "A risotto with mushrooms." if "no meat" in said else "A beef stew with carrots."


def choose_model(options: argparse.Namespace) -> tuple[LLMClient, str]:
    """Return the configured model with its name, or a scripted one."""
    if options.base_url or os.environ.get("OPENAI_API_KEY"):
        model = options.model or "gpt-4o-mini"
        print(f"Talking to {model}.")
        return OpenAIClient(base_url=options.base_url), model
    print("No OPENAI_API_KEY and no --base-url: the model is scripted (ScriptedLLM).")
    return ScriptedLLM(scripted), "scripted"


async def converse(db: str, llm: LLMClient, model: str) -> None:
    """Hold the conversation, close the file, open it again and look."""
    async with AsyncTract.open(db, llm=llm, model=model) as t:
        await t.system("You are a cook. Answer in one short sentence.")
        taste = await t.user("I eat everything.")

        # Words arrive as the model says them; question and answer are recorded
        # together at the end. If the call fails, the branch is where it was.
        print(f"\non main: {QUESTION}\n  ", end="")
        async with t.stream(QUESTION) as answer:
            async for delta in answer:
                print(delta, end="", flush=True)
        # What was sent, every field, is on the answer, with the model that gave it.
        print(f"\n  (said {answer.response.generation_config.model})")

        # The same question where another thing is true. main is not touched.
        await t.branch("vegetarian", at=taste.id)
        await t.edit(taste.id, "I eat no meat.", message="a guest is coming")
        response = await t.chat(QUESTION)
        print(f"\non vegetarian: {QUESTION}\n  {response}\n  (said {response.generation_config.model})")

    async with AsyncTract.open(db, create=False) as t:
        print(f"\nReopened: {await t.status()}")
        for commit in await t.log():
            print(f"  {commit}")
        for branch in await t.branches():
            compiled = await t.compile(branch.name)
            print(f"\nWhat the model reads on {branch.name}, {compiled.token_count} tokens:")
            for message in compiled.messages:
                print(f"  {message.role:<9} {message.content}")


async def run(options: argparse.Namespace) -> None:
    llm, model = choose_model(options)
    try:
        with TemporaryDirectory() as folder:
            await converse(str(Path(folder) / "first.db"), llm, model)
    finally:
        await llm.aclose()  # a client of our own is ours to close


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A first conversation with Tract.")
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
