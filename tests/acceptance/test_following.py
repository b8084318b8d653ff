"""Story: somebody else reads an answer while it comes, from wherever they left off; no gap, no repeat."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.reading import from_elsewhere, state, texts
from tests.acceptance.scripting import Dictated, opened
from tract import AsyncTract, Attempt, Delta, ModelReply, ModelRequest, ToolCall
from tract.domain.events import GenerationStarted
from tract.errors import ClosedError, ContentValidationError, ModelConnectionError, ModelResponseError, TurnStateError
from tract.testing import Cut


async def pieces(t: AsyncTract, generation: str, after: int = 0) -> list[Delta]:
    return [delta async for delta in t.follow(generation, after=after)]


async def followed(t: AsyncTract, generation: str, after: int = 0) -> str:
    return "".join(delta.text for delta in await pieces(t, generation, after))


async def last(t: AsyncTract) -> str:
    (info, *_) = await t.generations()
    return info.id


async def begun(t: AsyncTract) -> str:
    """Wait for a call that another task begins."""
    async for event in t.events():
        if isinstance(event.body, GenerationStarted):
            return event.body.generation
    raise AssertionError


async def test_a_follower_in_another_task_gets_each_delta_while_the_answer_comes() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        assert stream.generation is not None
        following = t.follow(stream.generation)
        for word in ("One ", "two ", "three."):
            model.say(word)
            assert await anext(stream) == word
            assert (await anext(following)).text == word
        model.end()
        assert [delta async for delta in stream] == []
        assert [delta async for delta in following] == []
        assert following.generation.status == "completed"


async def test_a_follower_from_a_cursor_gets_what_comes_after_it() -> None:
    async with opened([["One ", "two ", "three."]]) as t:
        await t.chat("Count")
        assert await followed(t, await last(t), after=4) == "two three."


async def test_a_cursor_inside_of_a_delta_splits_it() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        model.say("One ", "two ")
        assert [await anext(stream), await anext(stream)] == ["One ", "two "]
        assert stream.generation is not None
        assert await anext(t.follow(stream.generation, after=6)) == Delta("o ", 8)
        model.end()
        await stream.finish()


async def test_a_follower_goes_on_where_an_earlier_one_left() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        assert stream.generation is not None
        model.say("One ")
        first = t.follow(stream.generation)
        assert await anext(first) == Delta("One ", 4)
        model.say("two.")
        model.end()
        await stream.finish()
        assert await pieces(t, stream.generation, after=first.cursor) == [Delta("two.", 8)]


async def test_the_cursor_counts_what_was_given_and_left_out() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        following = t.follow(await last(t), after=2)
        assert following.cursor == 2
        assert [delta.cursor async for delta in following] == [6]
        assert following.cursor == 6


async def test_following_an_answer_that_ended_gives_it_at_once() -> None:
    async with opened(["Hello there."]) as t:
        await t.chat("Hi")
        following = t.follow(await last(t))
        assert [delta async for delta in following] == [Delta("Hello there.", 12)]
        assert (following.generation.status, following.generation.text) == ("completed", "Hello there.")


async def test_a_cursor_at_or_beyond_the_end_gives_nothing() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        assert [await pieces(t, await last(t), after) for after in (6, 7, 10**9)] == [[], [], []]


async def test_an_answer_that_nobody_streams_can_be_followed() -> None:
    model = Dictated()
    async with opened(model) as t:
        chat = asyncio.create_task(t.chat("Count"))
        model.say("One ")
        following = t.follow(await begun(t))
        assert (await anext(following)).text == "One "
        model.say("two.")
        model.end()
        assert "One " + "".join([delta.text async for delta in following]) == (await chat).text


async def test_following_a_failed_call_gives_what_arrived_and_says_so() -> None:
    async with opened([Cut(["Half ", "an "], ModelConnectionError())]) as t:
        with pytest.raises(ModelConnectionError):
            await t.chat("Hi")
        following = t.follow(await last(t))
        assert "".join([delta.text async for delta in following]) == "Half an "
        assert (following.generation.status, following.generation.finish_reason) == ("failed", "ModelConnectionError")


async def test_a_follower_that_waits_is_told_when_the_call_fails() -> None:
    model = Dictated()
    async with opened(model) as t:
        chat = asyncio.create_task(t.chat("Hi"))
        model.say("Half ")
        following = t.follow(await begun(t))
        assert (await anext(following)).text == "Half "
        rest = asyncio.create_task(anext(following, None))
        model.end(ModelConnectionError())
        assert await rest is None
        assert following.generation.status == "failed"
        await asyncio.wait([chat])


@pytest.mark.parametrize(("options", "kept"), [({}, ["Count", "One "]), ({"keep_partial": False}, [])])
async def test_of_a_stream_that_was_left_the_branch_keeps_what_was_seen_and_its_record_what_arrived(
    options: dict[str, bool], kept: list[str]
) -> None:
    async with opened([["One ", "two."]]) as t:
        async with t.stream("Count", **options) as stream:
            async for _ in stream:
                break
        following = t.follow(await last(t))
        assert "".join([delta.text async for delta in following]) == "One two."
        assert (following.generation.status, following.generation.text) == ("cancelled", "One two.")
        assert await texts(t) == kept


async def test_a_follower_ahead_of_a_stream_that_is_left_has_nothing_taken_back() -> None:
    model, seen = Dictated(), ""
    async with opened(model) as t:
        async with t.stream("Count") as stream:
            following = t.follow(stream.generation)
            model.say("One ", "two ", "three.")
            async for delta in following:
                seen += delta.text
                if seen == "One two three.":
                    break
            await anext(stream)
        assert [delta async for delta in following] == []
        assert (following.generation.text, following.cursor) == (seen, len(seen))


async def test_what_arrived_and_nobody_saw_is_kept_off_the_branch_of_a_stream_that_is_left() -> None:
    model = Dictated()
    async with opened(model) as t:
        async with t.stream("Count") as stream:
            model.say("One ")
            await anext(t.follow(stream.generation))
        (info,) = await t.generations()
        assert (await t.head(), info.text, await texts(t, info.answer)) == (None, "One ", ["Count", "One "])


async def test_any_number_may_follow_at_once() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        assert stream.generation is not None
        followers = [asyncio.create_task(followed(t, stream.generation)) for _ in range(20)]
        model.say(*(f"{number} " for number in range(50)))
        model.end()
        whole = (await stream.finish()).text
        assert await asyncio.gather(*followers) == [whole] * 20


async def test_what_is_handed_on_is_in_the_file_already(path: str) -> None:
    model, seen, found = Dictated(), "", []

    async def look(other: AsyncTract) -> None:
        found.append((await other.generations())[0].text)

    async with opened(model, path) as t, t.stream("Count") as stream:
        for number in range(5):
            model.say(f"{number} ", f"{number}+ ")
            seen += await anext(stream)
            await from_elsewhere(path, look)
            assert found[-1].startswith(seen)
        model.end()
        await stream.finish()


async def test_a_follower_that_is_left_holds_nothing_up() -> None:
    model = Dictated()
    async with opened(model) as t:
        async with t.stream("Count") as stream:
            assert stream.generation is not None
            model.say("One ")
            async for _ in t.follow(stream.generation):
                break
            model.end()
            await stream.finish()
        assert await texts(t) == ["Count", "One "]


async def test_a_follower_that_times_out_goes_on_without_a_gap() -> None:
    model = Dictated()
    async with opened(model) as t, t.stream("Count") as stream:
        assert stream.generation is not None
        following = t.follow(stream.generation)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(following), 0.02)
        model.say("One ", "two.")
        model.end()
        await stream.finish()
        assert "".join([delta.text async for delta in following]) == "One two."


async def test_following_changes_nothing() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        before = await state(t)
        await followed(t, await last(t))
        assert await state(t) == before


async def test_closing_while_somebody_follows_tells_them() -> None:
    model = Dictated()
    t = await opened(model)
    async with t.stream("Count") as stream:
        waiting = asyncio.create_task(anext(t.follow(stream.generation)))
        await asyncio.sleep(0)
        await t.aclose()
    with pytest.raises(ClosedError):
        await waiting


async def test_a_closed_tract_cannot_be_followed() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        following = t.follow(await last(t))
    with pytest.raises(ClosedError):
        await anext(following)


@pytest.mark.parametrize("generation", ["", "nothing", "01928c5e-0000-7000-8000-00000000000g", None, 7])
async def test_what_is_no_id_is_refused_at_once(t: AsyncTract, generation: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        t.follow(generation)
    assert caught.value.field == "generation"


async def test_an_id_that_nobody_has_is_refused_at_the_first_iteration(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await anext(t.follow("01928c5e-0000-7000-8000-000000000001"))
    assert caught.value.field == "generation"


@pytest.mark.parametrize("after", [-1, True, "4", 1.0, None])
async def test_a_cursor_that_makes_no_sense_is_refused_at_once(t: AsyncTract, after: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        t.follow("01928c5e-0000-7000-8000-000000000001", after=after)
    assert caught.value.field == "after"


async def test_how_a_call_ended_is_not_known_before_its_end() -> None:
    async with opened(["Hello."]) as t:
        await t.chat("Hi")
        following = t.follow(await last(t))
        with pytest.raises(TurnStateError):
            _ = following.generation


async def test_a_call_of_another_tract_of_the_store_is_not_found(path: str) -> None:
    async with opened(["Hello."], path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.chat("Hi")
        with pytest.raises(ContentValidationError):
            await followed(two, await last(one))


async def test_an_answer_of_tool_calls_alone_has_no_text_to_follow() -> None:
    async with opened([ModelReply(None, tool_calls=(ToolCall("1", "look", "{}"),))]) as t:
        await t.chat("Hi")
        following = t.follow(await last(t))
        assert [delta async for delta in following] == []
        assert following.generation.status == "completed"


async def test_an_empty_answer_ends_its_follower_as_failed() -> None:
    async with opened([""]) as t:
        with pytest.raises(ModelResponseError):
            await t.chat("Hi")
        following = t.follow(await last(t))
        assert [delta async for delta in following] == []
        assert following.generation.status == "failed"


async def test_a_delta_reads_as_its_text() -> None:
    assert str(Delta("One ", 4)) == "One "


TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
    | st.sampled_from(["👩‍👩‍👧", "\N{COMBINING ACUTE ACCENT}", "\0", "\r\n", "'; --"]),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(TEXTS.filter(lambda deltas: "".join(deltas).strip()))
def test_from_every_cursor_the_rest_comes_without_gap_or_repeat(deltas: list[str]) -> None:
    whole = "".join(deltas)

    async def run() -> None:
        model = Dictated()
        async with opened(model) as t, t.stream("Count") as stream:
            generation = stream.generation
            following = [asyncio.create_task(followed(t, generation, after)) for after in range(0, len(whole), 2)]
            seen = []
            for delta in deltas:
                model.say(delta)
                seen.append(await anext(stream))
            following += [asyncio.create_task(followed(t, generation, after)) for after in range(1, len(whole), 2)]
            model.end()
            await stream.finish()
            later = [await followed(t, generation, after) for after in range(len(whole))]
            assert seen == deltas
            assert await asyncio.gather(*following) == [whole[at:] for at in [*range(0, len(whole), 2), *range(1, len(whole), 2)]]
            assert later == [whole[at:] for at in range(len(whole))]

    asyncio.run(run())


class Odd:
    """A client of somebody's own that streams whatever it is given, and keeps to no protocol."""

    def __init__(self, deltas: Sequence[Any]) -> None:
        self.attempts: tuple[Attempt, ...] = (Attempt(1),)
        self.reply = ModelReply("".join(str(delta) for delta in deltas))
        self._deltas = deltas

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager["Odd"]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator["Odd"]:
        yield self

    async def __aiter__(self) -> AsyncIterator[Any]:
        for delta in self._deltas:
            yield delta

    async def complete(self, request: ModelRequest) -> ModelReply:
        return self.reply

    async def aclose(self) -> None:
        pass


async def test_empty_deltas_of_an_odd_client_are_passed_over() -> None:
    async with AsyncTract.open(llm=Odd(["", "One ", "", "", "two.", ""]), model="odd") as t:
        async with t.stream("Count") as stream:
            assert [delta async for delta in stream] == ["One ", "two."]
        assert await followed(t, await last(t)) == "One two."


@pytest.mark.parametrize("torn", ["\ud83d", b"bytes", None, 7], ids=["half an emoji", "bytes", "None", "number"])
@pytest.mark.parametrize("before", [[], ["One ", "two "]], ids=["at first", "later"])
async def test_a_delta_that_is_no_text_fails_the_call_and_keeps_what_came_before(before: list[str], torn: Any) -> None:
    async with AsyncTract.open(llm=Odd([*before, torn]), model="odd") as t:
        with pytest.raises(ModelResponseError):
            await asyncio.wait_for(t.chat("Count"), 10)
        (info,) = await t.generations()
        assert (info.status, info.text) == ("failed", "".join(before))


@pytest.mark.parametrize("torn", ["\ud83d", b"bytes"], ids=["half an emoji", "bytes"])
async def test_a_stream_with_a_delta_that_is_no_text_leaves_the_branch_free(torn: Any) -> None:
    async with AsyncTract.open(llm=Odd(["One ", torn]), model="odd") as t:
        with pytest.raises(ModelResponseError):
            async with t.stream("Count") as stream:
                async for _ in stream:
                    pass
        await asyncio.wait_for(t.user("free"), 10)
        assert await texts(t) == ["free"]
