"""Commits as people see them, from their events and blobs.

Imports `core`, `formats` and everything below.
"""

import msgspec

from tract.core.contexts import decode_config
from tract.domain.commits import Commit, Details
from tract.domain.config import LLMConfig
from tract.domain.content import Content
from tract.domain.events import CommitRecorded, Event
from tract.domain.results import SHORT, CommitInfo, moment, preview
from tract.formats.reading import decode_content
from tract.formats.rendering import RENDERING, render
from tract.log.codec import decode_one
from tract.log.protocol import Row

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
        message=_preview(commit, content, details) if details.message is None else details.message,
        metadata=details.metadata,
        generation_config=config,
        tokens=body.tokens,
        actor=event.actor,
        time=moment(commit.time),
        operation_id=event.operation,
    )


def _preview(commit: Commit, content: Content | None, details: Details) -> str:
    if content is None:
        first, *more = commit.targets or ("",)
        on = f"{first[:SHORT]} and {len(more)} more" if more else first[:SHORT]
        if commit.priority is None:
            return preview(commit.operation.value, on)
        said = f"{commit.priority.value} {on}"
        return preview(said, details.reason) if details.reason else said
    message = render(content, commit.rendering or RENDERING)
    calls = ", ".join(f"{call.name}()" for call in message.tool_calls)
    return preview(content.content_type, " ".join(part for part in (message.text, calls) if part))


def decode_commit(row: Row, file: str) -> tuple[Event, Content | None, Details, LLMConfig | None]:
    """Return what a row of `commits.log` holds: event, content, details and config.

    Raises:
        CorruptLogError: The event has not its shape, or is no commit.
        NewerEventError: A later version recorded it in another shape.
    """
    *columns, stored, details, config = row
    event, body = decode_one(CommitRecorded, tuple(columns), file=file)
    kind = body.commit.content
    return (
        event,
        None if kind is None or stored is None else decode_content(kind.type, stored),
        Details() if details is None else _details(details),
        None if config is None else decode_config(config),
    )


def _details(data: bytes) -> Details:
    return Details(**{name: value for name, value in msgspec.json.decode(data).items() if name in _DETAILS})
