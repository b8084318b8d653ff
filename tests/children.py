"""Processes of their own that stream an answer, tell each delta they were handed, and end as they are told.

Each prints one JSON value a line; what it is told comes on its standard input, one word a line.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
            if line == "exit":
                raise SystemExit(3)
            if line == "die":
                os._exit(4)
            yield line + " "
    async with AsyncTract.open(path, llm=ScriptedLLM(lambda _: deltas()), model="tiny", actor="child") as t:
        try:
            async with t.stream("Count", keep_partial=True if keep else None, operation_id=operation or None) as stream:
                tell(stream.generation)
                async for delta in stream:
                    tell(delta)
            tell(stream.response.commit_info.id)
        except TractError as exc:
            tell([type(exc).__name__, getattr(exc, "answer", None)])
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
        """Tell it words, which its model says: `end` ends the answer, `exit` and `die` the process."""
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
def streaming(path: str, *, host: str = "", keep: str = "", operation: str = "") -> Iterator[Child]:
    """Start a process that streams on the branch where *path* was last; end it with the block, if it still runs."""
    command = [sys.executable, "-c", STREAMING, path, host, keep, operation]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Child(process)
        finally:
            process.kill()
