"""What the projections that are kept in step make of events that stand together in the log."""

from collections.abc import Sequence

from tests.builders import operation_id, tract_id
from tract.domain.commits import Commit, CommitOperation
from tract.domain.events import BranchCreated, CommitRecorded, Event, EventBody
from tract.domain.ids import CommitId
from tract.projections.commits import Commits
from tract.projections.refs import Refs


def events(*bodies: EventBody) -> Sequence[Event]:
    return [
        Event(
            position=place,
            stream=tract_id(1),
            version=place,
            tract=tract_id(1),
            body=body,
            operation=operation_id(place),
            actor=None,
            recorded_at=place,
            digest=bytes(32),
        )
        for place, body in enumerate(bodies, start=1)
    ]


def commit(number: int, *parents: Commit) -> Commit:
    ids = tuple(CommitId(parent.id) for parent in parents)
    return Commit(parents=ids, operation=CommitOperation.ANNOTATE, time=number, operation_id=operation_id(number))


def on(branch: str, number: int, *parents: Commit) -> CommitRecorded:
    return CommitRecorded(commit=commit(number, *parents), branch=branch)


def test_a_branch_that_moves_on_and_on_is_moved_once() -> None:
    shown = events(on("main", 1), on("side", 2), on("main", 3), on("main", 4))
    moved = [(each.name, *each.parameters[1:]) for each in Refs().apply(shown, {})]
    assert moved == [("refs.move_branch", "main", 4), ("refs.move_branch", "side", 2)]


def test_a_branch_is_moved_before_another_begins() -> None:
    shown = events(on("main", 1), BranchCreated(branch="side", head=None), on("side", 3))
    names = [each.name for each in Refs().apply(shown, {})]
    assert names == ["refs.move_branch", "refs.insert_branch", "refs.move_branch"]


def test_a_parent_that_was_just_seen_is_not_looked_for() -> None:
    first = commit(1)
    shown = events(on("main", 1), on("main", 2, first))
    assert [each.name for each in Commits().apply(shown, {})] == ["commits.insert", "commits.insert_behind"]


def test_a_merge_and_a_parent_from_before_are_looked_for() -> None:
    before, first = commit(9), commit(1)
    shown = events(on("main", 1), on("side", 2, before), on("main", 3, first, before))
    assert {each.name for each in Commits().apply(shown, {})} == {"commits.insert"}
