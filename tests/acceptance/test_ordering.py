"""Story: one compile shows the slots in another order, and the history does not change."""

from typing import Any

import pytest

from tract import AsyncTract, CompiledContext, DialogueContent, ToolCall, XMLCompiler
from tract.errors import ContentValidationError, RefNotFoundError


async def numbered(t: AsyncTract, count: int = 4) -> list[str]:
    return [(await t.user(f"{number}")).id for number in range(count)]


def said(context: CompiledContext) -> list[Any]:
    return [message.content for message in context.messages]


async def unit(t: AsyncTract) -> list[str]:
    """Commit a tool call with two calls, of which one is answered."""
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    info = await t.commit(DialogueContent("assistant", "Looking.", tool_calls=calls))
    return [info.id, (await t.tool_result("a", "found")).id]


async def test_slots_are_shown_in_the_order_given(t: AsyncTract) -> None:
    ids = await numbered(t)
    order = [ids[2], ids[0], ids[3], ids[1]]
    context = await t.compile(order=order)
    assert (said(context), list(context.slot_ids), list(context.commit_ids)) == (["2", "0", "3", "1"], order, order)


async def test_another_order_is_another_digest_at_the_same_cost(t: AsyncTract) -> None:
    ids = await numbered(t)
    plain, turned, again = await t.compile(), await t.compile(order=ids[::-1]), await t.compile(order=ids)
    assert (turned.digest == plain.digest, turned.payload_digest == plain.payload_digest) == (False, False)
    assert (again.digest, again.payload_digest) == (plain.digest, plain.payload_digest)
    assert turned.token_count == plain.token_count


async def test_the_order_is_for_this_compile_alone(t: AsyncTract) -> None:
    ids = await numbered(t)
    await t.compile(order=ids[::-1])
    assert (said(await t.compile()), await t.head()) == (["0", "1", "2", "3"], ids[-1])


async def test_any_ref_names_a_slot(t: AsyncTract) -> None:
    ids = await numbered(t, 3)
    edited = await t.edit(ids[0], "better")
    context = await t.compile(order=[ids[2][:12], edited.id, "main~2"])
    assert said(context) == ["2", "better", "1"]


@pytest.mark.parametrize("named", [[0], [1], [0, 1], [1, 0], [0, 1, 0]], ids=str)
async def test_a_tool_unit_goes_as_a_whole_by_whatever_part_it_is_named(t: AsyncTract, named: list[int]) -> None:
    first = (await t.user("first")).id
    parts = await unit(t)
    last = (await t.user("last")).id
    context = await t.compile(order=[last, *(parts[place] for place in named), first])
    assert said(context) == ["last", "Looking.", "found", "[no result recorded]", "first"]
    assert [message.tool_call_id for message in context.messages] == [None, None, "a", "b", None]


async def test_a_compiled_list_of_slots_is_an_order(t: AsyncTract) -> None:
    await t.user("first")
    await unit(t)
    context = await t.compile()
    assert said(await t.compile(order=list(context.slot_ids))) == said(context)


async def test_hidden_slots_are_not_part_of_an_order(t: AsyncTract) -> None:
    ids = await numbered(t, 3)
    await t.skip(ids[1])
    assert said(await t.compile(order=[ids[2], ids[0]])) == ["2", "0"]
    with pytest.raises(ContentValidationError, match=r"order\[1\]: it is not a slot that compiles here"):
        await t.compile(order=[ids[2], ids[1], ids[0]])


async def test_an_order_must_name_every_slot(t: AsyncTract) -> None:
    ids = await numbered(t)
    with pytest.raises(ContentValidationError, match="order: it leaves out 2 of 4 slots and tool units"):
        await t.compile(order=ids[:2])


async def test_an_order_names_no_slot_twice(t: AsyncTract) -> None:
    ids = await numbered(t, 2)
    for order in ([ids[0], ids[0], ids[1]], [ids[0], ids[1], ids[0]]):
        with pytest.raises(ContentValidationError, match="was named before"):
            await t.compile(order=order)


async def test_parts_of_a_tool_unit_do_not_stand_apart(t: AsyncTract) -> None:
    call, result = await unit(t)
    other = (await t.user("other")).id
    with pytest.raises(ContentValidationError, match=r"order\[2\]: its slot or tool unit was named before"):
        await t.compile(order=[call, other, result])


async def test_a_ref_of_no_commit_is_refused(t: AsyncTract) -> None:
    await numbered(t, 1)
    for ref in ("nothing", 5):
        with pytest.raises(RefNotFoundError):
            await t.compile(order=[ref])  # type: ignore[list-item]


@pytest.mark.parametrize("order", ["HEAD", 5, {"HEAD"}], ids=["text", "number", "set"])
async def test_what_is_no_list_is_refused(t: AsyncTract, order: Any) -> None:
    await numbered(t, 1)
    with pytest.raises(ContentValidationError, match="order: it must be a list of refs"):
        await t.compile(order=order)


async def test_nothing_in_no_order_is_nothing(t: AsyncTract) -> None:
    assert said(await t.compile(order=[])) == []


async def test_an_order_holds_at_an_earlier_commit_and_with_another_compiler() -> None:
    async with AsyncTract.open(compiler=XMLCompiler()) as t:
        ids = await numbered(t)
        assert said(await t.compile("HEAD~2", order=[ids[1], ids[0]])) == ["<dialogue>1</dialogue>", "<dialogue>0</dialogue>"]
