"""What each commit operation does to a context, one behaviour a test."""

import pytest

from tests.histories import annotate, append, calls, compress, content, edit, merge, reorder, result, revert
from tract.domain.commits import CommitOperation, Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import CommitId
from tract.domain.messages import Message, ToolCall
from tract.operations.folding import EMPTY, Context, Slot, Step, fold

ABC = [append("a"), append("b"), append("c")]


def texts(context: Context) -> list[str | None]:
    return [line.message.content if isinstance(line.message.content, str) else None for line in context.lines]


def live(context: Context) -> str:
    return " ".join(slot.id for slot in context.live)


def slot(context: Context, commit: str) -> Slot:
    found = context.find_slot(CommitId(commit))
    assert found is not None
    return found


def test_an_append_adds_a_slot_at_the_end() -> None:
    context = fold(EMPTY, ABC)
    assert texts(context) == ["a", "b", "c"]
    assert slot(context, "b").priority is Priority.NORMAL


def test_an_append_brings_its_priority_and_its_config() -> None:
    config = LLMConfig(model="m")
    context = fold(EMPTY, [append("a", priority=Priority.PINNED, config=config)])
    assert (slot(context, "a").priority, slot(context, "a").config) == (Priority.PINNED, config)


def test_an_append_with_skip_has_a_slot_but_does_not_compile() -> None:
    context = fold(EMPTY, [append("a", priority=Priority.SKIP), append("b")])
    assert (live(context), texts(context), context.slot_count, context.slot_tokens) == ("a b", ["b"], 1, 10)


def test_an_edit_replaces_the_content_and_keeps_place_priority_and_config() -> None:
    config = LLMConfig(model="m")
    steps = [append("a"), append("b", priority=Priority.PINNED, config=config), append("c")]
    context = fold(EMPTY, [*steps, edit("e", "b", Message("assistant", "better"))])
    edited = slot(context, "b")
    assert texts(context) == ["a", "better", "c"]
    assert (edited.commit, edited.priority, edited.config) == ("e", Priority.PINNED, config)


def test_an_edit_that_brings_a_config_replaces_it() -> None:
    config = LLMConfig(model="m")
    context = fold(EMPTY, [*ABC, edit("e", "b", config=config)])
    assert slot(context, "b").config == config


def test_an_edit_counts_its_own_tokens() -> None:
    change = Step(CommitId("e"), CommitOperation.EDIT, (CommitId("a"),), content=content("e", tokens=3))
    context = fold(EMPTY, [*ABC, change])
    assert (context.slot_tokens, context.line_tokens) == (23, 23)


def test_an_edit_is_found_by_its_slot_and_by_itself() -> None:
    context = fold(EMPTY, [*ABC, edit("e", "b")])
    assert context.find_slot(CommitId("e")) is context.find_slot(CommitId("b"))
    assert context.find_slot(CommitId("nowhere")) is None


def test_an_edit_of_an_edit_is_not_resolved_by_the_fold() -> None:
    assert texts(fold(EMPTY, [*ABC, edit("e", "b"), edit("f", "e")])) == ["a", "e", "c"]


def test_annotating_with_skip_hides_and_with_normal_shows_again() -> None:
    hidden = fold(EMPTY, [*ABC, annotate("s", Priority.SKIP, "a", "b")])
    assert (texts(hidden), hidden.slot_count) == (["c"], 1)
    assert texts(fold(hidden, [annotate("n", Priority.NORMAL, "b")])) == ["b", "c"]


@pytest.mark.parametrize("priority", [Priority.IMPORTANT, Priority.PINNED])
def test_annotating_with_another_priority_shows_it_in_place(priority: Priority) -> None:
    context = fold(EMPTY, [*ABC, annotate("p", priority, "b")])
    assert [line.priority for line in context.lines] == [Priority.NORMAL, priority, Priority.NORMAL]


def test_a_compress_puts_its_summary_at_the_earliest_place_of_what_it_takes() -> None:
    context = fold(EMPTY, [*ABC, append("d"), compress("s", "b", "d")])
    assert live(context) == "a s c"
    assert not slot(context, "b").live
    assert slot(context, "s").priority is Priority.NORMAL


def test_a_compress_leaves_pinned_slots_where_they_are() -> None:
    pinned = [append("a", priority=Priority.PINNED), append("b"), append("c")]
    assert live(fold(EMPTY, [*pinned, compress("s", "a", "b", "c")])) == "a s"


def test_a_compress_takes_skipped_slots_too() -> None:
    assert live(fold(EMPTY, [*ABC, annotate("h", Priority.SKIP, "b"), compress("s", "a", "b")])) == "s c"


def test_a_compress_of_nothing_that_it_may_take_has_no_effect() -> None:
    before = fold(EMPTY, [*ABC, annotate("p", Priority.PINNED, "a"), compress("s", "b")])
    after = fold(before, [compress("t", "a", "b", "nowhere")])
    assert live(after) == "a s c"
    assert after.find_slot(CommitId("t")) is None


def test_a_compress_has_the_priority_it_brings() -> None:
    context = fold(EMPTY, [*ABC, compress("s", "a", priority=Priority.PINNED)])
    assert slot(context, "s").priority is Priority.PINNED


def test_a_summary_may_be_edited_and_compressed() -> None:
    context = fold(EMPTY, [*ABC, compress("s", "a", "b"), edit("e", "s"), compress("t", "s", "c")])
    assert live(context) == "t"
    assert slot(context, "s").commit == "e"


def test_a_reorder_moves_the_live_targets_to_the_earliest_place_among_them() -> None:
    context = fold(EMPTY, [*ABC, append("d"), compress("s", "c"), reorder("r", "d", "c", "b", "d")])
    assert live(context) == "a d b s"


def test_a_merge_adds_nothing() -> None:
    assert live(fold(EMPTY, [*ABC, merge("m")])) == "a b c"


def test_reverting_an_edit_restores_content_and_config() -> None:
    old, new = LLMConfig(model="old"), LLMConfig(model="new")
    steps = [append("a", config=old), edit("e", "a", config=new), revert("r", "e")]
    context = fold(EMPTY, steps)
    assert (slot(context, "a").commit, slot(context, "a").config) == ("a", old)


def test_reverting_an_edit_that_another_replaced_has_no_effect() -> None:
    assert texts(fold(EMPTY, [*ABC, edit("e", "a"), edit("f", "a"), revert("r", "e")])) == ["f", "b", "c"]


def test_edits_are_reverted_one_after_another_from_the_last() -> None:
    steps = [*ABC, edit("e", "a"), edit("f", "a"), revert("r", "f"), revert("s", "e")]
    assert texts(fold(EMPTY, steps)) == ["a", "b", "c"]


def test_reverting_an_annotate_restores_the_priority_where_it_set_it_last() -> None:
    steps = [*ABC, annotate("p", Priority.SKIP, "a", "b"), annotate("q", Priority.PINNED, "b"), revert("r", "p")]
    assert [one.priority for one in fold(EMPTY, steps).live] == [Priority.NORMAL, Priority.PINNED, Priority.NORMAL]


def test_after_reverting_an_annotate_the_one_before_it_can_be_reverted() -> None:
    steps = [*ABC, annotate("p", Priority.SKIP, "a"), annotate("q", Priority.PINNED, "a"), revert("r", "q")]
    assert slot(fold(EMPTY, steps), "a").priority is Priority.SKIP
    assert slot(fold(EMPTY, [*steps, revert("s", "p")]), "a").priority is Priority.NORMAL


def test_reverting_a_compress_brings_back_what_it_took_in_the_place_of_the_summary() -> None:
    steps = [*ABC, append("d"), compress("s", "b", "d"), revert("r", "s")]
    context = fold(EMPTY, steps)
    assert live(context) == "a b d c"
    assert not slot(context, "s").live


def test_reverting_a_compress_whose_summary_was_compressed_has_no_effect() -> None:
    steps = [*ABC, compress("s", "a", "b"), compress("t", "s", "c"), revert("r", "s")]
    assert live(fold(EMPTY, steps)) == "t"
    assert live(fold(EMPTY, [*steps, revert("u", "t"), revert("v", "s")])) == "a b c"


def test_reverting_a_compress_twice_is_reverting_it_once() -> None:
    assert live(fold(EMPTY, [*ABC, compress("s", "a", "b"), revert("r", "s"), revert("t", "s")])) == "a b c"


def test_edits_and_priorities_given_while_compressed_away_show_when_it_is_reverted() -> None:
    steps = [*ABC, compress("s", "a", "b"), edit("e", "a"), annotate("h", Priority.SKIP, "b")]
    assert texts(fold(EMPTY, steps)) == ["s", "c"]
    assert texts(fold(EMPTY, [*steps, revert("r", "s")])) == ["e", "c"]


def test_reverting_a_reorder_restores_the_order() -> None:
    assert live(fold(EMPTY, [*ABC, reorder("r", "c", "b", "a"), revert("u", "r")])) == "a b c"


def test_reverting_a_reorder_puts_each_behind_its_nearest_live_predecessor() -> None:
    steps = [*ABC, append("d"), reorder("r", "d", "a"), append("e"), compress("s", "c"), revert("u", "r")]
    assert live(fold(EMPTY, steps)) == "a b d s e"


def test_reverting_a_reorder_leaves_what_another_moved_since() -> None:
    steps = [*ABC, reorder("r", "c", "a"), reorder("q", "b", "c"), revert("u", "r")]
    assert live(fold(EMPTY, steps)) == "a b c"
    assert slot(fold(EMPTY, steps), "c").moved_by == "q"


@pytest.mark.parametrize("target", ["a", "m", "u", "nowhere"])
def test_reverting_an_append_a_merge_a_revert_or_nothing_has_no_effect(target: str) -> None:
    steps = [*ABC, merge("m"), edit("e", "a"), revert("u", "e")]
    assert texts(fold(EMPTY, [*steps, revert("r", target)])) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", list(CommitOperation))
def test_a_commit_without_targets_content_or_priority_has_no_effect(kind: CommitOperation) -> None:
    before = fold(EMPTY, ABC)
    after = fold(before, [Step(CommitId("bare"), kind)])
    assert (live(after), texts(after)) == (live(before), texts(before))


def test_a_result_stands_behind_its_call_though_something_came_between() -> None:
    context = fold(EMPTY, [calls("call", "1", "2"), append("x"), result("two", "2"), result("one", "1")])
    assert [line.id for line in context.lines] == ["call", "two", "one", "x"]
    assert context.closings == 0


def test_a_call_without_result_is_closed_with_the_words_of_its_rendering() -> None:
    context = fold(EMPTY, [calls("call", "1", "2"), append("x"), result("two", "2")])
    assert texts(context) == [None, "result two", "[no result recorded]", "x"]
    assert context.lines[2].message == Message("tool", "[no result recorded]", tool_call_id="1")
    assert (context.closings, context.lines[2].tokens) == (1, None)


def test_a_result_belongs_to_the_nearest_unanswered_call_of_its_id() -> None:
    steps = [calls("first", "1"), calls("second", "1"), result("r", "1"), result("q", "1"), result("o", "1")]
    context = fold(EMPTY, steps)
    assert [line.id for line in context.lines] == ["first", "q", "second", "r"]
    assert context.omitted_tokens == 10


def test_a_skipped_call_leaves_its_result_out() -> None:
    context = fold(EMPTY, [calls("call", "1"), result("r", "1"), append("x"), annotate("h", Priority.SKIP, "call")])
    assert [line.id for line in context.lines] == ["x"]
    assert (context.slot_tokens, context.omitted_tokens) == (20, 10)


def test_pinning_a_call_shows_on_its_closings() -> None:
    context = fold(EMPTY, [calls("call", "1")])
    pinned = fold(context, [annotate("p", Priority.PINNED, "call")])
    assert [line.priority for line in pinned.lines] == [Priority.PINNED, Priority.PINNED]


@pytest.mark.parametrize("part", ["call", "one", "two"])
def test_a_tool_unit_is_the_call_with_its_results_whatever_part_is_named(part: str) -> None:
    steps = [calls("call", "1", "2"), append("x"), result("two", "2"), calls("other", "1"), result("o", "1")]
    context = fold(EMPTY, [*steps, result("one", "1"), result("late", "1")])
    assert context.tool_unit(CommitId(part)) == ("call", "two", "one")


def test_a_slot_outside_of_any_unit_is_alone_and_no_slot_is_nothing() -> None:
    context = fold(EMPTY, [append("x"), result("late", "1"), edit("e", "x")])
    units = [context.tool_unit(CommitId(commit)) for commit in ("x", "late", "e", "nowhere")]
    assert units == [("x",), ("late",), ("x",), ()]


def test_skipped_slots_belong_to_their_unit() -> None:
    context = fold(EMPTY, [calls("call", "1"), result("r", "1"), annotate("h", Priority.SKIP, "call", "r")])
    assert context.tool_unit(CommitId("r")) == ("call", "r")


def test_after_reverting_a_reorder_the_one_before_it_can_be_reverted() -> None:
    steps = [*ABC, reorder("q", "c", "a"), reorder("r", "b", "c"), revert("u", "r"), revert("v", "q")]
    assert live(fold(EMPTY, steps[:-1])) == "c a b"
    assert live(fold(EMPTY, steps)) == "a b c"


def test_what_dead_branches_leave_behind_is_bounded() -> None:
    base = fold(EMPTY, [*ABC, edit("e", "b"), annotate("h", Priority.SKIP, "a")])
    for number in range(6000):
        branch = fold(base, [append(f"x{number}")])
    assert len(branch.index) < 5000
    assert texts(fold(branch, [edit("f", "x5999"), revert("g", "e"), revert("i", "h")])) == ["a", "b", "c", "f"]


def test_a_result_finds_its_call_after_something_before_it_was_hidden_and_shown() -> None:
    long = fold(EMPTY, [*(append(f"a{n}") for n in range(100)), calls("call", "1", "1"), append("x")])
    for change in (
        annotate("h", Priority.SKIP, "a5"),
        result("one", "1"),
        annotate("s", Priority.NORMAL, "a5"),
        result("two", "1"),
    ):
        long = fold(long, [change])
    assert [line.id for line in long.lines][100:] == ["call", "one", "two", "x"]
    assert long.closings == 0


def test_calls_of_a_tool_message_are_not_taken_for_calls() -> None:
    odd = append("odd", Message("tool", "", tool_calls=(ToolCall("2", "look", "{}"),), tool_call_id="1"))
    context = fold(fold(EMPTY, [calls("call", "1"), odd]), [annotate("p", Priority.PINNED, "odd")])
    assert [line.id for line in context.lines] == ["call", "odd"]


def test_ten_thousand_commits_on_one_slot_fold() -> None:
    steps = [append("a"), *(edit(f"e{n}", "a") for n in range(10_000))]
    assert texts(fold(EMPTY, steps)) == ["e9999"]


def test_a_long_context_that_was_changed_in_the_middle_equals_one_folded_at_once() -> None:
    steps = [append(f"a{n}") for n in range(300)]
    changes = [annotate(f"h{n}", Priority.SKIP, f"a{n * 10}") for n in range(20)]
    along = fold(EMPTY, steps)
    for change in changes:
        along = fold(along, [change])
    assert texts(along) == texts(fold(EMPTY, [*steps, *changes]))
    assert len(along.lines) == along.slot_count == 280
