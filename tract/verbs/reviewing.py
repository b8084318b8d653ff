"""What happened, operation by operation. Imports `core`, `domain`, `errors`, `log` and `accounting`."""

from tract.core import TractCore
from tract.core.graph import LAST_POSITION
from tract.core.interrupting import has_ended, read_with_presence, started_by
from tract.core.owners import Presence
from tract.domain.accounts import Scope, TimelineEntry
from tract.domain.generations import GenerationStatus
from tract.domain.ids import CommitId, OperationId, TractId, is_uuid, uuid_bytes, uuid_text
from tract.domain.results import moment
from tract.errors import ContentValidationError
from tract.log.protocol import Query, Row
from tract.verbs.accounting import check_scope

MOST = 10_000
"""Operations that one call of `timeline` returns at the most."""
_OF_A_CALL = ("generation.", "context.", "usage.")
"""How the types of the events begin that a model call consists of."""


async def timeline(
    t: TractCore, limit: int = 20, *, cursor: str | None = None, scope: Scope = "tract"
) -> tuple[TimelineEntry, ...]:
    """Return what happened, newest first: one entry an operation, which is one call of a verb.

    It is read from the log itself, so all that was recorded before is there:
    commits on every branch and on none, branches, settings, and model calls,
    those that run included. An operation stands where it began. What is in a
    `batch()` that is still open is not there yet; then the whole block is one
    operation. Of a family that stands still a commit or a call may be missing
    from what its operations came to.

    Args:
        t: The tract.
        limit: The most entries to return, at least 1.
        cursor: Operation id of the last entry of the page before; goes on behind it.
        scope: Whose operations: tract, family or store.

    Raises:
        ContentValidationError: *limit* or *scope* makes no sense, or *cursor* is no operation there.
        ProjectionError: The family of *t* stands still.
        NewerEventError: A later version recorded a model call in a way that cannot be read here.
    """
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise ContentValidationError("limit", f"it must be a whole number from 1 to {MOST}")
    check_scope(scope)
    if cursor is not None and not is_uuid(cursor):
        raise ContentValidationError("cursor", "it must be the id of an operation")
    stream, tract, file = uuid_bytes(t.place.stream), uuid_bytes(t.id), t.collaborators.shared.store.where

    def load(seen: Presence, query: Query) -> list[TimelineEntry]:
        position, version = (LAST_POSITION, LAST_POSITION) if cursor is None else _find_start(query, cursor, scope, t)
        if scope == "tract":
            rows = query("receipts.of_tract", stream, version, limit, tract)
        elif scope == "family":
            rows = query("receipts.of_family", stream, version, limit)
        else:
            rows = query("receipts.of_store", position, limit)
        return [_entry(query, row, file, seen) for row in rows]

    return tuple(await read_with_presence(t.read, t.collaborators.clock, load))


def _find_start(query: Query, cursor: str, scope: Scope, t: TractCore) -> tuple[int, int]:
    """Return position and version of the first event of an operation."""
    rows = query("receipts.start", uuid_bytes(cursor))
    mine = {"tract": (3, uuid_bytes(t.id)), "family": (2, uuid_bytes(t.place.stream))}.get(scope)
    if not rows or (mine is not None and rows[0][mine[0]] != mine[1]):
        raise ContentValidationError("cursor", f"there is no operation of that id in this {scope}")
    return rows[0][0], rows[0][1]


def _entry(query: Query, row: Row, file: str, seen: Presence) -> TimelineEntry:
    _, _, operation, tract, actor, recorded_at = row
    did: dict[str, int] = {}
    branch: str | None = None
    tokens, commit, call, is_on_branch = 0, None, None, True
    for tag, word, count, cost, last, name in query("receipts.steps", operation):
        if tag == "commit.recorded":
            tokens, commit, is_on_branch = tokens + cost, last, name is not None
        if tag == "generation.started":
            call = last
        # The receipt of an operation on commits adds nothing to what they are.
        if tag == "operation.recorded" and word in did:
            continue
        did[word] = did.get(word, 0) + count
        branch = name or branch
    verb, status = None, None
    if call is not None:
        verb, status = _call(query, call, file, seen)
        did = {word: count for word, count in did.items() if not word.startswith(_OF_A_CALL)}
    return TimelineEntry(
        operation_id=OperationId(uuid_text(operation)),
        tract_id=TractId(uuid_text(tract)),
        time=moment(recorded_at),
        actor=actor,
        did=did,
        branch=branch,
        commit=None if commit is None else _commit(query, commit),
        tokens=None if commit is None else tokens,
        verb=verb,
        status=status,
        is_beside=branch is not None and not is_on_branch,
    )


def _commit(query: Query, number: int) -> CommitId | None:
    rows = query("commits.by_number", number)
    return None if not rows and query.in_use.halted else CommitId(rows[0][1].hex())


def _call(query: Query, number: int, file: str, seen: Presence) -> tuple[str | None, GenerationStatus | None]:
    rows = query("generations.by_start", number)
    if not rows and query.in_use.halted:
        return None, None
    *columns, status, until = rows[0]
    event, started = started_by(tuple(columns), file)
    if status == "running" and has_ended(event, until, seen):
        return started.verb, "interrupted"
    return started.verb, status
