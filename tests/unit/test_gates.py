"""Who may write to a branch while a turn or a batch runs on it."""

import asyncio
from collections.abc import Coroutine

import pytest

from tract.core.gates import Gates, Hold
from tract.errors import BatchError, TurnInProgressError

MAIN = (1, "main")


class Line:
    """Tasks at the gate of one branch, and what they did, in order."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.done: list[str] = []

    async def enter(self) -> Hold:
        return await self.gates.enter(*MAIN)

    async def batch(self) -> Hold:
        return await self.gates.enter(*MAIN, is_batch=True)

    async def appending(self, name: str, *, adds_slots: bool = True) -> asyncio.Task[None]:
        """A task that appends, started and as far as it comes."""
        started = asyncio.Event()

        async def append() -> None:
            started.set()
            await self.gates.pass_through(*MAIN, adds_slots=adds_slots)
            self.done.append(name)

        return await self._started(append(), started)

    async def turning(self, name: str, until: asyncio.Event | None = None) -> asyncio.Task[None]:
        """A task that runs a turn, which ends with the event, or at once."""
        started = asyncio.Event()

        async def run() -> None:
            started.set()
            turn = await self.enter()
            self.done.append(f"{name} begins")
            if until is not None:
                await until.wait()
            self.done.append(f"{name} ends")
            self.gates.leave(turn)

        return await self._started(run(), started)

    async def _started(self, coroutine: Coroutine[None, None, None], started: asyncio.Event) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        await started.wait()
        return task


@pytest.fixture
def line() -> Line:
    return Line()


async def test_an_append_passes_where_no_turn_runs(line: Line) -> None:
    await line.gates.pass_through(*MAIN)


async def test_an_append_waits_for_the_turn(line: Line) -> None:
    turn = await line.enter()
    task = await line.appending("a")
    assert not line.done
    line.gates.leave(turn)
    await task
    assert line.done == ["a"]


async def test_appends_and_turns_pass_in_the_order_in_which_they_came(line: Line) -> None:
    turn = await line.enter()
    tasks = [
        await line.appending("a"),
        await line.turning("one"),
        await line.appending("b"),
        await line.turning("two"),
        await line.appending("c"),
    ]
    line.gates.leave(turn)
    await asyncio.gather(*tasks)
    assert line.done == ["a", "one begins", "one ends", "b", "two begins", "two ends", "c"]


async def test_turns_on_one_branch_follow_one_another(line: Line) -> None:
    end = asyncio.Event()
    one, two = await line.turning("one", end), await line.turning("two")
    end.set()
    await asyncio.gather(one, two)
    assert line.done == ["one begins", "one ends", "two begins", "two ends"]


async def test_turns_on_two_branches_run_at_once(line: Line) -> None:
    one = await line.gates.enter(1, "main")
    two = await line.gates.enter(1, "try")
    assert one is not two


async def test_turns_on_one_name_in_two_tracts_run_at_once(line: Line) -> None:
    one = await line.gates.enter(1, "main")
    two = await line.gates.enter(2, "main")
    assert one is not two


async def test_the_branch_is_free_after_the_last_turn(line: Line) -> None:
    line.gates.leave(await line.enter())
    line.gates.leave(await line.enter())


async def test_leaving_twice_is_nothing(line: Line) -> None:
    turn = await line.enter()
    line.gates.leave(turn)
    line.gates.leave(turn)


async def test_leaving_twice_does_not_end_the_turn_of_another(line: Line) -> None:
    turn = await line.enter()
    line.gates.leave(turn)
    await line.enter()
    line.gates.leave(turn)
    task = await line.appending("a")
    assert not line.done
    task.cancel()


async def test_an_append_from_inside_the_turn_is_refused(line: Line) -> None:
    turn = await line.enter()
    with line.gates.inside(turn), pytest.raises(TurnInProgressError) as caught:
        await line.gates.pass_through(*MAIN)
    assert caught.value.branch == "main"


async def test_a_turn_inside_a_turn_is_refused(line: Line) -> None:
    turn = await line.enter()
    with line.gates.inside(turn), pytest.raises(TurnInProgressError):
        await line.enter()


async def test_a_task_started_inside_the_turn_is_inside(line: Line) -> None:
    turn = await line.enter()
    with line.gates.inside(turn):
        task = asyncio.create_task(line.gates.pass_through(*MAIN))
        with pytest.raises(TurnInProgressError):
            await task


async def test_another_branch_is_free_inside_a_turn(line: Line) -> None:
    turn = await line.enter()
    with line.gates.inside(turn):
        await line.gates.pass_through(1, "try")


async def test_both_turns_that_one_task_holds_are_refused(line: Line) -> None:
    one, two = await line.enter(), await line.gates.enter(1, "try")
    with line.gates.inside(one), line.gates.inside(two):
        for branch in ("main", "try"):
            with pytest.raises(TurnInProgressError):
                await line.gates.pass_through(1, branch)


async def test_after_the_block_nobody_is_inside(line: Line) -> None:
    turn = await line.enter()
    with line.gates.inside(turn):
        pass
    task = await line.appending("a")
    line.gates.leave(turn)
    await task
    assert line.done == ["a"]


async def test_whoever_leaves_the_line_is_passed_over(line: Line) -> None:
    turn = await line.enter()
    left, stays = await line.appending("left"), await line.appending("stays")
    left.cancel()
    await asyncio.wait([left])
    line.gates.leave(turn)
    await stays
    assert line.done == ["stays"]


async def test_a_turn_cancelled_when_its_turn_had_come_lets_the_next_pass(line: Line) -> None:
    turn = await line.enter()
    one, append = await line.turning("one"), await line.appending("a")
    line.gates.leave(turn)
    one.cancel()
    await asyncio.wait([one, append])
    assert line.done == ["a"]


@pytest.mark.parametrize("leaves_first", [True, False], ids=["after the turn ended", "before the turn ended"])
async def test_a_turn_cancelled_in_the_moment_the_one_before_ends_frees_the_branch(line: Line, *, leaves_first: bool) -> None:
    turn = await line.enter()
    one = await line.turning("one")
    if leaves_first:
        line.gates.leave(turn)
        one.cancel()
    else:
        one.cancel()
        line.gates.leave(turn)
    await asyncio.wait([one])
    assert one.cancelled()
    line.gates.leave(await line.enter())


@pytest.mark.parametrize("leaves_first", [True, False], ids=["after the turn ended", "before the turn ended"])
async def test_a_cancelled_turn_lets_only_one_turn_in(line: Line, *, leaves_first: bool) -> None:
    turn = await line.enter()
    end = asyncio.Event()
    cancelled, one, two = [await line.turning("cancelled"), await line.turning("one", end), await line.turning("two", end)]
    if leaves_first:
        line.gates.leave(turn)
        cancelled.cancel()
    else:
        cancelled.cancel()
        line.gates.leave(turn)
    await asyncio.wait([cancelled])
    end.set()
    await asyncio.wait([one, two])
    assert line.done == ["one begins", "one ends", "two begins", "two ends"]


async def test_a_turn_that_began_while_another_was_cancelled_holds_the_branch(line: Line) -> None:
    turn = await line.enter()
    cancelled = await line.turning("cancelled")
    cancelled.cancel()
    line.gates.leave(turn)
    await line.enter()
    await asyncio.wait([cancelled])
    task = await line.appending("a")
    assert not line.done
    task.cancel()


async def test_a_change_of_slots_passes_a_turn(line: Line) -> None:
    await line.enter()
    await line.gates.pass_through(*MAIN, adds_slots=False)


@pytest.mark.parametrize("adds_slots", [True, False], ids=["an append", "a change of slots"])
async def test_everybody_waits_for_a_batch(line: Line, *, adds_slots: bool) -> None:
    batch = await line.batch()
    task = await line.appending("a", adds_slots=adds_slots)
    assert not line.done
    line.gates.leave(batch)
    await task
    assert line.done == ["a"]


async def test_turns_and_batches_follow_one_another(line: Line) -> None:
    batch = await line.batch()
    task = await line.turning("one")
    assert not line.done
    line.gates.leave(batch)
    await task
    line.gates.leave(await line.batch())


async def test_a_change_of_slots_that_waited_for_a_batch_does_not_wait_for_the_turn_after_it(line: Line) -> None:
    batch, end = await line.batch(), asyncio.Event()
    turn, append = await line.turning("one", end), await line.appending("a")
    change = await line.appending("c", adds_slots=False)
    line.gates.leave(batch)
    await change
    assert line.done == ["one begins", "c"]
    end.set()
    await asyncio.gather(turn, append)
    assert line.done == ["one begins", "c", "one ends", "a"]


async def test_a_change_of_slots_cancelled_in_the_moment_a_batch_ends_frees_the_branch(line: Line) -> None:
    batch = await line.batch()
    change = await line.appending("c", adds_slots=False)
    line.gates.leave(batch)
    change.cancel()
    await asyncio.wait([change])
    line.gates.leave(await line.batch())
    await line.gates.pass_through(*MAIN)


@pytest.mark.parametrize("adds_slots", [True, False], ids=["an append", "a change of slots"])
async def test_a_write_from_inside_a_batch_is_refused(line: Line, *, adds_slots: bool) -> None:
    batch = await line.batch()
    with line.gates.inside(batch), pytest.raises(BatchError) as caught:
        await line.gates.pass_through(*MAIN, adds_slots=adds_slots)
    assert caught.value.branch == "main"


async def test_a_turn_inside_a_batch_is_refused(line: Line) -> None:
    batch = await line.batch()
    with line.gates.inside(batch), pytest.raises(BatchError):
        await line.enter()


async def test_of_two_turns_that_write_to_each_other_the_one_that_closes_the_circle_is_refused(line: Line) -> None:
    one, two = await line.enter(), await line.gates.enter(1, "try")
    with line.gates.inside(two):
        waiting = await line.appending("a")
    with line.gates.inside(one), pytest.raises(TurnInProgressError) as caught:
        await line.gates.pass_through(1, "try")
    line.gates.leave(one)
    await waiting
    assert caught.value.branch == "try"


async def test_a_circle_of_batches_is_refused_as_a_batch(line: Line) -> None:
    one, two = await line.batch(), await line.gates.enter(1, "try", is_batch=True)
    with line.gates.inside(two):
        waiting = await line.appending("a", adds_slots=False)
    with line.gates.inside(one), pytest.raises(BatchError) as caught:
        await line.gates.pass_through(1, "try", adds_slots=False)
    line.gates.leave(one)
    await waiting
    assert caught.value.branch == "try"


async def test_a_circle_of_three_turns_is_refused(line: Line) -> None:
    one, two, three = await line.enter(), await line.gates.enter(1, "two"), await line.gates.enter(1, "three")
    with line.gates.inside(three):
        waiting = [await line.turning("turn of three on main")]
    with line.gates.inside(two):
        waiting.append(asyncio.create_task(line.gates.pass_through(1, "three")))
        await asyncio.sleep(0)
    with line.gates.inside(one), pytest.raises(TurnInProgressError):
        await line.gates.enter(1, "two")
    line.gates.leave(one)
    line.gates.leave(three)
    await asyncio.gather(*waiting)


async def test_a_circle_over_two_stores_is_refused(line: Line) -> None:
    other = Gates()
    one, two = await line.enter(), await other.enter(*MAIN)
    with line.gates.inside(two):
        waiting = await line.appending("a")
    with line.gates.inside(one), pytest.raises(TurnInProgressError):
        await other.pass_through(*MAIN)
    line.gates.leave(one)
    await waiting


async def test_a_turn_may_wait_for_one_that_waits_for_somebody_else(line: Line) -> None:
    await line.enter()
    one, two, three = [await line.gates.enter(1, name) for name in ("one", "two", "three")]
    with line.gates.inside(one):
        waiting = [asyncio.create_task(line.gates.pass_through(1, "two"))]
        await asyncio.sleep(0)
    with line.gates.inside(three):
        waiting.append(asyncio.create_task(line.gates.pass_through(1, "one")))
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    line.gates.leave(two)
    line.gates.leave(one)
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["was cancelled", "was let in"])
async def test_who_waits_no_more_closes_no_circle(line: Line, *, is_cancelled: bool) -> None:
    one, two = await line.enter(), await line.gates.enter(1, "try")
    with line.gates.inside(two):
        waiting = await line.appending("a")
    if is_cancelled:
        waiting.cancel()
    else:
        line.gates.leave(one)
        one = Hold(MAIN)
    with line.gates.inside(one):
        other = asyncio.create_task(line.gates.pass_through(1, "try"))
        await asyncio.sleep(0)
    assert not other.done()
    line.gates.leave(two)
    await other
    await asyncio.wait([waiting])
