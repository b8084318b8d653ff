"""Story: what happened here, call by call, newest first?"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.scripting import Held, opened
from tests.builders import uuid
from tests.children import streaming
from tract import AsyncTract, LLMConfig, TimelineEntry
from tract.errors import ContentValidationError, ModelConnectionError
from tract.testing import Cut, FixedClock


async def did(t: AsyncTract, **options: Any) -> list[dict[str, int]]:
    return [dict(entry.did) for entry in await t.timeline(**options)]


async def test_a_new_tract_has_its_beginning(t: AsyncTract) -> None:
    assert await did(t) == [{"tract.created": 1, "branch.created": 1, "head.moved": 1}]


async def test_a_commit_is_an_operation_with_all_there_is_to_know() -> None:
    clock = FixedClock(1_700_000_000_000_000, step=0)
    async with AsyncTract.open(clock=clock, actor="ann") as t:
        info = await t.user("Hi")
        entry, _ = await t.timeline()
        assert entry == TimelineEntry(
            operation_id=info.operation_id,
            tract_id=t.id,
            time=datetime.fromtimestamp(1_700_000_000, UTC),
            actor="ann",
            did={"append": 1},
            branch="main",
            commit=info.id,
            tokens=info.tokens,
        )


async def test_operations_are_there_as_soon_as_they_returned(t: AsyncTract) -> None:
    for _ in range(20):
        info = await t.user("Hi")
        (newest,) = await t.timeline(1)
        assert newest.commit == info.id


async def test_each_verb_is_one_entry_newest_first() -> None:
    async with opened(["Hello."]) as t:
        slot = await t.user("Hi")
        await t.edit(slot.id, "Hello")
        await t.pin(slot.id)
        await t.branch("side")
        await t.switch("main")
        await t.configure(llm_config=LLMConfig(seed=1))
        await t.record_usage({"prompt": 5})
        assert await did(t) == [
            {"usage.recorded": 1},
            {"tract.configured": 1},
            {"head.moved": 1},
            {"branch.created": 1, "head.moved": 1},
            {"annotate": 1},
            {"edit": 1},
            {"append": 1},
            {"tract.created": 1, "branch.created": 1, "head.moved": 1},
        ]


async def test_a_turn_is_one_entry_with_its_verb_and_how_it_ended() -> None:
    async with opened(["Hello."]) as t:
        response = await t.chat("Hi")
        entry = (await t.timeline(1))[0]
        question = await t.show(response.commit_info.parents[0])
        cost = [info.tokens for info in (question.info, response.commit_info)]
        assert (entry.verb, entry.status, entry.branch, entry.did) == ("chat", "completed", "main", {"append": 2})
        assert entry.commit == response.commit_info.id
        assert entry.tokens == sum(tokens or 0 for tokens in cost)


async def test_a_turn_that_failed_names_the_branch_it_was_for() -> None:
    async with opened([Cut(["Half "], ModelConnectionError())]) as t:
        await t.user("Base")
        with pytest.raises(ModelConnectionError):
            await t.chat("Hi")
        entry = (await t.timeline(1))[0]
        assert (entry.verb, entry.status, entry.branch) == ("chat", "failed", "main")


async def test_the_commits_of_a_turn_that_failed_are_said_to_be_beside_its_branch() -> None:
    async with opened([Cut(["Half "], ModelConnectionError())]) as t:
        with pytest.raises(ModelConnectionError):
            await t.chat("Hi")
        entry = (await t.timeline(1))[0]
        assert entry.is_beside
        assert " 2 appends beside main at " in str(entry)


async def test_the_commits_of_a_turn_that_completed_are_said_to_be_on_its_branch() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        assert " on main at " in str((await t.timeline(1))[0])


async def test_an_entry_counts_what_was_done_in_the_plural(t: AsyncTract) -> None:
    async with t.batch():
        slots = [await t.user(f"{number}") for number in range(2)]
        await t.edit(slots[0].id, "zero")
    assert " 2 appends, edit on main at " in str((await t.timeline(1))[0])


async def test_a_turn_that_runs_stands_where_it_began_and_says_so() -> None:
    held = Held()
    async with opened(held) as t:
        await t.user("Base")
        running = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await t.branch("meanwhile", switch=False)
        newest, turn, *_ = await t.timeline()
        assert (newest.did, turn.verb, turn.status) == ({"branch.created": 1}, "chat", "running")
        held.go_on.set()
        response = await running
        _, turn, *_ = await t.timeline()
        assert (turn.status, turn.commit) == ("completed", response.commit_info.id)


async def test_a_turn_that_was_left_is_shown_as_cancelled() -> None:
    async with opened(Held(after=())) as t:
        async with t.stream("Hi") as stream:
            await anext(stream)
        assert [entry.status for entry in await t.timeline(1)] == ["cancelled"]


async def test_a_turn_whose_process_died_is_shown_as_interrupted_before_anybody_recorded_that(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("Base")
        with streaming(path) as child:
            child.stream("one")
            assert [entry.status for entry in await t.timeline(1)] == ["running"]
            child.kill()
        assert [(entry.verb, entry.status) for entry in await t.timeline(1)] == [("stream", "interrupted")]


async def test_a_batch_is_one_entry_that_counts_what_it_did(t: AsyncTract) -> None:
    async with t.batch():
        slots = [await t.user(f"{number}") for number in range(5)]
        last = await t.edit(slots[0].id, "zero")
    entry = (await t.timeline(1))[0]
    assert (entry.did, entry.commit, entry.branch) == ({"append": 5, "edit": 1}, last.id, "main")


async def test_what_is_in_an_open_batch_is_not_there_yet(t: AsyncTract) -> None:
    before = await t.timeline()
    async with t.batch():
        await t.user("Hi")
        assert await t.timeline() == before
    assert len(await t.timeline()) == len(before) + 1


async def test_pages_follow_one_another_without_gap_or_repeat() -> None:
    async with opened(lambda _: "Yes.") as t:
        for number in range(6):
            await t.user(f"{number}")
            await t.chat("Well?")
            async with t.batch():
                await t.user("a")
                await t.user("b")
        whole = await t.timeline(1000)
        pages: list[TimelineEntry] = []
        while page := await t.timeline(4, cursor=pages[-1].operation_id if pages else None):
            pages += page
        assert tuple(pages) == whole
        assert len(whole) == 19


async def test_each_tract_of_a_store_has_its_own_and_the_store_all(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        said = [(await each.user("Hi")).operation_id for each in (one, two, one, two, two)]
        assert [entry.operation_id for entry in await one.timeline(2)] == [said[2], said[0]]
        assert [entry.operation_id for entry in await two.timeline(3, scope="family")] == [said[4], said[3], said[1]]
        whole = await one.timeline(scope="store")
        assert [entry.operation_id for entry in whole[:5]] == said[::-1]
        assert {entry.tract_id for entry in whole} == {one.id, two.id}
        assert await one.timeline(scope="store", cursor=said[1]) == whole[4:]


async def test_a_cursor_of_another_tract_is_refused(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        info = await one.user("Hi")
        with pytest.raises(ContentValidationError):
            await two.timeline(cursor=info.operation_id)
        with pytest.raises(ContentValidationError):
            await two.timeline(cursor=info.operation_id, scope="family")


async def test_entries_read_well() -> None:
    clock = FixedClock(int(datetime(2026, 3, 1, 9, 30, tzinfo=UTC).timestamp()) * 10**6)
    async with opened(["Hello."], clock=clock, actor="ann") as t:
        info = await t.user("Hi")
        response = await t.chat("Hi?")
        async with t.batch():
            await t.user("a")
            await t.pin((await t.user("b")).id)
        batch, turn, commit, begin = (f"{entry}" for entry in await t.timeline())
        at = "2026-03-01 09:30:00+00:00"
        assert begin == f"{at} tract.created, branch.created, head.moved on main by ann"
        assert commit == f"{at} append on main at {info.id[:8]} ({info.tokens} tokens) by ann"
        assert turn.startswith(f"{at} chat completed: 2 appends on main at {response.commit_info.id[:8]} (")
        assert batch.startswith(f"{at} 2 appends, annotate on main at ")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("limit", {"limit": 0}),
        ("limit", {"limit": True}),
        ("limit", {"limit": 10**9}),
        ("cursor", {"cursor": "nothing"}),
        ("cursor", {"cursor": uuid(7)}),
        ("scope", {"scope": "world"}),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(t: AsyncTract, field: str, options: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.timeline(**options)
    assert caught.value.field == field
