"""Processes of their own that stream, follow, watch and open; each prints one JSON value a line.

One that streams tells each delta that it was handed, and leaves with `sys.exit` behind the delta `exit`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

ROOT = Path(__file__).parents[1]

STREAMING = """
import asyncio, json, os, sys, threading
path, host, keep, operation = sys.argv[1:5]
if host:
    import socket
    socket.gethostname = lambda: host
from tract import AsyncTract
from tract.errors import TractError
from tract.testing import ScriptedLLM

def tell(value):
    print(json.dumps(value), flush=True)

async def main():
    told = asyncio.Queue()
    loop = asyncio.get_running_loop()
    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(told.put_nowait, line.rstrip("\\n"))
    threading.Thread(target=read, daemon=True).start()
    async def deltas():
        while (line := await told.get()) != "end":
            if line == "die":
                os._exit(4)
            yield line + " "
    async with AsyncTract.open(path, llm=ScriptedLLM(lambda _: deltas()), model="tiny", actor="child") as t:
        try:
            async with t.stream("Count", keep_partial=True if keep else None, operation_id=operation or None) as stream:
                tell(stream.generation)
                async for delta in stream:
                    tell(delta)
                    if delta == "exit ":
                        sys.exit(3)
            tell(stream.response.commit_info.id)
        except TractError as exc:
            tell([type(exc).__name__, getattr(exc, "answer", None)])
asyncio.run(main())
"""

FOLLOWING = """
import asyncio, json, sys
from tract import AsyncTract
path, generation, after = sys.argv[1:4]
def tell(value):
    print(json.dumps(value), flush=True)
async def main():
    async with AsyncTract.open(path) as t:
        tell("ready")
        following = t.follow(generation, after=int(after))
        async for delta in following:
            tell([delta.text, delta.cursor])
        tell(following.generation.status)
asyncio.run(main())
"""

WATCHING = """
import asyncio, json, sys
from tract import AsyncTract
path, after = sys.argv[1:3]
async def main():
    async with AsyncTract.open(path) as t:
        print(json.dumps("ready"), flush=True)
        async for event in t.events(after=int(after)):
            print(json.dumps([event.position, event.body.tag]), flush=True)
asyncio.run(main())
"""

OPENING = """
import asyncio, sys
from tract import AsyncTract
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with AsyncTract.open(sys.argv[1]) as t:
        (info,) = await t.generations()
        print(info.status, flush=True)
asyncio.run(main())
"""

RUNNING = """
import asyncio, sys
from tests.acceptance.looping import counting
from tract import AsyncTract
from tract.testing import ScriptedLLM
path, calls = sys.argv[1:]

async def tell(what):
    print(f'"{what}"', flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asked = 0
async def reply(request):
    global asked
    await tell(f"model {asked}")
    asked += 1
    return counting(1, "quick", "slow")(request)

def note(name):
    with open(calls, "a") as file:
        file.write(name + "\\n")

async def quick() -> str:
    note("quick")
    return "quickly"

async def main():
    async with AsyncTract.open(path, llm=ScriptedLLM(reply), model="tiny") as t:
        async def slow() -> str:
            note("slow")
            while not [info for info in await t.log() if "quickly" in info.message]:
                await asyncio.sleep(0.001)
            await tell("slow")
            return "slowly"
        async for step in t.run("Go", tools=[quick, slow]):
            await tell(f"step {step.number}")
asyncio.run(main())
"""


class Child:
    """A process that streams.

    Attributes:
        process: The process itself.
        generation: The id of its call.
        seen: What it was handed so far.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.seen = ""
        self.generation: str = self.told()

    def told(self) -> Any:
        """Return the next thing that it tells."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self, *words: str) -> None:
        """Tell it words, which its model says: `end` ends the answer, `die` the process at once."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{word}\n" for word in words))
        self.process.stdin.flush()

    def stream(self, *words: str) -> None:
        """Have its model say the words one by one, and wait until they were handed on."""
        for word in words:
            self.tell(word)
            delta = self.told()
            assert delta == f"{word} "
            self.seen += delta

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def started(code: str, *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """Start a process that runs the code; end it with the block, if it still runs."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@frozen
class Runner:
    """A process that runs the tools quick and slow once, and stops at what it tells: `model 0`, `slow`, `step 1` and so on.

    Attributes:
        process: The process itself.
        calls: The file that has a line for each call of a tool.
    """

    process: "subprocess.Popen[str]"
    calls: Path

    def told(self) -> Any:
        """Return what it tells next."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def go_on(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill_at(self, point: str) -> None:
        """Let it go on until it tells *point*, and end it there as `kill -9` does."""
        while self.told() != point:
            self.go_on()
        self.process.kill()
        self.process.wait()


@contextmanager
def running(path: str) -> Iterator[Runner]:
    """Start a process that runs tools on the tract's branch; end it with the block, if it still runs."""
    calls = Path(f"{path}.calls")
    with started(RUNNING, path, calls) as process:
        yield Runner(process, calls)


@contextmanager
def streaming(path: str, *, host: str = "", keep: str = "", operation: str = "") -> Iterator[Child]:
    """Start a process that streams an answer to "Count" on the tract's branch; end it with the block, if it still runs."""
    with started(STREAMING, path, host, keep, operation) as process:
        yield Child(process)
