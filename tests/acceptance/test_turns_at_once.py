"""Story: several tasks, handles and processes talk and write at once, and nothing is lost."""

import asyncio
import random
import sys

import pytest

from tests.acceptance.reading import from_elsewhere, texts
from tests.acceptance.scripting import Held, Talk, opened
from tract import (
    AsyncTract,
    ChatResponse,
    LLMConfig,
    ModelRequest,
)
from tract.errors import (
    BatchError,
    HeadMovedError,
    TurnInProgressError,
)
from tract.testing import ScriptedLLM


async def test_two_turns_on_one_branch_follow_one_another() -> None:
    running, most = 0, 0

    async def reply(request: ModelRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return f"Answer to {request.messages[-1]['content']}"

    async with opened(reply) as t:
        await asyncio.gather(*(t.chat(f"{number}") for number in range(10)))
        said = await texts(t)
        assert most == 1
        assert said == [text for number in range(10) for text in (f"{number}", f"Answer to {number}")]


async def test_turns_on_two_branches_run_at_once() -> None:
    both = asyncio.Barrier(2)

    async def reply(request: ModelRequest) -> str:
        await both.wait()
        return "Hello."

    async with opened(reply) as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, asyncio.timeout(5):
            await asyncio.gather(t.chat("one"), other.chat("two"))
        assert (await texts(t, "main"), await texts(t, "other")) == (
            ["Be kind.", "one", "Hello."],
            ["Be kind.", "two", "Hello."],
        )


async def test_an_append_of_another_task_waits_behind_the_turn() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        append = asyncio.create_task(t.user("later"))
        await t.status()
        assert not append.done()
        held.go_on.set()
        await asyncio.gather(turn, append)
        assert await texts(t) == ["Hi", "Half done.", "later"]


async def test_an_append_of_another_handle_waits_behind_the_turn(path: str) -> None:
    held = Held()
    async with opened(held, path) as t, AsyncTract.open(path) as other:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        append = asyncio.create_task(other.user("later"))
        await other.status()
        held.go_on.set()
        await asyncio.gather(turn, append)
        assert await texts(t) == ["Hi", "Half done.", "later"]


async def test_an_append_that_waited_goes_before_the_next_turn_of_the_same_task() -> None:
    held = Held()
    replies = iter([held(ModelRequest([], LLMConfig())), "Second."])

    async def two_turns(t: AsyncTract) -> None:
        await t.chat("one")
        await t.chat("two")

    async with opened(lambda _: next(replies)) as t:
        turns = asyncio.create_task(two_turns(t))
        await held.has_begun.wait()
        append = asyncio.create_task(t.user("between"))
        await t.status()
        held.go_on.set()
        await asyncio.gather(turns, append)
        assert await texts(t) == ["one", "Half done.", "between", "two", "Second."]


async def test_a_task_that_talks_and_one_that_writes_lose_nothing() -> None:
    async def talk(t: AsyncTract) -> None:
        for number in range(20):
            await t.chat(f"question {number}")

    async def write(t: AsyncTract) -> None:
        for number in range(20):
            await t.user(f"note {number}")

    async with opened(lambda _: "Answer.") as t:
        await asyncio.gather(talk(t), write(t))
        said = await texts(t)
        assert sorted(filter(None, said)) == sorted(
            [text for number in range(20) for text in (f"question {number}", f"note {number}", "Answer.")]
        )


@pytest.mark.parametrize("seed", range(5))
async def test_whoever_is_cancelled_the_others_come_through_and_nothing_is_torn(seed: int) -> None:
    chance = random.Random(seed)

    async def reply(request: ModelRequest) -> str:
        for _ in range(chance.randint(0, 3)):
            await asyncio.sleep(0)
        return f"Answer to {request.messages[-1]['content']}"

    async with opened(reply) as t:
        calls = [t.chat(f"{n}") if chance.random() < 0.5 else t.user(f"note {n}") for n in range(60)]
        tasks = [asyncio.create_task(call) for call in calls]
        for task in chance.sample(tasks, 25):
            for _ in range(chance.randint(0, 6)):
                await asyncio.sleep(0)
            task.cancel()
        async with asyncio.timeout(10):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [result for result in results if isinstance(result, Exception)]
        said = await texts(t)
        questions = [text for text in said if text and text.isdigit()]
        answered = [said[said.index(question) + 1] for question in questions]
        finished = {f"{n}" for n, result in enumerate(results) if isinstance(result, ChatResponse)}
        assert failed == []
        assert answered == [f"Answer to {question}" for question in questions]
        assert (finished <= set(questions), len(said)) == (True, len(set(said)))


async def test_an_append_to_another_branch_does_not_wait() -> None:
    held = Held()
    async with opened(held) as t:
        await t.branch("other", switch=False)
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        async with await t.worktree("other") as other:
            await other.user("at once")
        held.go_on.set()
        await turn
        assert (await texts(t), await texts(t, "other")) == (["Hi", "Half done."], ["at once"])


async def test_a_waiting_append_that_is_cancelled_writes_nothing() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        append = asyncio.create_task(t.user("later"))
        await t.status()
        append.cancel()
        held.go_on.set()
        await turn
        with pytest.raises(asyncio.CancelledError):
            await append
        assert await texts(t) == ["Hi", "Half done."]


async def test_an_edit_during_a_turn_puts_the_answer_on_top() -> None:
    held = Held()
    async with opened(held) as t:
        slot = await t.system("Be kind.")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        async with await t.worktree("main", name="second") as other:
            edited = await other.edit(slot.id, "Be brief.")
            pinned = await other.pin(slot.id)
        held.go_on.set()
        response = await turn
        answer, question, *rest = await t.log()
        assert (answer, answer.parents, question.parents) == (response.commit_info, (question.id,), (pinned.id,))
        assert [info.id for info in rest] == [pinned.id, edited.id, slot.id]
        assert await texts(t) == ["Be brief.", "Hi", "Half done."]


async def test_however_many_annotations_during_a_turn_put_the_answer_on_top(path: str) -> None:
    async def pin(other: AsyncTract) -> None:
        async with other.batch():
            for _ in range(1001):
                await other.pin(slot.id)

    async with opened(["Hello."], path) as t:
        slot = await t.system("Be kind.")
        async with t.stream("Hi") as stream:
            await from_elsewhere(path, pin)
            answer = await stream.finish()
        assert (await t.head(), await texts(t)) == (answer.commit_info.id, ["Be kind.", "Hi", "Hello."])


async def test_an_annotation_during_generate_puts_the_answer_on_top() -> None:
    held = Held()
    async with opened(held) as t:
        slot = await t.user("Hi")
        turn = asyncio.create_task(t.generate())
        await held.has_begun.wait()
        pinned = await t.pin(slot.id)
        held.go_on.set()
        assert ((await turn).commit_info.parents, await texts(t)) == ((pinned.id,), ["Hi", "Half done."])


async def test_what_is_on_top_after_an_edit_has_the_totals_of_its_context() -> None:
    held = Held()
    async with AsyncTract.open(llm=ScriptedLLM(held, reports_usage=False), model="tiny") as t:
        slot = await t.system("Be kind.")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await t.edit(slot.id, "Be so very brief that nobody understands a word.")
        held.go_on.set()
        await turn
        assert (await t.status()).token_count == (await t.compile()).token_count


async def test_an_append_of_another_process_during_a_turn_keeps_the_answer_off_the_branch(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        base = await t.user("before")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        held.go_on.set()
        with pytest.raises(HeadMovedError) as caught:
            await turn
        error = caught.value
        assert (error.branch, error.expected, error.actual) == ("main", base.id, await t.head())
        assert await texts(t) == ["before", "meanwhile"]
        assert error.answer is not None
        await t.branch("taken", at=error.answer)
        assert await texts(t) == ["before", "Hi", "Half done."]


async def test_an_append_of_a_program_of_its_own_keeps_the_answer_off_the_branch(path: str) -> None:
    script = """
import asyncio, sys
from tract import AsyncTract

async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        await t.user("meanwhile")

asyncio.run(main())
"""
    held = Held()
    async with opened(held, path) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", script, path)
        assert await program.wait() == 0
        held.go_on.set()
        with pytest.raises(HeadMovedError) as caught:
            await turn
        assert caught.value.answer is not None
        assert (await texts(t), await texts(t, caught.value.answer)) == (["meanwhile"], ["Hi", "Half done."])


async def test_an_edit_of_another_process_during_a_turn_puts_the_answer_on_top(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        await t.user("before")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.edit("HEAD", "edited"))
        held.go_on.set()
        await turn
        assert await texts(t) == ["edited", "Hi", "Half done."]


async def test_a_cancelled_turn_whose_branch_moved_still_ends_as_cancelled(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        turn = asyncio.create_task(t.chat("Hi", keep_partial=True))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        turn.cancel()
        await asyncio.wait([turn])
        assert turn.cancelled()
        assert await texts(t) == ["meanwhile"]


async def test_an_exception_in_the_block_is_not_replaced_when_the_branch_moved(path: str) -> None:
    async with opened([["One ", "two."]], path) as t:
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count", keep_partial=True) as stream:
                async for _ in stream:
                    await from_elsewhere(path, lambda other: other.user("meanwhile"))
                    raise ZeroDivisionError


async def test_breaking_off_when_the_branch_moved_says_where_the_partial_answer_is(path: str) -> None:
    async with opened([["One ", "two."]], path) as t:
        with pytest.raises(HeadMovedError) as caught:
            async with t.stream("Count") as stream:
                async for _ in stream:
                    await from_elsewhere(path, lambda other: other.user("meanwhile"))
                    break
        assert caught.value.answer is not None
        assert await texts(t, caught.value.answer) == ["Count", "One "]


async def test_the_first_turn_of_an_unborn_branch_loses_to_a_commit_of_another_process(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        held.go_on.set()
        with pytest.raises(HeadMovedError) as caught:
            await turn
        assert (caught.value.expected, await texts(t)) == (None, ["meanwhile"])


INSIDE: list[Talk] = [
    lambda t: t.user("x"),
    lambda t: t.tool_result("c", "x"),
    lambda t: t.commit("x"),
    lambda t: t.chat("x"),
    lambda t: t.generate(),
]


@pytest.mark.parametrize("call", INSIDE, ids=["user", "tool_result", "commit", "chat", "generate"])
async def test_adding_to_the_branch_from_inside_a_stream_block_is_refused(call: Talk) -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                with pytest.raises(TurnInProgressError):
                    await call(t)
        assert await texts(t) == ["Hi", "Hello."]


@pytest.mark.parametrize("call", INSIDE, ids=["user", "tool_result", "commit", "chat", "generate"])
async def test_adding_to_the_branch_from_inside_the_model_is_refused(call: Talk) -> None:
    async def reply(request: ModelRequest) -> str:
        with pytest.raises(TurnInProgressError):
            await call(t)
        return "Hello."

    async with opened(reply) as t:
        await t.chat("Hi")
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_task_started_inside_the_block_is_inside_too() -> None:
    async with opened(["Hello."]) as t, t.stream("Hi") as stream:
        with pytest.raises(TurnInProgressError):
            await asyncio.create_task(t.user("x"))
        async for _ in stream:
            pass


async def test_after_the_block_the_task_may_add_again() -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                pass
        await t.user("after")
        assert await texts(t) == ["Hi", "Hello.", "after"]


async def test_after_the_last_delta_the_task_may_add_inside_the_block() -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                pass
            await t.user("after")
        assert await texts(t) == ["Hi", "Hello.", "after"]


async def test_reading_and_editing_from_inside_a_block_is_allowed() -> None:
    async with opened(["Hello."]) as t:
        slot = await t.user("one")
        async with t.stream("Hi") as stream:
            async for _ in stream:
                await t.edit(slot.id, "ONE")
                assert await texts(t) == ["ONE"]
        assert await texts(t) == ["ONE", "Hi", "Hello."]


async def test_another_branch_can_be_written_from_inside_a_block() -> None:
    async with opened(["Hello."]) as t:
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, t.stream("Hi") as stream:
            async for _ in stream:
                await other.user("noted")
        assert (await texts(t), await texts(t, "other")) == (["Hi", "Hello."], ["noted"])


@pytest.mark.parametrize(("block", "error"), [("stream", TurnInProgressError), ("batch", BatchError)])
async def test_of_two_agents_that_write_to_each_others_branches_one_is_refused_and_none_waits_for_ever(
    block: str, error: type[Exception]
) -> None:
    both = asyncio.Barrier(2)

    async def work(own: AsyncTract, other: AsyncTract) -> None:
        async with own.batch() if block == "batch" else own.stream("Hi"):
            await both.wait()
            await other.user("noted")

    async with opened(["Hello.", "Hello."]) as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, asyncio.timeout(5):
            ended = await asyncio.gather(work(t, other), work(other, t), return_exceptions=True)
        assert sorted(map(type, ended), key=str) == sorted([type(None), error], key=str)
        assert "noted" in await texts(t, "main") + await texts(t, "other")


async def test_switching_during_a_turn_does_not_carry_the_answer_along() -> None:
    async with opened(["Hello there."]) as t:
        await t.branch("other", switch=False)
        async with t.stream("Hi") as stream:
            async for _ in stream:
                if t.current_branch == "main":
                    await t.switch("other")
        assert (await texts(t, "main"), await t.head()) == (["Hi", "Hello there."], None)
