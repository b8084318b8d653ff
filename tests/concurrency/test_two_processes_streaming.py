"""Two processes on one file, one of which streams: the other reads along, works there, and disturbs nothing."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tests.acceptance.scripting import Dictated, opened
from tests.children import FOLLOWING, WATCHING, started, streaming
from tract import AsyncTract
from tract.domain.events import GenerationStarted

WORDS = [f"word{number}" for number in range(40)]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


async def told(process: "subprocess.Popen[str]") -> Any:
    """The next thing that a process tells."""
    assert process.stdout is not None
    return json.loads(await asyncio.to_thread(process.stdout.readline))


async def test_another_process_follows_each_delta_while_the_answer_comes(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        with started(FOLLOWING, path, stream.generation, 0) as follower:
            assert await told(follower) == "ready"
            cursor = 0
            for word in WORDS[:10]:
                model.say(word)
                assert await anext(stream) == word
                cursor += len(word)
                assert await told(follower) == [word, cursor]
            model.end()
            await stream.finish()
            assert await told(follower) == "completed"


@pytest.mark.parametrize("after", [0, 5, 10**6])
async def test_another_process_follows_from_a_cursor_without_gap_or_repeat(path: str, after: int) -> None:
    model = Dictated()
    async with opened(model, path) as t, t.stream("Count") as stream:
        with started(FOLLOWING, path, stream.generation, after) as follower:
            model.say(*WORDS)
            model.end()
            whole = (await stream.finish()).text
            assert await told(follower) == "ready"
            seen = ""
            while isinstance(delta := await told(follower), list):
                seen += delta[0]
            assert (seen, delta) == (whole[after:], "completed")


async def test_this_process_follows_what_another_one_streams(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            following = t.follow(child.generation)
            seen = ""
            for word in WORDS[:10]:
                child.stream(word)
                seen += (await anext(following)).text
                assert seen == child.seen
            child.tell("end")
            assert [delta.text async for delta in following] == []
            assert (following.generation.status, following.generation.text) == ("completed", child.seen)


async def test_a_follower_of_a_process_that_dies_is_told_although_nobody_writes(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            following = t.follow(child.generation)
            child.stream("One", "two")
            assert (await anext(following)).text == "One two "
            child.kill()
        assert await asyncio.wait_for(anext(following, None), 20) is None
        assert (following.generation.status, following.generation.text) == ("interrupted", "One two ")


async def test_another_process_watches_the_log_while_a_stream_runs(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t:
        await t.system("Be kind.")
        positions = [4, 5, 6, 7, 8, 9, 10]
        with started(WATCHING, path, 3) as watcher:
            assert [await told(watcher), await told(watcher)] == ["ready", [4, "commit.recorded"]]
            async with t.stream("Count") as stream:
                begun = [await told(watcher), await told(watcher)]
                model.say("One.")
                model.end()
                await stream.finish()
            ended = [await told(watcher) for _ in range(4)]
        assert [position for position, _ in [[4, ""], *begun, *ended]] == positions
        assert [tag for _, tag in begun + ended] == [
            "commit.recorded",
            "generation.started",
            "commit.recorded",
            "usage.recorded",
            "context.compiled",
            "generation.completed",
        ]


async def test_opening_the_store_during_a_stream_of_another_process_disturbs_nothing(path: str) -> None:
    with streaming(path) as child:
        for word in WORDS[:5]:
            child.stream(word)
            async with AsyncTract.open(path) as t:
                (info,) = await t.generations()
                assert (info.status, info.text) == ("running", child.seen)
        child.tell("end")
        answer = child.told()
    async with AsyncTract.open(path) as t:
        assert (await t.head(), await texts(t)) == (answer, ["Count", child.seen])


async def test_working_on_other_branches_disturbs_no_stream_of_another_process(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        with streaming(path) as child:
            async with await t.worktree("other") as mine:
                for word in WORDS:
                    await mine.user(word)
                    child.stream(word)
            child.tell("end")
            answer = child.told()
        assert (await t.head(), await texts(t)) == (answer, ["Be kind.", "Count", child.seen])
        assert await texts(t, "other") == ["Be kind.", *WORDS]


async def test_an_append_of_another_process_to_the_same_branch_keeps_the_answer_off_it(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            await t.user("meanwhile")
            child.tell("end")
            error, answer = child.told()
        assert error == "HeadMovedError"
        assert await texts(t) == ["meanwhile"]
        await t.branch("rescued", at=answer)
        assert await texts(t) == ["Count", "One "]


async def test_two_processes_stream_on_two_branches_at_once(path: str) -> None:
    model = Dictated()
    async with opened(model, path) as t:
        await t.branch("mine", switch=False)
        async with await t.worktree("mine") as mine, mine.stream("Mine") as stream:
            with streaming(path) as child:
                for word in WORDS[:10]:
                    model.say(word)
                    child.stream(word)
                    assert await anext(stream) == word
                child.tell("end")
                child.told()
            model.end()
            await stream.finish()
        assert (await texts(t), await texts(t, "mine")) == (["Count", child.seen], ["Mine", "".join(WORDS[:10])])


async def test_what_another_process_streams_is_found_by_watching_the_log(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            async for event in t.events():
                if isinstance(event.body, GenerationStarted):
                    assert event.body.generation == child.generation
                    break
            child.tell("end")
            child.told()
