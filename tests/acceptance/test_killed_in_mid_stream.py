"""A process dies in the middle of an answer, while another works on the same file."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tract import AsyncTract, LLMConfig
from tract.testing import ScriptedLLM

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")

STREAMING = """
import asyncio, json, sys
from tract import AsyncTract, LLMConfig
from tract.testing import ScriptedLLM

async def answer():
    for delta in ("Half ", "an ", "answer, ", "grüß dich 🙂 "):
        yield delta
    await asyncio.Event().wait()

async def main():
    llm = ScriptedLLM(lambda _: answer())
    async with AsyncTract.open(sys.argv[1], llm=llm, llm_config=LLMConfig(model="scripted")) as t:
        print(json.dumps((await t.user("Written before.")).id), flush=True)
        async with t.stream("A question?") as stream:
            async for delta in stream:
                print(json.dumps(delta), flush=True)

asyncio.run(main())
"""

SECOND = """
import asyncio, json, sys
from tract import AsyncTract

async def main():
    ending = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ending.set)
    async with AsyncTract.open(sys.argv[1]) as t, await t.worktree("second") as mine:
        while not ending.is_set():
            info = await mine.user("Written by the second process.")
            calls = [(call.status, call.text) for call in await mine.generations()]
            print(json.dumps((info.id, calls)), flush=True)

asyncio.run(main())
"""


@contextmanager
def process(script: str, path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own that is gone after the block."""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def said(running: "subprocess.Popen[str]") -> Any:
    assert running.stdout is not None
    return json.loads(running.stdout.readline())


def ended(running: "subprocess.Popen[str]") -> list[Any]:
    """What a process says until it ends, which it is asked to."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.close()
    rest = [json.loads(line) for line in running.stdout]
    assert running.wait() == 0
    return rest


async def test_after_kill_9_in_mid_stream_the_words_are_there_and_the_branch_is_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.system("Be brief.")
        await t.branch("second", switch=False)

    with process(SECOND, path) as second:
        of_second = [said(second)[0]]
        with process(STREAMING, path) as streaming:
            base = said(streaming)
            seen = "".join(said(streaming) for _ in range(4))
            streaming.kill()
            streaming.wait()
        # What the second process sees, which neither opened the file again nor was told.
        calls: list[Any] = []
        while not calls or calls[0][0] == "running":
            commit, calls = said(second)
            of_second.append(commit)
        assert calls == [["interrupted", seen]]
        of_second += [commit for commit, _ in ended(second)]

    llm = ScriptedLLM(["A whole answer."])
    async with AsyncTract.open(str(path), llm=llm, llm_config=LLMConfig(model="scripted")) as t:
        (call,) = await t.generations()
        assert (call.status, call.text, call.base, await t.head()) == ("interrupted", seen, base, base)
        assert call.answer is not None
        kept = (await t.show(call.answer)).rendered
        assert kept is not None
        assert kept.content == seen
        assert [info.id for info in reversed(await t.log(10_000, at="second"))][1:] == of_second
        await t.chat("A question?")
        contents = [message["content"] for message in (await t.compile()).to_dicts()]
        assert contents == ["Be brief.", "Written before.", "A question?", "A whole answer."]
