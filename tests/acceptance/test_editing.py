"""Story: what stands in the context is corrected, hidden and pinned, on this branch and from now on."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.reading import state, texts
from tests.builders import uuid
from tract import (
    ArtifactContent,
    AsyncTract,
    CommitOperation,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    LLMConfig,
    Message,
    OutputContent,
    Priority,
    ReasoningContent,
    SessionContent,
    ToolCall,
    ToolIOContent,
)
from tract.errors import ContentValidationError, EditTargetError, RefNotFoundError
from tract.llm.counting import ApproximateCounter
from tract.testing import FixedClock

FIRST, SECOND = ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")


async def totals(t: AsyncTract, at: str | None = None) -> tuple[int, int]:
    context = await t.compile(at)
    return len(context), context.token_count


async def told(t: AsyncTract) -> tuple[int, int]:
    status = await t.status()
    return status.slots, status.token_count


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (InstructionContent("old"), InstructionContent("new")),
        (DialogueContent("user", "old", "anna"), DialogueContent("user", "new", "anna")),
        (DialogueContent("assistant", None, tool_calls=(FIRST,)), DialogueContent("assistant", "new", tool_calls=(FIRST,))),
        (
            ToolIOContent("look", text="old", call_id="a", status="ok"),
            ToolIOContent("look", text="new", call_id="a", status="ok"),
        ),
        (ToolIOContent("look", payload={"x": 1}, call_id="a"), ToolIOContent("look", text="new", call_id="a")),
        (ReasoningContent("old"), ReasoningContent("new")),
        (ArtifactContent("code", "old", "python"), ArtifactContent("code", "new", "python")),
        (OutputContent("old", "json"), OutputContent("new", "json")),
        (FreeformContent({"old": 1}), FreeformContent("new")),
        (SessionContent("end", "old", ("kept",)), SessionContent("end", "new", ("kept",))),
    ],
)
async def test_a_string_replaces_the_text_and_keeps_everything_else(t: AsyncTract, before: Any, after: Any) -> None:
    slot = await t.commit(before)
    edited = await t.edit(slot.id, "new")
    assert (await t.show(edited.id)).content == after


async def test_an_edit_keeps_the_place(t: AsyncTract) -> None:
    slot, *_ = [await t.user(text) for text in ("a", "b", "c")]
    await t.edit(slot.id, "A")
    assert await texts(t) == ["A", "b", "c"]


async def test_an_edit_keeps_the_priority(t: AsyncTract) -> None:
    slot = await t.user("a", priority="pinned")
    await t.edit(slot.id, "A")
    assert list((await t.compile()).priorities) == [Priority.PINNED]


async def test_an_edit_of_a_hidden_slot_leaves_it_hidden(t: AsyncTract) -> None:
    slot = await t.user("a")
    await t.skip(slot.id)
    await t.edit(slot.id, "A")
    assert (await texts(t), await told(t)) == ([], await totals(t))


@pytest.mark.parametrize(
    "content",
    [DialogueContent("assistant", "B"), {"content_type": "dialogue", "role": "assistant", "text": "B"}],
    ids=["content", "mapping"],
)
async def test_a_content_replaces_everything_the_role_included(t: AsyncTract, content: Any) -> None:
    await t.user("a")
    slot = await t.user("b", name="anna")
    await t.user("c")
    await t.edit(slot.id, content)
    assert (await t.compile()).to_dicts() == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "c"},
    ]


async def test_editing_an_edit_means_editing_its_slot(t: AsyncTract) -> None:
    slot = await t.user("one")
    first = await t.edit(slot.id, "two")
    second = await t.edit(first.id, "three")
    assert (second.targets, await texts(t)) == ((slot.id,), ["three"])


async def test_the_slot_can_be_edited_by_its_own_id_after_an_edit(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "two")
    await t.edit(slot.id, "three")
    assert await texts(t) == ["three"]


async def test_a_compiled_message_names_its_slot_and_the_commit_that_says_it(t: AsyncTract) -> None:
    slot = await t.user("one")
    edited = await t.edit(slot.id, "two")
    context = await t.compile()
    assert (list(context.slot_ids), list(context.commit_ids)) == ([slot.id], [edited.id])


async def test_an_edit_keeps_the_config_that_it_does_not_bring(t: AsyncTract) -> None:
    config = LLMConfig(model="tiny")
    slot = await t.assistant("one", generation_config=config)
    await t.edit(slot.id, "two")
    assert list((await t.compile()).generation_configs) == [config]


async def test_an_edit_can_bring_a_config_of_its_own(t: AsyncTract) -> None:
    slot = await t.assistant("one", generation_config=LLMConfig(model="tiny", seed=1))
    await t.edit(slot.id, "two", generation_config=LLMConfig(model="large"))
    assert list((await t.compile()).generation_configs) == [LLMConfig(model="large")]


async def test_an_earlier_commit_compiles_as_it_did_before_the_edit(t: AsyncTract) -> None:
    slot = await t.user("one")
    before = await t.compile()
    await t.edit(slot.id, "two")
    again = await t.compile(slot.id)
    assert (again.digest, again.to_dicts()) == (before.digest, [{"role": "user", "content": "one"}])


async def test_an_edit_is_seen_on_its_branch_alone(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.branch("other")
    await t.edit(slot.id, "two")
    assert (await texts(t, "main"), await texts(t, "other")) == (["one"], ["two"])


async def test_the_same_slot_can_be_edited_differently_on_two_branches(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.branch("other", switch=False)
    await t.edit(slot.id, "main's")
    await t.switch("other")
    await t.edit(slot.id, "other's")
    assert (await texts(t, "main"), await texts(t, "other")) == (["main's"], ["other's"])


async def test_the_commits_of_edits_and_annotations_stand_in_the_log(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "two", message="typo", metadata={"by": "me"})
    await t.pin(slot.id)
    assert [(info.operation, info.targets, info.message, info.metadata) for info in await t.log()] == [
        (CommitOperation.ANNOTATE, (slot.id,), f"pinned {slot.id[:8]}", None),
        (CommitOperation.EDIT, (slot.id,), "typo", {"by": "me"}),
        (CommitOperation.APPEND, (), "dialogue: one", None),
    ]


Change = Callable[[AsyncTract, str], Awaitable[object]]
CHANGES: list[Change] = [
    lambda t, target: t.edit(target, "x"),
    lambda t, target: t.edit(target, OutputContent("x")),
    lambda t, target: t.annotate(target, "important"),
    lambda t, target: t.pin(target),
    lambda t, target: t.skip(target),
]
every_change = pytest.mark.parametrize("change", CHANGES, ids=["edit-text", "edit", "annotate", "pin", "skip"])


@every_change
@pytest.mark.parametrize("target", ["nothing", "0" * 64, "abcd", "abc", "", "HEAD~1", "main~9", "HEAD~x", "Main"])
async def test_a_target_that_nothing_answers_to_is_refused(t: AsyncTract, change: Change, target: str) -> None:
    await t.user("one")
    before = await state(t)
    with pytest.raises(RefNotFoundError):
        await change(t, target)
    assert await state(t) == before


@every_change
async def test_a_slot_of_another_branch_is_refused(t: AsyncTract, change: Change) -> None:
    await t.user("one")
    await t.branch("other")
    elsewhere = await t.user("two")
    await t.switch("main")
    before = await state(t)
    with pytest.raises(EditTargetError):
        await change(t, elsewhere.id)
    assert await state(t) == before


@every_change
async def test_an_edit_of_another_branch_is_refused_as_a_target(t: AsyncTract, change: Change) -> None:
    slot = await t.user("one")
    await t.branch("other")
    elsewhere = await t.edit(slot.id, "two")
    await t.switch("main")
    before = await state(t)
    with pytest.raises(EditTargetError):
        await change(t, elsewhere.id)
    assert await state(t) == before


@every_change
async def test_an_annotation_is_no_slot(t: AsyncTract, change: Change) -> None:
    slot = await t.user("one")
    annotation = await t.pin(slot.id)
    before = await state(t)
    with pytest.raises(EditTargetError):
        await change(t, annotation.id)
    assert await state(t) == before


@every_change
async def test_a_slot_of_another_tract_of_the_file_is_not_found(path: str, change: Change) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        foreign = await one.user("one's")
        await two.user("two's")
        before = await state(two)
        with pytest.raises(RefNotFoundError):
            await change(two, foreign.id)
        assert await state(two) == before


@every_change
async def test_an_unborn_branch_has_no_target(t: AsyncTract, change: Change) -> None:
    with pytest.raises(RefNotFoundError):
        await change(t, "HEAD")
    assert await t.log() == ()


async def test_a_commit_on_a_branch_is_refused_on_one_that_has_no_commit(t: AsyncTract) -> None:
    await t.branch("other", switch=False)
    slot = await t.user("one")
    await t.switch("other")
    with pytest.raises(EditTargetError):
        await t.edit(slot.id, "two")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("", "text"),
        (" ", "text"),
        ("\ud800", "text"),
        (5, "content"),
        (None, "content"),
        ({"content_type": "output", "text": "x", "mood": 1}, "mood"),
        ({"content_type": "freeform", "payload": float("nan")}, "payload"),
    ],
)
async def test_a_malformed_content_is_refused_by_its_field(t: AsyncTract, content: Any, field: str) -> None:
    slot = await t.user("one")
    before = await state(t)
    with pytest.raises(ContentValidationError) as caught:
        await t.edit(slot.id, content)
    assert (caught.value.field, await state(t)) == (field, before)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda t: t.annotate("HEAD", "loud"), "priority"),
        (lambda t: t.annotate("HEAD", None), "priority"),
        (lambda t: t.annotate("HEAD", "skip", reason=5), "reason"),
        (lambda t: t.annotate("HEAD", "skip", retain=float("nan")), "retain"),
        (lambda t: t.annotate("HEAD", "skip", retain={1, 2}), "retain"),
        (lambda t: t.pin("HEAD", reason="\ud800"), "reason"),
        (lambda t: t.edit("HEAD", "x", message=5), "message"),
        (lambda t: t.edit("HEAD", "x", metadata=[1]), "metadata"),
        (lambda t: t.edit("HEAD", "x", operation_id="x"), "operation_id"),
    ],
)
async def test_a_malformed_argument_is_refused_by_its_name(t: AsyncTract, call: Any, field: str) -> None:
    await t.user("one")
    before = await state(t)
    with pytest.raises(ContentValidationError) as caught:
        await call(t)
    assert (caught.value.field, await state(t)) == (field, before)


async def test_skip_hides_and_normal_shows_again(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.user("two")
    await t.skip(slot.id)
    hidden = await texts(t)
    await t.annotate(slot.id, "normal")
    assert (hidden, await texts(t)) == (["two"], ["one", "two"])


async def test_pin_and_important_show(t: AsyncTract) -> None:
    first, second = await t.user("one"), await t.user("two")
    await t.pin(first.id)
    await t.annotate(second.id, Priority.IMPORTANT)
    context = await t.compile()
    assert (len(context), list(context.priorities)) == (2, [Priority.PINNED, Priority.IMPORTANT])


async def test_reasoning_is_hidden_until_it_is_annotated(t: AsyncTract) -> None:
    slot = await t.commit(ReasoningContent("Hm."))
    hidden = await texts(t)
    await t.annotate(slot.id, "normal")
    assert (hidden, await texts(t)) == ([], ["Hm."])


async def test_a_reason_and_what_to_retain_are_shown(t: AsyncTract) -> None:
    await t.user("one")
    info = await t.annotate("HEAD", "important", reason="names", retain={"names": ["anna"]})
    detail = await t.show(info.id)
    assert (detail.reason, detail.retain, detail.content) == ("names", {"names": ["anna"]}, None)


async def test_a_skip_is_seen_on_its_branch_alone(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.branch("other")
    await t.skip(slot.id)
    assert (await texts(t, "main"), await texts(t, "other")) == (["one"], [])


async def unit(t: AsyncTract) -> list[str]:
    await t.user("before")
    call = await t.commit(DialogueContent("assistant", "Looking.", tool_calls=(FIRST, SECOND)))
    first = await t.tool_result("a", "found a")
    await t.user("between")
    second = await t.tool_result("b", "found b")
    return [call.id, first.id, second.id]


@pytest.mark.parametrize("part", [0, 1, 2], ids=["call", "first-result", "second-result"])
async def test_a_tool_unit_is_skipped_as_a_whole_whichever_part_is_named(t: AsyncTract, part: int) -> None:
    parts = await unit(t)
    skipped = await t.skip(parts[part])
    assert (set(skipped.targets), await texts(t)) == (set(parts), ["before", "between"])


@pytest.mark.parametrize("part", [0, 1, 2], ids=["call", "first-result", "second-result"])
async def test_a_skipped_tool_unit_comes_back_as_a_whole(t: AsyncTract, part: int) -> None:
    parts = await unit(t)
    before = await t.compile()
    await t.skip(parts[0])
    await t.annotate(parts[part], "normal")
    after = await t.compile()
    assert (after.to_dicts(), after.digest) == (before.to_dicts(), before.digest)


async def test_skipping_one_of_two_units_with_the_same_call_id_leaves_the_other(t: AsyncTract) -> None:
    commits = []
    for number in ("1", "2"):
        commits.append(await t.commit(DialogueContent("assistant", f"call {number}", tool_calls=(FIRST,))))
        commits.append(await t.tool_result("a", f"found {number}"))
    await t.skip(commits[0].id)
    assert await texts(t) == ["call 2", "found 2"]


async def test_pinning_a_part_pins_the_whole_unit(t: AsyncTract) -> None:
    parts = await unit(t)
    await t.pin(parts[2])
    context = await t.compile()
    pinned = [id for id, priority in zip(context.slot_ids, context.priorities, strict=True) if priority is Priority.PINNED]
    assert pinned == parts


async def test_status_says_what_compile_says_after_each_change(t: AsyncTract) -> None:
    parts = await unit(t)
    seen = []
    for change in (
        t.skip(parts[1]),
        t.edit(parts[1], "a much longer result than there was before"),
        t.annotate(parts[2], "normal"),
        t.edit(parts[1], "short"),
        t.pin(parts[0]),
        t.skip("HEAD~8"),
        t.user("more"),
        t.skip("HEAD"),
        t.skip("HEAD~1"),
        t.annotate("HEAD~2", "pinned"),
        t.commit(ReasoningContent("hidden")),
    ):
        await change
        seen.append((await told(t), await totals(t)))
    assert [one for one, _ in seen] == [other for _, other in seen]


async def test_setting_the_priority_it_has_changes_no_total(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.skip(slot.id)
    await t.skip(slot.id)
    hidden = await told(t)
    await t.annotate(slot.id, "normal")
    await t.pin(slot.id)
    assert (hidden, await told(t)) == ((0, 3), await totals(t))


class Intruding:
    """A clock at whose next reading somebody else appends, between plan and record."""

    def __init__(self, path: str) -> None:
        self._time = FixedClock()
        self._path = path
        self.is_armed = False

    def __call__(self) -> int:
        if self.is_armed:
            self.is_armed = False
            thread = threading.Thread(target=asyncio.run, args=(self._append(),))
            thread.start()
            thread.join()
        return self._time()

    async def _append(self) -> None:
        async with AsyncTract.open(self._path) as other:
            await other.user("new")


INTRUDED: list[tuple[Any, list[str | None]]] = [
    (lambda t, ref: t.edit(ref, "EDITED", operation_id=uuid(1)), ["one", "EDITED", "new"]),
    (lambda t, ref: t.skip(ref, operation_id=uuid(1)), ["one", "new"]),
]


@pytest.mark.parametrize("ref", ["HEAD", "main", "HEAD~0"])
@pytest.mark.parametrize(("change", "after"), INTRUDED, ids=["edit", "skip"])
async def test_a_change_hits_the_slot_that_was_meant_although_the_branch_moved(
    path: str, ref: str, change: Any, after: list[str | None]
) -> None:
    clock = Intruding(path)
    async with AsyncTract.open(path, clock=clock) as t:
        await t.user("one")
        meant = await t.user("two")
        # With an id of the caller's, the clock is read first when the change is planned.
        clock.is_armed = True
        info = await change(t, ref)
        assert (clock.is_armed, info.targets, await texts(t)) == (False, (meant.id,), after)


class IntrudingCounter:
    """A counter that appends from elsewhere when it first counts an edit."""

    name = "intruding"

    def __init__(self, path: str) -> None:
        self._clock = Intruding(path)
        self._clock.is_armed = True

    def count(self, text: str) -> int:
        return ApproximateCounter().count(text)

    def count_message(self, message: Message) -> int:
        if message.content == "EDITED":
            self._clock()
        return ApproximateCounter().count_message(message)


async def test_an_edit_of_head_hits_what_was_head_when_it_was_asked_for(path: str) -> None:
    async with AsyncTract.open(path, tokens=IntrudingCounter(path)) as t:
        await t.user("one")
        meant = await t.user("two")
        info = await t.edit("HEAD", "EDITED")
        assert (info.targets, await texts(t)) == ((meant.id,), ["one", "EDITED", "new"])
