"""What was sent last on a branch, looked up beside what is compiled there now.

Imports `core`, `errors`, `log` and `operations.prefixes`. Read `find_sent`.
"""

from itertools import islice

from attrs import evolve, frozen

from tract.core.collaborators import Collaborators
from tract.core.contexts import ContextCache
from tract.core.graph import Node, Place, find_node, is_written, node, stretches
from tract.domain.commits import CommitOperation, Priority
from tract.domain.messages import ToolCall
from tract.errors import CompilerError, TractError
from tract.formats.rendering import RENDERING, close
from tract.llm.protocol import TokenCounter
from tract.log.protocol import Query
from tract.operations.compilers import DEFAULT, XMLCompiler, label
from tract.operations.compiling import CompiledContext
from tract.operations.context import EMPTY, Context
from tract.operations.overlaying import overlay
from tract.operations.prefixes import Sent, shared_lines, shared_messages
from tract.operations.sequence import Vector
from tract.operations.slots import Line

NEAR = 256
"""Commits that are looked at to tell what was sent without its context."""


@frozen(eq=False, repr=False)
class SentRecord:
    """What the record of a context says that was sent.

    Attributes:
        head: Where it was compiled.
        compiler: What made its messages, such as `tract/1`.
        lines: Those that were sent, and maybe more behind them; None where
            what is compiled now begins with them.
        length: How many were sent; where *lines* is None, how many came since.
    """

    head: Node
    compiler: str
    lines: Vector[Line] | None
    length: int


def record_branch(query: Query, place: Place, at: str | None) -> str | None:
    """Return the branch whose records count for what is compiled at a ref.

    The one that the ref names, with or without steps back, else HEAD's.
    """
    name = (at or "").partition("~")[0]
    if name and name != "HEAD" and is_written(name) and query("refs.branch", place.tract, name):
        return name
    return place.head.branch


def find_record(query: Query, contexts: ContextCache, place: Place, branch: str | None, head: Node | None) -> SentRecord | None:
    """Return the newest compile record of a branch; None without one, or where it cannot be read any more.

    Ask before the context at *head*: where that of the record must be folded,
    the other costs little more from there.
    """
    found = None if branch is None else _newest(query, place.tract, branch)
    if found is None:
        return None
    sent, compiler = found
    # A look only: contexts that are asked for are counted, and nobody asked for this one.
    context = contexts.known(query).find(sent.number)
    if context is None:
        known = _known(query)
        if known is not None and known.asked[0] == sent.number:
            return SentRecord(sent, compiler, known.sent.lines, known.sent.length)
        try:
            added = _added(query, contexts, sent, head)
            if added is not None:
                return SentRecord(sent, compiler, None, added)
            context = contexts.context(query, sent)
        except TractError:
            return None
    return SentRecord(sent, compiler, context.lines, len(context.lines))


def _added(query: Query, contexts: ContextCache, sent: Node, head: Node | None) -> int | None:
    """Return how many lines came since something was sent, all behind it; None where that takes its context to tell."""
    if head is None or not 0 <= head.depth - sent.depth <= NEAR:
        return None
    if not any(run == sent.run and last >= sent.number for run, last in stretches(query, head)):
        return None
    added = 0
    for step in contexts.steps(query, sent, head):
        if step.content is None or step.operation is not CommitOperation.APPEND or step.content.message.role == "tool":
            return None
        if step.priority is not Priority.SKIP:
            added += 1 + len(step.content.message.tool_calls)
    return added


def _newest(query: Query, tract: int, branch: str) -> tuple[Node, str] | None:
    """Return head and compiler of the newest record, looking only through what was not looked through before."""
    newest = query("generations.newest", tract)[0][0] or 0
    upto: int
    record: tuple[Node, str] | None
    upto, record = query.facts.get(("sent", tract, branch), (0, None))
    if upto == newest:
        return record
    if upto > newest:
        # This snapshot is the older one.
        upto, record = 0, None
    is_settled = True
    for id, status, compiler in query("generations.sent", tract, branch, upto):
        head = find_node(query, id)
        if head is not None:
            record = (head, compiler)
        # A call that runs may yet end without a record.
        is_settled = status != "running"
    if is_settled:
        query.facts["sent", tract, branch] = (newest, record)
    return record


@frozen(eq=False, repr=False)
class _Known:
    """What was found last. One for the store: more of them would keep contexts that were let go.

    Attributes:
        asked: The numbers of the record's commit and of the one it stood beside.
        counter: Who counted.
        sent: What was found.
    """

    asked: tuple[int, int]
    counter: str
    sent: Sent


def _known(query: Query) -> _Known | None:
    found: _Known | None = query.facts.get("sent beside")
    return found


def find_sent(
    query: Query, contexts: ContextCache, counter: TokenCounter, record: SentRecord, head: Node | None, context: Context
) -> Sent | None:
    """Return what was sent, beside the *context* at *head*; None where it cannot be read any more."""
    asked, known = (record.head.number, 0 if head is None else head.number), _known(query)
    if known is not None and (known.asked, known.counter) == (asked, counter.name):
        return known.sent
    if record.lines is None:
        lines, length = context.lines, len(context.lines) - record.length
        shared = length
    else:
        lines, length = record.lines, record.length
        shared = min(shared_lines(lines, context.lines), length)
    sent = Sent(lines, length, shared, shared, closing_tokens=_closing_tokens(query, counter))
    if shared < length:
        try:
            sent = _broken(query, contexts, sent, record.head, head)
        except TractError:
            return None
    query.facts["sent beside"] = _Known(asked, counter.name, sent)
    return sent


def _closing_tokens(query: Query, counter: TokenCounter) -> int:
    tokens: int | None = query.facts.get(("closing", counter.name))
    if tokens is None:
        tokens = query.facts["closing", counter.name] = counter.count_message(close(ToolCall("", "", ""), RENDERING))
    return tokens


def _broken(query: Query, contexts: ContextCache, sent: Sent, record: Node, head: Node | None) -> Sent:
    """Return it with the last context that both histories have, and all that led from there to *head*."""
    if head is not None:
        ours = dict(stretches(query, head))
        for run, last in stretches(query, record):
            if run in ours:
                base = node(query, min(last, ours[run]))
                return evolve(sent, base=contexts.context(query, base), steps=contexts.steps(query, base, head))
    return evolve(sent, base=EMPTY)


def shown_beside(given: Collaborators, compiled: CompiledContext, record: SentRecord | None) -> CompiledContext:
    """Return a context with how many of its messages are those that were sent, as either is shown.

    Where the compiler of the record is not at hand, it is not known what was
    sent.
    """
    if record is None or compiled.sent is None:
        return compiled
    compilers = {label(each): each for each in (DEFAULT, XMLCompiler(), given.compiler)}
    if record.compiler not in compilers:
        return evolve(compiled, sent=None)
    lines = compiled.sent.lines
    if len(lines) > compiled.sent.length:
        lines = Vector.of(islice(lines, compiled.sent.length))
    try:
        sent = overlay(lines, compilers[record.compiler], edit_marks=False)
    except CompilerError:
        return evolve(compiled, sent=None)
    return evolve(compiled, sent=evolve(compiled.sent, shown=shared_messages(sent.messages, compiled.messages)))
