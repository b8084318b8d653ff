"""Story: a change that turns out wrong is undone by another commit."""

import asyncio
import threading
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tests.builders import uuid
from tract import AsyncTract, DialogueContent, LLMConfig, Priority, ToolCall
from tract.errors import ContentValidationError, OperationMismatchError, RefNotFoundError, RevertError
from tract.testing import FixedClock


async def shown(t: AsyncTract) -> tuple[Any, ...]:
    """Return all that a compile says, but for the commit it was made at."""
    context = await t.compile()
    return (
        context.digest,
        context.payload_digest,
        list(context.commit_ids),
        list(context.priorities),
        list(context.generation_configs),
        context.token_count,
    )


async def told(t: AsyncTract) -> tuple[int, int]:
    status = await t.status()
    return status.slots, status.token_count


async def test_reverting_an_edit_gives_the_context_from_before_it(t: AsyncTract) -> None:
    slot = await t.assistant("one", generation_config=LLMConfig(model="tiny"))
    await t.user("two")
    before, totals = await shown(t), await told(t)
    edited = await t.edit(slot.id, "a longer one", generation_config=LLMConfig(model="large"))
    await t.revert(edited.id)
    assert (await shown(t), await told(t)) == (before, totals)


async def test_edits_are_reverted_one_after_another(t: AsyncTract) -> None:
    slot = await t.user("one")
    first, second = await t.edit(slot.id, "two"), await t.edit(slot.id, "three")
    await t.revert(second.id)
    after_one = await texts(t)
    await t.revert(first.id)
    assert (after_one, await texts(t)) == (["two"], ["one"])


@pytest.mark.parametrize("priority", list(Priority))
async def test_reverting_an_annotate_gives_the_context_from_before_it(t: AsyncTract, priority: Priority) -> None:
    await t.user("one")
    slot = await t.user("two", priority="important")
    before, totals = await shown(t), await told(t)
    annotated = await t.annotate(slot.id, priority)
    await t.revert(annotated.id)
    assert (await shown(t), await told(t)) == (before, totals)


async def test_reverting_a_pin_brings_the_skip_before_it_back(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.skip(slot.id)
    pinned = await t.pin(slot.id)
    await t.revert(pinned.id)
    assert (await texts(t), await told(t)) == ([], (0, 3))


async def test_what_hid_a_tool_unit_is_reverted_for_the_whole_unit(t: AsyncTract) -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    await t.commit(DialogueContent("assistant", None, tool_calls=calls))
    for call in calls:
        result = await t.tool_result(call.id, "found")
    before, totals = await shown(t), await told(t)
    hidden = await t.skip(result.id)
    assert await texts(t) == []
    await t.revert(hidden.id)
    assert (await shown(t), await told(t)) == (before, totals)


async def test_a_revert_that_hides_counts_downwards(t: AsyncTract) -> None:
    await t.user("one")
    slot = await t.user("two", priority="skip")
    totals = await told(t)
    shows = await t.annotate(slot.id, "normal")
    await t.revert(shows.id)
    assert await told(t) == totals


async def test_a_commit_before_the_revert_compiles_as_it_did(t: AsyncTract) -> None:
    slot = await t.user("one")
    edited = await t.edit(slot.id, "two")
    await t.revert(edited.id)
    assert (await texts(t, edited.id), await texts(t)) == (["two"], ["one"])


async def test_another_branch_keeps_the_change(t: AsyncTract) -> None:
    slot = await t.user("one")
    edited = await t.edit(slot.id, "two")
    await t.branch("other")
    await t.revert(edited.id)
    assert (await texts(t, "main"), await texts(t, "other")) == (["two"], ["one"])


async def test_a_revert_is_a_commit_that_says_what_it_undoes(t: AsyncTract) -> None:
    slot = await t.user("one")
    edited = await t.edit(slot.id, "two")
    info = await t.revert(edited.id)
    assert (info.operation, info.targets, info.parents) == ("revert", (edited.id,), (edited.id,))
    assert (info.message, info.content_type, info.tokens) == (f"revert: {edited.id[:8]}", None, None)
    assert ((await t.log(1))[0], (await t.show(info.id)).info) == (info, info)


async def test_a_revert_takes_a_message_and_metadata(t: AsyncTract) -> None:
    edited = await t.edit((await t.user("one")).id, "two")
    info = await t.revert(edited.id, message="It was right.", metadata={"by": "Ann"})
    assert (info.message, info.metadata) == ("It was right.", {"by": "Ann"})


@pytest.mark.parametrize("ref", ["HEAD", "main", "HEAD~0"])
async def test_any_ref_names_the_commit_to_undo(t: AsyncTract, ref: str) -> None:
    slot = await t.user("one")
    edited = await t.edit(slot.id, "two")
    assert (await t.revert(ref)).targets == (edited.id,)


async def test_a_change_can_be_made_again_after_it_was_undone(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.revert((await t.edit(slot.id, "two")).id)
    again = await t.edit(slot.id, "two")
    await t.revert(again.id)
    assert await texts(t) == ["one"]


async def test_an_edit_of_a_hidden_slot_is_undone_unseen(t: AsyncTract) -> None:
    slot = await t.user("one")
    hidden = await t.skip(slot.id)
    edited = await t.edit(slot.id, "a longer one")
    totals = await told(t)
    await t.revert(edited.id)
    assert await told(t) == totals
    await t.revert(hidden.id)
    assert await texts(t) == ["one"]


async def test_an_append_is_refused_with_the_advice_to_skip_it(t: AsyncTract) -> None:
    slot = await t.user("one")
    with pytest.raises(RevertError, match=r"added a slot; hide that with skip\(\)") as caught:
        await t.revert(slot.id)
    assert caught.value.target == slot.id


async def test_a_revert_is_not_reverted(t: AsyncTract) -> None:
    edited = await t.edit((await t.user("one")).id, "two")
    info = await t.revert(edited.id)
    with pytest.raises(RevertError, match="make the change again"):
        await t.revert(info.id)


async def test_a_change_is_undone_once(t: AsyncTract) -> None:
    edited = await t.edit((await t.user("one")).id, "two")
    await t.revert(edited.id)
    with pytest.raises(RevertError, match="nothing to undo"):
        await t.revert(edited.id)


async def test_an_edit_under_a_later_one_is_refused_and_names_it(t: AsyncTract) -> None:
    slot = await t.user("one")
    first, second = await t.edit(slot.id, "two"), await t.edit(slot.id, "three")
    with pytest.raises(RevertError, match=f"commit {second.id[:12]} edited the slot again since; revert that one first"):
        await t.revert(first.id)


async def test_a_priority_that_was_set_again_is_refused_and_names_by_whom(t: AsyncTract) -> None:
    slot = await t.user("one")
    hidden, pinned = await t.skip(slot.id), await t.pin(slot.id)
    with pytest.raises(RevertError, match=f"commit {pinned.id[:12]} set the priority again since"):
        await t.revert(hidden.id)


async def test_a_commit_of_another_branch_is_refused(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.branch("other")
    edited = await t.edit(slot.id, "two")
    await t.switch("main")
    with pytest.raises(RevertError, match="not in the history of this branch"):
        await t.revert(edited.id)


async def test_on_a_branch_without_a_commit_nothing_can_be_undone(t: AsyncTract) -> None:
    await t.branch("empty")
    await t.switch("main")
    edited = await t.edit((await t.user("one")).id, "two")
    await t.switch("empty")
    with pytest.raises(RevertError, match="not in the history of this branch"):
        await t.revert(edited.id)


async def test_an_unknown_ref_is_refused(t: AsyncTract) -> None:
    await t.user("one")
    with pytest.raises(RefNotFoundError):
        await t.revert("nothing")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"message": 5}, "message"), ({"metadata": ["x"]}, "metadata"), ({"operation_id": "x"}, "operation_id")],
)
async def test_malformed_arguments_are_refused_by_name(t: AsyncTract, arguments: dict[str, Any], field: str) -> None:
    edited = await t.edit((await t.user("one")).id, "two")
    with pytest.raises(ContentValidationError) as caught:
        await t.revert(edited.id, **arguments)
    assert (caught.value.field, await t.head()) == (field, edited.id)


async def test_a_refusal_leaves_nothing_behind(t: AsyncTract) -> None:
    slot = await t.user("one")
    with pytest.raises(RevertError):
        await t.revert(slot.id)
    assert await t.head() == slot.id


async def test_the_same_operation_id_reverts_once(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "two")
    first = await t.revert("HEAD", operation_id=uuid(1))
    assert (await t.revert("HEAD", operation_id=uuid(1)), await t.head()) == (first, first.id)


async def test_an_operation_id_of_another_revert_is_refused(t: AsyncTract) -> None:
    slot = await t.user("one")
    first, second = await t.edit(slot.id, "two"), await t.edit(slot.id, "three")
    await t.revert(second.id, operation_id=uuid(1))
    with pytest.raises(OperationMismatchError):
        await t.revert(first.id, operation_id=uuid(1))


async def test_of_many_that_revert_one_change_at_once_one_does(t: AsyncTract) -> None:
    edited = await t.edit((await t.user("one")).id, "two")
    found = await asyncio.gather(*(t.revert(edited.id) for _ in range(10)), return_exceptions=True)
    refused = [one for one in found if isinstance(one, RevertError)]
    assert (len(refused), len(await t.log()), await texts(t)) == (9, 3, ["one"])


class Intruding:
    """A clock at whose next reading somebody else edits a slot, between plan and record."""

    def __init__(self, path: str) -> None:
        self._time = FixedClock()
        self._path = path
        self.slot: str | None = None

    def __call__(self) -> int:
        if self.slot is not None:
            thread = threading.Thread(target=asyncio.run, args=(self._edit(self.slot),))
            self.slot = None
            thread.start()
            thread.join()
        return self._time()

    async def _edit(self, slot: str) -> None:
        async with AsyncTract.open(self._path) as other:
            await other.edit(slot, "theirs")


async def test_a_change_that_somebody_builds_on_in_that_moment_is_refused(path: str) -> None:
    clock = Intruding(path)
    async with AsyncTract.open(path, clock=clock) as t:
        slot = await t.user("one")
        edited = await t.edit(slot.id, "two")
        clock.slot = slot.id
        with pytest.raises(RevertError, match="edited the slot again since"):
            await t.revert(edited.id, operation_id=uuid(1))
        assert await texts(t) == ["theirs"]


async def test_a_change_is_undone_although_the_branch_moved_in_that_moment(path: str) -> None:
    clock = Intruding(path)
    async with AsyncTract.open(path, clock=clock) as t:
        slot, other = await t.user("one"), await t.user("else")
        await t.edit(slot.id, "two")
        clock.slot = other.id
        await t.revert("HEAD", operation_id=uuid(1))
        assert await texts(t) == ["one", "theirs"]


async def test_a_revert_is_the_same_for_who_opens_the_file_next(path: str) -> None:
    async with AsyncTract.open(path) as t:
        edited = await t.edit((await t.user("one")).id, "two")
        await t.revert(edited.id)
        before = await shown(t)
    async with AsyncTract.open(path) as t:
        assert await shown(t) == before
