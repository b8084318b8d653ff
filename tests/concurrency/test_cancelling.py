"""Cancellation at every await: whatever moment it comes, the store is whole and work goes on.

A program is stepped through its awaits, and its task cancelled at the nth of
them: when it begins to wait, while the writer works, or when what it waited
for is there already. No time is involved.
"""

import asyncio
import sqlite3
import threading
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import closing, suppress
from contextvars import Context
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.builders import broken_links, operation_id, tract_id
from tests.children import streaming
from tract import AsyncTract, LLMConfig, TokenBudget
from tract.errors import ModelConnectionError, ModelError
from tract.log.protocol import Request
from tract.testing import Cut, ScriptedLLM

Program: TypeAlias = Callable[[AsyncTract], Awaitable[object]]


class Steps:
    """A coroutine that is cancelled at its nth await.

    Args:
        program: What to run.
        last: At which await it is cancelled.
        moment: `begins`, `waits` or `ends`.
    """

    def __init__(self, program: Coroutine[Any, Any, object], last: int, moment: str) -> None:
        self._program = program
        self._last = last
        self._moment = moment
        self.taken = 0

    @types.coroutine
    def run(self) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None
        error: BaseException | None = None
        try:
            while True:
                waiting = self._program.send(None) if error is None else self._program.throw(error)
                error = None
                self.taken += 1
                if self.taken == self._last:
                    self._cancel(task)
                try:
                    yield waiting
                except BaseException as exc:  # noqa: BLE001 - handed to the program
                    error = exc
                if self.taken == self._last and self._moment == "ends" and error is None:
                    error = asyncio.CancelledError()
        except StopIteration:
            pass

    def _cancel(self, task: "asyncio.Task[Any]") -> None:
        if self._moment == "begins":
            task.cancel()
        elif self._moment == "waits":
            asyncio.get_running_loop().call_soon(task.cancel)


async def cancelled_at(program: Coroutine[Any, Any, object], last: int, moment: str) -> bool:
    """Run *program* with one cancellation; say whether it was long enough for it."""
    steps = Steps(program, last, moment)

    async def run() -> None:
        await steps.run()

    task = asyncio.create_task(run())
    with suppress(asyncio.CancelledError, ModelError):
        await task
    return steps.taken >= last


async def commit(t: AsyncTract) -> None:
    await t.user("said", message="why", metadata={"n": 1})


async def commit_a_long_text(t: AsyncTract) -> None:
    await t.user("word " * 20_000)


async def edit(t: AsyncTract) -> None:
    await t.edit("HEAD", "said otherwise")


async def annotate(t: AsyncTract) -> None:
    await t.pin("HEAD~1", reason="it matters")


async def chat(t: AsyncTract) -> None:
    await t.chat("question")


async def failing_chat(t: AsyncTract) -> None:
    await t.configure_llm(ScriptedLLM([Cut(["Half "], ModelConnectionError())]))
    try:
        await t.chat("question")
    finally:
        await t.configure_llm(ScriptedLLM(lambda _: "An answer."))


async def leave_a_stream(t: AsyncTract) -> None:
    async with t.stream("question") as answer:
        async for _ in answer:
            break


async def fail_in_a_stream(t: AsyncTract) -> None:
    with suppress(ZeroDivisionError):
        async with t.stream("question") as answer:
            async for _ in answer:
                raise ZeroDivisionError


async def keep_a_stream(t: AsyncTract) -> None:
    async with t.stream("question", keep_partial=True) as answer:
        async for _ in answer:
            pass


async def branch_and_back(t: AsyncTract) -> None:
    await t.branch("side")
    await t.user("on the side")
    await t.switch("main")


async def use_a_worktree(t: AsyncTract) -> None:
    await t.branch("side", switch=False)
    async with await t.worktree("side") as other:
        await other.user("on the side")


async def read(t: AsyncTract) -> None:
    await t.log()
    await t.compile()
    await t.status()
    await t.branches()
    await t.show("HEAD")


async def use_an_operation_id(t: AsyncTract) -> None:
    await t.user("once", operation_id="01928c5e-0000-7000-8000-000000000007")


async def batch(t: AsyncTract) -> None:
    async with t.batch():
        slot = await t.user("one of several")
        await t.edit(slot.id, "one of a few")
        async with t.batch():
            await t.user("word " * 1000)


async def repeat_a_batch(t: AsyncTract) -> None:
    for _ in range(2):
        async with t.batch(operation_id="01928c5e-0000-7000-8000-000000000007"):
            await t.user("once")
            await t.pin("HEAD")


async def configure(t: AsyncTract) -> None:
    await t.configure(budget=TokenBudget(1, compress_at=1))
    await t.user("told of")


PROGRAMS: list[Program] = [
    commit,
    commit_a_long_text,
    edit,
    annotate,
    chat,
    failing_chat,
    leave_a_stream,
    fail_in_a_stream,
    keep_a_stream,
    branch_and_back,
    use_a_worktree,
    read,
    use_an_operation_id,
    batch,
    repeat_a_batch,
    configure,
]
MOMENTS = ["begins", "waits", "ends"]


async def opened(path: Path) -> AsyncTract:
    llm = ScriptedLLM(lambda _: "An answer of several words.")
    return await AsyncTract.open(str(path), llm=llm, llm_config=LLMConfig(model="scripted"), durability="normal")


def check_file(path: Path) -> None:
    """The chain holds, no generation is open, and no branch points nowhere."""
    with closing(sqlite3.connect(path)) as connection:
        assert broken_links(connection.execute("SELECT * FROM events ORDER BY position").fetchall()) == []
        assert connection.execute("SELECT count(*) FROM generations WHERE status = 'running'").fetchone() == (0,)
        started, ended = (
            connection.execute("SELECT count(*) FROM events WHERE type LIKE ? AND type != ?", types).fetchone()
            for types in (("generation.started", ""), ("generation.%", "generation.started"))
        )
        assert started == ended


async def check_branches(t: AsyncTract) -> None:
    for branch in await t.branches():
        found = list(reversed(await t.log(1000, at=branch.name))) if branch.head else []
        assert [info.parents for info in found] == [
            () if before is None else (before.id,) for before in [None, *found][: len(found)]
        ]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
async def test_whatever_await_is_cancelled_the_store_is_whole_and_work_goes_on(
    tmp_path: Path, program: Program, moment: str
) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        t = await opened(path)
        await t.user("one")
        await t.user("two")
        before = {info.id for info in await t.log()}
        reached = await cancelled_at(program(t), last, moment)  # type: ignore[arg-type]
        answer = await asyncio.wait_for(t.chat("go on"), 10)
        head = answer.commit_info.id
        assert {info.id for info in await t.log(1000)} >= before
        branch = t.current_branch
        await asyncio.wait_for(t.aclose(), 10)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        check_file(path)
        async with AsyncTract.open(str(path), create=False) as again:
            assert branch is not None
            assert (await again.show(branch)).info.id == head
            await check_branches(again)
        path.unlink()
        if not reached:
            break


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_chat_cancelled_beside_another_processs_call_is_ended(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "log.db"
    async with await opened(path) as t:
        with streaming(str(path)) as child:
            child.stream("One")
            for last in count(1):
                reached = await cancelled_at(chat(t), last, moment)
                await t.collaborators.shared.store.submit(nothing()).wait()
                running = [info.id for info in await t.generations(1000) if info.status == "running"]
                assert running == [child.generation]
                if not reached:
                    break


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_chat_leaves_the_branch_at_its_base_or_has_its_answer_on_it(tmp_path: Path, moment: str) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        async with await opened(path) as t:
            base = (await t.user("one")).id
            reached = await cancelled_at(chat(t), last, moment)
            await t.collaborators.shared.store.submit(nothing()).wait()
            told = [info.content_type for info in await t.log()]
            if await t.head() != base:
                assert told == ["dialogue"] * 3
        if not reached:
            break


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_batch_is_there_as_a_whole_or_not_at_all(tmp_path: Path, moment: str) -> None:
    counts = set()
    for last in count(1):
        path = tmp_path / f"{last}.db"
        async with await opened(path) as t:
            await t.user("one")
            reached = await cancelled_at(batch(t), last, moment)
            await t.collaborators.shared.store.submit(nothing()).wait()
            counts.add(len(await t.log()) - 1)
            await asyncio.wait_for(t.user("two"), 10)
        if not reached:
            break
    assert counts == {0, 3}


def nothing() -> Request:
    """A request behind everything that was handed over before it."""
    return Request(tract_id(9), operation_id(9), (), lambda _: ())


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_switch_leaves_the_handle_where_the_log_says(tmp_path: Path, moment: str) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        async with await opened(path) as t:
            await t.branch("side", switch=False)
            reached = await cancelled_at(t.switch("side"), last, moment)
            stands = t.current_branch
        async with AsyncTract.open(str(path)) as again:
            assert again.current_branch == stands
        if not reached:
            break


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_configure_leaves_the_handle_with_what_is_stored(tmp_path: Path, moment: str) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        async with await AsyncTract.open(str(path), budget=TokenBudget(9)) as t:
            call = t.configure(budget=TokenBudget(5), operation_id="01928c5e-0000-7000-8000-000000000007")
            reached = await cancelled_at(call, last, moment)
            known = t.budget
        async with AsyncTract.open(str(path), budget=None) as again:
            assert (known, again.budget) in [(TokenBudget(9), None), (TokenBudget(5), TokenBudget(5))]
        if not reached:
            break


def new_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread not in before and "asyncio" not in thread.name]


async def all_ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        await asyncio.to_thread(thread.join, 3)
    return not any(thread.is_alive() for thread in threads)


async def open_and_close(path: Path) -> None:
    t = await opened(path)
    await t.aclose()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_opening_or_closing_leaves_no_thread_behind(tmp_path: Path, moment: str) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        before = set(threading.enumerate())
        reached = await cancelled_at(open_and_close(path), last, moment)
        async with await opened(path) as t:
            await t.user("works")
        assert await all_ended(new_threads(before)), f"cancelled at await {last}"
        if not reached:
            break


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_closing_can_be_repeated_and_loses_nothing(tmp_path: Path, moment: str) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        before = set(threading.enumerate())
        t = await opened(path)
        submitted = [asyncio.create_task(t.user(f"{number}")) for number in range(5)]
        await asyncio.wait(submitted)
        reached = await cancelled_at(t.aclose(), last, moment)
        await asyncio.wait_for(t.aclose(), 10)
        assert await all_ended(new_threads(before)), f"cancelled at await {last}"
        async with AsyncTract.open(str(path)) as again:
            assert len(await again.log()) == 5
        if not reached:
            break


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancelled_opening_does_not_harm_another_opening_of_the_file(tmp_path: Path, moment: str) -> None:
    for last in count(1):
        path = tmp_path / f"{last}.db"
        reached, t = await asyncio.gather(cancelled_at(open_and_close(path), last, moment), opened(path))
        await t.user("works")
        await t.aclose()
        if not reached:
            break


async def held_back(until: asyncio.Event) -> AsyncIterator[str]:
    yield "Half "
    await until.wait()
    yield "an answer."


@pytest.mark.parametrize("waiter", [chat, batch, edit], ids=lambda program: program.__name__)
async def test_waiters_of_a_branch_go_on_when_any_of_them_is_cancelled(waiter: Program) -> None:
    for last in count(1):
        go_on = asyncio.Event()
        llm = ScriptedLLM([held_back(go_on), *(f"Answer {number}." for number in range(3))])
        async with AsyncTract.open(llm=llm, llm_config=LLMConfig(model="scripted")) as t:
            await t.user("before")
            async with t.stream("first") as first:
                await anext(first)
                # Tasks of another origin: they have not inherited that they are inside.
                loop = asyncio.get_running_loop()
                waiting = cancelled_at(waiter(t), last, "begins")  # type: ignore[arg-type]
                victim = loop.create_task(waiting, context=Context())
                append = loop.create_task(commit(t), context=Context())
                last_chat = loop.create_task(chat(t), context=Context())
                go_on.set()
                async for _ in first:
                    pass
            reached, _, _ = await asyncio.wait_for(asyncio.gather(victim, append, last_chat), 10)
        if not reached:
            break
