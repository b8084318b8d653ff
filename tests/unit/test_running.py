"""Where the tool loop stands, by what compiles, and what its model calls cost together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tract.domain.commits import Priority
from tract.domain.events import UsageFigures
from tract.domain.ids import CommitId
from tract.domain.messages import Message, ToolCall
from tract.domain.runs import sum_usage
from tract.operations.running import last_answer, standing_of
from tract.operations.slots import Closing, Line, Slot, SlotContent

A, B = ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")


def slot(role: str, *calls: ToolCall, kind: str = "dialogue", answers: str | None = None) -> Slot:
    message = Message(role, "text", tool_calls=calls, tool_call_id=answers)
    return Slot("0" * 64, SlotContent("0" * 64, kind, "1" * 64, 1, message, 5), priority=Priority.NORMAL)  # type: ignore[arg-type]


def numbered(slot: Slot, number: int) -> Slot:
    return replace(slot, id=CommitId(f"{number:064x}"))


asked, said, thought = slot("user"), slot("assistant"), slot("assistant", kind="reasoning")
called, found_a = slot("assistant", A, B), slot("tool", answers="a")
open_a, open_b = Closing(called, A), Closing(called, B)

STANDINGS: list[tuple[list[Line], Slot | None, tuple[ToolCall, ...], bool]] = [
    ([], None, (), False),
    ([asked], None, (), False),
    ([asked, said], said, (), True),
    ([said, asked], said, (), False),
    ([asked, called, open_a, open_b], called, (A, B), False),
    ([asked, called, found_a, open_b], called, (B,), False),
    ([asked, called, found_a, slot("tool", answers="b")], called, (), False),
    ([called, open_a, open_b, asked], called, (A, B), False),
    ([called, open_a, open_b, said], said, (), True),
    ([asked, thought, said], said, (), True),
    ([asked, said, thought], said, (), True),
    ([asked, thought], None, (), False),
]


@pytest.mark.parametrize(("lines", "answer", "open_calls", "is_finished"), STANDINGS)
def test_the_last_answer_says_where_the_loop_stands(
    lines: list[Line], answer: Slot | None, open_calls: tuple[ToolCall, ...], *, is_finished: bool
) -> None:
    standing = standing_of(lines)
    assert standing.answer is answer
    assert (standing.open_calls, standing.is_finished) == (open_calls, is_finished)


def test_a_runs_last_answer_is_the_first_of_its_own_that_calls_nothing() -> None:
    calls, other, ends, later = (numbered(each, number) for number, each in enumerate([called, said, said, said], 1))
    lines: list[Line] = [asked, calls, open_a, open_b, other, ends, later]
    assert last_answer(lines, (calls.id, ends.id, later.id)) is ends
    assert last_answer(lines, (calls.id,)) is None


figures = st.none() | st.builds(UsageFigures, *[st.none() | st.integers(0, 99)] * 4)


@given(st.lists(figures), st.lists(figures))
def test_usage_sums_alike_however_it_is_parted(some: list[UsageFigures | None], others: list[UsageFigures | None]) -> None:
    assert sum_usage([sum_usage(some), sum_usage(others)]) == sum_usage([*some, *others])


def test_what_nobody_reported_is_not_known() -> None:
    assert sum_usage([None, UsageFigures(prompt=2), UsageFigures(prompt=3, cached=1)]) == UsageFigures(prompt=5, cached=1)
    assert sum_usage([None]) is None
