"""Story: whatever the provider does, and whenever somebody gives up waiting for it, nothing is lost and nothing doubled.

Each way to fail, over a real connection, with each verb; and each of them
cancelled before the failure, between two attempts, in the midst of the answer
and at any moment at all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from tests.acceptance.failing import (
    ANSWER,
    BEGUN,
    FAILURES,
    HALF,
    QUESTION,
    Ask,
    Failure,
    Gate,
    by_chat,
    by_generate,
    each_failing_call,
    each_failure,
    each_verb,
    failing,
    history,
)
from tests.acceptance.reading import state, texts
from tract import AsyncTract, DialogueContent
from tract.errors import ModelError
from tract.testing.server import Raw

Leave: TypeAlias = Callable[[Awaitable[object], asyncio.Event], Awaitable[None]]


async def by_cancel(call: Awaitable[object], moment: asyncio.Event) -> None:
    task = asyncio.ensure_future(call)
    await moment.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_time_out(call: Awaitable[object], moment: asyncio.Event) -> None:
    async def run_out(scope: asyncio.Timeout) -> None:
        await moment.wait()
        scope.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as scope:
            running_out = asyncio.ensure_future(run_out(scope))
            await call
    await running_out


each_way = pytest.mark.parametrize("leave", [by_cancel, by_time_out])


async def said_off_the_branch(t: AsyncTract, commit: str | None) -> str:
    """Return what an assistant is recorded to have said, by its commit."""
    if commit is None:
        return ""
    content = (await t.show(commit)).content
    assert isinstance(content, DialogueContent)
    return str(content.text)


@each_failing_call
async def test_a_call_that_fails_is_a_typed_error_that_names_what_was_kept(failure: Failure, ask: Ask) -> None:
    async with failing(failure.behaviour) as (t, server, _):
        before = await state(t)
        with pytest.raises(failure.error) as caught:
            await ask(t, **failure.options)
        error = caught.value
        assert (type(error), await state(t), len(server.requests)) == (failure.error, before, failure.requests)
        assert {name: getattr(error, name) for name in failure.facts} == failure.facts
        assert "secret" not in f"{error}{error!r}"
        if error.question is not None:
            assert (await t.show(error.question)).content == DialogueContent("user", QUESTION)
        assert (error.question is None) == (len(history(ask)) == 2)
        assert await said_off_the_branch(t, error.partial) == failure.partial
        (info,) = await t.generations()
        assert (info.id, info.status, info.text) == (error.generation, "failed", failure.partial)
        assert info.finish_reason == failure.error.__name__


@each_failing_call
async def test_who_asks_again_after_a_failure_has_asked_once(failure: Failure, ask: Ask) -> None:
    async with failing(failure.behaviour) as (t, server, provider):
        for _ in range(2):
            with pytest.raises(failure.error):
                await ask(t, **failure.options)
        provider.mend()
        assert await ask(t) == ANSWER
        assert await texts(t) == history(ask)
        assert len(await t.log()) == len(history(ask))
        sent = [message["content"] for message in server.requests[-1].body["messages"]]
        assert sent == history(ask)[:-1]
        total = (await t.usage()).total
        assert (total.calls, total.calls - total.unreported >= 1) == (len(server.requests), True)


async def hung_up_and_unharmed(t: AsyncTract, before: object, *, seen: tuple[str, ...]) -> None:
    """The branch is where it was, and the call is over with one of the texts."""
    assert await state(t) == before
    (info,) = await t.generations()
    assert (info.status, info.finish_reason, info.text in seen) == ("cancelled", "cancelled", True)


@pytest.mark.parametrize(("leave", "ask"), [(by_cancel, by_chat), (by_time_out, by_generate)])
@each_failure
async def test_a_call_can_be_left_before_its_failure_comes(failure: Failure, ask: Ask, leave: Leave) -> None:
    async with failing(failure.behaviour) as (t, server, provider):
        before, gate = await state(t), Gate()
        provider.before = gate
        await leave(ask(t), gate.reached)
        await hung_up_and_unharmed(t, before, seen=("",))
        assert ((await t.usage()).total.calls, len(server.requests)) == (1, 1)
        provider.mend()
        await ask(t)
        assert await texts(t) == history(ask)


RETRIED = {name: failure for name, failure in FAILURES.items() if failure.requests > 1}


@each_way
@each_verb
@pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED)
async def test_a_call_can_be_left_between_its_attempts(failure: Failure, ask: Ask, leave: Leave) -> None:
    async with failing(failure.behaviour) as (t, server, provider):
        before, gate = await state(t), Gate()
        provider.asleep = gate
        await leave(ask(t, **failure.options), gate.reached)
        await hung_up_and_unharmed(t, before, seen=("",))
        assert ((await t.usage()).total.calls, len(server.requests)) == (1, 1)
        provider.mend()
        await ask(t)
        assert await texts(t) == history(ask)


@each_way
@each_verb
async def test_a_call_can_be_left_in_the_midst_of_its_answer(ask: Ask, leave: Leave) -> None:
    gate = Gate()
    async with failing(Raw([BEGUN, gate])) as (t, server, provider):
        before = await state(t)
        await leave(ask(t), gate.reached)
        await hung_up_and_unharmed(t, before, seen=("", HALF))
        assert ((await t.usage()).total.calls, len(server.requests)) == (1, 1)
        gate.open()
        provider.mend()
        await ask(t)
        assert await texts(t) == history(ask)


MOMENTS = [*((by_chat, steps) for steps in (0, 1, 3, 8, 21, 55)), (by_generate, 13)]


@pytest.mark.parametrize(("ask", "steps"), MOMENTS)
@each_failure
async def test_a_call_can_be_cancelled_at_any_moment_of_its_failure(failure: Failure, ask: Ask, steps: int) -> None:
    async with failing(failure.behaviour) as (t, _, provider):
        before = await state(t)
        call = asyncio.ensure_future(ask(t, **failure.options))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        # Whoever was faster: the failure, or who gave up.
        assert call.cancelled() or isinstance(call.exception(), ModelError)
        assert await state(t) == before
        assert {info.status for info in await t.generations()} <= {"cancelled", "failed"}
        provider.mend()
        await ask(t)
        assert await texts(t) == history(ask)
