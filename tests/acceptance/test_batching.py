"""Story: several changes are recorded once, all or nothing, and are seen from inside as they are made."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, started_outside, state, texts
from tests.acceptance.scripting import Held, opened
from tract import AsyncTract, BudgetReport, CommitInfo, DialogueContent, LLMConfig, Priority, TokenBudget, ToolCall
from tract.errors import (
    AmbiguousRefError,
    BatchError,
    BudgetExceededError,
    ClosedError,
    ContentValidationError,
    EditTargetError,
    HeadMovedError,
    OperationMismatchError,
    RefNotFoundError,
    TurnInProgressError,
)

Call = Callable[[AsyncTract], Awaitable[object]]
OPERATION = str(uuid.UUID(int=1))


async def settled(t: AsyncTract) -> None:
    """Let the other tasks come as far as they can."""
    for _ in range(3):
        await t.status()


async def write_everything(t: AsyncTract) -> list[CommitInfo]:
    """Write with every verb that a batch can hold."""
    asked = await t.user("Where is seat 12?", message="asked", metadata={"n": 1}, generation_config=LLMConfig(model="m"))
    call = DialogueContent("assistant", None, tool_calls=(ToolCall("c1", "look", "{}"),))
    infos = [
        await t.system("Be kind."),
        asked,
        await t.commit(call, generation_config=LLMConfig(model="m", temperature=0.5)),
        await t.tool_result("c1", {"seat": "12A"}, tool_name="look"),
        await t.assistant("word " * 1000),
        await t.edit(asked.id, "Where is seat 12A?"),
        await t.pin("HEAD~1", reason="long"),
        await t.skip("HEAD~3", reason="seen"),
        await t.annotate(asked.id, "important", retain=[1]),
        await t.revert("HEAD~1", message="not seen after all"),
        await t.commit("Be brief.", role="system", priority="normal"),
    ]
    return [infos[1], infos[0], *infos[2:]]


async def seen(t: AsyncTract) -> dict[str, Any]:
    """Return what every reading verb says."""
    context = await t.compile()
    entries = await t.log(100)
    return {
        "compile": (context.to_openai(), context.digest, context.head, context.token_count, list(context.commit_ids)),
        "configs": list(context.generation_configs),
        "log": entries,
        "edits": await t.log(100, operation="edit"),
        "pages": await t.log(2, cursor=entries[1].id),
        "show": [await t.show(info.id) for info in entries],
        "status": await t.status(),
        "head": await t.head(),
        "earlier": (await t.compile("HEAD~2")).to_dicts(),
    }


async def test_a_batch_is_one_operation_with_a_commit_for_each_verb(t: AsyncTract) -> None:
    async with t.batch() as batch:
        infos = await write_everything(t)
    assert {info.operation_id for info in await t.log(100)} == {batch.operation_id}
    assert batch.commit_ids == tuple(info.id for info in infos)


async def test_what_a_verb_returned_inside_is_what_the_log_says_afterwards(path: str) -> None:
    async with AsyncTract.open(path) as t, t.batch():
        infos = await write_everything(t)
    async with AsyncTract.open(path) as t:
        assert list(reversed(await t.log(100))) == infos


async def test_every_reading_verb_says_inside_what_it_says_afterwards(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("before")
        async with t.batch():
            await write_everything(t)
            inside = await seen(t)
        assert await seen(t) == inside
    async with AsyncTract.open(path) as t:
        assert await seen(t) == inside


async def test_every_reading_verb_says_inside_what_it_says_where_each_verb_is_recorded_alone() -> None:
    async with AsyncTract.open() as one, AsyncTract.open() as other:
        for t in (one, other):
            await t.user("before")
        async with one.batch():
            for number in range(5):
                await one.user(f"{number}")
                await other.user(f"{number}")
                assert (await one.compile()).payload_digest == (await other.compile()).payload_digest
                assert [info.message for info in await one.log()] == [info.message for info in await other.log()]
                here, there = await one.status(), await other.status()
                assert (here.slots, here.token_count) == (there.slots, there.token_count)


async def test_branches_move_inside_as_they_will_have_moved(t: AsyncTract) -> None:
    await t.user("before")
    await t.branch("side", switch=False)
    async with t.batch():
        last = await t.user("inside")
        inside = await t.branches()
    assert [(info.name, info.ahead, info.behind) for info in inside] == [("main", 0, 0), ("side", 0, 1)]
    assert inside[0].head == last.id
    assert [(info.name, info.head) for info in inside] == [(info.name, info.head) for info in await t.branches()]


@pytest.mark.parametrize("begun", [True, False], ids=["a branch with commits", "a branch without any"])
async def test_a_batch_goes_onto_a_branch_with_or_without_commits(t: AsyncTract, *, begun: bool) -> None:
    before = [(await t.user("before")).id] if begun else []
    async with t.batch():
        infos = [await t.user("one"), await t.user("two")]
    assert [info.parents for info in infos] == [tuple(before), (infos[0].id,)]
    assert [info.id for info in reversed(await t.log())] == [*before, *(info.id for info in infos)]


async def test_nobody_else_sees_a_batch_before_it_ends(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as other:
        await t.user("before")
        async with t.batch():
            await t.user("inside")
            assert await started_outside(texts(t)) == ["before"]
            assert await texts(other) == ["before"]
            assert await texts(t) == ["before", "inside"]
        assert await texts(other) == ["before", "inside"]


@pytest.mark.parametrize("ref", ["HEAD~1", "main~1", "id", "prefix"])
async def test_refs_of_commits_in_the_batch_resolve_inside(t: AsyncTract, ref: str) -> None:
    await t.user("before")
    async with t.batch():
        first = await t.user("first")
        await t.user("second")
        named = {"id": first.id, "prefix": first.id[:8]}.get(ref, ref)
        assert (await t.show(named)).info == first
        assert await texts(t, named) == ["before", "first"]


async def test_refs_reach_back_to_what_was_there_before_the_batch(t: AsyncTract) -> None:
    before = [await t.user("one"), await t.user("two")]
    async with t.batch():
        await t.user("three")
        assert (await t.show("HEAD~1")).info == before[1]
        assert (await t.show("HEAD~2")).info == before[0]
        with pytest.raises(RefNotFoundError):
            await t.show("HEAD~3")


async def test_a_prefix_that_fits_commits_inside_and_before_is_ambiguous(t: AsyncTract) -> None:
    before = {(await t.user("again")).id[:4] for _ in range(40)}
    async with t.batch():
        prefix = ""
        while prefix not in before:
            prefix = (await t.user("again")).id[:4]
        with pytest.raises(AmbiguousRefError):
            await t.show(prefix)


async def test_a_commit_of_a_batch_that_failed_is_not_found(t: AsyncTract) -> None:
    with pytest.raises(ZeroDivisionError):
        async with t.batch():
            lost = await t.user("lost")
            raise ZeroDivisionError
    with pytest.raises(RefNotFoundError):
        await t.show(lost.id)


async def test_a_slot_that_was_made_in_the_batch_can_be_changed_in_it(t: AsyncTract) -> None:
    async with t.batch():
        slot = await t.user("one")
        hidden = await t.user("two")
        await t.edit(slot.id, "three")
        await t.edit("HEAD", "four")
        await t.skip(hidden.id)
        await t.pin(slot.id)
    context = await t.compile()
    assert (context.to_dicts(), list(context.priorities)) == ([{"role": "user", "content": "four"}], [Priority.PINNED])


async def test_a_slot_from_before_can_be_changed_in_a_batch(t: AsyncTract) -> None:
    slot = await t.user("one")
    async with t.batch():
        await t.edit(slot.id, "two")
        await t.edit(slot.id, "three")
    assert await texts(t) == ["three"]


async def test_an_exception_records_nothing_and_passes_through(t: AsyncTract) -> None:
    await t.user("before")
    before = await state(t)
    with pytest.raises(ZeroDivisionError):
        async with t.batch():
            await write_everything(t)
            raise ZeroDivisionError
    assert await state(t) == before


async def test_after_a_batch_that_failed_the_handle_works_on(t: AsyncTract) -> None:
    with pytest.raises(ZeroDivisionError):
        async with t.batch():
            await t.user("lost")
            raise ZeroDivisionError
    async with t.batch():
        await t.user("kept")
    await t.user("more")
    assert await texts(t) == ["kept", "more"]


async def test_a_cancellation_records_nothing_and_passes_through(t: AsyncTract) -> None:
    before, is_inside = await state(t), asyncio.Event()

    async def write() -> None:
        async with t.batch():
            await t.user("lost")
            is_inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await is_inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await state(t) == before


async def test_a_verb_that_was_refused_and_caught_leaves_the_rest(t: AsyncTract) -> None:
    async with t.batch():
        await t.user("one")
        with pytest.raises(ContentValidationError):
            await t.user(" ")
        with pytest.raises(RefNotFoundError):
            await t.edit("nowhere", "x")
        await t.user("two")
    assert await texts(t) == ["one", "two"]


async def test_an_empty_batch_records_nothing(t: AsyncTract) -> None:
    await t.user("before")
    before = await state(t)
    async with t.batch() as batch:
        pass
    assert (await state(t), batch.commit_ids) == (before, ())


async def test_a_nested_batch_joins_the_outer_one(t: AsyncTract) -> None:
    async with t.batch() as outer:
        await t.user("one")
        async with t.batch() as inner:
            await t.user("two")
        assert await started_outside(texts(t)) == []
        await t.user("three")
    assert inner.operation_id == outer.operation_id
    assert {info.operation_id for info in await t.log()} == {outer.operation_id}
    assert await texts(t) == ["one", "two", "three"]


async def test_an_exception_that_leaves_a_nested_batch_lets_nothing_be_recorded(t: AsyncTract) -> None:
    with pytest.raises(BatchError, match="nested"):
        async with t.batch():
            await t.user("one")
            with pytest.raises(ZeroDivisionError):
                async with t.batch():
                    await t.user("two")
                    raise ZeroDivisionError
    assert await texts(t) == []


async def test_after_an_exception_left_a_nested_batch_nothing_more_is_taken(t: AsyncTract) -> None:
    with pytest.raises(BatchError):
        async with t.batch():
            with pytest.raises(ZeroDivisionError):
                async with t.batch():
                    raise ZeroDivisionError
            await t.user("one")


async def test_a_batch_is_entered_once(t: AsyncTract) -> None:
    batch = t.batch()
    async with batch:
        pass
    with pytest.raises(BatchError, match="once"):
        await batch.__aenter__()


CANNOT_BE_INSIDE: dict[str, Call] = {
    "chat": lambda t: t.chat("Hi"),
    "generate": lambda t: t.generate(),
    "stream": lambda t: t.stream("Hi").__aenter__(),
    "branch": lambda t: t.branch("side"),
    "switch": lambda t: t.switch("main"),
    "worktree": lambda t: t.worktree("main"),
    "record_usage": lambda t: t.record_usage({"prompt": 1}),
    "configure": lambda t: t.configure(budget=None),
}


@pytest.mark.parametrize("verb", CANNOT_BE_INSIDE)
async def test_what_a_batch_cannot_hold_is_refused_and_leaves_the_rest(verb: str) -> None:
    async with opened(["Hello.", "Hello."]) as t:
        await t.user("before")
        async with t.batch():
            await t.user("one")
            with pytest.raises(BatchError) as caught:
                await CANNOT_BE_INSIDE[verb](t)
            await t.user("two")
        assert caught.value.branch == "main"
        assert await texts(t) == ["before", "one", "two"]
        assert t.current_branch == "main"
        assert [info.name for info in await t.branches()] == ["main"]
        await t.chat("Hi")


@pytest.mark.parametrize(
    "call", [lambda t: t.user("x"), lambda t: t.pin("main"), lambda t: t.chat("x"), lambda t: t.batch().__aenter__()]
)
async def test_another_handle_on_the_branch_is_refused_inside_since_it_would_wait_for_itself(path: str, call: Call) -> None:
    async with opened(["Hello."], path) as t, opened(["Hello."], path) as other:
        await t.user("before")
        async with t.batch():
            await t.user("one")
            with pytest.raises(BatchError, match="call it after the block"):
                await call(other)
        assert await texts(other) == ["before", "one"]


async def test_a_handle_on_another_branch_writes_for_itself_inside_a_batch(t: AsyncTract) -> None:
    await t.user("before")
    await t.branch("side", switch=False)
    async with await t.worktree("side") as side:
        with pytest.raises(ZeroDivisionError):
            async with t.batch():
                await t.user("lost")
                await side.user("kept")
                raise ZeroDivisionError
    assert (await texts(t, "main"), await texts(t, "side")) == (["before"], ["before", "kept"])


async def test_batches_of_two_handles_on_two_branches_stand_beside_one_another(t: AsyncTract) -> None:
    await t.branch("side", switch=False)
    async with await t.worktree("side") as side, t.batch(), side.batch():
        await t.user("on main")
        await side.user("on the side")
        assert (await texts(t), await texts(side)) == (["on main"], ["on the side"])
    assert (await texts(t, "main"), await texts(t, "side")) == (["on main"], ["on the side"])


WAITING: dict[str, Call] = {
    "user": lambda t: t.user("later"),
    "edit": lambda t: t.edit("main", "later"),
    "pin": lambda t: t.pin("main"),
    "chat": lambda t: t.chat("later"),
}


@pytest.mark.parametrize("verb", WAITING)
async def test_what_another_task_writes_to_the_branch_waits_until_the_batch_ends(verb: str) -> None:
    async with opened(["Hello."]) as t:
        before = await t.user("before")
        async with t.batch():
            await t.user("one")
            task = started_outside(WAITING[verb](t))
            await settled(t)
            assert not task.done()
            await t.user("two")
        await task
        assert [info.message for info in await t.log(100)][-3:] == ["dialogue: two", "dialogue: one", "dialogue: before"]
        assert (await t.log(100))[-1] == before


async def test_what_waited_for_a_batch_goes_on_after_it_failed(t: AsyncTract) -> None:
    with pytest.raises(ZeroDivisionError):
        async with t.batch():
            await t.user("lost")
            task = started_outside(t.user("later"))
            await settled(t)
            raise ZeroDivisionError
    await task
    assert await texts(t) == ["later"]


async def test_batches_of_many_tasks_on_one_branch_follow_one_another(t: AsyncTract) -> None:
    async def write(task: int) -> None:
        async with t.batch():
            for number in range(5):
                await t.user(f"{task} {number}")

    await asyncio.gather(*(write(task) for task in range(10)))
    said = await texts(t)
    assert [said[at : at + 5] for at in range(0, 50, 5)] == [[f"{task} {number}" for number in range(5)] for task in range(10)]


async def test_batches_among_appends_edits_and_turns_of_other_tasks_all_land() -> None:
    async with opened(lambda _: "Hello.") as t:
        first = await t.user("first")

        async def batch(task: int) -> None:
            async with t.batch():
                for number in range(3):
                    await t.user(f"{task} {number}")

        calls = [
            call
            for number in range(10)
            for call in (batch(number), t.user(f"alone {number}"), t.edit(first.id, f"first {number}"), t.chat(f"ask {number}"))
        ]
        await asyncio.gather(*calls)
        said = await texts(t)
        assert len(said) == 1 + 10 * (3 + 1 + 2)
        for number in range(10):
            at = said.index(f"{number} 0")
            assert said[at : at + 3] == [f"{number} {step}" for step in range(3)]


async def test_a_batch_waits_for_the_turn_of_another_task() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()

        async def write() -> None:
            async with t.batch():
                await t.user("later")

        writing = asyncio.create_task(write())
        await settled(t)
        held.go_on.set()
        await asyncio.gather(turn, writing)
        assert await texts(t) == ["Hi", "Half done.", "later"]


async def test_a_batch_inside_a_turn_on_its_branch_is_refused() -> None:
    async with opened(["Hello."]) as t, t.stream("Hi") as answer:
        await anext(answer)
        with pytest.raises(TurnInProgressError):
            await t.batch().__aenter__()


async def test_tasks_that_end_inside_write_into_the_batch(t: AsyncTract) -> None:
    async with t.batch():
        await asyncio.gather(*(t.user(f"{number}") for number in range(10)))
        assert len(await texts(t)) == 10
        assert await started_outside(texts(t)) == []
    assert sorted(text or "" for text in await texts(t)) == [f"{number}" for number in range(10)]


async def test_changes_of_tasks_that_end_inside_are_planned_on_one_another(t: AsyncTract) -> None:
    async with t.batch():
        slots = [await t.user(f"{number}") for number in range(5)]
        await asyncio.gather(*(t.edit(slot.id, f"changed {number}") for number, slot in enumerate(slots)))
    assert await texts(t) == [f"changed {number}" for number in range(5)]


OUTLIVING: dict[str, Call] = {
    "user": lambda t: t.user("late"),
    "edit": lambda t: t.edit("main", "late"),
    "batch": lambda t: t.batch().__aenter__(),
    "switch": lambda t: t.switch("main"),
}


@pytest.mark.parametrize("verb", OUTLIVING)
async def test_a_task_that_outlives_the_block_it_was_started_in_is_refused(t: AsyncTract, verb: str) -> None:
    ended = asyncio.Event()

    async def write() -> object:
        await ended.wait()
        assert await texts(t) == ["one"]
        return await OUTLIVING[verb](t)

    async with t.batch():
        await t.user("one")
        task = asyncio.create_task(write())
    ended.set()
    with pytest.raises(BatchError, match="has ended"):
        await task
    assert await texts(t) == ["one"]


async def write_on(t: AsyncTract) -> AsyncIterator[CommitInfo]:
    async with t.batch():
        for number in range(10):
            yield await t.user(f"{number}")


async def test_after_a_generator_that_held_a_batch_was_left_its_task_writes_for_itself(t: AsyncTract) -> None:
    async for _ in write_on(t):
        break
    # Behind the batch, which asyncio ends in a task of its own.
    await started_outside(t.user("waited"))
    await t.user("later")
    await asyncio.gather(t.user("from a task"), t.pin("HEAD"))
    assert await texts(t) == ["waited", "later", "from a task"]


async def test_after_a_batch_that_another_task_left_is_recorded_its_task_writes_for_itself(t: AsyncTract) -> None:
    block = t.batch()
    await block.__aenter__()
    await t.user("one")
    await asyncio.create_task(block.__aexit__(None, None, None))
    await t.user("later")
    await asyncio.create_task(t.user("from a task"))
    assert await texts(t) == ["one", "later", "from a task"]


async def test_a_batch_stays_on_its_branch_although_another_task_switches_the_handle(t: AsyncTract) -> None:
    await t.user("before")
    await t.branch("side", switch=False)
    async with t.batch():
        await started_outside(t.switch("side"))
        await t.user("inside")
        assert (t.current_branch, await texts(t)) == ("main", ["before", "inside"])
        assert (await t.status()).branch == "main"
    assert t.current_branch == "side"
    assert (await texts(t, "main"), await texts(t, "side")) == (["before", "inside"], ["before"])


@pytest.mark.parametrize(
    "elsewhere",
    [lambda t: t.user("theirs"), lambda t: t.pin("main"), lambda t: t.edit("main", "theirs")],
    ids=["user", "pin", "edit"],
)
async def test_a_branch_that_another_process_moved_records_nothing(path: str, elsewhere: Call) -> None:
    async with AsyncTract.open(path) as t:
        base = await t.user("before")
        with pytest.raises(HeadMovedError) as caught:
            async with t.batch():
                await t.user("ours")
                await from_elsewhere(path, elsewhere)
                assert await texts(t) == ["before", "ours"]
                assert (await t.log())[1] == base
        theirs = await t.head()
        assert (caught.value.branch, caught.value.expected, caught.value.actual) == ("main", base.id, theirs)
        assert len(await t.log()) == 2
        assert "ours" not in await texts(t)


async def test_a_batch_that_lost_to_another_process_can_be_run_again(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with pytest.raises(HeadMovedError):
            async with t.batch():
                await t.user("ours")
                await from_elsewhere(path, lambda other: other.user("theirs"))
        async with t.batch():
            await t.user("ours")
        assert await texts(t) == ["theirs", "ours"]


async def test_an_empty_batch_does_not_mind_that_the_branch_moved(path: str) -> None:
    async with AsyncTract.open(path) as t:
        async with t.batch():
            await from_elsewhere(path, lambda other: other.user("theirs"))
            assert await texts(t) == []
        assert await texts(t) == ["theirs"]


async def test_what_the_same_task_wrote_just_before_is_the_base(path: str) -> None:
    async with AsyncTract.open(path) as t:
        writing = [asyncio.create_task(t.user(f"{number}")) for number in range(50)]
        await asyncio.sleep(0)
        async with t.batch():
            await t.user("last")
        await asyncio.gather(*writing)
        assert (await texts(t))[-1] == "last"
        assert len(await texts(t)) == 51


async def test_closing_inside_a_batch_ends_it_with_an_error_and_records_nothing(path: str) -> None:
    with pytest.raises(ClosedError):
        async with AsyncTract.open(path) as t, t.batch():
            await t.user("lost")
            await t.aclose()
    async with AsyncTract.open(path) as t:
        assert await texts(t) == []


async def test_closing_by_another_task_leaves_a_batch_that_can_only_fail(path: str) -> None:
    t = await AsyncTract.open(path)
    with pytest.raises(ClosedError):
        async with t.batch():
            await t.user("lost")
            await started_outside(t.aclose())
            for call in (t.user("x"), t.compile(), t.edit("HEAD", "x"), t.status()):
                with pytest.raises(ClosedError):
                    await call
    async with AsyncTract.open(path) as t:
        assert await texts(t) == []


async def test_closing_inside_an_empty_batch_is_no_error(path: str) -> None:
    async with AsyncTract.open(path) as t, t.batch():
        await t.aclose()


async def test_a_batch_on_a_closed_tract_is_refused(t: AsyncTract) -> None:
    await t.aclose()
    with pytest.raises(ClosedError):
        await t.batch().__aenter__()


async def twice(t: AsyncTract, write: Callable[[AsyncTract], Awaitable[list[CommitInfo]]]) -> list[list[CommitInfo]]:
    found = []
    for _ in range(2):
        async with t.batch(operation_id=OPERATION):
            found.append(await write(t))
    return found


async def test_an_operation_id_given_twice_gives_each_verb_its_first_commit_and_writes_once(t: AsyncTract) -> None:
    await t.user("before")
    first, second = await twice(t, write_everything)
    assert first == second
    assert len(await t.log(100)) == 1 + len(first)


async def test_a_repeated_batch_is_seen_from_inside_as_the_first_was(t: AsyncTract) -> None:
    await t.user("before")

    async def write(t: AsyncTract) -> list[Any]:
        looks: list[Any] = [await texts(t), await t.head()]
        for number in range(3):
            await t.user(f"{number}")
            looks += [await texts(t), await t.head(), (await t.log())[0], str(await t.status())]
            looks += [(info.name, info.head) for info in await t.branches()]
        return looks

    first, second = await twice(t, write)
    assert first == second


async def test_a_repeated_batch_writes_nothing_although_the_branch_has_moved_on(path: str) -> None:
    async def write(t: AsyncTract) -> list[CommitInfo]:
        return [await t.user("one"), await t.edit("HEAD", "two"), await t.pin("HEAD~1")]

    async with AsyncTract.open(path) as t, t.batch(operation_id=OPERATION, expect=None):
        first = await write(t)
    async with AsyncTract.open(path) as t:
        await t.edit(first[0].id, "three")
        before = await state(t)
        async with t.batch(operation_id=OPERATION, expect=None):
            assert await write(t) == first
        assert await state(t) == before


async def test_a_verb_that_was_refused_and_caught_is_so_again_in_a_repeated_batch(t: AsyncTract) -> None:
    async def write(t: AsyncTract) -> list[CommitInfo]:
        note = await t.user("one")
        marked = await t.pin(note.id)
        with pytest.raises(EditTargetError):
            await t.edit(marked.id, "x")
        return [note, marked, await t.user("two")]

    first, second = await twice(t, write)
    assert first == second


OTHER_CALLS: dict[str, list[str]] = {
    "other arguments": ["one", "three"],
    "fewer": ["one"],
    "more": ["one", "two", "three"],
    "none": [],
}


@pytest.mark.parametrize("words", OTHER_CALLS.values(), ids=OTHER_CALLS)
async def test_a_repeated_batch_of_other_calls_is_refused(t: AsyncTract, words: list[str]) -> None:
    async with t.batch(operation_id=OPERATION):
        for word in ("one", "two"):
            await t.user(word)
    before = await state(t)
    with pytest.raises(OperationMismatchError):
        async with t.batch(operation_id=OPERATION):
            for word in words:
                await t.user(word)
    assert await state(t) == before


async def test_an_operation_id_belongs_to_a_batch_or_to_a_verb(t: AsyncTract) -> None:
    async with t.batch(operation_id=OPERATION):
        await t.user("one")
    with pytest.raises(OperationMismatchError):
        await t.user("one", operation_id=OPERATION)
    other = str(uuid.UUID(int=2))
    await t.user("one", operation_id=other)
    with pytest.raises(OperationMismatchError):
        await t.batch(operation_id=other).__aenter__()


async def test_an_operation_id_of_a_batch_on_another_branch_is_refused(t: AsyncTract) -> None:
    async with t.batch(operation_id=OPERATION):
        await t.user("one")
    await t.branch("side")
    with pytest.raises(OperationMismatchError):
        await t.batch(operation_id=OPERATION).__aenter__()


async def test_an_operation_id_of_a_batch_that_failed_or_was_empty_is_free(t: AsyncTract) -> None:
    with pytest.raises(ZeroDivisionError):
        async with t.batch(operation_id=OPERATION):
            await t.user("lost")
            raise ZeroDivisionError
    async with t.batch(operation_id=OPERATION):
        pass
    async with t.batch(operation_id=OPERATION):
        await t.user("kept")
    assert await texts(t) == ["kept"]


async def test_one_operation_of_many_tasks_is_written_once(t: AsyncTract) -> None:
    async def write() -> str:
        async with t.batch(operation_id=OPERATION):
            return (await t.user("once")).id

    assert len({await task for task in [asyncio.create_task(write()) for _ in range(10)]}) == 1
    assert await texts(t) == ["once"]


async def test_one_operation_of_two_processes_is_written_once_and_the_slower_one_is_told(path: str) -> None:
    async def write(t: AsyncTract) -> CommitInfo:
        async with t.batch(operation_id=OPERATION):
            return await t.user("once")

    async with AsyncTract.open(path) as t:
        with pytest.raises(HeadMovedError):
            async with t.batch(operation_id=OPERATION):
                await t.user("once")
                await from_elsewhere(path, write)
        assert await write(t) == (await t.log())[0]
        assert await texts(t) == ["once"]


async def test_a_verb_inside_takes_no_operation_id_of_its_own(t: AsyncTract) -> None:
    async with t.batch():
        for call in (t.user("x", operation_id=OPERATION), t.pin("main", operation_id=OPERATION)):
            with pytest.raises(ContentValidationError) as caught:
                await call
            assert caught.value.field == "operation_id"
        with pytest.raises(ContentValidationError):
            await t.batch(operation_id=OPERATION).__aenter__()


async def test_an_operation_id_that_is_none_is_refused_when_the_block_is_entered(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError):
        await t.batch(operation_id="once").__aenter__()


async def test_a_batch_beyond_a_budget_that_rejects_records_nothing(t: AsyncTract) -> None:
    await t.user("before")
    await t.configure(budget=TokenBudget(30, action="reject"))
    before = await state(t)
    with pytest.raises(BudgetExceededError):
        async with t.batch():
            await t.user("short")
            await t.user("word " * 30)
    assert await state(t) == before


async def test_what_counts_for_a_budget_is_the_context_at_the_end_of_a_batch(t: AsyncTract) -> None:
    long = await t.user("word " * 20)
    await t.configure(budget=TokenBudget(40, action="reject"))
    async with t.batch():
        await t.user("word " * 20)
        await t.skip(long.id)
    assert len(await texts(t)) == 1


async def test_results_in_a_batch_are_never_refused_by_a_budget(t: AsyncTract) -> None:
    await t.commit(DialogueContent("assistant", None, tool_calls=(ToolCall("c1", "look", "{}"),)))
    await t.configure(budget=TokenBudget(20, action="reject"))
    async with t.batch():
        await t.tool_result("c1", "word " * 50)
        await t.pin("HEAD")
    assert len(await texts(t)) == 2


async def test_a_result_beyond_a_budget_is_recorded_with_what_its_batch_holds_besides() -> None:
    told: list[int] = []

    async def on_budget(report: BudgetReport) -> None:
        told.append(report.tokens)

    async with AsyncTract.open(budget=TokenBudget(40, action="reject"), on_budget=on_budget) as t:
        async with t.batch():
            await t.user("short")
            await t.tool_result("c1", "word " * 100)
        status = await t.status()
        assert (status.slots, told) == (2, [status.token_count])


async def test_what_the_caller_adds_in_a_batch_is_held_against_the_budget_without_its_results() -> None:
    async with AsyncTract.open(budget=TokenBudget(40, action="reject")) as t:
        with pytest.raises(BudgetExceededError) as caught:
            async with t.batch():
                await t.tool_result("c1", "word " * 100)
                await t.user("word " * 50)
        assert (40 < caught.value.tokens < 100, await t.log()) == (True, ())


async def test_a_batch_beyond_its_budget_is_told_of_once_when_the_branch_is_free_again() -> None:
    told: list[BudgetReport] = []

    async def on_budget(report: BudgetReport) -> None:
        told.append(report)
        await t.skip(report.commit or "HEAD")

    async with AsyncTract.open(budget=TokenBudget(10), on_budget=on_budget) as t:
        async with t.batch() as batch:
            await t.user("word " * 20)
            await t.user("word " * 20)
            assert told == []
        assert [report.commit for report in told] == [batch.commit_ids[-1]]
        assert len(await texts(t)) == 1
