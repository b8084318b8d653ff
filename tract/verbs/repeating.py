"""Calls that come again under an operation id of the caller's.

The first event of such an operation holds the digest of its call; the same
call again is answered from what it recorded. Imports `core` and `describing`.
"""

from typing import Any

from msgspec import Struct

from tract.core import TractCore
from tract.domain import canonical
from tract.domain.ids import OperationId, uuid_bytes
from tract.domain.results import CommitInfo
from tract.errors import ContentValidationError, OperationMismatchError
from tract.log.codec import decode_operation
from tract.log.protocol import Query
from tract.verbs.describing import commit_info, decode_commit


class Earlier(Struct, frozen=True):
    """An operation that was recorded before, and the commit it began with, if any."""

    commit: CommitInfo | None


def request_digest(t: TractCore, verb: str, **arguments: Any) -> bytes:
    """Return what tells two calls with one operation id apart.

    The tract counts, and for verbs that write to it the branch: the same call
    elsewhere is another call.

    Raises:
        ContentValidationError: An argument is not JSON.
    """
    try:
        return canonical.sha256(canonical.encode({"verb": verb, "tract": t.id, "arguments": arguments}))
    except canonical.NotCanonicalError as exc:
        raise ContentValidationError("operation_id", f"the call cannot be told from others: {exc}") from exc


async def find_recorded(t: TractCore, operation: OperationId, digest: bytes | None) -> Earlier | None:
    """Return what a call recorded before, under an id of the caller's.

    Asked first, because a call that comes again may make no sense any more:
    its target has changed, or its ref names what it made itself.

    Raises:
        OperationMismatchError: The id belongs to another call.
    """
    if digest is None:
        return None
    file = t.collaborators.shared.store.where

    def load(query: Query) -> Earlier | None:
        rows = query("log.operation_events", uuid_bytes(operation))
        if not rows:
            return None
        events, request = decode_operation(rows, file=file)
        proof = query("log.blob", bytes.fromhex(request or ""))
        if not proof or proof[0][0] != digest:
            raise OperationMismatchError(operation)
        found = query("commits.log_entry", events[0].position)
        return Earlier(commit_info(*decode_commit(found[0], file)) if found else None)

    return await t.read(load)


async def find_commit(t: TractCore, operation: OperationId, digest: bytes | None) -> CommitInfo | None:
    """Return the commit that a call made before, under an id of the caller's.

    Raises:
        OperationMismatchError: The id belongs to another call.
    """
    recorded = await find_recorded(t, operation, digest)
    return None if recorded is None else recorded.commit
