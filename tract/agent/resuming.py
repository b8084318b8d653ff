"""Where a run goes on: what it asks, or which calls it still has to make.

By what stands on the branch, and by the question of a run that never got
there. Imports `core`, `verbs` and `operations.running`; read `find_start`.
"""

from attrs import evolve, frozen

from tract.core import TractCore
from tract.core.contexts import ContextCache
from tract.core.graph import Node, Place, branch_head, find_node
from tract.core.interrupting import has_ended, read_with_presence, started_by
from tract.core.owners import Presence
from tract.domain.commits import Details
from tract.domain.content import Content
from tract.domain.events import CommitRecorded, GenerationStarted
from tract.domain.ids import CommitId, OperationId, uuid_bytes
from tract.domain.messages import ToolCall
from tract.domain.results import ChatResponse
from tract.errors import TurnStateError
from tract.log.codec import decode_operation
from tract.log.protocol import Query
from tract.operations.context import Context
from tract.operations.running import last_answer, standing_of
from tract.verbs.answering import check_answer, with_parsed
from tract.verbs.describing import decode_commit
from tract.verbs.recalling import offered_names, recorded_answer, turn_digest
from tract.verbs.recording import TurnOptions
from tract.verbs.repeating import find_recorded

VERB = "run"
"""What the calls of a run are recorded as."""


@frozen(eq=False, repr=False)
class Start:
    """What a run begins with.

    Attributes:
        options: Its first turn.
        answer: The answer that stands there, or None where the turn comes at
            once.
        open_calls: Those of its calls that have no result, which are made
            before the turn; with an answer and none of them, all is done.
        offered: Names of the tools that the answer could choose from.
    """

    options: TurnOptions
    answer: ChatResponse | None = None
    open_calls: tuple[ToolCall, ...] = ()
    offered: frozenset[str] = frozenset()


async def find_start(t: TractCore, branch: str, options: TurnOptions) -> Start:
    """Return what a run begins with.

    A question that was given is asked, unless the same call asked it before
    and it was answered: such a run is done where its last answer came. Else
    comes first the question of the last run, if that never brought an answer
    and nothing was added since; then the calls of the last answer that have no
    result. A branch that ends in an answer is done.

    Raises:
        TurnStateError: A run's call is still running there.
        OperationMismatchError: The operation id belongs to another call.
        ModelAnswerError: The answer that stands there has not the form asked for.
        BranchNotFoundError: The branch was deleted.
    """
    if options.question is not None and options.operation_id is None:
        return Start(options)
    await _settle(t)
    answers: tuple[CommitId, ...] = ()
    if options.operation_id is not None:
        operation, digest = t.operation(options.operation_id), turn_digest(t, branch, options)
        if await find_recorded(t, operation, digest) is not None:
            answers = await _answers(t, branch, operation, options.question)
            # What failed under its id is asked again under another.
            options = evolve(options, operation_id=None)
            if answers:
                options = evolve(options, question=None, details=Details())
    if options.question is not None:
        return Start(options)
    place, file, contexts = t.place, t.collaborators.shared.store.where, t.collaborators.shared.contexts

    def load(seen: Presence, query: Query) -> Start:
        head = branch_head(query, place, branch)
        again = None if answers else _find_question(query, (place, branch), contexts, head, (file, seen))
        if again is not None:
            content, details = again
            # Not under an id that was given to a call without a question.
            return Start(evolve(options, question=content, details=details, operation_id=None))
        lines = contexts.context(query, head).lines
        last = last_answer(lines, answers)
        if last is not None:
            return Start(options, recorded_answer(query, last, file))
        standing = standing_of(lines)
        if standing.answer is not None and (standing.open_calls or standing.is_finished):
            calls, answer = standing.open_calls, standing.answer
            offered = offered_names(query, answer.id, file) if calls else frozenset[str]()
            return Start(options, recorded_answer(query, answer, file), calls, offered)
        return Start(options)

    start = await read_with_presence(t.read, t.collaborators.clock, load)
    if start.answer is None or start.open_calls:
        return start
    # Not in the read: a class of the caller's may do anything.
    return evolve(start, answer=with_parsed(start.answer, options.offer.form, check_answer(options.offer, start.answer)))


async def _settle(t: TractCore) -> None:
    """Wait until what is with the writer is written.

    A run that was cancelled leaves results there, which readers do not see yet.
    """
    await t.record(t.operation(), lambda _: ())


async def _answers(t: TractCore, branch: str, operation: OperationId, question: Content | None) -> tuple[CommitId, ...]:
    """Return the answers that a run brought to the branch which began in an operation, in order; none where that failed.

    Those of who asked the same again, after it had failed, are the run's too;
    another question ends it.
    """
    place, file = t.place, t.collaborators.shared.store.where

    def load(seen: Presence, query: Query) -> tuple[CommitId, ...]:
        answers: list[CommitId] = []
        events, _ = decode_operation(query("log.operation_events", uuid_bytes(operation)), file=file)
        rows = query("generations.begun_since", place.tract, branch, events[0].position)
        for *columns, status, said, answer, until in rows:
            event, started = started_by(tuple(columns), file)
            if started.verb != VERB:
                continue
            if event.operation != operation:
                asked = _asked(started, said)
                if answers and asked is not None:
                    break
                if not answers and (asked is None or not _says(query, asked, question, file)):
                    continue
            if status == "running" and not has_ended(event, until, seen):
                raise _still_running(started)
            if status == "completed" and _is_on_branch(query, answer, file):
                answers.append(CommitId(answer.hex()))
        return tuple(answers)

    return await read_with_presence(t.read, t.collaborators.clock, load)


def _is_on_branch(query: Query, answer: bytes, file: str) -> bool:
    event, *_ = decode_commit(query("commits.log_entry", _node(query, CommitId(answer.hex())).number)[0], file)
    return isinstance(event.body, CommitRecorded) and event.body.branch is not None


def _still_running(started: GenerationStarted) -> TurnStateError:
    return TurnStateError(f"a run's call still runs on the branch; follow it with follow({started.generation!r})")


def _find_question(
    query: Query, branch: tuple[Place, str], contexts: ContextCache, head: Node | None, by: tuple[str, Presence]
) -> tuple[Content, Details] | None:
    """Return the question of the last run that began since anything was added, if that call did not complete.

    What stands there may have been changed meanwhile, as to make it fit. Once
    something was said behind it, it is the caller's to ask again.
    """
    (place, name), (file, seen) = branch, by
    newest = _newest(contexts.context(query, head))
    since = 0 if newest is None else _node(query, newest).number
    for *columns, status, question, _, until in reversed(query("generations.begun_since", place.tract, name, since)):
        event, started = started_by(tuple(columns), file)
        if started.verb != VERB:
            continue
        if status == "running" and not has_ended(event, until, seen):
            raise _still_running(started)
        asked = _asked(started, question)
        if status == "completed" or asked is None:
            return None
        base = None if started.base is None else _node(query, started.base)
        return _question(query, asked, file) if _newest(contexts.context(query, base)) == newest else None
    return None


def _newest(context: Context) -> CommitId | None:
    """Return the slot that was added last, whether it compiles or not."""
    return context.slots[-1].id if context.slots else None


def _node(query: Query, commit: CommitId) -> Node:
    found = find_node(query, bytes.fromhex(commit))
    assert found is not None
    return found


def _asked(started: GenerationStarted, question: bytes | None) -> CommitId | None:
    return started.question if question is None else CommitId(question.hex())


def _says(query: Query, commit: CommitId, content: Content | None, file: str) -> bool:
    found = _question(query, commit, file)
    return found is not None and found[0] == content


def _question(query: Query, commit: CommitId, file: str) -> tuple[Content, Details] | None:
    node = find_node(query, bytes.fromhex(commit))
    if node is None:
        return None
    _, content, details, _ = decode_commit(query("commits.log_entry", node.number)[0], file)
    # Its text may have been erased.
    return None if content is None else (content, details)
