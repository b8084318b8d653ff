"""Laws of what lies over a context: nothing is lost, and the context stays as it was."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, histories
from tests.unit.test_compile_laws import compiled, refuse_bad_tool_messages, shown
from tract.domain.ids import CommitId
from tract.operations.compilers import DEFAULT
from tract.operations.compiling import CompiledContext
from tract.operations.folding import EMPTY, Context, fold
from tract.operations.overlaying import order_lines, overlay


def over(context: Context, order: list[CommitId]) -> CompiledContext:
    lines = order_lines(context, order)
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
