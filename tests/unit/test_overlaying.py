"""Laws of what lies over a context: nothing is lost, and the context stays as it was."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.histories import History, histories
from tests.unit.test_compile_laws import compiled, refuse_bad_tool_messages, shown
from tract.domain.commits import CommitOperation, Priority
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.operations.compilers import DEFAULT
from tract.operations.compiling import CompiledContext
from tract.operations.folding import EMPTY, Context, fold
from tract.operations.overlaying import order_lines, overlay, thinking_lines


def over(context: Context, order: list[CommitId]) -> CompiledContext:
    lines = order_lines(context, context.lines, order)
    return CompiledContext(context, None, 0, "counted:none", overlay=overlay(lines, DEFAULT, edit_marks=False))


@given(histories(size=40), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_order_of_the_tool_units_shows_the_same_messages_and_is_accepted(history: History, chance: Random) -> None:
    context = fold(EMPTY, history.line(list(history.steps)[-1]))
    before = shown(context)
    plain = compiled(context)
    units = [slot for slot, message in zip(plain.slot_ids, plain.messages, strict=True) if message.role != "tool"]
    chance.shuffle(units)
    turned = over(context, units)
    refuse_bad_tool_messages(turned.to_openai())
    assert sorted(map(repr, turned.messages)) == sorted(map(repr, before["messages"]))
    assert shown(context) == before


@given(histories(size=40))
@settings(max_examples=100, deadline=None)
def test_the_order_there_is_gives_the_same_digests(history: History) -> None:
    context = fold(EMPTY, history.line(list(history.steps)[-1]))
    plain = compiled(context)
    again = over(context, list(plain.slot_ids))
    assert (again.digest, again.payload_digest) == (plain.digest, plain.payload_digest)
    assert (again.slot_ids, again.repairs) == (list(plain.slot_ids), plain.repairs)


def with_thoughts(history: History, chance: Random) -> History:
    """Make reasoning of some of what speaks only, most of it skipped from the start."""
    steps = {}
    for id, step in history.steps.items():
        brings = step.content
        if step.operation is CommitOperation.APPEND and brings is not None and brings.speaks_only and chance.random() < 0.5:
            thought = replace(brings, type="reasoning", message=Message("assistant", "hm"))
            steps[id] = replace(step, content=thought, priority=chance.choice([Priority.SKIP, Priority.SKIP, Priority.NORMAL]))
        else:
            steps[id] = step
    return History(steps, history.parents)


@given(histories(size=40), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_reasoning_is_added_where_it_stands_and_all_else_stays_accepted(history: History, chance: Random) -> None:
    history = with_thoughts(history, chance)
    context = fold(EMPTY, history.line(list(history.steps)[-1]))
    before = shown(context)
    lines = thinking_lines(context)
    seen = CompiledContext(context, None, 0, "counted:none", overlay=overlay(lines, DEFAULT, edit_marks=False))
    refuse_bad_tool_messages(seen.to_openai())
    hidden = [
        slot.id
        for slot in context.live
        if slot.content.type == "reasoning" and slot.priority is Priority.SKIP and slot.priority_by is None
    ]
    plain = list(compiled(context).slot_ids)
    assert sorted(seen.slot_ids) == sorted([*plain, *hidden])
    assert [id for id in seen.slot_ids if id in hidden] == hidden
    assert [id for id in seen.slot_ids if id not in hidden] == plain
    assert (len(seen), shown(context)) == (len(seen.messages), before)


@given(histories(size=40))
@settings(max_examples=50, deadline=None)
def test_where_no_reasoning_is_hidden_the_lines_are_those_of_the_context(history: History) -> None:
    context = fold(EMPTY, history.line(list(history.steps)[-1]))
    assert thinking_lines(context) is context.lines
