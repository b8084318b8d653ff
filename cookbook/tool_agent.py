"""An agent with tools: plain functions, called at the same time, each result durable as it arrives.

Shows `run` a step at a time, tools from type hints and docstrings, and what
stands on the branch afterwards.

    python cookbook/tool_agent.py
    OPENAI_API_KEY=... python cookbook/tool_agent.py --model gpt-4o-mini
    python cookbook/tool_agent.py --base-url http://127.0.0.1:11434/v1 --model qwen3

Without a key and a server it talks to `ScriptedLLM`, and says so.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence

from tract import AsyncTract, LLMClient, ModelReply, ModelRequest, OpenAIClient, ToolCall, TractError
from tract.testing import ScriptedLLM

ORDERS = {"A1": "shipped", "A2": "lost in transit"}
REFUNDS: list[str] = []


def find_order(order: str) -> dict[str, str]:
    """Look an order up.

    Args:
        order: Its number, such as A1.
    """
    return {"order": order, "state": ORDERS[order]}  # an unknown one is a KeyError, which the model is told


async def refund(order: str, reason: str) -> str:
    """Pay an order back.

    Args:
        order: Its number.
        reason: One line for the books.
    """
    REFUNDS.append(order)
    return f"Order {order} is refunded: {reason}"


def scripted(request: ModelRequest) -> ModelReply | str:
    """Stand in for a model: look both orders up and one that is none, refund what was lost, and say so."""
    results = [message for message in request.messages if message["role"] == "tool"]
    if not results:
        orders = enumerate(("A1", "A2", "A3"))
        calls = tuple(ToolCall(f"look_{i}", "find_order", json.dumps({"order": order})) for i, order in orders)
        return ModelReply(None, tool_calls=calls)
    if len(results) < 4:
        lost = json.dumps({"order": "A2", "reason": "lost in transit"})
        return ModelReply("A2 is lost, I pay it back.", tool_calls=(ToolCall("pay", "refund", lost),))
    return "A1 is on its way, A2 is refunded, and there is no order A3."


def choose_model(options: argparse.Namespace) -> tuple[LLMClient, str]:
    """Return the configured model with its name, or a scripted one."""
    if options.base_url or os.environ.get("OPENAI_API_KEY"):
        model = options.model or "gpt-4o-mini"
        print(f"Talking to {model}.")
        return OpenAIClient(base_url=options.base_url), model
    print("No OPENAI_API_KEY and no --base-url: the model is scripted (ScriptedLLM).")
    return ScriptedLLM(scripted), "scripted"


async def serve_customer(llm: LLMClient, model: str) -> None:
    """Answer one request, printing each step, then look at what was recorded."""
    async with AsyncTract.open(llm=llm, model=model) as t:
        await t.system("You help with orders. Refund what was lost. Use the tools.")
        # `await t.run(...)` is the same without looking on.
        async for step in t.run("What about my orders A1, A2 and A3?", tools=[find_order, refund], max_steps=10):
            print(f"\nstep {step.number}: {step.response.text or '(calls only)'}")
            for outcome in step.results:
                print(f"  {outcome}")
        print("\nOn the branch now:")
        for commit in reversed(await t.log()):
            print(f"  {commit}")
        print(f"\n{await t.usage(by='verb')}")


async def run(options: argparse.Namespace) -> None:
    llm, model = choose_model(options)
    try:
        await serve_customer(llm, model)
    finally:
        await llm.aclose()  # a client of our own is ours to close


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="An agent with tools.")
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
