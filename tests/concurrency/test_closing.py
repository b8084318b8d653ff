"""Closing, forgetting to close, and turns that are still running then."""

import asyncio
import contextvars
import gc
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import openai
import pytest

from tract import AsyncTract, LLMConfig
from tract.errors import ClosedError, TurnInProgressError, TurnStateError
from tract.testing import ScriptedLLM
from tract.testing.server import serve

ROOT = Path(__file__).parents[2]
CONFIG = LLMConfig(model="scripted")


class Pause:
    """A model that says one word and then waits for ever."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def deltas(self) -> AsyncIterator[str]:
        yield "Half "
        self.told.set()
        await asyncio.Event().wait()

    def client(self) -> ScriptedLLM:
        return ScriptedLLM(lambda _: self.deltas())


def statuses(path: Path) -> list[tuple[str, str | None]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT status, finish_reason FROM generations ORDER BY number").fetchall()


async def test_closing_cancels_a_turn_and_records_it(tmp_path: Path) -> None:
    path, pause = tmp_path / "log.db", Pause()
    t = await AsyncTract.open(str(path), llm=pause.client(), llm_config=CONFIG)
    base = await t.user("base")
    task = asyncio.create_task(t.chat("question"))
    await pause.told.wait()
    await t.aclose()
    await asyncio.wait([task])
    assert task.cancelled()
    assert statuses(path) == [("cancelled", "cancelled")]
    async with AsyncTract.open(str(path)) as again:
        assert await again.head() == base.id


async def test_closing_inside_a_stream_block_records_its_turn(tmp_path: Path) -> None:
    path, pause = tmp_path / "log.db", Pause()
    t = await AsyncTract.open(str(path), llm=pause.client(), llm_config=CONFIG)
    base = await t.user("base")
    async with t.stream("question", keep_partial=False) as answer:
        await anext(answer)
        await t.aclose()
    assert statuses(path) == [("cancelled", "cancelled")]
    async with AsyncTract.open(str(path)) as again:
        assert await again.head() == base.id


async def test_closing_inside_a_stream_block_by_a_task_of_its_own_cancels_nobody(tmp_path: Path) -> None:
    path, pause = tmp_path / "log.db", Pause()
    t = await AsyncTract.open(str(path), llm=pause.client(), llm_config=CONFIG)
    async with t.stream("question", keep_partial=False) as answer:
        await anext(answer)
        await asyncio.create_task(t.aclose())
        await asyncio.sleep(0)
    assert statuses(path) == [("cancelled", "cancelled")]


async def test_closing_from_inside_the_model_ends_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def deltas() -> AsyncIterator[str]:
        yield "Half "
        await t.aclose()

    t = await AsyncTract.open(str(path), llm=ScriptedLLM(lambda _: deltas()), llm_config=CONFIG)
    with pytest.raises(TurnStateError):
        await t.chat("question")
    await t.aclose()
    assert statuses(path) == [("cancelled", "cancelled")]


async def test_closing_one_handle_leaves_the_turns_of_another_alone(tmp_path: Path) -> None:
    path, pause = tmp_path / "log.db", Pause()
    async with AsyncTract.open(str(path), llm=pause.client(), llm_config=CONFIG) as t:
        await t.user("base")
        other = await AsyncTract.open(str(path))
        task = asyncio.create_task(t.chat("question"))
        await pause.told.wait()
        await other.aclose()
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


async def test_a_closed_tract_refuses_to_chat() -> None:
    t = await AsyncTract.open(llm=ScriptedLLM(["x"]), llm_config=CONFIG)
    await t.aclose()
    with pytest.raises(ClosedError):
        await t.chat("question")


async def test_a_worktree_works_on_after_its_tract_is_closed(tmp_path: Path) -> None:
    t = await AsyncTract.open(str(tmp_path / "log.db"))
    other = await t.worktree("main", name="second")
    await t.aclose()
    await other.user("still here")
    await other.aclose()


async def test_appends_in_flight_are_written_before_the_store_closes(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    t = await AsyncTract.open(path)
    tasks = [asyncio.create_task(t.user(f"{number}")) for number in range(50)]
    first, *_ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert first
    await t.aclose()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    landed = {outcome.id for outcome in outcomes if not isinstance(outcome, BaseException)}
    assert all(isinstance(outcome, ClosedError) for outcome in outcomes if isinstance(outcome, BaseException))
    async with AsyncTract.open(path) as again:
        assert {info.id for info in await again.log(100)} == landed


async def test_appends_inside_a_stream_block_are_refused_and_pass_afterwards() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["An answer.", "More."]), llm_config=CONFIG) as t:
        async with t.stream("question") as answer:
            await anext(answer)
            with pytest.raises(TurnInProgressError):
                await t.user("inside")
            with pytest.raises(TurnInProgressError):
                await t.chat("inside")
            async for _ in answer:
                pass
        await t.user("after")
        await t.chat("after")


async def test_appends_of_other_tasks_wait_for_the_turn_and_keep_their_order() -> None:
    pause = asyncio.Event()

    async def deltas() -> AsyncIterator[str]:
        yield "An "
        await pause.wait()
        yield "answer."

    async with AsyncTract.open(llm=ScriptedLLM([deltas(), "Second."]), llm_config=CONFIG) as t:
        order: list[str] = []

        async def say(text: str) -> None:
            await t.user(text)
            order.append(text)

        async with t.stream("question") as answer:
            await anext(answer)
            # Tasks of another origin: they have not inherited that they are inside.
            loop = asyncio.get_running_loop()
            tasks = [loop.create_task(say(text), context=contextvars.Context()) for text in ("a", "b", "c")]
            pause.set()
            async for _ in answer:
                pass
        await asyncio.gather(*tasks)
        contents = [message["content"] for message in (await t.compile()).to_dicts()]
        assert contents == ["question", "An answer.", "a", "b", "c"]
        assert order == ["a", "b", "c"]


def run(script: str, *arguments: str, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *options, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


FORGETTING = """
import asyncio, sys
from tract import AsyncTract
async def main():
    t = await AsyncTract.open(sys.argv[1])
    print((await t.user("said")).id)
asyncio.run(main())
"""
FORGETTING_THE_LOOP = """
import asyncio, sys
from tract import AsyncTract
async def main():
    t = await AsyncTract.open(sys.argv[1])
    print((await t.user("said")).id)
    return t
loop = asyncio.new_event_loop()
t = loop.run_until_complete(main())
"""
LEAVING_BY_AN_ERROR = """
import asyncio, sys
from tract import AsyncTract
async def main():
    t = await AsyncTract.open(sys.argv[1])
    print((await t.user("said")).id, flush=True)
    sys.exit(3)
asyncio.run(main())
"""


@pytest.mark.parametrize("script", [FORGETTING, LEAVING_BY_AN_ERROR], ids=["returning", "leaving by sys.exit"])
def test_forgetting_to_close_warns_and_the_interpreter_exits(tmp_path: Path, script: str) -> None:
    done = run(script, str(tmp_path / "log.db"), options=("-W", "default::ResourceWarning"))
    assert "ResourceWarning" in done.stderr
    assert "never closed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "script",
    [FORGETTING, FORGETTING_THE_LOOP, LEAVING_BY_AN_ERROR],
    ids=["returning", "never closing the loop", "leaving by sys.exit"],
)
def test_forgetting_to_close_loses_nothing_and_shows_no_traceback(tmp_path: Path, script: str) -> None:
    path = tmp_path / "log.db"
    done = run(script, str(path))
    assert "Traceback" not in done.stderr

    async def said() -> str:
        async with AsyncTract.open(str(path)) as t:
            return (await t.log())[0].id

    assert asyncio.run(said()) == done.stdout.strip()


async def test_closing_leaves_nothing_for_the_garbage_collector_to_complain_about(tmp_path: Path) -> None:
    for _ in range(3):
        async with AsyncTract.open(str(tmp_path / "log.db")) as t:
            await t.user("said")
        del t
        gc.collect()


async def test_closing_inside_two_stream_blocks_records_both_and_the_task_goes_on(tmp_path: Path) -> None:
    path, pauses = tmp_path / "log.db", iter([Pause(), Pause()])
    t = await AsyncTract.open(str(path), llm=ScriptedLLM(lambda _: next(pauses).deltas()), llm_config=CONFIG)
    await t.branch("other", switch=False)
    async with t.stream("one", keep_partial=False) as outer:
        await anext(outer)
        await t.switch("other")
        async with t.stream("two", keep_partial=False) as inner:
            await anext(inner)
            await t.aclose()
            await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), statuses(path)) == (0, [("cancelled", "cancelled")] * 2)


async def test_a_client_that_cannot_be_closed_does_not_keep_the_store_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = openai.AsyncOpenAI.close

    async def fail(self: openai.AsyncOpenAI) -> None:
        await close(self)
        raise ZeroDivisionError

    monkeypatch.setattr(openai.AsyncOpenAI, "close", fail)
    path = str(tmp_path / "log.db")
    async with serve() as server:
        t = await AsyncTract.open(path, base_url=server.base_url, model="tiny")
        await t.chat("Hi")
        with pytest.raises(ZeroDivisionError):
            await t.aclose()
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"]
    monkeypatch.undo()
    async with AsyncTract.open(path) as again:
        assert again.collaborators.shared.store is not t.collaborators.shared.store
        await again.user("still here")
    gc.collect()
