"""Steps and histories for tests: builders, and Hypothesis strategies for DAGs of every operation.

A history is what the fold is given in life: commits with parents. Ids are
short words here, since the fold never looks into them.
"""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from tract.domain.commits import CommitOperation, Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import BlobId, CommitId
from tract.domain.messages import Message, ToolCall
from tract.operations.folding import SlotContent, Step
from tract.operations.graph import linearise

OPERATIONS = CommitOperation


def content(commit: str, message: Message | None = None, *, tokens: int = 10) -> SlotContent:
    """Return a content that *commit* brings; by default a user says its id."""
    return SlotContent(CommitId(commit), "dialogue", BlobId(f"blob of {commit}"), 1, message or Message("user", commit), tokens)


def append(commit: str, message: Message | None = None, **fields: Any) -> Step:
    """Return a step that appends *message*."""
    return Step(CommitId(commit), OPERATIONS.APPEND, content=content(commit, message), **fields)


def calls(commit: str, *call_ids: str) -> Step:
    """Return a step that appends an assistant message calling a tool by each id."""
    made = tuple(ToolCall(call_id, "look", "{}") for call_id in call_ids)
    return append(commit, Message("assistant", None, tool_calls=made))


def result(commit: str, call_id: str | None) -> Step:
    """Return a step that appends the result of a call."""
    return append(commit, Message("tool", f"result {commit}", tool_call_id=call_id))


def edit(commit: str, target: str, message: Message | None = None, **fields: Any) -> Step:
    """Return a step that edits the slot *target*."""
    return Step(CommitId(commit), OPERATIONS.EDIT, (CommitId(target),), content=content(commit, message), **fields)


def annotate(commit: str, priority: Priority, *targets: str) -> Step:
    """Return a step that sets the priority of the slots *targets*."""
    return Step(CommitId(commit), OPERATIONS.ANNOTATE, _ids(targets), priority)


def compress(commit: str, *targets: str, **fields: Any) -> Step:
    """Return a step that puts a summary in place of the slots *targets*."""
    return Step(CommitId(commit), OPERATIONS.COMPRESS, _ids(targets), content=content(commit), **fields)


def reorder(commit: str, *targets: str) -> Step:
    """Return a step that moves the slots *targets* together, in that order."""
    return Step(CommitId(commit), OPERATIONS.REORDER, _ids(targets))


def merge(commit: str) -> Step:
    """Return a step that joins two histories."""
    return Step(CommitId(commit), OPERATIONS.MERGE)


def revert(commit: str, target: str) -> Step:
    """Return a step that undoes what *target* changed."""
    return Step(CommitId(commit), OPERATIONS.REVERT, (CommitId(target),))


def _ids(names: Sequence[str]) -> tuple[CommitId, ...]:
    return tuple(map(CommitId, names))


@frozen
class History:
    """Commits with their parents, each after its parents."""

    steps: dict[CommitId, Step]
    parents: dict[CommitId, tuple[CommitId, ...]]

    def line(self, head: CommitId) -> list[Step]:
        """Return every step of the history of *head*, in order."""
        return [self.steps[commit] for commit in linearise(head, self.parents.__getitem__)]


_texts = st.sampled_from(["user", "assistant", "system"]).map(lambda role: Message(role, f"says {role}"))
_calls = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
    lambda ids: Message("assistant", None, tool_calls=tuple(ToolCall(i, "look", "{}") for i in ids))
)
_results = st.sampled_from(["a", "b", "c", "d", None]).map(lambda i: Message("tool", "found", tool_call_id=i))
messages = st.one_of(_texts, _calls, _results, _results)
"""Messages: plain, calling tools by few ids, and results, some for no call."""

priorities = st.sampled_from([None, *Priority])
configs = st.sampled_from([None, None, LLMConfig(model="one"), LLMConfig(model="two", temperature=1)])
_kinds = st.sampled_from([OPERATIONS.APPEND] * 5 + [OPERATIONS.REVERT] * 2 + [*OPERATIONS])
_changes = st.sampled_from([kind for kind in OPERATIONS if kind not in (OPERATIONS.APPEND, OPERATIONS.MERGE)])


SLOTS = frozenset({OPERATIONS.APPEND, OPERATIONS.COMPRESS})
UNDOABLE = [frozenset({kind}) for kind in (OPERATIONS.EDIT, OPERATIONS.ANNOTATE, OPERATIONS.COMPRESS, OPERATIONS.REORDER)]
SEVERAL = frozenset({OPERATIONS.ANNOTATE, OPERATIONS.COMPRESS, OPERATIONS.REORDER})


@st.composite
def steps(draw: st.DrawFn, commit: str, known: Sequence[Step], *, dense: bool = False) -> Step:
    """Draw a step whose targets are mostly what they should be, among *known*; they may repeat.

    A *dense* one adds no slot at the end and has targets of the last few.
    """
    kind = draw(_changes if dense else _kinds)
    fitting = draw(st.sampled_from(UNDOABLE)) if kind == OPERATIONS.REVERT else SLOTS
    aims = [one.id for one in known if one.operation in fitting] if draw(st.integers(0, 9)) else [one.id for one in known]
    count = draw(st.integers(1, 4)) if kind in SEVERAL else 1
    targets = (
        [] if kind in (OPERATIONS.APPEND, OPERATIONS.MERGE) else [_target(draw, aims, 3 if dense else 150) for _ in range(count)]
    )
    brings = kind in (OPERATIONS.APPEND, OPERATIONS.EDIT, OPERATIONS.COMPRESS)
    return Step(
        CommitId(commit),
        kind,
        _ids(targets),
        draw(priorities) if kind in (OPERATIONS.APPEND, OPERATIONS.ANNOTATE, OPERATIONS.COMPRESS) else None,
        content(commit, draw(messages), tokens=draw(st.integers(0, 9))) if brings else None,
        draw(configs) if brings else None,
    )


def _target(draw: st.DrawFn, known: Sequence[str], reach: int) -> str:
    back = draw(st.one_of(st.integers(0, 3), st.integers(0, reach)))
    return known[-1 - back % len(known)] if known else "nowhere"


@st.composite
def histories(draw: st.DrawFn, *, size: int = 25) -> History:
    """Draw a DAG of commits of every operation; targets may be on other branches."""
    found: dict[CommitId, Step] = {}
    parents: dict[CommitId, tuple[CommitId, ...]] = {}
    # Enough slots to stand across the border of a leaf, now and then, and
    # unanswered calls among them.
    for number in range(draw(st.sampled_from([0, 0, 0, 61, 126]))):
        plain = number % 9 != 4
        _grow(found, parents, append(f"p{number}") if plain else calls(f"p{number}", "abc"[number % 3]), list(found)[-1:])
    dense = draw(st.booleans())
    for number in range(4 if dense else 0):
        _grow(found, parents, append(f"d{number}"), list(found)[-1:])
    for number in range(draw(st.one_of(st.integers(1, size), st.integers(size // 2, size)))):
        names = list(found)
        step = draw(steps(f"c{number}", list(found.values()), dense=dense))
        back = [0 if dense else draw(st.sampled_from([0, 0, 0, 1, 2, 5]))]
        if step.operation == OPERATIONS.MERGE:
            back.append(draw(st.integers(0, 6)))
        _grow(found, parents, step, [names[-1 - one] for one in back if one < len(names)])
    return History(found, parents)


def _grow(found: dict[CommitId, Step], parents: dict[CommitId, tuple[CommitId, ...]], step: Step, on: Sequence[CommitId]) -> None:
    found[step.id] = step
    parents[step.id] = tuple(dict.fromkeys(on))
