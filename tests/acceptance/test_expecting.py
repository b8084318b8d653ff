"""Story: a caller says where the branch must be, and nothing is written where it is not."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, started_outside, state, texts
from tract import ABSENT, AsyncTract, CommitInfo
from tract.errors import AmbiguousRefError, HeadMovedError, RefNotFoundError

Call = Callable[[AsyncTract, Any], Awaitable[CommitInfo]]
OPERATION = str(uuid.UUID(int=1))


async def batched(t: AsyncTract, expect: Any) -> CommitInfo:
    async with t.batch(expect=expect):
        return await t.user("said")


async def begun(t: AsyncTract) -> CommitInfo:
    """Write a slot and a change of it; return the head."""
    await t.user("one")
    return await t.pin("HEAD")


APPENDS: dict[str, Call] = {
    "commit": lambda t, expect: t.commit("said", expect=expect),
    "system": lambda t, expect: t.system("said", expect=expect),
    "user": lambda t, expect: t.user("said", expect=expect),
    "assistant": lambda t, expect: t.assistant("said", expect=expect),
    "tool_result": lambda t, expect: t.tool_result("c1", "said", expect=expect),
    "batch": batched,
}
CHANGES: dict[str, Call] = {
    "commit with operation edit": lambda t, expect: t.commit("said", operation="edit", target="main~1", expect=expect),
    "edit": lambda t, expect: t.edit("main~1", "said", expect=expect),
    "annotate": lambda t, expect: t.annotate("main~1", "important", expect=expect),
    "pin": lambda t, expect: t.pin("main~1", expect=expect),
    "skip": lambda t, expect: t.skip("main~1", expect=expect),
    "revert": lambda t, expect: t.revert("main", expect=expect),
}
CALLS = {**APPENDS, **CHANGES}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@every_call
async def test_a_branch_that_is_where_it_is_expected_is_written_to(t: AsyncTract, call: Call) -> None:
    head = await begun(t)
    assert (await call(t, head.id)).parents == (head.id,)


@every_call
@pytest.mark.parametrize("ref", ["HEAD", "main", "prefix"])
async def test_what_is_expected_may_be_any_ref(t: AsyncTract, call: Call, ref: str) -> None:
    head = await begun(t)
    assert (await call(t, head.id[:10] if ref == "prefix" else ref)).parents == (head.id,)


@every_call
async def test_a_branch_that_is_elsewhere_is_left_as_it_is(t: AsyncTract, call: Call) -> None:
    expected = await t.user("zero")
    head = await begun(t)
    before = await state(t)
    with pytest.raises(HeadMovedError) as caught:
        await call(t, expected.id)
    assert (caught.value.branch, caught.value.expected, caught.value.actual) == ("main", expected.id, head.id)
    assert await state(t) == before


@every_call
async def test_a_branch_with_commits_is_left_as_it_is_where_none_is_expected(t: AsyncTract, call: Call) -> None:
    head = await begun(t)
    before = await state(t)
    with pytest.raises(HeadMovedError) as caught:
        await call(t, None)
    assert (caught.value.expected, caught.value.actual) == (None, head.id)
    assert await state(t) == before


@pytest.mark.parametrize("call", APPENDS.values(), ids=APPENDS)
async def test_none_expects_a_branch_without_commits_as_head_says_it(t: AsyncTract, call: Call) -> None:
    assert (await call(t, await t.head())).parents == ()


@pytest.mark.parametrize("call", APPENDS.values(), ids=APPENDS)
async def test_absent_expects_nothing(t: AsyncTract, call: Call) -> None:
    await t.user("one")
    await call(t, ABSENT)
    assert len(await t.log()) == 2


@every_call
async def test_a_ref_that_nothing_answers_to_is_refused(t: AsyncTract, call: Call) -> None:
    await begun(t)
    before = await state(t)
    with pytest.raises(RefNotFoundError):
        await call(t, "nowhere")
    assert await state(t) == before


@pytest.mark.parametrize("expect", [7, b"ab", ["HEAD"]])
async def test_what_is_no_ref_is_refused(t: AsyncTract, expect: Any) -> None:
    with pytest.raises(RefNotFoundError):
        await t.user("one", expect=expect)


async def test_a_prefix_that_fits_several_commits_is_refused(t: AsyncTract) -> None:
    seen: set[str] = set()
    while (prefix := (await t.user("again")).id[:4]) not in seen:
        seen.add(prefix)
    with pytest.raises(AmbiguousRefError):
        await t.user("one", expect=prefix)


async def test_of_tasks_that_expect_one_head_one_writes(t: AsyncTract) -> None:
    head = await t.user("one")
    outcomes = await asyncio.gather(*(t.user(f"{number}", expect=head.id) for number in range(20)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CommitInfo"] + ["HeadMovedError"] * 19
    assert len(await t.log()) == 2


async def test_of_tasks_that_change_one_slot_and_expect_one_head_one_writes(t: AsyncTract) -> None:
    head = await t.user("one")
    outcomes = await asyncio.gather(
        *(t.edit(head.id, f"{number}", expect=head.id) for number in range(20)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CommitInfo"] + ["HeadMovedError"] * 19


async def test_a_counter_kept_by_expecting_loses_no_step(t: AsyncTract) -> None:
    slot = await t.user("0")

    async def count_up() -> None:
        while True:
            head = await t.head()
            (message,) = (await t.compile(head)).messages
            try:
                await t.edit(slot.id, f"{int(str(message.content)) + 1}", expect=head)
            except HeadMovedError:
                continue
            return

    await asyncio.gather(*(count_up() for _ in range(10)))
    assert await texts(t) == ["10"]


@every_call
async def test_a_branch_that_another_process_moved_is_left_as_it_is(path: str, call: Call) -> None:
    async with AsyncTract.open(path) as t:
        head = await begun(t)
        await from_elsewhere(path, lambda other: other.user("theirs"))
        with pytest.raises(HeadMovedError):
            await call(t, head.id)
        assert (await texts(t))[-1] == "theirs"


REPEATED: dict[str, Call] = {
    "user": lambda t, expect: t.user("said", expect=expect, operation_id=OPERATION),
    "edit": lambda t, expect: t.edit("main", "said", expect=expect, operation_id=OPERATION),
    "pin": lambda t, expect: t.pin("main", expect=expect, operation_id=OPERATION),
}


@pytest.mark.parametrize("again", ["the same", "the newest", "none"])
@pytest.mark.parametrize("call", REPEATED.values(), ids=REPEATED)
async def test_a_repeated_call_returns_the_first_result_whatever_it_expects(t: AsyncTract, call: Call, again: str) -> None:
    head = await t.user("one")
    first = await call(t, head.id)
    expect = {"the same": head.id, "the newest": first.id, "none": None}[again]
    assert await call(t, expect) == first
    assert len(await t.log()) == 2


async def test_a_call_that_was_refused_leaves_its_operation_id_free(t: AsyncTract) -> None:
    await t.user("one")
    with pytest.raises(HeadMovedError):
        await t.user("said", expect=None, operation_id=OPERATION)
    assert (await t.user("said", expect="HEAD", operation_id=OPERATION)).operation_id == OPERATION


async def test_a_ref_is_what_it_named_when_the_verb_was_called(t: AsyncTract) -> None:
    await begun(t)
    async with t.batch():
        waiting = [started_outside(call(t, "HEAD")) for call in (APPENDS["user"], CHANGES["edit"], batched)]
        for _ in range(3):
            await t.status()
        await t.user("first")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [HeadMovedError] * 3


async def test_inside_a_batch_the_last_commit_of_it_is_expected(t: AsyncTract) -> None:
    async with t.batch(expect=None):
        first = await t.user("one", expect=None)
        second = await t.edit(first.id, "two", expect=first.id)
        for refused in (t.user("x", expect=first.id), t.pin(first.id, expect=None), t.batch(expect=first.id).__aenter__()):
            with pytest.raises(HeadMovedError) as caught:
                await refused
            assert caught.value.actual == second.id
        async with t.batch(expect=second.id):
            await t.user("three", expect="HEAD")
    assert await texts(t) == ["two", "three"]


@pytest.mark.parametrize("verb", ["edit", "skip", "revert"])
async def test_the_same_call_made_twice_at_once_gets_the_same_commit(verb: str) -> None:
    for steps in range(40):
        async with AsyncTract.open() as t:
            slot = await t.user("one")
            if verb == "revert":
                slot = await t.edit(slot.id, "two")

            async def call(t: AsyncTract = t, target: str = slot.id) -> str:
                if verb == "edit":
                    return (await t.edit(target, "two", expect=target, operation_id=OPERATION)).id
                if verb == "skip":
                    return (await t.skip(target, expect=target, operation_id=OPERATION)).id
                return (await t.revert(target, operation_id=OPERATION)).id

            first = asyncio.create_task(call())
            for _ in range(steps):
                await asyncio.sleep(0)
            assert await call() == await first
