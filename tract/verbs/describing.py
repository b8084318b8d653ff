"""Commits as people see them, from their events and blobs.

Imports `core`, `formats` and everything below.
"""

from typing import Any

import msgspec
from msgspec import Struct

from tract.core import TractCore
from tract.core.contexts import decode_config
from tract.domain import canonical
from tract.domain.commits import Commit, Details
from tract.domain.config import LLMConfig
from tract.domain.content import Content
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import OperationId, uuid_bytes
from tract.domain.results import CommitInfo, moment, preview
from tract.errors import ContentValidationError, OperationMismatchError
from tract.formats.reading import decode_content
from tract.formats.rendering import RENDERING, render
from tract.log.codec import decode_event
from tract.log.protocol import Query, Row


class Recorded(Struct, frozen=True):
    """An operation that was recorded before, and the commit it began with, if any."""

    commit: CommitInfo | None


_DETAILS = frozenset({"message", "metadata", "reason", "retain"})


def commit_info(event: Event, content: Content | None, details: Details, config: LLMConfig | None) -> CommitInfo:
    """Return a recorded commit as people see it."""
    body = event.body
    assert isinstance(body, CommitRecorded)
    commit = body.commit
    return CommitInfo(
        id=commit.id,
        tract_id=event.tract,
        parents=commit.parents,
        operation=commit.operation,
        targets=commit.targets,
        content_type=None if commit.content is None else commit.content.type,
        priority=commit.priority,
        message=_preview(commit, content) if details.message is None else details.message,
        metadata=details.metadata,
        generation_config=config,
        tokens=body.tokens,
        actor=event.actor,
        time=moment(commit.time),
        operation_id=event.operation,
    )


def _preview(commit: Commit, content: Content | None) -> str:
    if content is None:
        said = commit.priority.value if commit.priority else f"{len(commit.targets)} slots"
        return preview(commit.operation.value, said)
    message = render(content, commit.rendering or RENDERING)
    text = message.content if isinstance(message.content, str) else ""
    calls = ", ".join(f"{call.name}()" for call in message.tool_calls)
    return preview(content.content_type, " ".join(part for part in (text, calls) if part))


def decode_commit(row: Row, file: str) -> tuple[Event, Content | None, Details, LLMConfig | None]:
    """Return what a row of `commits.log` holds: event, content, details and config.

    Raises:
        CorruptLogError: The event has not its shape.
    """
    *columns, stored, details, config = row
    event = decode_event(tuple(columns), file=file)
    body = event.body
    assert isinstance(body, CommitRecorded)
    kind = body.commit.content
    return (
        event,
        None if kind is None or stored is None else decode_content(kind.type, stored),
        Details() if details is None else _details(details),
        None if config is None else decode_config(config),
    )


def _details(data: bytes) -> Details:
    return Details(**{name: value for name, value in msgspec.json.decode(data).items() if name in _DETAILS})


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


async def find_recorded(t: TractCore, operation: OperationId, digest: bytes | None) -> Recorded | None:
    """Return what a call recorded before, under an id of the caller's.

    Asked first, because a call that comes again may make no sense any more:
    its target has changed, or its ref names what it made itself.

    Raises:
        OperationMismatchError: The id belongs to another call.
    """
    if digest is None:
        return None
    file = t.collaborators.shared.store.where

    def load(query: Query) -> Recorded | None:
        rows = query("log.operation_events", uuid_bytes(operation))
        if not rows:
            return None
        proof = query("log.blob", bytes.fromhex(decode_event(rows[0], file=file).request or ""))
        if not proof or proof[0][0] != digest:
            raise OperationMismatchError(operation)
        found = query("commits.log_entry", rows[0][0])
        return Recorded(commit_info(*decode_commit(found[0], file)) if found else None)

    return await t.read(load)


async def find_commit(t: TractCore, operation: OperationId, digest: bytes | None) -> CommitInfo | None:
    """Return the commit that a call made before, under an id of the caller's.

    Raises:
        OperationMismatchError: The id belongs to another call.
    """
    recorded = await find_recorded(t, operation, digest)
    return None if recorded is None else recorded.commit
