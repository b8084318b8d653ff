"""What was sent last on a branch, looked up beside what is compiled there now.

Imports `core`, `domain`, `errors`, `formats`, `llm`, `log` and `operations`. Read `context_beside_sent`.
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
from tract.log.protocol import MISSHAPEN, Query
from tract.operations.compilers import DEFAULT, XMLCompiler, label
from tract.operations.compiling import CompiledContext
from tract.operations.context import EMPTY, Context
from tract.operations.overlaying import overlay
from tract.operations.prefixes import Sent, may_change, shared_lines, shared_messages, with_leaves_of
from tract.operations.sequence import Vector
from tract.operations.slots import Line, Step

NEAR = 256
"""Commits that are looked at to tell what was sent without its context."""


@frozen(eq=False, repr=False)
class _Known:
    """What was found last. One for the store: more of them would keep contexts that were let go.

    Attributes:
        record: The number of the commit that was sent, and the compiler.
        counter: Who counted.
        head: The commit it stood beside.
        base: The last one that both histories have, where that was looked for.
        sent: What was found; None where it cannot be read any more.
    """

    record: tuple[int, str]
    counter: str
    head: Node | None
    base: Node | None
    sent: Sent | None

    def is_beside(self, head: Node | None, counter: str) -> bool:
        return self.counter == counter and _number(self.head) == _number(head)


def _number(node: Node | None) -> int:
    return 0 if node is None else node.number


def record_branch(query: Query, place: Place, at: str | None) -> str | None:
    """Return the branch whose records count for what is compiled at a ref.

    The one that the ref names, with or without steps back, else HEAD's.
    """
    name = (at or "").partition("~")[0]
    if name and name != "HEAD" and is_written(name) and query("refs.branch", place.tract, name):
        return name
    return place.head.branch


def context_beside_sent(
    query: Query, contexts: ContextCache, counter: TokenCounter, tract: int, branch: str | None, head: Node | None
) -> tuple[Context, Sent | None]:
    """Return the context at *head*, and what was sent last on a branch; None where nothing was, or it cannot be read any more."""
    found = None if branch is None else _newest(query, tract, branch)
    if found is None:
        return contexts.context(query, head), None
    sent_at, compiler = found
    record = (sent_at.number, compiler)
    known: _Known | None = query.facts.get("sent beside")
    if known is not None and known.record != record:
        known = None
    if known is not None and (known.sent is None or known.is_beside(head, counter.name)):
        return contexts.context(query, head), known.sent
    base = None
    sent: Sent | None
    try:
        context, lines, length = _load(query, contexts, sent_at, head, None if known is None else known.sent)
        alike = shared_lines(lines, context.lines)
        lines, shared = with_leaves_of(lines, context.lines, alike), min(alike, length)
        sent = Sent(lines, length, compiler, shared, shared, closing_tokens=_closing_tokens(query, counter))
        if shared < length:
            base = None if head is None else _last_common(query, sent_at, head)
            sent = _broken(query, contexts, sent, base, head, known)
    except (TractError, *MISSHAPEN):
        # Of what was sent, whose text may be gone; of *head*, it is raised again.
        context, sent = contexts.context(query, head), None
    query.facts["sent beside"] = _Known(record, counter.name, head, base, sent)
    return context, sent


def _load(
    query: Query, contexts: ContextCache, sent_at: Node, head: Node | None, known: Sent | None
) -> tuple[Context, Vector[Line], int]:
    """Return the context at *head*, the lines that were sent, maybe with more behind them, and how many they are."""
    if known is not None:
        return contexts.context(query, head), known.lines, known.length
    # A look only: contexts that are asked for are counted, and nobody asked for this one.
    before = contexts.known(query).find(sent_at.number)
    if before is None:
        added = _added(query, contexts, sent_at, head)
        if added is not None:
            context = contexts.context(query, head)
            return context, context.lines, len(context.lines) - added
        # Before that at *head*, which costs little more from there.
        before = contexts.context(query, sent_at)
    return contexts.context(query, head), before.lines, len(before.lines)


def _added(query: Query, contexts: ContextCache, sent: Node, head: Node | None) -> int | None:
    """Return how many lines came since something was sent, all behind it; None where that takes its context to tell."""
    if head is None or not 0 <= head.depth - sent.depth <= NEAR or not _is_behind(query, sent, head):
        return None
    added = 0
    for step in contexts.steps(query, sent, head):
        if step.content is None or step.operation is not CommitOperation.APPEND or step.content.message.role == "tool":
            return None
        if step.priority is not Priority.SKIP:
            added += 1 + len(step.content.message.tool_calls)
    return added


def _is_behind(query: Query, one: Node, head: Node) -> bool:
    """Tell whether *head* is one, or one of its first-parent descendants."""
    return any(run == one.run and last >= one.number for run, last in stretches(query, head))


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


def _closing_tokens(query: Query, counter: TokenCounter) -> int:
    tokens: int | None = query.facts.get(("closing", counter.name))
    if tokens is None:
        tokens = query.facts["closing", counter.name] = counter.count_message(close(ToolCall("", "", ""), RENDERING))
    return tokens


def _last_common(query: Query, one: Node, other: Node) -> Node | None:
    """Return the last commit that the first-parent histories of both have."""
    ours = dict(stretches(query, other))
    return next((node(query, min(last, ours[run])) for run, last in stretches(query, one) if run in ours), None)


def _broken(query: Query, contexts: ContextCache, sent: Sent, base: Node | None, head: Node | None, known: _Known | None) -> Sent:
    """Return it with the last context that both histories have, and what led from there to *head*."""
    if base is None or head is None:
        return evolve(sent, base=EMPTY)
    steps = _steps_known(query, contexts, base, head, known)
    if steps is None:
        steps = contexts.steps(query, base, head)
    return evolve(sent, base=contexts.context(query, base), steps=steps)


def _steps_known(query: Query, contexts: ContextCache, base: Node, head: Node, known: _Known | None) -> tuple[Step, ...] | None:
    """Return what led from *base* to *head* as far as it was known before, if nothing changed what was there since.

    So a history that only grows is not read again each time, however long ago the break was.
    """
    if known is None or known.sent is None or known.head is None or _number(known.base) != base.number:
        return None
    if not _is_behind(query, known.head, head) or any(map(may_change, contexts.steps(query, known.head, head))):
        return None
    return known.sent.steps


def shown_beside(given: Collaborators, compiled: CompiledContext) -> CompiledContext:
    """Return a context with how many of its messages are those that were sent, as either is shown.

    Where the compiler of what was sent is not at hand, it is not known what
    its messages were.
    """
    sent = compiled.sent
    if sent is None:
        return compiled
    compilers = {label(each): each for each in (DEFAULT, XMLCompiler(), given.compiler)}
    if sent.compiler not in compilers:
        return evolve(compiled, sent=None)
    lines = sent.lines if len(sent.lines) == sent.length else Vector.of(islice(sent.lines, sent.length))
    try:
        before = overlay(lines, compilers[sent.compiler], edit_marks=False)
    except CompilerError:
        return evolve(compiled, sent=None)
    return evolve(compiled, sent=evolve(sent, shown=shared_messages(before.messages, compiled.messages)))
