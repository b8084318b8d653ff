"""Ask one model for conversation and a cheap one for everything that tends the context.

Shows `configure_operations`, `open(clients=)`, settings of a single call, what an
answer says of how it was made, and `query_by_config`.

    python cookbook/configure_operations.py
    OPENAI_API_KEY=... python cookbook/configure_operations.py --model gpt-4o --small gpt-4o-mini
    python cookbook/configure_operations.py --base-url http://127.0.0.1:11434/v1 --model qwen3

Without a key and a server it talks to `ScriptedLLM`, and says so.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tract import AsyncTract, ChatResponse, LLMClient, LLMConfig, ModelRequest, OpenAIClient, OperationClients, TractError
from tract.testing import ScriptedLLM


def scripted(request: ModelRequest) -> str:
    """Stand in for a model: say how it was asked."""
    return f"I was asked with {request.config.to_dict()}."


def choose_model(options: argparse.Namespace) -> tuple[LLMClient, str]:
    """Return the configured model with its name, or a scripted one."""
    if options.base_url or os.environ.get("OPENAI_API_KEY"):
        model = options.model or "gpt-4o"
        print(f"Talking to {model}.")
        return OpenAIClient(base_url=options.base_url), model
    print("No OPENAI_API_KEY and no --base-url: the model is scripted (ScriptedLLM).")
    return ScriptedLLM(scripted), "scripted"


def show(what: str, response: ChatResponse) -> None:
    """Print how an answer was made: what was sent, with the model that answered."""
    config = response.generation_config
    print(f"{what:<28} model {config.model}, temperature {config.temperature}, at most {config.max_tokens} tokens")


async def converse(db: Path, llm: LLMClient, model: str, small: str) -> None:
    """Configure the operations, ask in several ways, close the file and ask again."""
    async with AsyncTract.open(db, llm=llm, model=model, clients=OperationClients(compress=llm)) as t:
        await t.configure_operations(
            chat=LLMConfig(temperature=0.7, max_tokens=200),
            compress=LLMConfig(model=small, temperature=0),
        )
        # What a call says goes before what its operation is configured with,
        # and that before the tract's own default, field by field.
        show("as chat is configured", await t.chat("Hello!"))
        show("llm_config= for one call", await t.chat("Again.", llm_config=LLMConfig(temperature=1)))
        show("one setting for one call", await t.chat("And again.", temperature=0, llm_config=LLMConfig(max_tokens=50)))

    # Configurations are in the file, keys and clients never.
    async with AsyncTract.open(db, llm=llm, model=model) as t:
        show("after reopening", await t.chat("Still there?"))
        print(f"compress will ask {t.operations.compress}")
        print("\nCold answers:")
        for commit in await t.query_by_config("temperature", "<", 0.5):
            print(f"  {commit}")


async def run(options: argparse.Namespace) -> None:
    llm, model = choose_model(options)
    try:
        with TemporaryDirectory() as folder:
            await converse(Path(folder) / "operations.db", llm, model, options.small or model)
    finally:
        await llm.aclose()  # a client of our own is ours to close


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A configuration for each operation.")
    parser.add_argument("--model", help="which model to ask; gpt-4o by default")
    parser.add_argument("--small", help="which one tends the context; by default the same")
    parser.add_argument("--base-url", help="of any server that speaks OpenAI's Chat Completions")
    try:
        asyncio.run(run(parser.parse_args(arguments)))
    except TractError as exc:
        print(f"Error: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
