"""`compile`: the history as the messages a model gets, and what they cost.

Imports `core`, `operations` and `prefixes`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from anyio import to_thread
from attrs import evolve, frozen

from tract.core import TractCore
from tract.core.collaborators import Collaborators
from tract.core.contexts import decode_config
from tract.core.graph import PER_CONTEXT, Node, Place, find_head, head_at, is_written, resolve, stretches
from tract.domain.budgets import TokenBudget
from tract.domain.ids import CommitId
from tract.domain.messages import ToolCall
from tract.errors import ContentValidationError
from tract.formats.rendering import RENDERING, close
from tract.log.protocol import Query
from tract.operations.compilers import DEFAULT, label
from tract.operations.compiling import CompiledContext
from tract.operations.context import Context
from tract.operations.overlaying import is_edited, order_lines, overlay, thinking_lines
from tract.operations.sequence import Vector
from tract.operations.slots import Closing, Line, Slot
from tract.verbs.prefixes import context_beside_sent, record_branch, shown_beside

_epoch = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(eq=False, repr=False)
class Report:
    """The newest usage that a provider reported in a commit's history.

    Attributes:
        tokens: What it made of the context there: prompt and answer, without
            reasoning, which does not come back; where the provider does not
            say how much that was, as it was counted here.
        counted: What we had counted there.
        model: The model that answered, or None.
        answer: The commit up to which it measures the context.
    """

    tokens: int
    counted: int
    model: str | None
    answer: CommitId


async def compile(
    t: TractCore,
    at: str | None = None,
    *,
    at_time: datetime | None = None,
    order: Sequence[str] | None = None,
    include_edit_marks: bool = False,
    include_reasoning: bool = False,
) -> CompiledContext:
    """Return the context at a commit, HEAD's by default, as a model gets it.

    A pure function of the commit: the same commit gives the same messages and
    the same digest for ever. Token figures alone may change, when a provider
    reports what the context really cost, and what it has in common with the
    last context that was sent (`cacheable_tokens`, `cache_break`): on the
    branch that *at* names, else on the handle's.

    Args:
        t: The tract.
        at: Any ref.
        at_time: An aware time instead: where the current branch was then, by
            when its commits were recorded, which is a moment after the `time`
            they bear. A time to come gives the branch as it is.
        order: Every slot that compiles once, by any ref of it, in the order
            to show them this time; a tool call and its results stay together.
        include_edit_marks: Whether texts of edited slots end in `[edited]`.
            The digest is that of the context without marks, `payload_digest`
            that of what is shown.
        include_reasoning: Whether what models thought is shown, as messages
            of the assistant where it stands, though it is skipped: all of it
            but what somebody skipped by `skip` or `annotate`. Digest and
            tokens are those of what is shown, and *order* names it too.

    Raises:
        RefNotFoundError: Nothing answers to *at*; never the full context.
        AmbiguousRefError: A prefix fits several commits.
        ContentValidationError: *at_time* is naive or given beside *at*, or
            *order* is not what compiles.
        BranchTooYoungError: The branch began after *at_time*.
        DetachedHeadError: *at_time* was given and HEAD is on no branch.
        CompilerError: The compiler that `open()` was given failed.
    """
    if at is not None and at_time is not None:
        raise ContentValidationError("at_time", "give either at or at_time")
    time = None if at_time is None else _micros(at_time)
    branch = None if at_time is None else t.require_branch()
    if order is not None and (isinstance(order, str) or not isinstance(order, Sequence)):
        raise ContentValidationError("order", "it must be a list of refs")
    place, given = t.place, t.collaborators

    def load(query: Query) -> tuple[CompiledContext, Vector[Line], TokenBudget | None]:
        if time is not None and branch is not None:
            head = head_at(query, place, branch, time)
        else:
            head = find_head(query, place) if at is None else resolve(query, place, at)
        sent_on = branch or record_branch(query, place, at)
        context, sent = context_beside_sent(query, given.shared.contexts, given.counter, place.tract, sent_on, head)
        tokens, source = token_figures(t, context, find_report(query, head))
        lines = thinking_lines(context) if include_reasoning else context.lines
        if order is not None:
            lines = order_lines(context, lines, [_slot(query, place, context, ref) for ref in order])
        id = None if head is None else head.id
        compiled = CompiledContext(context=context, head=id, token_count=tokens, token_source=source, sent=sent)
        return compiled, lines, t.settings.budget_by(query("settings.budget", place.tract))

    compiled, lines, budget = await t.read(load)
    if given.compiler is not DEFAULT or order is not None or include_edit_marks or include_reasoning:
        # In a thread: a compiler may be slow, and counting what it made is.
        shown = partial(_overlaid, given, compiled, lines, edit_marks=include_edit_marks)
        compiled = await to_thread.run_sync(shown)
    if compiled.sent is not None and (compiled.overlay is not None or compiled.sent.compiler != label(DEFAULT)):
        compiled = await to_thread.run_sync(shown_beside, given, compiled)
    return _warned(compiled, budget)


def _warned(compiled: CompiledContext, budget: TokenBudget | None) -> CompiledContext:
    """Return a context that says where it is beyond its budget."""
    if budget is None or not budget.is_over(compiled.token_count):
        return compiled
    warning = f"The context has {compiled.token_count:,} tokens and its budget is {budget.max_tokens:,}."
    return evolve(compiled, warnings=(*compiled.warnings, warning))


def _micros(time: datetime) -> int:
    """Return an aware time as microseconds since 1970, UTC."""
    if not isinstance(time, datetime):
        raise ContentValidationError("at_time", f"it must be a datetime, not {type(time).__name__}")
    if time.utcoffset() is None:
        raise ContentValidationError("at_time", "it must say its time zone; give datetime(..., tzinfo=UTC)")
    return (time - _epoch) // timedelta(microseconds=1)


def _slot(query: Query, place: Place, context: Context, ref: str) -> CommitId:
    """Return the commit that a ref names; one that the context knows by its id is not looked up."""
    known = context.find_slot(CommitId(ref)) if is_written(ref) else None
    return resolve(query, place, ref).id if known is None else known.id


def _overlaid(given: Collaborators, compiled: CompiledContext, lines: Vector[Line], *, edit_marks: bool) -> CompiledContext:
    """Return a context as it is shown otherwise, with what that costs."""
    over, count = overlay(lines, given.compiler, edit_marks=edit_marks), given.counter.count_message
    if given.compiler is not DEFAULT:
        # Recorded and reported figures are of other messages than these.
        costs = tuple(map(count, over.messages))
        over, tokens = evolve(over, tokens=costs), PER_CONTEXT + sum(costs)
        return evolve(compiled, token_count=tokens, token_source=f"counted:{given.counter.name}", overlay=over)
    more = sum(line.content.tokens for line in lines if isinstance(line, Slot) and not line.compiles)
    if edit_marks:
        shown = zip(lines, over.messages, strict=True)
        more += sum(count(message) - count(line.message) for line, message in shown if is_edited(line))
    return evolve(compiled, token_count=compiled.token_count + more, overlay=over)


def _reply(completion: int, reported: int | None, counted: int | None) -> int:
    """Return what of a completion comes back in the next prompt: all but the reasoning.

    Args:
        completion: As reported.
        reported: What reasoning cost, if the provider told. More than the
            completion is none of it: some providers report it beside.
        counted: What the reasoning that it gave counts here, if it gave any.
    """
    if reported is not None:
        return completion - reported if reported <= completion else completion
    return max(completion - (counted or 0), 0)


def _unreported_closings(context: Context, report: Report | None) -> int:
    """Return how many results stand in for missing ones that no report has counted: those behind its answer."""
    if report is None or not context.closings:
        return context.closings
    count, lines = 0, context.lines
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        if isinstance(line, Closing):
            count += 1
        elif line.id == report.answer:
            break
        if count == context.closings:
            break
    return count


def token_figures(t: TractCore, context: Context, report: Report | None) -> tuple[int, str]:
    """Return what a context costs and who says so."""
    counter = t.collaborators.counter
    counted = PER_CONTEXT + context.slot_tokens
    tokens, source = reported_tokens(t, counted, report)
    closings = _unreported_closings(context, report if report is not None and counted >= report.counted else None)
    if closings:
        tokens += closings * counter.count_message(close(ToolCall("", "", ""), RENDERING))
    return tokens - context.omitted_tokens, source


def reported_tokens(t: TractCore, counted: int, report: Report | None) -> tuple[int, str]:
    """Return a count by what was reported, with what was counted since on top.

    Where less stands there than was reported on, the report says nothing of
    what is left, and the count stands for itself.
    """
    if report is None or counted < report.counted:
        return counted, f"counted:{t.collaborators.counter.name}"
    return report.tokens + counted - report.counted, f"reported:{report.model or 'provider'}"


def find_report(query: Query, head: Node | None) -> Report | None:
    """Return the newest report in the first-parent history of a commit."""
    newest = query("generations.last_report")[0][0]
    if head is None or newest is None:
        return None
    # Remembered for the last head of each run: status and compile ask again.
    asked = (head.number, newest)
    known: tuple[tuple[int, int], Report | None] | None = query.facts.get(("report", head.run))
    if known is not None and known[0] == asked:
        return known[1]
    report = None
    for run, last in stretches(query, head):
        rows = query("generations.reported", run, last)
        if rows:
            id, answer, prompt, completion, *reasoning, counted, config = rows[0]
            model = None if config is None else decode_config(config).model
            reply = answer if completion is None else _reply(completion, *reasoning)
            report = Report(prompt + reply, counted, model, CommitId(id.hex()))
            break
    query.facts["report", head.run] = (asked, report)
    return report
