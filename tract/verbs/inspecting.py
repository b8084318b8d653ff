"""Looking without changing anything: log, show, status.

Imports `core`, `compiling` and `describing`.
"""

from collections.abc import Iterator
from itertools import islice

from tract.core import TractCore
from tract.core.graph import PER_CONTEXT, Node, find_head, parent, resolve, stretches
from tract.domain.budgets import TokenBudget
from tract.domain.commits import CommitOperation
from tract.domain.content import RegisteredContent
from tract.domain.events import CommitRecorded
from tract.domain.results import CommitDetail, CommitInfo, TractStatus
from tract.errors import ContentValidationError
from tract.formats.registry import value_of
from tract.formats.rendering import render
from tract.log.protocol import Query, Row
from tract.verbs.compiling import Report, find_report, reported_tokens
from tract.verbs.describing import commit_info, decode_commit

MOST = 1_000_000
"""Commits that one call of `log` returns at the most."""


async def log(
    t: TractCore,
    limit: int = 20,
    *,
    cursor: str | None = None,
    at: str | None = None,
    operation: CommitOperation | str | None = None,
) -> tuple[CommitInfo, ...]:
    """Return commits, newest first, along first parents.

    Args:
        t: The tract.
        limit: The most commits to return, at least 1.
        cursor: Id of the last commit of the page before; goes on behind it.
        at: Where to begin, any ref; HEAD by default.
        operation: Only commits of this operation.

    Raises:
        RefNotFoundError: Nothing answers to *at* or *cursor*.
        ContentValidationError: *limit* or *operation* makes no sense.
    """
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise ContentValidationError("limit", f"it must be a whole number from 1 to {MOST}")
    if cursor is not None and at is not None:
        raise ContentValidationError("cursor", "give either cursor or at")
    kind = None if operation is None else _operation(operation)
    place, file = t.place, t.collaborators.shared.store.where

    def load(query: Query) -> list[CommitInfo]:
        if cursor is not None:
            first = parent(query, resolve(query, place, cursor))
        else:
            first = find_head(query, place) if at is None else resolve(query, place, at)
        return [commit_info(*decode_commit(row, file)) for row in islice(_history(query, first, kind, limit), limit)]

    return tuple(await t.read(load))


async def show(t: TractCore, ref: str) -> CommitDetail:
    """Return a commit with what it brought.

    Raises:
        RefNotFoundError: Nothing answers to *ref*.
        AmbiguousRefError: A prefix fits several commits.
    """
    place, file = t.place, t.collaborators.shared.store.where

    def load(query: Query) -> Row:
        found = resolve(query, place, ref)
        return query("commits.log_entry", found.number)[0]

    row = await t.read(load)
    event, content, details, config = decode_commit(row, file)
    assert isinstance(event.body, CommitRecorded)
    rendered = None if content is None else render(content, event.body.commit.rendering or 1)
    shown = value_of(content) if isinstance(content, RegisteredContent) else content
    return CommitDetail(commit_info(event, content, details, config), shown, rendered, details.reason, details.retain)


async def status(t: TractCore) -> TractStatus:
    """Return where this handle stands and what the context costs, without compiling.

    The count leaves out what only compiling knows: results that stand in for
    missing ones, results without a call, and what another compiler than the
    default one makes of the messages.

    Raises:
        BranchNotFoundError: The branch was deleted.
    """
    place = t.place

    def load(query: Query) -> tuple[Node | None, Report | None, TokenBudget | None]:
        head = find_head(query, place)
        return head, find_report(query, head), t.settings.budget_by(query("settings.budget", place.tract))

    head, report, budget = await t.read(load)
    tokens, source = reported_tokens(t, PER_CONTEXT if head is None else head.tokens, report)
    return TractStatus(
        tract_id=t.id,
        name=t.name,
        branch=place.head.branch,
        head=None if head is None else head.id,
        slots=0 if head is None else head.slots,
        token_count=tokens,
        token_source=source,
        budget=budget,
    )


def _operation(value: CommitOperation | str) -> str:
    try:
        return CommitOperation(value).value
    except ValueError:
        names = ", ".join(operation.value for operation in CommitOperation)
        raise ContentValidationError("operation", f"it must be one of {names}") from None


def _history(query: Query, first: Node | None, operation: str | None, limit: int) -> Iterator[Row]:
    for run, last in stretches(query, first):
        yield from query("commits.log", run, last, operation, limit)
