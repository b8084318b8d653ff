"""Story: work goes on in several directions, and each handle stands where it was put."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, previews, state, texts
from tests.builders import uuid
from tract import AsyncTract, BranchInfo
from tract.errors import (
    BranchExistsError,
    BranchNotFoundError,
    ClosedError,
    InvalidNameError,
    OperationMismatchError,
    RefNotFoundError,
    WrongLoopError,
)
from tract.testing import FixedClock

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


async def places(t: AsyncTract) -> dict[str, tuple[int, int, bool]]:
    return {info.name: (info.ahead, info.behind, info.is_current) for info in await t.branches()}


async def test_a_new_tract_stands_on_main_without_a_commit(t: AsyncTract) -> None:
    (info,) = await t.branches()
    assert (t.name, t.current_branch, t.is_detached, await t.head()) == ("main", "main", False, None)
    assert (info.name, info.head, info.is_current, info.ahead, info.behind) == ("main", None, True, 0, 0)


async def test_a_branch_begins_at_head_and_is_switched_to() -> None:
    async with AsyncTract.open(clock=FixedClock(step=0)) as t:
        first = await t.user("one")
        info = await t.branch("other")
        assert (info, t.current_branch) == (
            BranchInfo("other", first.id, is_current=True, ahead=0, behind=0, last_activity=NEW_YEAR),
            "other",
        )


async def test_a_branch_can_be_made_without_going_there(t: AsyncTract) -> None:
    await t.user("one")
    info = await t.branch("other", switch=False)
    assert (info.is_current, t.current_branch) == (False, "main")


@pytest.mark.parametrize("at", ["HEAD~1", "main~1"])
async def test_a_branch_can_begin_at_any_ref(t: AsyncTract, at: str) -> None:
    first = await t.user("one")
    await t.user("two")
    info = await t.branch("other", at=at)
    assert (info.head, await texts(t)) == (first.id, ["one"])


async def test_a_branch_can_begin_at_a_prefix(t: AsyncTract) -> None:
    first = await t.user("one")
    await t.user("two")
    assert (await t.branch("other", at=first.id[:16])).head == first.id


async def test_commits_go_to_the_current_branch_alone(t: AsyncTract) -> None:
    await t.user("one")
    await t.branch("other")
    await t.user("two")
    assert (await texts(t, "main"), await texts(t, "other")) == (["one"], ["one", "two"])


async def test_branches_are_compared_with_head(t: AsyncTract) -> None:
    await t.user("shared")
    await t.branch("other")
    for text in ("a", "b", "c"):
        await t.user(text)
    await t.switch("main")
    await t.user("mine")
    await t.branch("old", at="HEAD~1", switch=False)
    on_main = await places(t)
    await t.switch("other")
    assert (on_main, await places(t)) == (
        {"main": (0, 0, True), "old": (0, 1, False), "other": (3, 1, False)},
        {"main": (1, 3, False), "old": (0, 3, False), "other": (0, 0, True)},
    )


async def test_branches_say_when_they_last_moved() -> None:
    clock = FixedClock(step=0)
    async with AsyncTract.open(clock=clock) as t:
        await t.branch("other", switch=False)
        clock.advance(60)
        await t.user("one")
        moments = {info.name: info.last_activity for info in await t.branches()}
    assert moments == {"main": datetime(2026, 1, 1, 0, 1, tzinfo=UTC), "other": NEW_YEAR}


async def test_a_branch_can_be_read_by_people(t: AsyncTract) -> None:
    first = await t.user("one")
    await t.branch("other")
    await t.user("two")
    shown = [str(info) for info in await t.branches()]
    assert shown == [f"  main {first.id[:9]} [0 ahead, 1 behind]", f"* other {(await t.head() or '')[:9]}"]


async def test_switch_goes_back(t: AsyncTract) -> None:
    await t.user("one")
    await t.branch("other")
    await t.user("two")
    info = await t.switch("main")
    assert (info.name, info.is_current, t.current_branch, await texts(t)) == ("main", True, "main", ["one"])


async def test_switch_to_where_one_is_changes_nothing_seen(t: AsyncTract) -> None:
    await t.user("one")
    before = await t.branches()
    await t.switch("main")
    assert await t.branches() == before


async def test_reopening_stands_on_the_branch_where_it_was_left(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("one")
        await t.branch("other")
        await t.user("two")
    async with AsyncTract.open(path) as t:
        assert (t.current_branch, await texts(t)) == ("other", ["one", "two"])


async def test_a_taken_name_is_refused(t: AsyncTract) -> None:
    await t.user("one")
    await t.branch("other", switch=False)
    before = await state(t)
    for name in ("other", "main"):
        with pytest.raises(BranchExistsError) as caught:
            await t.branch(name)
        assert caught.value.branch == name
    assert await state(t) == before


@pytest.mark.parametrize("at", ["nothing", "HEAD~9", "f" * 64, "abc", ""])
async def test_a_branch_cannot_begin_at_nothing(t: AsyncTract, at: str) -> None:
    await t.user("one")
    before = await state(t)
    with pytest.raises(RefNotFoundError):
        await t.branch("other", at=at)
    assert await state(t) == before


BAD_NAMES: list[Any] = [
    "", " ", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "-a", "a/", "HEAD", "ORIG_HEAD", "a\n", "a\x00", "\x7f",
    "x" * 256, "\ud800", 5, None,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=map(ascii, BAD_NAMES))
async def test_a_name_that_could_not_be_told_from_a_ref_is_refused(t: AsyncTract, name: Any) -> None:
    await t.user("one")
    before = await state(t)
    with pytest.raises(InvalidNameError):
        await t.branch(name)
    assert await state(t) == before


@pytest.mark.parametrize("name", ["a", "feature/x", "déjà-vu", "日本", "x" * 255, "a.b", "@", "{}", "0123", "Main"])
async def test_other_names_are_fine(t: AsyncTract, name: str) -> None:
    first = await t.user("one")
    await t.branch(name)
    assert (t.current_branch, (await t.compile(name)).head) == (name, first.id)


async def test_a_missing_branch_is_refused_with_near_names(t: AsyncTract) -> None:
    await t.branch("feature", switch=False)
    before = await state(t)
    with pytest.raises(BranchNotFoundError) as caught:
        await t.switch("featrue")
    assert (caught.value.branch, caught.value.near, await state(t)) == ("featrue", ("feature",), before)


@pytest.mark.parametrize("name", ["nothing", "", 5, None, "HEAD", "HEAD~1", "\ud800"])
async def test_switch_takes_branches_only(t: AsyncTract, name: Any) -> None:
    await t.user("one")
    await t.user("two")
    before = await state(t)
    with pytest.raises(BranchNotFoundError):
        await t.switch(name)
    assert await state(t) == before


async def test_an_unborn_branch_can_be_left_and_come_back_to(t: AsyncTract) -> None:
    await t.branch("other")
    await t.user("on other")
    await t.switch("main")
    unborn = (await t.head(), await t.log(), await texts(t), await places(t))
    await t.user("on main")
    assert unborn == (None, (), [], {"main": (0, 0, True), "other": (1, 0, False)})
    assert (await texts(t, "main"), await texts(t, "other")) == (["on main"], ["on other"])


async def test_histories_without_a_common_commit_are_counted_whole(t: AsyncTract) -> None:
    await t.branch("other", switch=False)
    await t.user("a")
    await t.switch("other")
    for text in ("b", "c"):
        await t.user(text)
    assert await places(t) == {"main": (1, 2, False), "other": (0, 0, True)}


async def test_branches_off_branches_each_have_their_own_log_and_context(t: AsyncTract) -> None:
    expected: dict[str, list[str | None]] = {}
    for depth in range(12):
        if depth:
            await t.branch(f"b{depth}")
        await t.user(f"{depth}a")
        await t.user(f"{depth}b")
        await t.user(f"{depth}c")
        name = t.current_branch or ""
        expected[name] = [f"{level}{letter}" for level in range(depth) for letter in "ab"]
        expected[name] += [f"{depth}{letter}" for letter in "abc"]
        if depth < 11:
            await t.branch(f"step{depth}", at="HEAD~1")
    contexts = {name: await texts(t, name) for name in expected}
    logs = {name: [message.removeprefix("dialogue: ") for message in await previews(t, name)] for name in expected}
    assert (contexts, logs) == (expected, expected)


async def test_steps_back_go_across_many_forks(t: AsyncTract) -> None:
    line: list[str] = []
    for depth in range(40):
        if depth:
            await t.branch(f"b{depth}", at=line[-1])
        line += [(await t.user(f"{depth}.{number}")).id for number in range(depth % 3 + 1)]
        await t.user("beside the line")
    await t.branch("end", at=line[-1])
    found = [(await t.show(f"HEAD~{steps}")).info.id for steps in range(len(line))]
    with pytest.raises(RefNotFoundError):
        await t.show(f"HEAD~{len(line)}")
    assert found == line[::-1]


async def test_many_branches_at_one_commit(t: AsyncTract) -> None:
    first = await t.user("one")
    names = [f"b{number:02}" for number in range(50)]
    await asyncio.gather(*(t.branch(name, switch=False) for name in names))
    assert {info.name: info.head for info in await t.branches()} == dict.fromkeys([*names, "main"], first.id)


async def test_of_many_tasks_that_create_one_branch_one_wins(t: AsyncTract) -> None:
    await t.user("one")
    results = await asyncio.gather(*(t.branch("same") for _ in range(10)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["BranchExistsError"] * 9 + ["BranchInfo"]


async def test_commits_of_many_tasks_to_one_branch_all_land(t: AsyncTract) -> None:
    await asyncio.gather(*(t.user(f"{number}") for number in range(100)))
    said = await texts(t)
    assert sorted(map(str, said)) == sorted(map(str, range(100)))


async def test_edits_of_many_tasks_all_land(t: AsyncTract) -> None:
    slots = [await t.user(f"{number}") for number in range(20)]
    await asyncio.gather(*(t.edit(slot.id, f"edited {number}") for number, slot in enumerate(slots)))
    assert await texts(t) == [f"edited {number}" for number in range(20)]


async def test_edits_and_the_appends_of_another_process_all_land(path: str) -> None:
    async def append(other: AsyncTract) -> None:
        for number in range(30):
            await other.user(f"theirs {number}")

    async with AsyncTract.open(path) as t:
        slots = [await t.user(f"{number}") for number in range(30)]
        edits = [t.edit(slot.id, f"edited {number}") for number, slot in enumerate(slots)]
        await asyncio.gather(from_elsewhere(path, append), *edits)
        assert await texts(t) == [f"{whose} {number}" for whose in ("edited", "theirs") for number in range(30)]


async def test_a_worktree_has_a_head_of_its_own(t: AsyncTract) -> None:
    await t.user("one")
    await t.branch("other", switch=False)
    async with await t.worktree("other") as second:
        await second.user("two")
        assert (t.current_branch, second.current_branch) == ("main", "other")
        assert (await texts(t), await texts(second)) == (["one"], ["one", "two"])


async def test_switching_a_worktree_moves_no_other_handle(t: AsyncTract) -> None:
    await t.branch("a", switch=False)
    await t.branch("b", switch=False)
    async with await t.worktree("a") as second:
        await second.switch("b")
        assert (t.current_branch, second.current_branch) == ("main", "b")


async def test_two_handles_may_stand_on_one_branch(t: AsyncTract) -> None:
    async with await t.worktree("main", name="second") as second:
        await t.user("one")
        await second.user("two")
        await t.user("three")
        assert (await texts(t), await texts(second)) == (["one", "two", "three"],) * 2


async def test_a_worktree_is_of_the_same_type_and_tract(t: AsyncTract) -> None:
    async with await t.worktree("main", name="second") as second:
        assert (type(second), second.id, second.name) == (AsyncTract, t.id, t.name)


async def test_closing_a_worktree_leaves_the_tract_open(t: AsyncTract) -> None:
    second = await t.worktree("main", name="second")
    await second.aclose()
    await second.aclose()
    with pytest.raises(ClosedError):
        await second.user("closed")
    await t.user("open")
    assert await texts(t) == ["open"]


async def test_a_worktree_outlives_the_handle_it_was_made_from(path: str) -> None:
    t = await AsyncTract.open(path)
    second = await t.worktree("main", name="second")
    await t.aclose()
    await second.user("still here")
    assert await texts(second) == ["still here"]
    await second.aclose()


async def test_a_worktree_of_a_missing_branch_is_refused_and_leaks_nothing(t: AsyncTract) -> None:
    await t.branch("feature", switch=False)
    with pytest.raises(BranchNotFoundError) as caught:
        await t.worktree("featrue")
    assert caught.value.near == ("feature",)


async def test_a_worktree_name_that_could_not_be_written_is_refused(t: AsyncTract) -> None:
    with pytest.raises(InvalidNameError):
        await t.worktree("main", name="a b")


async def test_a_worktree_does_not_move_where_the_plain_open_stands(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.branch("other", switch=False)
        async with await t.worktree("other") as second:
            await second.user("one")
    async with AsyncTract.open(path) as t:
        assert t.current_branch == "main"


async def test_a_second_open_has_a_head_of_its_own(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as second:
        await t.branch("other")
        await t.user("one")
        assert (t.current_branch, second.current_branch, await texts(second)) == ("other", "main", [])


async def test_a_commit_of_another_process_is_seen_at_once(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("one")
        await from_elsewhere(path, lambda other: other.user("two"))
        await t.user("three")
        assert await texts(t) == ["one", "two", "three"]


async def test_a_handle_is_refused_in_another_event_loop(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with pytest.raises(WrongLoopError):
            await asyncio.to_thread(asyncio.run, t.status())


async def test_an_operation_id_of_another_branch_is_refused(t: AsyncTract) -> None:
    operation = "00000000-0000-0000-0000-000000000009"
    await t.branch("one", operation_id=operation)
    with pytest.raises(OperationMismatchError):
        await t.branch("two", operation_id=operation)
    assert sorted(await places(t)) == ["main", "one"]


@pytest.mark.parametrize("digits", ["0" * 64, "deadbeef" * 8])
async def test_a_branch_may_not_be_named_like_a_full_commit_id(t: AsyncTract, digits: str) -> None:
    before = await state(t)
    with pytest.raises(InvalidNameError, match="commit id"):
        await t.branch(digits)
    assert await state(t) == before


async def test_a_branch_may_not_be_named_like_the_commit_at_head(t: AsyncTract) -> None:
    said = await t.user("one")
    with pytest.raises(InvalidNameError):
        await t.branch(said.id)


Repeated = Callable[[AsyncTract], Awaitable[BranchInfo]]
AGAIN: list[Repeated] = [
    lambda t: t.branch("x", operation_id=uuid(1)),
    lambda t: t.switch("there", operation_id=uuid(1)),
]


@pytest.mark.parametrize("call", AGAIN, ids=["branch", "switch"])
async def test_a_repeated_move_takes_the_handle_to_its_branch_and_records_nothing(path: str, call: Repeated) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("one")
        await t.branch("there", switch=False)
        first = await call(t)
        await t.switch("main")
        again = await call(t)
        assert (again, t.current_branch) == (first, first.name)
    async with AsyncTract.open(path) as t:
        assert t.current_branch == "main"


@pytest.mark.parametrize("call", AGAIN, ids=["branch", "switch"])
async def test_calls_that_come_again_in_another_handle_write_where_they_did_the_first_time(path: str, call: Repeated) -> None:
    said = []
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as other:
        await t.user("one")
        await t.branch("there", switch=False)
        for handle in (t, other):
            await call(handle)
            said.append(await handle.user("two", operation_id=uuid(2)))
    assert said[0] == said[1]


async def test_a_repeated_branch_that_did_not_switch_does_not_switch(t: AsyncTract) -> None:
    for _ in range(2):
        await t.branch("x", switch=False, operation_id=uuid(1))
    assert t.current_branch == "main"


async def test_a_repeated_branch_at_a_relative_ref_is_the_first_one(t: AsyncTract) -> None:
    for text in ("one", "two", "three"):
        await t.user(text)
    first = await t.branch("y", at="HEAD~1", operation_id=uuid(1))
    assert await t.branch("y", at="HEAD~1", operation_id=uuid(1)) == first


Writing = Callable[[AsyncTract], Awaitable[object]]
ONCE: dict[str, Writing] = {
    "user": lambda t: t.user("x", operation_id=uuid(1)),
    "tool_result": lambda t: t.tool_result("c", "x", operation_id=uuid(1)),
    "edit": lambda t: t.edit("HEAD", "x", operation_id=uuid(1)),
    "skip": lambda t: t.skip("HEAD", operation_id=uuid(1)),
    "pin": lambda t: t.pin("HEAD", operation_id=uuid(1)),
    "record_usage": lambda t: t.record_usage({"prompt": 9, "completion": 1}, operation_id=uuid(1)),
}
ELSEWHERE: dict[str, Writing] = {
    **ONCE,
    "branch": lambda t: t.branch("x", operation_id=uuid(1)),
    "switch": lambda t: t.switch("main", operation_id=uuid(1)),
}


async def events(t: AsyncTract) -> int:
    return await t.read(lambda query: int(query("log.last_position")[0][0]))


@pytest.mark.parametrize("call", ONCE.values(), ids=ONCE)
async def test_the_same_call_on_another_branch_is_another_call(t: AsyncTract, call: Writing) -> None:
    await t.user("one")
    await t.branch("other", switch=False)
    await call(t)
    await t.switch("other")
    before = await state(t), await events(t)
    with pytest.raises(OperationMismatchError):
        await call(t)
    assert (await state(t), await events(t)) == before


@pytest.mark.parametrize("call", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_the_same_call_on_another_tract_is_another_call(path: str, call: Writing) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.user("one")
        await two.user("one")
        await call(one)
        before = await state(two), await events(two)
        with pytest.raises(OperationMismatchError):
            await call(two)
        assert (await state(two), await events(two)) == before


async def test_a_worktree_of_main_does_not_move_where_the_plain_open_stands(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("one")
        await t.branch("other", switch=False)
        async with await t.worktree("main") as second:
            await second.switch("other")
    async with AsyncTract.open(path) as t:
        assert t.current_branch == "main"


async def test_a_worktree_may_not_have_the_name_of_the_plain_handle(t: AsyncTract) -> None:
    await t.branch("other", switch=False)
    with pytest.raises(InvalidNameError, match="open"):
        await t.worktree("other", name="main")


@pytest.mark.parametrize(
    "call",
    [lambda t: t.user("word " * 1000), lambda t: t.edit("HEAD", "other", expect="HEAD"), lambda t: t.pin("HEAD", expect="HEAD")],
    ids=["user", "edit", "pin"],
)
async def test_a_verb_stays_on_the_branch_it_was_called_on_although_another_task_switches_the_handle(
    t: AsyncTract, call: Callable[[AsyncTract], Awaitable[object]]
) -> None:
    await t.user("before")
    await t.branch("side", switch=False)
    await t.user("on main")

    async def write() -> None:
        await call(t)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0)
    await t.switch("side")
    await writing
    assert (len(await t.log(at="main")), len(await t.log(at="side"))) == (3, 1)
