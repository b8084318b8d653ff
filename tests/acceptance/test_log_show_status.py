"""Story: people look at what was said, what a commit did, and what it all costs."""

import asyncio
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tract import (
    AsyncTract,
    CommitOperation,
    DialogueContent,
    InstructionContent,
    LLMConfig,
    Message,
    Priority,
    ToolCall,
)
from tract.errors import AmbiguousRefError, ContentValidationError, RefNotFoundError
from tract.testing import FixedClock


async def history(t: AsyncTract, count: int = 25) -> list[str]:
    """Commit a history with forks in its line; return the ids, newest first."""
    ids: list[str] = []
    for number in range(count):
        if number and number % 7 == 0:
            await t.user("beside the line")
            await t.branch(f"b{number}", at=ids[-1])
        if number % 5 == 4:
            ids.append((await t.pin(ids[0])).id)
        elif number % 5 == 3:
            ids.append((await t.edit(ids[0], f"edit {number}")).id)
        else:
            ids.append((await t.user(f"{number}")).id)
    return ids[::-1]


async def pages(t: AsyncTract, size: int, **options: Any) -> list[list[str]]:
    found: list[list[str]] = []
    page = await t.log(size, **options)
    while page:
        found.append([info.id for info in page])
        page = await t.log(size, cursor=page[-1].id, operation=options.get("operation"))
    return found


async def test_the_log_of_an_empty_tract_is_empty(t: AsyncTract) -> None:
    assert await t.log() == ()


async def test_the_log_is_newest_first_and_twenty_long(t: AsyncTract) -> None:
    ids = await history(t)
    assert [info.id for info in await t.log()] == ids[:20]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 24, 25, 26, 100])
async def test_pages_cover_everything_exactly_once(t: AsyncTract, size: int) -> None:
    ids = await history(t)
    found = await pages(t, size)
    assert [id for page in found for id in page] == ids
    assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("operation", [CommitOperation.EDIT, "annotate", "append"])
async def test_pages_of_one_operation_cover_it_exactly_once(t: AsyncTract, size: int, operation: Any) -> None:
    await history(t)
    expected = [info.id for info in await t.log(100) if info.operation == CommitOperation(operation)]
    found = await pages(t, size, operation=operation)
    assert ([id for page in found for id in page], len(expected) > 4) == (expected, True)


async def test_an_operation_that_never_was_gives_nothing(t: AsyncTract) -> None:
    await history(t)
    assert await t.log(operation="merge") == ()


async def test_the_log_can_begin_anywhere(t: AsyncTract) -> None:
    ids = await history(t)
    assert [info.id for info in await t.log(3, at="HEAD~4")] == ids[4:7]


async def test_the_log_of_another_branch_can_be_read(t: AsyncTract) -> None:
    await t.user("one")
    await t.branch("other")
    await t.user("two")
    assert [info.message for info in await t.log(at="main")] == ["dialogue: one"]


async def test_a_page_behind_the_first_commit_is_empty(t: AsyncTract) -> None:
    first = await t.user("one")
    assert await t.log(cursor=first.id) == ()


async def test_commits_that_come_meanwhile_do_not_disturb_the_pages(t: AsyncTract) -> None:
    ids = await history(t)
    first = await t.log(10)
    await t.user("meanwhile")
    second = await t.log(100, cursor=first[-1].id)
    assert [info.id for info in (*first, *second)] == ids


@pytest.mark.parametrize("limit", [0, -1, 1.0, True, "3", None, 2**63])
async def test_a_limit_that_makes_no_sense_is_refused(t: AsyncTract, limit: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.log(limit)
    assert caught.value.field == "limit"


@pytest.mark.parametrize(
    ("options", "field"), [({"operation": "comit"}, "operation"), ({"at": "HEAD", "cursor": "HEAD"}, "cursor")]
)
async def test_an_argument_that_makes_no_sense_is_refused(t: AsyncTract, options: dict[str, Any], field: str) -> None:
    await t.user("one")
    with pytest.raises(ContentValidationError) as caught:
        await t.log(**options)
    assert caught.value.field == field


@pytest.mark.parametrize("options", [{"at": "nothing"}, {"cursor": "nothing"}, {"cursor": "f" * 64}])
async def test_an_unknown_place_to_begin_is_refused(t: AsyncTract, options: dict[str, Any]) -> None:
    await t.user("one")
    with pytest.raises(RefNotFoundError):
        await t.log(**options)


async def test_the_log_is_what_the_verbs_returned(path: str) -> None:
    async with AsyncTract.open(path, actor="tester") as t:
        written = [
            await t.system("Be kind.", message="rule"),
            await t.user("Hi", metadata={"n": 1}),
            await t.assistant("Hi.", generation_config=LLMConfig(model="tiny")),
        ]
        written.append(await t.edit(written[1].id, "Hello"))
        written.append(await t.skip(written[1].id, reason="why"))
    async with AsyncTract.open(path) as t:
        assert list(reversed(await t.log())) == written


async def test_a_commit_reads_as_one_line(t: AsyncTract) -> None:
    info = await t.user("Hello there")
    assert str(info) == f"{info.id[:8]} append   dialogue: Hello there ({info.tokens} tokens)"


async def test_an_annotation_reads_as_one_line(t: AsyncTract) -> None:
    slot = await t.user("Hello there")
    info = await t.pin("HEAD", reason="the task")
    assert str(info) == f"{info.id[:8]} annotate pinned {slot.id[:8]}: the task"


async def test_show_has_what_a_commit_brought(t: AsyncTract) -> None:
    info = await t.system("Be kind.")
    detail = await t.show("HEAD")
    assert (detail.info, detail.content, detail.rendered, detail.reason, detail.retain) == (
        info,
        InstructionContent("Be kind."),
        Message("system", "Be kind."),
        None,
        None,
    )


async def test_an_append_reads_well() -> None:
    async with AsyncTract.open(clock=FixedClock(step=0), actor="tester") as t:
        info = await t.user("Hello\nthere")
        assert str(await t.show("HEAD")).splitlines() == [
            f"commit {info.id}",
            "time   2026-01-01T00:00:00+00:00",
            "actor  tester",
            "append  dialogue: Hello there",
            "",
            "    Hello",
            "    there",
        ]


async def test_an_edit_reads_well() -> None:
    async with AsyncTract.open(clock=FixedClock(step=0)) as t:
        slot = await t.user("Hello")
        info = await t.edit(slot.id, "Good day", message="kinder")
        assert str(await t.show("HEAD")).splitlines() == [
            f"commit {info.id}",
            "time   2026-01-01T00:00:00+00:00",
            "edit  kinder",
            f"on     {slot.id[:8]}",
            "",
            "    Good day",
        ]


async def test_an_annotation_reads_well() -> None:
    async with AsyncTract.open(clock=FixedClock(step=0)) as t:
        slot = await t.user("Hello")
        info = await t.skip(slot.id, reason="said twice")
        assert str(await t.show("HEAD")).splitlines() == [
            f"commit {info.id}",
            "time   2026-01-01T00:00:00+00:00",
            f"annotate  skip {slot.id[:8]}: said twice",
            f"on     {slot.id[:8]}",
            "reason said twice",
        ]


async def test_tool_calls_read_well(t: AsyncTract) -> None:
    await t.commit(DialogueContent("assistant", "Wait.", tool_calls=(ToolCall("a", "look", '{"x":1}'),)))
    assert str(await t.show("HEAD")).splitlines()[-3:] == ["", "    Wait.", '    -> look({"x":1})']


async def test_an_annotation_shows_what_it_sets(t: AsyncTract) -> None:
    slot = await t.user("Hello")
    await t.annotate(slot.id, "important", reason="names", retain=["anna"])
    detail = await t.show("HEAD")
    assert (detail.info.priority, detail.info.targets, detail.content, detail.rendered, detail.reason, detail.retain) == (
        Priority.IMPORTANT,
        (slot.id,),
        None,
        None,
        "names",
        ["anna"],
    )


@pytest.mark.parametrize("ref", ["nothing", "", "HEAD~1", "abc"])
async def test_show_of_nothing_is_refused(t: AsyncTract, ref: str) -> None:
    await t.user("one")
    with pytest.raises(RefNotFoundError):
        await t.show(ref)


async def test_show_takes_every_kind_of_ref(t: AsyncTract) -> None:
    first = await t.user("one")
    await t.user("two")
    await t.branch("other", at="HEAD~1")
    shown = [(await t.show(ref)).info for ref in ("HEAD", "other", "main~1", first.id, first.id[:20])]
    assert shown == [first] * 5


async def test_an_ambiguous_prefix_lists_the_commits(t: AsyncTract) -> None:
    seen: dict[str, str] = {}
    while True:
        info = await t.user("x")
        other = seen.setdefault(info.id[:4], info.id)
        if other != info.id:
            break
    with pytest.raises(AmbiguousRefError) as caught:
        await t.show(info.id[:4])
    assert {other, info.id} <= set(caught.value.ids)


async def test_the_status_of_an_empty_tract(t: AsyncTract) -> None:
    status = await t.status()
    assert (status.tract_id, status.name, status.branch, status.head, status.slots, status.token_count, status.token_source) == (
        t.id,
        "main",
        "main",
        None,
        0,
        3,
        "counted:o200k_base",
    )
    assert str(status) == "main on main at no commit yet: 0 slots, 3 tokens (counted:o200k_base)"


async def test_status_counts_what_compiles(t: AsyncTract) -> None:
    await t.system("Be kind.")
    await t.user("Hi")
    await t.skip("HEAD")
    info = await t.user("Hello")
    status, context = await t.status(), await t.compile()
    assert (status.head, status.slots, status.token_count) == (info.id, len(context), context.token_count)


async def test_status_leaves_out_what_only_compiling_knows(t: AsyncTract) -> None:
    await t.user("Hi")
    orphan = await t.tool_result("a", "found")
    status, context = await t.status(), await t.compile()
    assert (status.slots, status.token_count) == (len(context) + 1, context.token_count + (orphan.tokens or 0))


async def test_status_tells_of_one_branch_wherever_the_handle_goes_meanwhile(t: AsyncTract) -> None:
    await t.user("on both")
    await t.branch("other")
    await t.user("on the other one")
    heads = {branch.name: branch.head for branch in await t.branches()}
    for number in range(120):
        await t.switch("main")
        switching = asyncio.create_task(t.switch("other"))
        for _ in range(number):
            await asyncio.sleep(0)
        status = await t.status()
        await switching
        assert status.branch is not None
        assert heads[status.branch] == status.head


async def test_looking_changes_nothing(t: AsyncTract) -> None:
    await history(t)
    before = await t.log(100)
    await t.status()
    await t.show("HEAD")
    await t.branches()
    await t.compile()
    assert await t.log(100) == before
    assert len(await texts(t)) > 0


@pytest.mark.parametrize("ref", ["what I wrote", " secret", "secret\n", "main~ secret"])
async def test_a_ref_with_spaces_is_not_found_and_not_repeated(t: AsyncTract, ref: str) -> None:
    await t.user("one")
    with pytest.raises(RefNotFoundError) as caught:
        await t.show(ref)
    assert ref.strip() not in f"{caught.value}{caught.value!r}"


async def test_a_commit_in_the_place_of_its_id_is_not_found_and_not_repeated(t: AsyncTract) -> None:
    info: Any = await t.user("a secret plan")
    with pytest.raises(RefNotFoundError) as caught:
        await t.show(info)
    assert "secret" not in f"{caught.value}{caught.value!r}"
