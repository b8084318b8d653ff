"""`compile`: the history as the messages a model gets, and what they cost.

Imports `core` and `operations`.
"""

from attrs import frozen

from tract.core import TractCore
from tract.core.contexts import decode_config
from tract.core.graph import PER_CONTEXT, Node, find_head, resolve, stretches
from tract.domain.messages import ToolCall
from tract.formats.rendering import RENDERING, close
from tract.log.protocol import Query
from tract.operations.compiling import CompiledContext
from tract.operations.context import Context


@frozen(eq=False, repr=False)
class Report:
    """The newest usage that a provider reported in a commit's history.

    Attributes:
        tokens: What it made of the context there: prompt and answer, without
            reasoning, which does not come back.
        counted: What we had counted there.
        model: The model that answered, or None.
    """

    tokens: int
    counted: int
    model: str | None


async def compile(t: TractCore, at: str | None = None) -> CompiledContext:
    """Return the context at a commit, HEAD's by default, as a model gets it.

    A pure function of the commit: the same commit gives the same messages and
    the same digest for ever. Token figures alone may change, when a provider
    reports what the context really cost.

    Args:
        t: The tract.
        at: Any ref.

    Raises:
        RefNotFoundError: Nothing answers to *at*; never the full context.
        AmbiguousRefError: A prefix fits several commits.
    """
    place, contexts = t.place, t.collaborators.shared.contexts

    def load(query: Query) -> tuple[Node | None, Context, Report | None]:
        head = find_head(query, place) if at is None else resolve(query, place, at)
        return head, contexts.context(query, head), find_report(query, head)

    head, context, report = await t.read(load)
    tokens, source = token_figures(t, context, report)
    return CompiledContext(context=context, head=None if head is None else head.id, token_count=tokens, token_source=source)


def token_figures(t: TractCore, context: Context, report: Report | None) -> tuple[int, str]:
    """Return what a context costs and who says so."""
    counter = t.collaborators.counter
    repaired = -context.omitted_tokens
    if context.closings:
        repaired += context.closings * counter.count_message(close(ToolCall("", "", ""), RENDERING))
    tokens, source = reported_tokens(t, PER_CONTEXT + context.slot_tokens, report)
    return tokens + repaired, source


def reported_tokens(t: TractCore, counted: int, report: Report | None) -> tuple[int, str]:
    """Return a count by what was reported, with what was counted since on top."""
    if report is None:
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
            prompt, completion, reasoning, counted, config = rows[0]
            model = None if config is None else decode_config(config).model
            report = Report(prompt + (completion or 0) - (reasoning or 0), counted, model)
            break
    query.facts["report", head.run] = (asked, report)
    return report
