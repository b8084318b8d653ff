"""How a turn ends: a table of where the branch is and what it gained."""

from attrs import evolve

from tests.builders import operation_id, uuid
from tract.domain.commits import Commit, CommitOperation, ContentRef
from tract.domain.events import (
    CommitRecorded,
    ContextCompiled,
    EventBody,
    GenerationCancelled,
    GenerationCompleted,
    GenerationEnded,
    GenerationFailed,
    UsageFigures,
    UsageRecorded,
)
from tract.domain.exchange import Attempt
from tract.domain.ids import BlobId, CommitId, GenerationId
from tract.operations.turning import Asked, Ending, Found, Gained, end_turn

BASE, ELSEWHERE = CommitId("a" * 64), CommitId("b" * 64)
GENERATION = GenerationId(uuid(9))
PAYLOAD = BlobId("c" * 64)


def recorded(index: int, parents: tuple[CommitId, ...] = ()) -> CommitRecorded:
    content = ContentRef("dialogue", BlobId("e" * 64))
    commit = Commit(parents, CommitOperation.APPEND, 5, operation_id(1), content=content, rendering=1, index=index)
    return CommitRecorded(commit, tokens=7, counter="words", slot_delta=1, token_delta=7)


QUESTION = recorded(0, (BASE,))
ASKED = Asked(GENERATION, "main", BASE, QUESTION)
ENDING = Ending(
    kind=GenerationCompleted,
    answer=recorded(1),
    keeps=True,
    partial=None,
    finish_reason="stop",
    attempts=(Attempt(1, UsageFigures(10, 2)),),
    payload_digest=PAYLOAD,
)
EDITED = [Gained(CommitOperation.ANNOTATE, is_on_base=False), Gained(CommitOperation.EDIT, is_on_base=True)]


def commits(events: list[EventBody]) -> list[CommitRecorded]:
    return [event for event in events if isinstance(event, CommitRecorded)]


def end(events: list[EventBody]) -> GenerationEnded:
    last = events[-1]
    assert isinstance(last, GenerationEnded)
    return last


def test_at_its_base_the_branch_moves_to_the_answer() -> None:
    (answer,) = commits(end_turn(ASKED, ENDING, Found(BASE, [])))
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", BASE, (QUESTION.commit.id,))


def test_without_a_question_the_answer_follows_the_base() -> None:
    asked = evolve(ASKED, question=None)
    (answer,) = commits(end_turn(asked, ENDING, Found(BASE, [])))
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", None, (BASE,))


def test_the_first_turn_of_a_branch_without_commits_moves_it() -> None:
    asked = evolve(ASKED, base=None, question=recorded(0))
    (answer,) = commits(end_turn(asked, ENDING, Found(None, [])))
    assert (answer.branch, answer.before) == ("main", None)


def test_a_branch_that_gained_only_edits_gets_question_and_answer_on_top() -> None:
    question, answer = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, EDITED)))
    assert question.commit.parents == (ELSEWHERE,)
    assert question.branch is None
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", ELSEWHERE, (question.commit.id,))


def test_a_question_recorded_again_is_another_commit_with_the_same_words() -> None:
    question, _ = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, EDITED)))
    again, first = question.commit, QUESTION.commit
    assert again.id != first.id
    assert evolve(again, parents=first.parents, index=first.index) == first


def test_the_commits_of_one_turn_have_different_places_in_it() -> None:
    question, answer = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, EDITED)))
    assert len({QUESTION.commit.index, question.commit.index, answer.commit.index}) == 3


def test_the_end_names_the_question_that_is_on_the_branch() -> None:
    events = end_turn(ASKED, ENDING, Found(ELSEWHERE, EDITED))
    question, answer = commits(events)
    assert (end(events).question, end(events).answer) == (question.commit.id, answer.commit.id)


def test_without_a_question_an_answer_goes_on_top_of_edits() -> None:
    asked = evolve(ASKED, question=None)
    (answer,) = commits(end_turn(asked, ENDING, Found(ELSEWHERE, EDITED)))
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", None, (ELSEWHERE,))


def test_every_operation_that_adds_no_slot_lets_the_answer_onto_the_branch() -> None:
    for operation in set(CommitOperation) - {CommitOperation.APPEND, CommitOperation.MERGE}:
        *_, answer = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, [Gained(operation, is_on_base=True)])))
        assert answer.branch == "main", operation


def test_a_branch_that_gained_a_slot_keeps_the_answer_off() -> None:
    for operation in (CommitOperation.APPEND, CommitOperation.MERGE):
        gained = [*EDITED[:1], Gained(operation, is_on_base=False), *EDITED[1:]]
        (answer,) = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, gained)))
        assert (answer.branch, answer.before, answer.commit.parents) == (None, None, (QUESTION.commit.id,)), operation


def test_a_branch_that_no_longer_stands_on_its_base_keeps_the_answer_off() -> None:
    (answer,) = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, [Gained(CommitOperation.EDIT, is_on_base=False)])))
    assert answer.branch is None


def test_a_branch_that_is_gone_keeps_the_answer_off() -> None:
    (answer,) = commits(end_turn(ASKED, ENDING, Found(None, [])))
    assert (answer.branch, answer.commit.parents) == (None, (QUESTION.commit.id,))


def test_a_branch_moved_back_keeps_the_answer_off() -> None:
    (answer,) = commits(end_turn(ASKED, ENDING, Found(ELSEWHERE, [])))
    assert answer.branch is None


def test_a_branch_born_meanwhile_keeps_the_answer_off() -> None:
    asked = evolve(ASKED, base=None, question=recorded(0))
    (answer,) = commits(end_turn(asked, ENDING, Found(ELSEWHERE, [Gained(CommitOperation.APPEND, is_on_base=True)])))
    assert answer.branch is None


def test_an_answer_not_to_be_kept_is_recorded_off_the_branch() -> None:
    ending = evolve(ENDING, kind=GenerationCancelled, keeps=False, partial=BlobId("d" * 64), finish_reason="cancelled")
    events = end_turn(ASKED, ending, Found(BASE, []))
    (answer,) = commits(events)
    assert (answer.branch, answer.before, answer.commit.parents) == (None, None, (QUESTION.commit.id,))
    assert end(events) == GenerationCancelled(GENERATION, QUESTION.commit.id, answer.commit.id, BlobId("d" * 64), "cancelled")


def test_a_failure_without_an_answer_records_no_commit() -> None:
    ending = evolve(ENDING, kind=GenerationFailed, answer=None, keeps=False, finish_reason="ModelTimeoutError")
    events = end_turn(ASKED, ending, Found(BASE, []))
    assert not commits(events)
    assert end(events) == GenerationFailed(GENERATION, QUESTION.commit.id, None, None, "ModelTimeoutError")


def test_the_attempt_that_succeeded_paid_for_the_answer() -> None:
    attempts = (Attempt(1, error="ModelRateLimitError"), Attempt(2, UsageFigures(10, 2)))
    events = end_turn(ASKED, evolve(ENDING, attempts=attempts), Found(BASE, []))
    (answer,) = commits(events)
    assert [event for event in events if isinstance(event, UsageRecorded)] == [
        UsageRecorded(GENERATION, None, 1, None),
        UsageRecorded(GENERATION, answer.commit.id, 2, UsageFigures(10, 2)),
    ]


def test_what_was_sent_is_recorded_with_the_question_it_was_sent_for() -> None:
    events = end_turn(ASKED, ENDING, Found(ELSEWHERE, EDITED))
    assert [event for event in events if isinstance(event, ContextCompiled)] == [
        ContextCompiled(GENERATION, QUESTION.commit.id, PAYLOAD)
    ]


def test_a_turn_that_ended_before_it_compiled_has_no_compile_record() -> None:
    events = end_turn(ASKED, evolve(ENDING, payload_digest=None), Found(BASE, []))
    assert not [event for event in events if isinstance(event, ContextCompiled)]


def test_the_end_is_the_last_event() -> None:
    events = end_turn(ASKED, ENDING, Found(ELSEWHERE, EDITED))
    assert [event for event in events if isinstance(event, GenerationEnded)] == [events[-1]]


THOUGHT = recorded(0)
THINKING = evolve(ENDING, reasoning=THOUGHT)


def test_reasoning_stands_between_question_and_answer_and_the_answer_moves_the_branch() -> None:
    thought, answer = commits(end_turn(ASKED, THINKING, Found(BASE, [])))
    assert (thought.branch, thought.commit.parents) == (None, (QUESTION.commit.id,))
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", BASE, (thought.commit.id,))


def test_without_a_question_reasoning_follows_the_base() -> None:
    thought, answer = commits(end_turn(evolve(ASKED, question=None), THINKING, Found(BASE, [])))
    assert (thought.branch, thought.commit.parents) == (None, (BASE,))
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", BASE, (thought.commit.id,))


def test_question_reasoning_and_answer_go_on_top_of_edits_together() -> None:
    question, thought, answer = commits(end_turn(ASKED, THINKING, Found(ELSEWHERE, EDITED)))
    assert (question.commit.parents, thought.commit.parents) == ((ELSEWHERE,), (question.commit.id,))
    assert (answer.branch, answer.before, answer.commit.parents) == ("main", ELSEWHERE, (thought.commit.id,))


def test_the_commits_of_a_turn_with_reasoning_have_different_places_in_it() -> None:
    for found in (Found(BASE, []), Found(ELSEWHERE, EDITED), Found(BASE, [], is_lost=True)):
        made = [QUESTION, *commits(end_turn(ASKED, THINKING, found))]
        assert len({each.commit.index for each in made}) == len(made)


def test_figures_measure_the_answer_behind_reasoning_where_the_context_was_the_one_sent() -> None:
    for found, is_measured in ((Found(BASE, []), True), (Found(None, []), True), (Found(ELSEWHERE, EDITED), False)):
        events = end_turn(ASKED, THINKING, found)
        answer = commits(events)[-1].commit.id
        (usage,) = [event for event in events if isinstance(event, UsageRecorded)]
        assert usage.commit == (answer if is_measured else None)


def test_reasoning_of_a_call_that_was_lost_is_kept_off_the_branch_with_the_answer() -> None:
    thought, answer = commits(end_turn(ASKED, THINKING, Found(BASE, [], is_lost=True)))
    assert (thought.branch, answer.branch) == (None, None)
    assert answer.commit.parents == (thought.commit.id,)
