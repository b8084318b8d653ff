"""Whether a commit can be undone, and what that does to the totals."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.histories import (
    History,
    annotate,
    append,
    calls,
    compress,
    content,
    edit,
    histories,
    merge,
    reorder,
    result,
    revert,
)
from tract.domain.commits import CommitOperation, Priority
from tract.domain.ids import CommitId
from tract.errors import RevertError
from tract.operations.folding import EMPTY, Context, Step, fold
from tract.operations.reverting import Undoing, plan_revert

ABC = [append("a"), append("b"), append("c")]
HIDE = annotate("hide", Priority.SKIP, "a", "b")


def planned(steps: list[Step], target: str) -> Undoing:
    operation = next(step.operation for step in steps if step.id == target)
    return plan_revert(fold(EMPTY, steps), CommitId(target), operation)


def refusal(steps: list[Step], target: str) -> str:
    with pytest.raises(RevertError) as caught:
        planned(steps, target)
    assert caught.value.target == target
    return caught.value.reason


@pytest.mark.parametrize(
    ("steps", "target", "undoing"),
    [
        ([edit("e", "a")], "e", Undoing(0, 0)),
        ([HIDE], "hide", Undoing(2, 20)),
        ([HIDE, annotate("show", Priority.NORMAL, "a")], "hide", Undoing(1, 10)),
        ([HIDE, annotate("show", Priority.NORMAL, "a")], "show", Undoing(-1, -10)),
        ([annotate("pin", Priority.PINNED, "a")], "pin", Undoing(0, 0)),
        ([compress("s", "a", "b", "c")], "s", Undoing(2, 20)),
        ([HIDE, compress("s", "a", "b", "c")], "s", Undoing(0, 0)),
        ([reorder("r", "c", "a")], "r", Undoing(0, 0)),
    ],
)
def test_undoing_says_what_it_does_to_the_totals(steps: list[Step], target: str, undoing: Undoing) -> None:
    assert planned([*ABC, *steps], target) == undoing


def test_undoing_an_edit_of_another_length_gives_its_tokens_back() -> None:
    longer = Step(CommitId("e"), CommitOperation.EDIT, (CommitId("a"),), content=content("e", tokens=25))
    assert planned([*ABC, longer], "e") == Undoing(0, -15)


@pytest.mark.parametrize(
    ("steps", "target", "reason"),
    [
        ([], "a", "skip()"),
        ([merge("m")], "m", 'branch(name, at="m~1")'),
        ([edit("e", "a"), revert("r", "e")], "r", "make the change again"),
        ([edit("e", "a"), edit("f", "a")], "e", "commit f edited the slot again since"),
        ([edit("e", "a"), edit("f", "a"), edit("g", "a")], "e", "commit g edited the slot again since"),
        ([edit("e", "a"), revert("r", "e")], "e", "nothing to undo"),
        ([edit("e", "a"), revert("r", "e"), edit("f", "a")], "e", "nothing to undo"),
        ([edit("e", "nowhere")], "e", "nothing to undo"),
        ([edit("e", "a"), compress("s", "a")], "e", "commit s compressed the slot away since"),
        ([HIDE, annotate("show", Priority.NORMAL, "a", "b")], "hide", "commit show set the priority again since"),
        ([HIDE, revert("r", "hide")], "hide", "nothing to undo"),
        ([HIDE, revert("r", "hide"), annotate("p", Priority.PINNED, "a")], "hide", "nothing to undo"),
        ([HIDE, compress("s", "a", "b")], "hide", "commit s compressed the slot away since"),
        ([annotate("n", Priority.SKIP, "nowhere")], "n", "nothing to undo"),
        ([compress("s", "a"), edit("e", "s")], "s", "commit e edited its summary since"),
        ([compress("s", "a"), annotate("p", Priority.PINNED, "s")], "s", "commit p set the priority of its summary since"),
        ([compress("s", "a"), annotate("p", Priority.SKIP, "s")], "s", "commit p set the priority of its summary since"),
        ([compress("s", "a"), compress("u", "s", "b")], "s", "commit u compressed its summary away since"),
        ([compress("s", "a"), revert("r", "s")], "s", "nothing to undo"),
        ([compress("s", "nowhere")], "s", "nothing to undo"),
        ([reorder("r", "c", "a"), reorder("q", "a", "c")], "r", "commit q moved the slots again since"),
        ([reorder("r", "c", "a"), revert("u", "r")], "r", "nothing to undo"),
        ([reorder("r", "c", "a"), compress("s", "a", "b", "c")], "r", "commit s compressed the slot away since"),
        ([compress("s", "a"), annotate("p", Priority.PINNED, "s"), revert("r", "s")], "p", "nothing to undo"),
    ],
)
def test_what_cannot_be_undone_is_refused_with_what_to_do(steps: list[Step], target: str, reason: str) -> None:
    assert reason in refusal([*ABC, *steps], target)


def test_of_a_tool_unit_that_was_hidden_the_whole_comes_back() -> None:
    steps = [calls("call", "1", "2"), result("one", "1"), result("two", "2"), annotate("h", Priority.SKIP, "call", "one", "two")]
    assert planned(steps, "h") == Undoing(3, 30)


def test_an_edit_can_be_undone_after_the_one_that_replaced_it_was() -> None:
    steps = [*ABC, edit("e", "a"), edit("f", "a"), revert("r", "f")]
    assert planned(steps, "e") == Undoing(0, 0)


def test_a_summary_that_was_reordered_can_still_be_undone() -> None:
    assert planned([*ABC, compress("s", "b", "c"), reorder("r", "s", "a")], "s") == Undoing(1, 10)


def contexts(history: History) -> tuple[Context, list[Step]]:
    line = history.line(list(history.steps)[-1])
    return fold(EMPTY, line), line


@given(histories(size=40))
@settings(max_examples=150, deadline=None)
def test_what_is_allowed_has_the_totals_it_says_and_cannot_be_undone_twice(history: History) -> None:
    context, line = contexts(history)
    for step in line:
        try:
            undoing = plan_revert(context, step.id, step.operation)
        except RevertError:
            continue
        after = fold(context, [revert("undo", step.id)])
        assert after.slot_count == context.slot_count + undoing.slot_delta
        assert after.slot_tokens == context.slot_tokens + undoing.token_delta
        with pytest.raises(RevertError):
            plan_revert(after, step.id, step.operation)


@given(histories(size=40), st.data())
@settings(max_examples=150, deadline=None)
def test_who_follows_the_advice_gets_there(history: History, data: st.DataObject) -> None:
    context, line = contexts(history)
    built_upon = {step.id: reason for step in line if (reason := _later(context, step)) is not None}
    assume(built_upon)
    wanted = data.draw(st.sampled_from(sorted(built_upon)))
    kinds = {step.id: step.operation for step in line}
    undone = [wanted]
    for number in range(3 * len(line)):
        target = undone[-1]
        try:
            plan_revert(context, target, kinds[target])
        except RevertError as refused:
            found = re.match(r"commit (\S+) ", refused.reason)
            assert found is not None
            undone.append(CommitId(found[1]))
            continue
        context = fold(context, [revert(f"undo {number}", target)])
        # On the way there it may be met once more, and then it is done.
        undone = [one for one in undone if one != target]
        if not undone:
            return
    pytest.fail("the advice goes in circles")


def _later(context: Context, step: Step) -> str | None:
    try:
        plan_revert(context, step.id, step.operation)
    except RevertError as refused:
        return refused.reason if refused.reason.startswith("commit ") else None
    return None


@given(histories(size=40))
@settings(max_examples=100, deadline=None)
def test_looking_leaves_the_context_and_what_it_shares_as_they_were(history: History) -> None:
    context, line = contexts(history)
    index = dict(context.index)
    before = [(slot.id, slot.content.commit, slot.priority) for slot in context.live]
    for step in line:
        try:
            plan_revert(context, step.id, step.operation)
        except RevertError:
            continue
    assert (context.index, [(slot.id, slot.content.commit, slot.priority) for slot in context.live]) == (index, before)
