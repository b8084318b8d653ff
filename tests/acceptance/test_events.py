"""Story: somebody watches the log: all that was recorded, then each event as it comes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.reading import from_elsewhere
from tests.acceptance.scripting import Dictated, opened
from tract import AsyncTract, Event
from tract.errors import ClosedError, ContentValidationError


async def taken(events: AsyncIterator[Event], count: int) -> list[Event]:
    """The next events, each of which must come within ten seconds."""
    return [await asyncio.wait_for(anext(events), 10) for _ in range(count)]


def tags(events: list[Event]) -> list[str]:
    return [event.body.tag for event in events]


CREATED = ["tract.created", "branch.created", "head.moved"]


async def there(t: AsyncTract) -> list[Event]:
    """All events up to a commit that is made now, which is left out."""
    mark = await t.user("mark")
    found: list[Event] = []
    async for event in t.events():
        if event.operation == mark.operation_id:
            break
        found.append(event)
    return found


async def test_what_was_recorded_comes_in_the_order_of_the_log(t: AsyncTract) -> None:
    await t.user("one")
    await t.branch("draft")
    events = await there(t)
    assert tags(events)[-3:] == ["commit.recorded", "branch.created", "head.moved"]
    assert [event.version for event in events] == list(range(1, len(events) + 1))


async def test_what_is_recorded_later_comes_as_soon_as_it_is_there(t: AsyncTract) -> None:
    events = t.events(after=len(await there(t)) + 1)
    waiting = asyncio.create_task(taken(events, 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    info = await t.user("live")
    assert [event.operation for event in await waiting] == [info.operation_id]


@pytest.mark.parametrize("steps", range(1, 12))
async def test_a_wait_that_is_cancelled_loses_no_event(t: AsyncTract, steps: int) -> None:
    expected = await there(t)
    events = t.events()
    for _ in range(3):
        waiting = asyncio.ensure_future(anext(events))
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            expected.remove(waiting.result())
    assert await taken(events, len(expected)) == expected


async def test_a_turn_is_seen_from_its_beginning_to_its_end() -> None:
    model = Dictated()
    async with opened(model) as t:
        events = t.events(after=len(await there(t)) + 1)
        async with t.stream("Count") as stream:
            assert tags(await taken(events, 2)) == ["commit.recorded", "generation.started"]
            model.say("One.")
            model.end()
            await stream.finish()
        assert tags(await taken(events, 4)) == ["commit.recorded", "usage.recorded", "context.compiled", "generation.completed"]


async def test_what_another_event_loop_writes_comes_too(path: str) -> None:
    async with AsyncTract.open(path) as t:
        events = t.events(after=len(await there(t)) + 1)
        await from_elsewhere(path, lambda other: other.user("from elsewhere"))
        assert tags(await taken(events, 1)) == ["commit.recorded"]


async def test_from_a_position_on_only_what_comes_after_it_is_given(t: AsyncTract) -> None:
    for number in range(5):
        await t.user(f"{number}")
    events = await there(t)
    again = await taken(t.events(after=events[3].position), len(events) - 4)
    assert again == events[4:]


async def test_a_position_beyond_the_end_waits_for_what_is_beyond_it(t: AsyncTract) -> None:
    last = (await there(t))[-1].position + 1
    events = t.events(after=last + 2)
    waiting = asyncio.create_task(taken(events, 1))
    infos = [await t.user(f"{number}") for number in range(3)]
    assert [event.operation for event in await waiting] == [infos[2].operation_id]


async def test_events_of_other_families_are_not_given(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        watched = two.events()
        first = await taken(watched, len(CREATED))
        waiting = asyncio.create_task(taken(watched, 1))
        for number in range(3):
            await one.user(f"{number}")
        mine = await two.user("mine")
        assert {event.stream for event in first} == {two.id}
        assert [event.operation for event in await waiting] == [mine.operation_id]


async def test_many_events_come_without_gap_or_repeat(t: AsyncTract) -> None:
    await asyncio.gather(*(t.user(f"{number}") for number in range(700)))
    events = await there(t)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= 700


async def test_whoever_writes_meanwhile_no_event_is_missed(t: AsyncTract) -> None:
    start = len(await there(t)) + 1
    watching = [asyncio.create_task(taken(t.events(after=start), 100)) for _ in range(5)]
    await asyncio.gather(*(t.user(f"{number}") for number in range(100)))
    found = await asyncio.gather(*watching)
    assert [event.version for event in found[0]] == list(range(start + 1, start + 101))
    assert all(each == found[0] for each in found)


async def test_leaving_with_break_leaves_nothing_behind(t: AsyncTract) -> None:
    async for _ in t.events():
        break
    await t.user("goes on")
    assert await t.head() is not None


async def test_a_time_out_while_waiting_misses_nothing(t: AsyncTract) -> None:
    events = t.events(after=len(await there(t)) + 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(events), 0.02)
    info = await t.user("late")
    assert [event.operation for event in await taken(events, 1)] == [info.operation_id]


async def test_closing_while_somebody_waits_tells_them() -> None:
    t = await AsyncTract.open()
    events = t.events(after=len(await there(t)) + 1)
    waiting = asyncio.create_task(taken(events, 1))
    for _ in range(3):
        await t.status()
    await t.aclose()
    with pytest.raises(ClosedError):
        await waiting


async def test_a_task_that_is_cancelled_while_the_tract_closes_is_cancelled() -> None:
    async def wait() -> None:
        async for _ in events:
            pass

    t = await AsyncTract.open()
    events = t.events(after=len(await there(t)) + 1)
    waiting = asyncio.create_task(wait())
    for _ in range(3):
        await t.status()
    waiting.cancel()
    await t.aclose()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_closing_one_handle_leaves_the_watchers_of_another(path: str) -> None:
    async with AsyncTract.open(path) as t:
        other = await AsyncTract.open(path)
        waiting = asyncio.create_task(taken(t.events(after=len(await there(t)) + 1), 1))
        await other.aclose()
        await t.user("still here")
        assert tags(await waiting) == ["commit.recorded"]


async def test_a_closed_tract_has_no_events() -> None:
    async with AsyncTract.open() as t:
        events = t.events()
    with pytest.raises(ClosedError):
        await anext(events)


@pytest.mark.parametrize("after", [-1, True, "1", 1.0, None])
async def test_what_is_no_position_is_refused_at_once(t: AsyncTract, after: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        t.events(after=after)
    assert caught.value.field == "after"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["commit", "branch", "chat", "read"]), max_size=8), st.integers(0, 12))
def test_after_any_position_the_rest_of_the_log_follows(actions: list[str], after: int) -> None:
    async def run() -> None:
        async with opened(lambda _: "Hello.") as t:
            live = t.events(after=after)
            for number, action in enumerate(actions):
                if action == "commit":
                    await t.user(f"{number}")
                elif action == "branch":
                    await t.branch(f"branch{number}", switch=number % 2 == 0)
                elif action == "chat":
                    await t.chat(f"{number}")
                else:
                    await t.branches()
            events = await there(t)
            rest = [event for event in events if event.position > after]
            assert await taken(live, len(rest)) == rest

    asyncio.run(run())
