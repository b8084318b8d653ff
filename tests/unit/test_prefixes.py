"""How much of an earlier context is still at the beginning of a later one, and what ended it."""

from collections.abc import Sequence
from itertools import pairwise

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.histories import History, annotate, append, calls, compress, edit, histories, reorder, result, revert
from tract.domain.commits import Priority
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.operations.compilers import DEFAULT, label
from tract.operations.compiling import CompiledContext
from tract.operations.context import EMPTY, Context
from tract.operations.folding import Step, fold
from tract.operations.prefixes import Sent, shared_lines, with_leaves_of
from tract.operations.sequence import LEAF

CLOSING = 7
"""What a closing costs here."""
NORMAL, SKIP = Priority.NORMAL, Priority.SKIP
FOUR = [append("a"), append("b"), append("c"), append("d")]
"""Four messages, slots 0 to 3."""


def beside(before: Sequence[Step], after: Sequence[Step]) -> CompiledContext:
    """Compile *before* and *after*, of which *before* was sent."""
    sent = fold(EMPTY, before)
    compiled = fold(sent, after)
    shared = shared_lines(sent.lines, compiled.lines)
    steps = tuple(after)
    return CompiledContext(
        compiled,
        None,
        0,
        "counted:none",
        sent=Sent(sent.lines, len(sent.lines), label(DEFAULT), shared, shared, sent, steps, CLOSING),
    )


def said(context: Context) -> list[Message]:
    return [line.message for line in context.lines]


def common(one: Context, other: Context) -> int:
    """Return how many messages both begin with, one by one."""
    pairs = list(zip(said(one), said(other), strict=False))
    return next((place for place, (mine, its) in enumerate(pairs) if mine != its), len(pairs))


def distinct(steps: Sequence[Step]) -> list[Step]:
    """Let every content say something else."""
    return [
        step
        if step.content is None
        else replace(step, content=replace(step.content, message=_named(step.content.message, step.id)))
        for step in steps
    ]


def _named(message: Message, commit: CommitId) -> Message:
    return evolve(message, content=commit)


@st.composite
def extended(draw: st.DrawFn, *, size: int = 25) -> tuple[list[Step], list[Step]]:
    """Draw the steps up to something that was sent, and those since."""
    history: History = draw(histories(size=size))
    line = history.line(draw(st.sampled_from(list(history.steps)[-4:])))
    at = len(line) - draw(st.integers(0, min(len(line), 12)))
    return line[:at], line[at:]


@given(extended())
@settings(deadline=None)
def test_what_is_shared_is_the_longest_common_beginning_of_both(steps: tuple[list[Step], list[Step]]) -> None:
    before, after = steps
    sent, compiled = fold(EMPTY, before), beside(before, after)
    count = common(sent, compiled.context)
    costs = [CLOSING if tokens is None else tokens for tokens in compiled.token_counts]
    assert shared_lines(sent.lines, compiled.context.lines) == count
    # One that was folded anew shares no leaf.
    assert shared_lines(sent.lines, fold(EMPTY, [*before, *after]).lines) == count
    assert compiled.cacheable_tokens == sum(costs[:count])


@given(extended())
@settings(deadline=None)
def test_a_commit_is_named_if_and_only_if_something_that_was_sent_is_not_there_any_more(
    steps: tuple[list[Step], list[Step]],
) -> None:
    before, after = steps
    compiled = beside(before, after)
    sent = said(fold(EMPTY, before))
    if said(compiled.context)[: len(sent)] == sent:
        assert compiled.cache_break is None
    else:
        assert compiled.cache_break in {step.id for step in after}


@given(extended())
@settings(deadline=None, max_examples=200)
def test_where_the_beginning_only_ever_shrinks_the_commit_is_named_that_made_it_as_short_as_it_is(
    steps: tuple[list[Step], list[Step]],
) -> None:
    before, after = map(distinct, steps)
    contexts = [fold(EMPTY, before)]
    for step in after:
        contexts.append(fold(contexts[-1], [step]))
    lengths = [common(contexts[0], context) for context in contexts]
    if lengths[-1] == lengths[0] or any(one < other for one, other in pairwise(lengths)):
        return
    assert beside(before, after).cache_break == after[lengths.index(lengths[-1]) - 1].id


@given(extended())
@settings(deadline=None)
def test_what_came_before_the_named_commit_did_not_end_it_there(steps: tuple[list[Step], list[Step]]) -> None:
    before, after = map(distinct, steps)
    named = beside(before, after).cache_break
    if named is None:
        return
    place = [step.id for step in after].index(named)
    sent = fold(EMPTY, before)
    until, since = (fold(sent, after[:end]) for end in (place, place + 1))
    assert said(until) != said(since)
    lost = said(sent)[common(sent, fold(sent, after))]
    assert lost in said(until)


def test_without_a_record_nothing_is_shared() -> None:
    compiled = CompiledContext(fold(EMPTY, FOUR), None, 0, "counted:none")
    assert (compiled.cacheable_tokens, compiled.cache_break) == (0, None)


def test_what_only_grew_is_shared_as_it_was() -> None:
    compiled = beside(FOUR, [append("e"), append("f", priority=SKIP)])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (40, None)


def test_an_edit_ends_it_before_its_slot() -> None:
    compiled = beside(FOUR, [append("e"), edit("x", "c"), append("f")])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (20, "x")


def test_of_two_edits_the_one_of_the_earlier_slot_ends_it() -> None:
    assert beside(FOUR, [edit("x", "b"), edit("y", "d")]).cache_break == "x"
    assert beside(FOUR, [edit("x", "d"), edit("y", "b")]).cache_break == "y"


def test_of_two_edits_of_one_slot_the_first_ends_it() -> None:
    assert beside(FOUR, [edit("x", "b"), edit("y", "b")]).cache_break == "x"


def test_an_edit_that_says_the_same_ends_nothing() -> None:
    compiled = beside(FOUR, [edit("x", "b", Message("user", "b"))])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (40, None)


def test_an_edit_that_was_reverted_ends_nothing() -> None:
    compiled = beside(FOUR, [edit("x", "b"), revert("r", "x")])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (40, None)


def test_a_revert_of_what_was_sent_edited_ends_it() -> None:
    compiled = beside([*FOUR, edit("x", "b")], [revert("r", "x")])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (10, "r")


def test_a_skip_ends_it_at_its_slot_at_the_end_too() -> None:
    for slot, tokens in (("a", 0), ("d", 30)):
        compiled = beside(FOUR, [annotate("x", SKIP, slot)])
        assert (compiled.cacheable_tokens, compiled.cache_break) == (tokens, "x")


def test_a_pin_ends_nothing() -> None:
    assert beside(FOUR, [annotate("x", Priority.PINNED, "b")]).cache_break is None


def test_a_slot_that_is_shown_again_ends_it() -> None:
    compiled = beside([*FOUR, annotate("x", SKIP, "b")], [annotate("y", NORMAL, "b")])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (10, "y")


def test_a_summary_ends_it_and_so_does_its_revert() -> None:
    assert beside(FOUR, [compress("x", "b", "c")]).cache_break == "x"
    assert beside([*FOUR, compress("x", "b", "c")], [revert("r", "x")]).cache_break == "r"


def test_a_reorder_ends_it() -> None:
    compiled = beside(FOUR, [reorder("x", "c", "b")])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (10, "x")


def test_a_result_ends_it_where_the_closing_of_its_call_was_sent() -> None:
    compiled = beside([append("a"), calls("b", "id")], [append("c"), result("d", "id")])
    assert (compiled.cacheable_tokens, compiled.cache_break) == (20, "d")


def test_what_was_undone_meanwhile_is_not_named() -> None:
    hidden = [annotate("x", SKIP, "a"), edit("y", "d"), annotate("z", NORMAL, "a")]
    assert beside(FOUR, hidden).cache_break == "y"
    undone = [edit("x", "b"), edit("y", "d"), revert("r", "x")]
    assert beside(FOUR, undone).cache_break == "y"


def test_messages_that_say_the_same_can_stand_in_for_each_other() -> None:
    alike = [append(name, Message("user", "ok")) for name in "abc"]
    assert beside([*alike, append("d")], [annotate("x", SKIP, "a")]).cacheable_tokens == 20
    assert beside([*alike, append("d")], [annotate("x", SKIP, "a")]).cache_break == "x"
    assert beside([*alike, append("d")], [reorder("x", "b", "a")]).cache_break is None


@given(extended())
@settings(deadline=None)
def test_leaves_that_say_the_same_are_shared_from_then_on(steps: tuple[list[Step], list[Step]]) -> None:
    many = [append(f"m{number}") for number in range(3 * LEAF)]
    ours = fold(EMPTY, [*many, *steps[0]]).lines
    theirs = fold(EMPTY, [*many, *steps[0], *steps[1]]).lines
    alike = shared_lines(ours, theirs)
    mended, full = with_leaves_of(ours, theirs, alike), alike // LEAF
    assert len(mended) == len(ours)
    assert all(one is other for one, other in zip(mended.leaves[:full], theirs.leaves, strict=False))
    assert mended.leaves[full:] == ours.leaves[full:]
    assert shared_lines(mended, theirs) == alike
