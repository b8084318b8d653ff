"""Laws of the fold, over random histories of every operation.

`Naive` is the table of the design once more, in plain lists and dictionaries
and with no thought of speed; the fold must agree with it everywhere.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import OPERATIONS, UNDOABLE, History, append, histories, steps
from tract.domain.commits import Priority
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.formats.rendering import close
from tract.operations.compiling import CompiledContext
from tract.operations.folding import EMPTY, Context, Step, fold
from tract.operations.graph import linearise


class Naive:
    """A context as plain lists and dictionaries."""

    def __init__(self) -> None:
        self.slots: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.edits: dict[str, tuple[str, Any, Any]] = {}
        self.annotations: dict[str, list[tuple[str, Any, Any]]] = {}
        self.summaries: dict[str, list[str]] = {}
        self.moves: dict[str, tuple[list[str], list[tuple[str, Any]]]] = {}

    def apply(self, step: Step) -> None:
        getattr(self, step.operation.value)(step, list(dict.fromkeys(step.targets)))

    def _new(self, step: Step) -> None:
        self.slots[step.id] = {
            "content": step.content,
            "config": step.config,
            "priority": step.priority or Priority.NORMAL,
            "set by": None,
            "moved by": None,
        }

    def append(self, step: Step, targets: list[str]) -> None:
        self._new(step)
        self.order.append(step.id)

    def edit(self, step: Step, targets: list[str]) -> None:
        if targets[0] in self.slots:
            slot = self.slots[targets[0]]
            self.edits[step.id] = (targets[0], slot["content"], slot["config"])
            slot["content"] = step.content
            slot["config"] = step.config or slot["config"]

    def annotate(self, step: Step, targets: list[str]) -> None:
        if step.priority is None:
            return
        self.annotations[step.id] = []
        for target in targets:
            if target in self.slots:
                slot = self.slots[target]
                self.annotations[step.id].append((target, slot["priority"], slot["set by"]))
                slot["priority"], slot["set by"] = step.priority, step.id

    def compress(self, step: Step, targets: list[str]) -> None:
        taken = [s for s in self.order if s in targets and self.slots[s]["priority"] != Priority.PINNED]
        if taken:
            self._new(step)
            self.summaries[step.id] = taken
            self.order.insert(self.order.index(taken[0]), step.id)
            self.order = [s for s in self.order if s not in taken]

    def reorder(self, step: Step, targets: list[str]) -> None:
        moved = [s for s in targets if s in self.order]
        if moved:
            self.moves[step.id] = (list(self.order), [(s, self.slots[s]["moved by"]) for s in moved])
            place = min(self.order.index(s) for s in moved)
            self.order = [s for s in self.order if s not in moved]
            self.order[place:place] = moved
            for s in moved:
                self.slots[s]["moved by"] = step.id

    def merge(self, step: Step, targets: list[str]) -> None:
        pass

    def revert(self, step: Step, targets: list[str]) -> None:
        target = targets[0]
        if target in self.edits:
            name, old, config = self.edits[target]
            if self.slots[name]["content"].commit == target:
                self.slots[name].update(content=old, config=config)
        for name, priority, by in self.annotations.get(target, []):
            if self.slots[name]["set by"] == target:
                self.slots[name].update({"priority": priority, "set by": by})
        if target in self.summaries and target in self.order:
            place = self.order.index(target)
            self.order[place : place + 1] = self.summaries[target]
        if target in self.moves:
            self._move_back(target, *self.moves[target])

    def _move_back(self, target: str, before: list[str], movers: list[tuple[str, Any]]) -> None:
        back = {s: by for s, by in movers if s in self.order and self.slots[s]["moved by"] == target}
        self.order = [s for s in self.order if s not in back]
        for place, name in enumerate(before):
            if name in back:
                live = [s for s in before[:place] if s in self.order]
                self.order.insert(self.order.index(live[-1]) + 1 if live else 0, name)
                self.slots[name]["moved by"] = back[name]

    def lines(self) -> list[tuple[str, Any, Message]]:
        """Return (slot, commit, message) of each line."""
        visible = [(s, self.slots[s]["content"]) for s in self.order if self.slots[s]["priority"] != Priority.SKIP]
        answers: dict[tuple[int, int], int] = {}
        for place, (_, content) in enumerate(visible):
            if content.message.role == "tool":
                for caller in range(place - 1, -1, -1):
                    message = visible[caller][1].message
                    fits = [
                        (caller, number)
                        for number, call in enumerate(message.tool_calls)
                        if call.id == content.message.tool_call_id and (caller, number) not in answers
                    ]
                    if fits:
                        answers[fits[0]] = place
                        break
        lines = []
        for place, (name, content) in enumerate(visible):
            if content.message.role == "tool":
                continue
            lines.append((name, content.commit, content.message))
            for found in sorted(there for (caller, _), there in answers.items() if caller == place):
                lines.append((visible[found][0], visible[found][1].commit, visible[found][1].message))
            for number, call in enumerate(content.message.tool_calls):
                if (place, number) not in answers:
                    lines.append((name, content.commit, close(call, content.rendering)))
        return lines


def compiled(context: Context) -> CompiledContext:
    return CompiledContext(context, None, 0, "counted:none")


def shown(context: Context) -> dict[str, Any]:
    """Return everything that a context says, as plain values."""
    c = compiled(context)
    return {
        "messages": list(c.messages),
        "slots": list(c.slot_ids),
        "commits": list(c.commit_ids),
        "priorities": list(c.priorities),
        "configs": list(c.generation_configs),
        "counts": list(c.token_counts),
        "digest": c.digest,
        "payload": c.payload_digest,
        "repairs": c.repairs,
        "live": [slot.id for slot in context.live],
        "stored": {slot.id: (slot.content, slot.config, slot.priority) for slot in context.slots},
        "totals": (context.slot_count, context.slot_tokens, context.line_tokens, context.closings),
    }


def states(history: History) -> dict[CommitId, Context]:
    """Fold each commit on the state of its first parent."""
    found: dict[CommitId, Context] = {}
    for commit, parents in history.parents.items():
        first = parents[:1]
        known = set(linearise(first[0], history.parents.__getitem__)) if first else set()
        rest = linearise(commit, history.parents.__getitem__, known)
        base = found[first[0]] if first else EMPTY
        found[commit] = fold(base, [history.steps[one] for one in rest])
        assert found[commit].slot_count >= 0
    return found


@given(histories())
@settings(max_examples=150, deadline=None)
def test_folding_along_the_history_equals_folding_from_nothing(history: History) -> None:
    for commit, context in list(states(history).items())[-6:]:
        assert shown(context) == shown(fold(EMPTY, history.line(commit)))


@given(histories())
@settings(max_examples=150, deadline=None)
def test_folding_one_by_one_with_every_digest_asked_for_equals_folding_at_once(history: History) -> None:
    line = history.line(list(history.steps)[-1])
    context = EMPTY
    for step in line:
        context = fold(context, [step])
        said = compiled(context)
        assert len(said.digest) == len(said.payload_digest) == 64
    assert shown(context) == shown(fold(EMPTY, line))


@given(histories())
@settings(max_examples=150, deadline=None)
def test_the_fold_agrees_with_the_table_of_the_design(history: History) -> None:
    commit = list(history.steps)[-1]
    naive = Naive()
    for step in history.line(commit):
        naive.apply(step)
    context = states(history)[commit]
    said = compiled(context)
    assert [slot.id for slot in context.live] == naive.order
    assert list(zip(said.slot_ids, said.commit_ids, said.messages, strict=True)) == naive.lines()
    assert {slot.id: (slot.content, slot.config, slot.priority) for slot in context.slots} == {
        name: (slot["content"], slot["config"], slot["priority"]) for name, slot in naive.slots.items()
    }


@given(histories(size=40))
@settings(max_examples=150, deadline=None)
def test_every_compiled_list_is_one_that_a_provider_accepts(history: History) -> None:
    for context in states(history).values():
        refuse_bad_tool_messages(compiled(context).to_openai())


def refuse_bad_tool_messages(messages: list[dict[str, Any]]) -> None:
    """Fail where OpenAI would: each call is followed directly by exactly one result, and no result stands alone."""
    owed: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in owed
            owed.remove(message["tool_call_id"])
        else:
            assert not owed
            owed = [call["id"] for call in message.get("tool_calls", ())]
    assert not owed


@given(histories())
@settings(max_examples=150, deadline=None)
def test_totals_are_the_sums_of_their_parts(history: History) -> None:
    for context in states(history).values():
        visible = [slot for slot in context.live if slot.compiles]
        said = compiled(context)
        assert context.slot_count == len(visible)
        assert context.slot_tokens == sum(slot.content.tokens for slot in visible)
        assert context.line_tokens == sum(count for count in said.token_counts if count is not None)
        assert context.closings == list(said.token_counts).count(None)
        kinds = [repair.kind for repair in said.repairs]
        assert context.closings == kinds.count("closed")
        left_out = {repair.slot for repair in said.repairs if repair.kind in ("orphan", "duplicate")}
        assert context.omitted_tokens == sum(slot.content.tokens for slot in visible if slot.id in left_out)


@given(histories(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_context_stays_as_it_was_when_two_branches_go_on_from_it(history: History, data: st.DataObject) -> None:
    names = list(history.steps)
    base = fold(EMPTY, history.line(names[-1]))
    before = shown(base)
    known = list(history.steps.values())
    ours = [data.draw(steps(f"x{number}", known)) for number in range(6)]
    theirs = [data.draw(steps(f"y{number}", known)) for number in range(6)]
    left, right = fold(base, ours), fold(base, theirs)
    crossed = fold(left, theirs), fold(right, ours)
    assert shown(base) == before
    assert shown(left) == shown(fold(EMPTY, history.line(names[-1]) + ours))
    assert shown(right) == shown(fold(EMPTY, history.line(names[-1]) + theirs))
    assert shown(crossed[0]) == shown(fold(EMPTY, history.line(names[-1]) + ours + theirs))
    assert shown(crossed[1]) == shown(fold(EMPTY, history.line(names[-1]) + theirs + ours))


@given(histories(), st.data())
@settings(max_examples=150, deadline=None)
def test_reverting_the_last_operation_gives_the_context_before_it(history: History, data: st.DataObject) -> None:
    names = list(history.steps)
    before = fold(EMPTY, history.line(names[-1]))
    step = data.draw(steps("last", list(history.steps.values())).filter(lambda step: {step.operation} in UNDOABLE))
    undo = Step(CommitId("undo"), OPERATIONS.REVERT, (step.id,))
    after = fold(fold(before, [step]), [undo])
    summary = after.find_slot(step.id)
    live = [slot.id for slot in before.live]
    if summary is not None and step.operation == OPERATIONS.COMPRESS:
        places = [live.index(after.slots[number].id) for number in summary.took]
        if places != list(range(places[0], places[0] + len(places))):
            # What was taken from several places comes back to one: the summary's.
            assert sorted(slot.id for slot in after.live) == sorted(live)
            return
    mine, its = shown(after), shown(before)
    mine["stored"].pop("last", None)
    assert mine == its


@given(histories(), st.data())
@settings(max_examples=100, deadline=None)
def test_the_fold_takes_malformed_and_repeated_steps(history: History, data: st.DataObject) -> None:
    names = list(history.steps)
    line = history.line(names[-1])
    for kind in OPERATIONS:
        line.append(Step(CommitId(f"bare {kind}"), kind))
        line.append(Step(CommitId(f"aimed {kind}"), kind, tuple(names), data.draw(st.sampled_from(list(Priority)))))
    line += data.draw(st.permutations(line))
    at_once, one_by_one = fold(EMPTY, line), EMPTY
    for step in line:
        one_by_one = fold(one_by_one, [step])
    assert shown(at_once) == shown(one_by_one)
    refuse_bad_tool_messages(compiled(at_once).to_openai())


@given(histories())
@settings(max_examples=150, deadline=None)
def test_tool_units_part_the_live_slots(history: History) -> None:
    context = fold(EMPTY, history.line(list(history.steps)[-1]))
    live = [slot.id for slot in context.live]
    units = {context.tool_unit(slot) for slot in live}
    assert sorted(slot for unit in units for slot in unit) == sorted(live)


def test_an_edit_after_another_branch_used_the_same_number_finds_its_own_slot() -> None:
    base = fold(EMPTY, [append("root")])
    ours = fold(base, [append("a"), append("b")])
    merged = fold(ours, [append("x"), append("y")])
    theirs = fold(base, [append("x"), append("y")])
    for context in (merged, theirs):
        found = context.find_slot(CommitId("x"))
        assert found is not None
        assert found.id == "x"
    assert ours.find_slot(CommitId("x")) is None
