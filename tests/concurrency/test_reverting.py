"""Many tasks and handles that change and undo on one branch at once."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

from tract import AsyncTract
from tract.errors import RevertError


async def change_and_undo(t: AsyncTract, slot: str, rounds: int) -> None:
    for number in range(rounds):
        change = await (t.edit(slot, f"changed {number}") if number % 2 else t.skip(slot))
        await t.revert(change.id)


async def test_who_undo_their_own_changes_at_once_leave_the_context_as_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.db")
    async with AsyncTract.open(path, durability="normal") as t, AsyncTract.open(path) as other:
        slots = [(await t.user(f"{number}")).id for number in range(12)]
        before, status = await t.compile(), await t.status()
        handles = (t, other)
        await asyncio.gather(*(change_and_undo(handles[place % 2], slot, 6) for place, slot in enumerate(slots)))
        after, told = await t.compile(), await t.status()
        assert (after.digest, list(after.priorities)) == (before.digest, list(before.priorities))
        assert (told.slots, told.token_count) == (status.slots, status.token_count)
        assert len(await t.log(1000)) == 12 + 12 * 6 * 2


async def scramble(t: AsyncTract, slot: str, chance: random.Random) -> None:
    for number in range(8):
        change = await (t.edit(slot, f"a text of some length, {number}") if chance.random() < 0.5 else t.skip(slot))
        with suppress(RevertError):
            await t.revert(change.id)


async def test_who_fight_over_one_slot_get_a_refusal_or_what_they_asked_for() -> None:
    async with AsyncTract.open() as t:
        slot = (await t.user("one")).id
        await asyncio.gather(*(scramble(t, slot, random.Random(seed)) for seed in range(6)))
        status, context = await t.status(), (await t.compile()).context
        assert (status.slots, status.token_count) == (context.slot_count, 3 + context.slot_tokens)


async def test_a_cancelled_revert_is_whole_or_not_there() -> None:
    async with AsyncTract.open() as t:
        slot = (await t.user("one")).id
        for steps in range(12):
            edited = await t.edit(slot, f"edited {steps}")
            task = asyncio.create_task(t.revert(edited.id))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await t.user("behind")
            (newest, *_) = [info for info in await t.log(3) if info.operation in ("edit", "revert")]
            shown = (await t.compile()).to_openai()[0]["content"]
            assert (shown == f"edited {steps}") == (newest.operation == "edit")
