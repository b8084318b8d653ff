"""An owner goes on, and dies, while somebody looks: nothing that it wrote is overlooked.

Whoever looks reads a snapshot of the file and asks the platform about the
owner of a call that runs in it. These tests hold that question open and let
the owner go on there, beyond what is in the snapshot, and die.
"""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from tests.acceptance.reading import texts
from tests.acceptance.scripting import opened
from tests.children import Child, streaming
from tract import AsyncTract, GenerationInfo

T = TypeVar("T")

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")

OPERATION = "01928c5e-0000-7000-8000-000000000001"
ZOMBIE = "0 (gone) Z " + "0 " * 40
"""What Linux tells of a process that died and was not waited for."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the platform is asked about processes."""
    folder = tmp_path / "proc"
    folder.mkdir()
    monkeypatch.setattr("tract.core.owners.PROC", str(folder))
    return folder


def goes_on(child: Child) -> None:
    child.stream("two", "three")


def completes(child: Child) -> None:
    child.stream("two")
    child.tell("end")
    child.told()


async def seen_by(look: Awaitable[T], proc: Path, child: Child, last: Callable[[Child], None]) -> T:
    """Return what somebody sees who asks about a child that did something *last* after the snapshot, and died."""
    stat = proc / str(child.process.pid) / "stat"
    stat.parent.mkdir()
    os.mkfifo(stat)
    looking = asyncio.ensure_future(look)
    # Opened as soon as somebody reads it.
    asking = asyncio.ensure_future(asyncio.to_thread(stat.open, "w"))
    await asyncio.wait((looking, asking), return_when=asyncio.FIRST_COMPLETED)
    if not asking.done():
        os.close(os.open(stat, os.O_RDONLY | os.O_NONBLOCK))
        raise AssertionError(f"nobody asked about the process: {looking}")
    last(child)
    child.kill()
    stat.unlink()
    stat.parent.rmdir()
    with await asking as answer:
        answer.write(ZOMBIE)
    return await looking


async def only(t: AsyncTract) -> GenerationInfo:
    (info,) = await t.generations()
    return info


async def rest(t: AsyncTract, generation: str, after: int) -> tuple[str, str]:
    """Return what a follower is given from a cursor on, and how the call ended for it."""
    following = t.follow(generation, after=after)
    text = "".join([delta.text async for delta in following])
    return text, following.generation.status


def ends(path: str) -> list[str]:
    """How each call ended, as the log has it."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT type FROM events WHERE type LIKE 'generation.%' AND type <> 'generation.started'"
        return [tag for (tag,) in connection.execute(query)]


async def test_a_call_whose_owner_died_while_somebody_looked_has_all_its_words(path: str, proc: Path) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            info = await seen_by(only(t), proc, child, goes_on)
            assert (info.status, info.text) == ("interrupted", "One two three ")


async def test_the_calls_of_several_owners_that_are_gone_are_seen_as_interrupted_together(path: str) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as one, streaming(path) as two:
            one.stream("One")
            two.stream("Two")
            one.kill()
            two.kill()
            found = [(info.status, info.text) for info in await t.generations()]
            assert found == [("interrupted", "Two "), ("interrupted", "One ")]


async def test_a_call_that_completed_while_somebody_looked_is_not_shown_as_interrupted(path: str, proc: Path) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            info = await seen_by(only(t), proc, child, completes)
            assert (info.status, info.text) == ("completed", "One two ")


async def test_a_follower_is_given_what_the_owner_wrote_before_it_died(path: str, proc: Path) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            seen = await seen_by(rest(t, child.generation, len(child.seen)), proc, child, goes_on)
            assert seen == ("two three ", "interrupted")


async def test_a_follower_of_a_call_that_completed_while_it_looked_is_given_its_end(path: str, proc: Path) -> None:
    async with AsyncTract.open(path) as t:
        with streaming(path) as child:
            child.stream("One")
            seen = await seen_by(rest(t, child.generation, len(child.seen)), proc, child, completes)
            assert seen == ("two ", "completed")


async def test_a_turn_that_completed_while_it_came_again_gives_its_answer(path: str, proc: Path) -> None:
    async with opened([], path) as t:
        with streaming(path, operation=OPERATION) as child:
            child.stream("One")
            again = t.chat("Count", operation_id=OPERATION)
            assert (await seen_by(again, proc, child, completes)).text == "One two "


async def test_opening_ends_the_call_of_an_owner_that_died_meanwhile_with_all_its_words(path: str, proc: Path) -> None:
    with streaming(path) as child:
        child.stream("One")
        async with await seen_by(AsyncTract.open(path), proc, child, goes_on) as t:
            assert ends(path) == ["generation.interrupted"]
            assert await texts(t, (await only(t)).answer) == ["Count", "One two three "]


async def test_opening_leaves_alone_a_call_that_completed_meanwhile(path: str, proc: Path) -> None:
    with streaming(path) as child:
        child.stream("One")
        async with await seen_by(AsyncTract.open(path), proc, child, completes) as t:
            assert ends(path) == ["generation.completed"]
            assert await texts(t) == ["Count", "One two "]
