"""Story: somebody asks what a model would have been told at a moment of the past."""

import random
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tests.builders import uuid
from tract import AsyncTract, CompiledContext
from tract.errors import BranchTooYoungError, ContentValidationError
from tract.testing import FixedClock, ScriptedLLM

SECOND = timedelta(seconds=1)


async def moved(t: AsyncTract) -> datetime:
    """Return when the current branch moved last."""
    (info,) = [info for info in await t.branches() if info.is_current]
    return info.last_activity


async def at_time(t: AsyncTract, time: datetime) -> list[str]:
    return [str(message.content) for message in (await t.compile(at_time=time)).messages]


async def told(t: AsyncTract, clock: FixedClock, count: int = 3) -> list[datetime]:
    """Say numbers, a second apart; return when each was recorded."""
    times = []
    for number in range(count):
        clock.advance(1)
        await t.user(f"{number}")
        times.append(await moved(t))
    return times


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


async def test_a_time_gives_the_context_that_the_branch_had_then(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        times = await told(t, clock)
        assert [await at_time(t, time) for time in times] == [["0"], ["0", "1"], ["0", "1", "2"]]


async def test_inside_a_batch_a_time_gives_the_context_that_it_had_made_by_then(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        times = await told(t, clock)
        async with t.batch():
            times += await told(t, clock, 2)
            found = [await at_time(t, time) for time in (*times, times[-1] + SECOND, times[2] + SECOND / 2)]
    before = [["0"], ["0", "1"], ["0", "1", "2"]]
    inside = [["0", "1", "2", "0"], ["0", "1", "2", "0", "1"]]
    assert found == [*before, *inside, inside[-1], before[-1]]


async def test_inside_a_batch_a_clock_that_goes_back_hides_nothing(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        (time,) = await told(t, clock, 1)
        async with t.batch():
            for _ in range(2):
                clock.advance(-10)
                await t.user("back")
            assert [await at_time(t, each) for each in (time - SECOND / 2, time)] == [[], ["0", "back", "back"]]


async def test_inside_a_batch_that_comes_again_a_time_to_come_gives_what_it_made_by_then() -> None:
    async with AsyncTract.open() as t:
        await t.user("before")
        found: list[list[str]] = []
        for _ in range(2):
            async with t.batch(operation_id=uuid(1)):
                found.append(await at_time(t, datetime.now(UTC) + SECOND))
                await t.user("one")
                found.append(await at_time(t, datetime.now(UTC) + SECOND))
            await t.user("after")
    assert found == [["before"], ["before", "one"]] * 2


async def test_between_two_commits_the_earlier_one_holds(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        times = await told(t, clock)
        assert await at_time(t, times[1] + SECOND / 2) == ["0", "1"]
        assert await at_time(t, times[1] - timedelta(microseconds=1)) == ["0"]


async def test_a_time_to_come_gives_the_branch_as_it_is(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        await told(t, clock)
        assert await at_time(t, datetime.max.replace(tzinfo=UTC)) == ["0", "1", "2"]


async def test_before_its_first_commit_a_branch_compiles_to_nothing(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        (first,) = await told(t, clock, 1)
        context = await t.compile(at_time=first - SECOND / 2)
        assert (context.to_openai(), context.head, context.token_count) == ([], None, 3)


async def test_before_it_was_created_a_branch_says_when_it_began(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        times = await told(t, clock)
        clock.advance(1)
        await t.branch("other")
        began = await moved(t)
        with pytest.raises(BranchTooYoungError) as caught:
            await t.compile(at_time=times[2])
        assert (caught.value.branch, caught.value.began) == ("other", began)
        assert "began only at 2026-01-01T00:00:04." in str(caught.value)


async def test_a_branch_begins_with_the_commit_that_it_was_created_at(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        await told(t, clock)
        clock.advance(1)
        await t.branch("other", at="HEAD~1")
        began = await moved(t)
        clock.advance(1)
        await t.user("more")
        assert await at_time(t, began) == ["0", "1"]


async def test_the_time_is_that_of_the_branch_this_handle_is_on(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        await told(t, clock)
        await t.branch("other", at="HEAD~2")
        clock.advance(1)
        await t.user("aside")
        time = await moved(t)
        assert await at_time(t, time) == ["0", "aside"]
        await t.switch("main")
        assert await at_time(t, time) == ["0", "1", "2"]


async def test_an_edit_is_seen_from_its_time_on(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        before = (await told(t, clock, 1))[0]
        clock.advance(1)
        await t.edit("HEAD", "better")
        assert (await at_time(t, before), await at_time(t, await moved(t))) == (["0"], ["better"])


async def test_of_commits_of_one_microsecond_the_last_one_holds() -> None:
    async with AsyncTract.open(clock=FixedClock(step=0)) as t:
        for number in range(3):
            await t.user(f"{number}")
        assert await at_time(t, await moved(t)) == ["0", "1", "2"]


async def test_another_time_zone_is_the_same_moment(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        times = await told(t, clock)
        east = timezone(timedelta(hours=14))
        assert await at_time(t, times[1].astimezone(east)) == ["0", "1"]


async def test_the_context_of_a_time_is_that_of_the_commit(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock) as t:
        times = await told(t, clock)
        then, there = await t.compile(at_time=times[1]), await t.compile("HEAD~1")
        assert whole(then) == whole(there)


def whole(context: CompiledContext) -> tuple[Any, ...]:
    return (context.head, context.digest, context.payload_digest, context.token_count, context.token_source)


@pytest.mark.parametrize(
    "time",
    [datetime(2026, 1, 1), date(2026, 1, 1), "2026-01-01T00:00:00Z", 1_767_225_600],  # noqa: DTZ001
    ids=["naive", "a date", "a text", "a number"],
)
async def test_what_is_no_moment_is_refused(t: AsyncTract, time: Any) -> None:
    await t.user("one")
    with pytest.raises(ContentValidationError) as caught:
        await t.compile(at_time=time)
    assert caught.value.field == "at_time"


async def test_a_commit_and_a_time_at_once_are_refused(t: AsyncTract) -> None:
    await t.user("one")
    with pytest.raises(ContentValidationError) as caught:
        await t.compile("HEAD", at_time=await moved(t))
    assert caught.value.field == "at_time"


@pytest.mark.parametrize("seed", range(6))
async def test_on_every_branch_the_time_of_a_commit_gives_that_commit(path: str, seed: int) -> None:
    chance, clock = random.Random(f"times {seed}"), FixedClock()
    seen: dict[str, dict[datetime, tuple[Any, ...]]] = {}
    async with AsyncTract.open(path, clock=clock, durability="normal") as t:
        slot = (await t.user("begin")).id
        for number in range(80):
            # Sometimes no time passes, and sometimes the machine's clock is set back.
            clock.advance(chance.choice([-0.00001, 0, 0, 0.000003, 5]))
            kind = chance.random()
            if kind < 0.1:
                await t.branch(f"b{number}", at=chance.choice(await t.log(10)).id)
            elif kind < 0.25:
                await t.switch(chance.choice(await t.branches()).name)
            elif kind < 0.4:
                await t.skip(slot)
            else:
                await t.user(f"said {number}")
            seen.setdefault(t.current_branch or "", {})[await moved(t)] = whole(await t.compile())
    async with AsyncTract.open(path) as t:
        for branch, times in seen.items():
            await t.switch(branch)
            assert {time: whole(await t.compile(at_time=time)) for time in times} == times


async def test_a_question_on_no_branch_is_not_seen(clock: FixedClock) -> None:
    async with AsyncTract.open(clock=clock, llm=ScriptedLLM(["An answer."]), model="tiny") as t:
        await t.user("one")
        before = await moved(t)
        clock.advance(1)
        await t.chat("two")
        after = await moved(t)
        clock.advance(1)
        assert await at_time(t, after - timedelta(microseconds=1)) == await at_time(t, before) == ["one"]
        assert await at_time(t, after) == await texts(t)
