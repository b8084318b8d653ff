"""Whose call is it? Calls of the dead are ended once, by whoever comes next; calls of the living never."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import time_ns

import pytest

from tests.acceptance.reading import texts
from tests.acceptance.scripting import Dictated, opened
from tests.children import OPENING, started, streaming
from tract import AsyncTract, Message, ModelRequest
from tract.core import deltas
from tract.core.owners import LEASE
from tract.domain.ids import uuid_bytes
from tract.errors import GenerationLostError
from tract.llm.counting import ApproximateCounter
from tract.testing import FixedClock, ScriptedLLM

LATER = 31_000_000
"""Microseconds: more than a lease."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


def later() -> int:
    return time_ns() // 1000 + LATER


def tags(path: str) -> Counter[str]:
    """How many events of each kind the log holds."""
    with closing(sqlite3.connect(path)) as connection:
        return Counter(tag for (tag,) in connection.execute("SELECT type FROM events"))


def rows(path: str, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def interrupt(path: str, generation: str | None) -> None:
    """Let a call be over as if somebody had interrupted it."""
    assert generation is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE generations SET status = 'interrupted' WHERE id = ?", (uuid_bytes(generation),))


@pytest.mark.parametrize("last", ["die", "exit"])
async def test_what_was_handed_on_is_there_however_the_process_ended(path: str, last: str) -> None:
    with streaming(path) as child:
        child.stream(*(f"word{number}" for number in range(20)))
        if last == "exit":
            child.stream(last)
        else:
            child.tell(last)
        child.process.wait()
    async with AsyncTract.open(path) as t:
        (info,) = await t.generations()
        assert (info.status, info.text) == ("cancelled" if last == "exit" else "interrupted", child.seen)
        assert await t.head() is None


async def test_a_process_that_nobody_waited_for_is_dead_all_the_same(path: str) -> None:
    with streaming(path) as child:
        child.stream("One")
        child.tell("die")
        assert child.process.stdout is not None
        assert child.process.stdout.read() == ""
        async with AsyncTract.open(path) as t:
            (info,) = await t.generations()
    assert (info.status, info.text) == ("interrupted", "One ")


async def test_four_processes_that_open_at_once_end_a_call_once(path: str) -> None:
    with streaming(path) as child:
        child.stream("One", "two")
        child.kill()
    with ExitStack() as stack:
        others = [stack.enter_context(started(OPENING, path)) for _ in range(4)]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        for other in others:
            assert other.stdin is not None
            other.stdin.write("go\n")
            other.stdin.flush()
        assert [other.stdout.readline() for other in others if other.stdout is not None] == ["interrupted\n"] * 4
    counted = tags(path)
    assert (counted["generation.interrupted"], counted["commit.recorded"]) == (1, 2)


async def test_the_scratch_of_a_call_that_was_ended_is_gone(path: str) -> None:
    with streaming(path) as child:
        child.stream("One")
        assert len(rows(path, "partials")) == len(rows(path, "leases")) == 1
        child.kill()
    async with AsyncTract.open(path):
        pass
    assert rows(path, "partials") == rows(path, "leases") == []


async def test_the_scratch_of_a_call_that_completed_is_gone(path: str) -> None:
    async with opened([["One ", "two."]], path) as t:
        await t.chat("Count")
    assert rows(path, "partials") == rows(path, "leases") == []


async def test_a_call_without_a_delta_is_interrupted_without_an_answer(path: str) -> None:
    with streaming(path) as child:
        child.kill()
    async with AsyncTract.open(path) as t:
        (info,) = await t.generations()
        assert (info.status, info.text, info.answer, await t.head()) == ("interrupted", "", None, None)
        assert tags(path)["commit.recorded"] == 1


async def test_a_turn_on_the_branch_ends_the_call_of_a_process_that_died_meanwhile(path: str) -> None:
    async with opened(["Hello."], path) as t:
        with streaming(path) as child:
            child.stream("One")
            child.kill()
        assert tags(path)["generation.interrupted"] == 0
        await t.chat("Hi")
        assert tags(path)["generation.interrupted"] == 1
        assert await texts(t) == ["Hi", "Hello."]


class Choosy(ApproximateCounter):
    """A counter of the caller's that fails on one text."""

    def count_message(self, message: Message) -> int:
        if message.content == "One ":
            raise ZeroDivisionError
        return super().count_message(message)


async def test_a_call_that_cannot_be_interrupted_fails_no_turn(path: str) -> None:
    async with opened(["Hello."], path, tokens=Choosy()) as t:
        with streaming(path) as child:
            child.stream("One")
            child.kill()
        await t.chat("Hi")
        assert await texts(t) == ["Hi", "Hello."]


async def test_the_partial_answer_names_who_asked_and_under_which_operation(path: str) -> None:
    with streaming(path, operation="01928c5e-0000-7000-8000-000000000001") as child:
        child.stream("One")
        child.kill()
    async with AsyncTract.open(path, actor="finder") as t:
        (info,) = await t.generations()
        commit = await t.show(info.answer or "")
        assert (info.actor, commit.info.actor) == ("child", "child")
        assert info.operation_id == commit.info.operation_id == "01928c5e-0000-7000-8000-000000000001"
        assert commit.info.parents == (info.question,)


async def test_a_call_of_another_machine_is_left_alone_while_its_lease_holds(path: str) -> None:
    with streaming(path, host="elsewhere") as child:
        child.stream("One")
        child.kill()
    async with AsyncTract.open(path) as t:
        assert [info.status for info in await t.generations()] == ["running"]
    assert tags(path)["generation.interrupted"] == 0


async def test_a_call_of_another_machine_is_interrupted_when_its_lease_ran_out(path: str) -> None:
    with streaming(path, host="elsewhere") as child:
        child.stream("One", "two")
        child.kill()
    async with AsyncTract.open(path, clock=later) as t:
        (info,) = await t.generations()
        assert (info.status, info.text) == ("interrupted", "One two ")
    assert tags(path)["generation.interrupted"] == 1


async def test_a_lease_that_ran_out_is_shown_before_anybody_recorded_it(path: str) -> None:
    clock = FixedClock(time_ns() // 1000)
    async with AsyncTract.open(path, clock=clock) as t:
        with streaming(path, host="elsewhere") as child:
            child.stream("One")
            shown = [(await t.generations())[0].status]
            clock.advance(40)
            shown.append((await t.generations())[0].status)
        assert (shown, tags(path)["generation.interrupted"]) == (["running", "interrupted"], 0)


async def test_an_owner_that_comes_back_late_is_told_and_its_answer_kept_off_the_branch(path: str) -> None:
    with streaming(path, host="elsewhere") as child:
        child.stream("One")
        async with AsyncTract.open(path, clock=later) as t:
            assert [info.status for info in await t.generations()] == ["interrupted"]
            await t.user("went on")
            child.tell("end")
            error, answer = child.told()
            assert error == "GenerationLostError"
            assert await texts(t) == ["went on"]
            await t.branch("late", at=answer)
            assert await texts(t) == ["Count", "One "]
            assert [(info.status, info.text) for info in await t.generations()] == [("interrupted", "One ")]
    counted = tags(path)
    assert (counted["generation.interrupted"], counted["generation.completed"]) == (1, 0)


async def test_an_owner_that_comes_back_late_moves_no_branch_that_stood_still(path: str) -> None:
    with streaming(path, host="elsewhere") as child:
        child.stream("One")
        async with AsyncTract.open(path, clock=later) as t:
            child.tell("end")
            error, answer = child.told()
            assert (error, await t.head()) == ("GenerationLostError", None)
            assert (await t.show(answer)).info.parents == ((await t.generations())[0].question,)


async def test_an_owner_that_comes_back_late_is_handed_nothing_more_and_keeps_what_came_off_the_branch(path: str) -> None:
    with streaming(path, host="elsewhere") as child:
        child.stream("One")
        async with AsyncTract.open(path, clock=later) as t:
            child.tell("two")
            error, answer = child.told()
            assert error == "GenerationLostError"
            assert await texts(t, answer) == ["Count", "One two "]
            assert [(info.status, info.text) for info in await t.generations()] == [("interrupted", "One ")]


async def test_an_owner_that_nobody_interrupted_streams_on_beside_one_that_was(path: str) -> None:
    model, others = Dictated(), Dictated()
    async with opened(model, path) as t, opened(others, path, name="other") as other, other.stream("Count") as spared:
        others.say("One ")
        assert await anext(spared) == "One "
        with pytest.raises(GenerationLostError):
            async with t.stream("Count") as stream:
                model.say("One ")
                assert await anext(stream) == "One "
                interrupt(path, stream.generation)
                # Said together, so both are written together.
                model.say("two ")
                others.say("two ")
                await asyncio.gather(anext(stream), anext(spared))
        others.say("three.")
        others.end()
        assert (await spared.finish()).text == "One two three."


async def test_a_late_owner_leaves_no_scratch_behind(path: str) -> None:
    with streaming(path, host="elsewhere") as child:
        child.stream("One")
        async with AsyncTract.open(path, clock=later):
            child.tell("two")
            child.told()
    assert rows(path, "partials") == rows(path, "leases") == []


async def test_a_lease_is_renewed_although_nothing_arrives(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "RENEW_SECONDS", 0.001)
    clock, model = FixedClock(step=0), Dictated()

    async def renewed(t: AsyncTract, until: int) -> None:
        while True:
            mark = t.mark()
            if [lease[1] for lease in rows(path, "leases")] == [until]:
                return
            await t.changed(mark)

    async with opened(model, path, clock=clock) as t, t.stream("Count") as stream:
        for _ in range(3):
            await asyncio.wait_for(renewed(t, clock.now + LEASE), 10)
            clock.advance(20)
        model.say("One.")
        model.end()
        await stream.finish()
    assert rows(path, "leases") == []


async def test_renewals_end_with_the_last_call(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "RENEW_SECONDS", 0.001)
    async with opened(["Hello."], path) as t:
        await t.chat("Hi")
        written = t.statistics().scratch
        await asyncio.sleep(0.05)
        assert t.statistics().scratch == written


async def test_the_first_delta_brings_the_lease_with_it(path: str) -> None:
    clock, model = FixedClock(step=0), Dictated()
    async with opened(model, path, clock=clock) as t, t.stream("Count") as stream:
        assert rows(path, "leases") == []
        model.say("One.")
        await anext(stream)
        assert [lease[1] for lease in rows(path, "leases")] == [clock.now + LEASE]
        model.end()
        await stream.finish()


def test_a_call_that_its_event_loop_left_behind_is_interrupted_in_the_same_process(path: str) -> None:
    async def deltas() -> AsyncIterator[str]:
        yield "One "
        await asyncio.Event().wait()

    def reply(_: ModelRequest) -> AsyncIterator[str]:
        return deltas()

    async def leave() -> object:
        t = await AsyncTract.open(path, llm=ScriptedLLM(reply), model="tiny")
        stream = await t.stream("Count").__aenter__()
        assert await anext(stream) == "One "
        return t, stream

    async def look() -> list[tuple[str, str]]:
        async with AsyncTract.open(path) as t:
            return [(info.status, info.text) for info in await t.generations()]

    with pytest.warns(ResourceWarning, match="never closed"):
        left = asyncio.run(leave())
    assert asyncio.run(look()) == [("interrupted", "One ")]
    del left
