"""Kill an agent in the middle of its work, and let another process finish it.

Shows that `run()` goes on where a dead process stopped: answers that were paid
for and tool results that had arrived are in the file, and only what has no
result is called again. The model is scripted (ScriptedLLM), so that the
process dies at the same moment each time.

    python cookbook/resume_run.py
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tract import AsyncTract, ModelReply, ModelRequest, ToolCall
from tract.testing import ScriptedLLM

TASK = "Bake a cake."
DIES = 9
"""The exit code of the process that does not come back."""


def scripted(request: ModelRequest) -> ModelReply | str:
    """Stand in for a model: have everything fetched, then baked."""
    done = [message["content"] for message in request.messages if message["role"] == "tool"]
    print(f"  the model reads {len(request.messages)} messages")
    if not done:
        flour, eggs = ToolCall("1", "fetch", '{"what": "flour"}'), ToolCall("2", "fetch", '{"what": "eggs"}')
        return ModelReply(None, tool_calls=(flour, eggs))
    if len(done) == 2:
        return ModelReply(None, tool_calls=(ToolCall("3", "bake", "{}"),))
    return "The cake is ready."


def fetch(what: str) -> str:
    """Fetch an ingredient."""
    print(f"  fetch({what!r})")
    return f"one pack of {what}"


def bake() -> str:
    """Bake what was fetched."""
    print("  bake()")
    return "golden brown"


async def work(db: str) -> None:
    """Do the task in a process that dies in the second step."""

    def bake() -> str:
        """Bake in an oven that takes the whole process with it."""
        print("  bake() ... and the process is gone", flush=True)
        os._exit(DIES)

    async with AsyncTract.open(db, llm=ScriptedLLM(scripted), model="scripted") as t:
        await t.run(TASK, tools=[fetch, bake])


async def finish(db: str) -> None:
    """Go on with whatever the file says was left undone."""
    async with AsyncTract.open(db, llm=ScriptedLLM(scripted), model="scripted") as t:
        print(f"\nFound: {await t.status()}")
        result = await t.run(tools=[fetch, bake])  # no task: it stands in the file
        print(f"\n{result}\n")
        for commit in reversed(await t.log()):
            print(f"  {commit}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A run that is killed and gone on with.")
    parser.add_argument("db", nargs="?", help="work in this file, in this process, which then dies")
    options = parser.parse_args(arguments)
    if options.db is not None:
        asyncio.run(work(options.db))
        return 0
    with TemporaryDirectory() as folder:
        db = str(Path(folder) / "agent.db")
        print("One process begins:", flush=True)
        died = subprocess.run([sys.executable, __file__, db], check=False)  # noqa: S603  (this very file)
        if died.returncode != DIES:
            return 1
        asyncio.run(finish(db))
    return 0


if __name__ == "__main__":
    sys.exit(main())
