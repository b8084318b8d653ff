"""Runs of the tool loop: cancelled at every moment, closed, and beside others on one branch."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.acceptance.looping import call, calling, counting, spoken
from tests.concurrency.test_cancelling import MOMENTS, cancelled_at, check_file
from tract import AsyncTract, ModelReply, ModelRequest, RunResult
from tract.errors import ContentValidationError, TractError
from tract.testing import ScriptedLLM

ROUNDS = 2
WHOLE = [
    ("user", "Go"),
    *[("assistant", "quick, plain"), ("tool", "plainly"), ("tool", "quickly")] * ROUNDS,
    ("assistant", "Done."),
]


class Tools:
    """Two tools that say how often they were called."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    async def quick(self) -> str:
        """Be quick."""
        self.calls += 1
        await asyncio.sleep(0)
        return "quickly"

    def plain(self) -> str:
        """Be plain."""
        with self._lock:
            self.calls += 1
        return "plainly"

    @property
    def both(self) -> list[Any]:
        return [self.quick, self.plain]


async def opened(path: Path) -> AsyncTract:
    model = ScriptedLLM(counting(ROUNDS, "quick", "plain"))
    return await AsyncTract.open(str(path), llm=model, model="tiny", durability="normal")


async def run(t: AsyncTract, tools: Tools) -> None:
    await t.run("Go", tools=tools.both)


async def iterate(t: AsyncTract, tools: Tools) -> None:
    async for _ in t.run("Go", tools=tools.both):
        pass


async def check_resuming(t: AsyncTract) -> None:
    """A run that was cancelled ends as one that was not: each call has one result, and no text stands there twice."""
    # Others, since a thread that was left behind may still count its call.
    tools = Tools()
    try:
        result = await asyncio.wait_for(_result(t.run(tools=tools.both)), 10)
    except ContentValidationError:
        # It was cancelled before anything was recorded.
        assert await t.head() is None
        result = await t.run("Go", tools=tools.both)
    assert (result.text, result.is_finished) == ("Done.", True)
    assert tools.calls == sum(len(step.results) for step in result.steps)
    assert (await t.compile()).repairs == ()
    assert sorted(await spoken(t)) == sorted(WHOLE)
    assert len(await t.log(1000)) == len(WHOLE)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("program", [run, iterate])
async def test_whatever_await_of_a_run_is_cancelled_it_goes_on_as_if_it_were_not(
    tmp_path: Path, program: Callable[[AsyncTract, Tools], Awaitable[None]], moment: str
) -> None:
    for last in count(1):
        path, tools = tmp_path / f"{last}.db", Tools()
        async with await opened(path) as t:
            reached = await cancelled_at(program(t, tools), last, moment)  # type: ignore[arg-type]
            await check_resuming(t)
        check_file(path)
        path.unlink()
        if not reached:
            break


def cancel_after(task: "asyncio.Task[Any]", turns: int) -> None:
    """Cancel a task when the event loop has turned so often."""
    loop = asyncio.get_running_loop()
    if turns:
        loop.call_soon(cancel_after, task, turns - 1)
    else:
        task.cancel()


async def test_whatever_turn_of_the_event_loop_cancels_a_run_it_goes_on_as_if_it_did_not(tmp_path: Path) -> None:
    turns = 0
    while True:
        path, tools = tmp_path / f"{turns}.db", Tools()
        async with await opened(path) as t:
            task = asyncio.create_task(run(t, tools))
            cancel_after(task, turns)
            with suppress(asyncio.CancelledError):
                await task
            await check_resuming(t)
        check_file(path)
        if not task.cancelled():
            break
        turns += 1 + turns // 20


async def test_a_run_in_a_cancel_scope_is_cancelled_as_a_whole(tmp_path: Path) -> None:
    has_begun = asyncio.Event()

    async def wait() -> None:
        has_begun.set()
        await asyncio.Event().wait()

    model = ScriptedLLM([calling(call("wait"), call("wait", id="c2"))])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        async with anyio.create_task_group() as group:
            group.start_soon(_result, t.run("Go", tools=[wait]))
            await has_begun.wait()
            group.cancel_scope.cancel()
        assert [text for role, text in await spoken(t) if role == "tool"] == ["[no result recorded]"] * 2


async def test_closing_cancels_a_tool_and_the_next_handle_goes_on(tmp_path: Path) -> None:
    path, has_begun, is_over = tmp_path / "log.db", asyncio.Event(), asyncio.Event()

    async def wait() -> str:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            is_over.set()
        return "never"

    async def answer() -> str:
        return "waited"

    answer.__name__ = "wait"
    replies: list[str | ModelReply] = [calling(call("wait")), "Done."]
    t = await AsyncTract.open(str(path), llm=ScriptedLLM(replies[:1]), model="tiny")
    task = asyncio.ensure_future(_result(t.run("Go", tools=[wait])))
    await has_begun.wait()
    await asyncio.wait_for(t.aclose(), 10)
    assert is_over.is_set()
    await asyncio.wait([task])
    assert task.cancelled()
    check_file(path)
    async with AsyncTract.open(str(path), llm=ScriptedLLM(replies[1:]), model="tiny") as again:
        assert (await again.run(tools=[answer])).text == "Done."
        assert (await spoken(again))[2] == ("tool", "waited")


async def test_closing_does_not_wait_for_a_thread(tmp_path: Path) -> None:
    has_begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait() -> str:
        loop.call_soon_threadsafe(has_begun.set)
        go_on.wait(30)
        return "never"

    t = await AsyncTract.open(tmp_path / "log.db", llm=ScriptedLLM([calling(call("wait"))]), model="tiny")
    task = asyncio.ensure_future(_result(t.run("Go", tools=[wait])))
    try:
        await has_begun.wait()
        await asyncio.wait_for(t.aclose(), 5)
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
    finally:
        go_on.set()


async def test_a_tool_that_closes_the_tract_ends_the_run_with_an_error_of_ours(tmp_path: Path) -> None:
    async def close() -> str:
        await t.aclose()
        return "closed"

    t = await AsyncTract.open(tmp_path / "log.db", llm=ScriptedLLM([calling(call("close"))]), model="tiny")
    with pytest.raises(TractError):
        await asyncio.wait_for(_result(t.run("Go", tools=[close])), 5)
    check_file(tmp_path / "log.db")


async def _result(run: Awaitable[RunResult]) -> RunResult:
    return await run


async def test_runs_on_one_branch_follow_one_another() -> None:
    tools = Tools()
    async with AsyncTract.open(llm=ScriptedLLM(counting(ROUNDS, "quick", "plain")), model="tiny") as t:
        results = await asyncio.gather(*(_result(t.run(f"Go {number}", tools=tools.both)) for number in range(5)))
        assert [(result.text, len(result.steps)) for result in results] == [("Done.", ROUNDS + 1)] * 5
        roles = [role for role, _ in await spoken(t)]
        assert roles == ["user", *["assistant", "tool", "tool"] * ROUNDS, "assistant"] * 5


async def test_runs_on_two_branches_run_at_once() -> None:
    both = asyncio.Barrier(2)

    async def meet() -> str:
        await both.wait()
        return "met"

    async with AsyncTract.open(llm=ScriptedLLM(counting(1, "meet")), model="tiny") as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, asyncio.timeout(5):
            results = await asyncio.gather(*(_result(each.run("Go", tools=[meet])) for each in (t, other)))
        assert [result.steps[0].results[0].text for result in results] == ["met", "met"]


async def test_what_others_write_waits_for_the_results_and_comes_before_the_next_step() -> None:
    has_begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> str:
        has_begun.set()
        await go_on.wait()
        return "waited"

    model = ScriptedLLM([calling(call("wait")), "Done."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        task = asyncio.ensure_future(_result(t.run("Go", tools=[wait])))
        await has_begun.wait()
        others = [asyncio.ensure_future(t.user(f"{number}")) for number in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(other.done() for other in others)
        go_on.set()
        await task
        assert [text for _, text in await spoken(t)] == ["Go", "wait", "waited", "0", "1", "2", "Done."]
        assert [message["content"] for message in model.requests[1].messages[3:]] == ["0", "1", "2"]


async def test_a_chat_of_another_task_is_served_between_two_steps_and_the_run_goes_on() -> None:
    has_begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> str:
        has_begun.set()
        await go_on.wait()
        return "waited"

    async with AsyncTract.open(llm=ScriptedLLM([calling(call("wait")), "Soon.", "Done."]), model="tiny") as t:
        task = asyncio.ensure_future(_result(t.run("Go", tools=[wait])))
        await has_begun.wait()
        chat = asyncio.ensure_future(t.chat("How is it going?"))
        await asyncio.sleep(0)
        go_on.set()
        assert ((await chat).text, (await task).text) == ("Soon.", "Done.")


async def test_many_runs_and_writers_on_one_branch_lose_nothing() -> None:
    tools = Tools()

    def reply(request: ModelRequest) -> ModelReply | str:
        last = request.messages[-1]
        return "Done." if last["role"] == "tool" else calling(call("quick"), call("plain", id="c2"))

    async with AsyncTract.open(llm=ScriptedLLM(reply), model="tiny") as t:

        async def write(number: int) -> None:
            for each in range(5):
                await t.user(f"{number}.{each}")

        runs = (_result(t.run(f"run {number}", tools=tools.both, max_steps=3)) for number in range(4))
        await asyncio.gather(*runs, *(write(number) for number in range(4)))
        compiled = await t.compile()
        assert compiled.repairs == ()
        said = [text for role, text in await spoken(t) if role == "user"]
        assert sorted(said) == sorted([f"run {n}" for n in range(4)] + [f"{n}.{each}" for n in range(4) for each in range(5)])
        for number in range(4):
            assert [text for text in said if text.startswith(f"{number}.")] == [f"{number}.{each}" for each in range(5)]
