"""Story: a reader of a context wants to see which texts were edited."""

from typing import Any

from tests.acceptance.reading import texts
from tract import AsyncTract, DialogueContent, ToolCall, XMLCompiler
from tract.domain.messages import Message

CALL = ToolCall("a", "look", '{"at":  1.0}')


async def marked(t: AsyncTract, at: str | None = None) -> list[Any]:
    context = await t.compile(at, include_edit_marks=True)
    return [message.content for message in context.messages]


async def test_an_edited_text_ends_in_the_mark(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.user("two")
    await t.edit(slot.id, "ONE")
    assert await marked(t) == ["ONE [edited]", "two"]


async def test_without_asking_there_is_no_mark_before_or_after(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "ONE")
    before = await t.compile()
    await marked(t)
    after = await t.compile()
    assert await texts(t) == ["ONE"]
    assert (before.digest, before.payload_digest, before.token_count) == (after.digest, after.payload_digest, after.token_count)


async def test_marks_leave_the_digest_and_change_what_is_shown(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "ONE")
    plain, shown = await t.compile(), await t.compile(include_edit_marks=True)
    assert (shown.digest == plain.digest, shown.payload_digest == plain.payload_digest) == (True, False)
    assert (shown.head, list(shown.commit_ids), list(shown.slot_ids)) == (
        plain.head,
        list(plain.commit_ids),
        list(plain.slot_ids),
    )


async def test_where_nothing_was_edited_marks_change_nothing(t: AsyncTract) -> None:
    for number in range(130):
        await t.user(f"{number}")
    plain, shown = await t.compile(), await t.compile(include_edit_marks=True)
    assert (shown.to_openai(), shown.payload_digest, shown.token_count) == (
        plain.to_openai(),
        plain.payload_digest,
        plain.token_count,
    )


async def test_marks_are_counted(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "ONE")
    shown = await t.compile(include_edit_marks=True)
    counter = t.collaborators.counter
    assert shown.token_count == 3 + counter.count_message(Message("user", "ONE [edited]"))
    assert shown.token_source == "counted:o200k_base"


async def test_calls_keep_their_ids_and_arguments(t: AsyncTract) -> None:
    slot = await t.commit(DialogueContent("assistant", None, tool_calls=(CALL,)))
    await t.edit(slot.id, DialogueContent("assistant", None, tool_calls=(CALL,)))
    (called, closing) = (await t.compile(include_edit_marks=True)).messages
    assert (called.content, called.tool_calls, closing.content) == ("[edited]", (CALL,), "[no result recorded]")


async def test_an_edited_result_is_marked(t: AsyncTract) -> None:
    await t.commit(DialogueContent("assistant", None, tool_calls=(CALL,)))
    result = await t.tool_result("a", "found")
    await t.edit(result.id, "nothing")
    assert await marked(t) == [None, "nothing [edited]"]


async def test_an_edit_that_was_reverted_leaves_no_mark(t: AsyncTract) -> None:
    slot = await t.user("one")
    edited = await t.edit(slot.id, "ONE")
    await t.revert(edited.id)
    assert await marked(t) == ["one"]


async def test_before_the_edit_there_is_no_mark(t: AsyncTract) -> None:
    slot = await t.user("one")
    await t.edit(slot.id, "ONE")
    assert await marked(t, slot.id) == ["one"]


async def test_marks_are_in_what_another_compiler_is_given() -> None:
    async with AsyncTract.open(compiler=XMLCompiler()) as t:
        slot = await t.user("one")
        await t.edit(slot.id, "ONE")
        assert await marked(t) == ["<dialogue>ONE [edited]</dialogue>"]
