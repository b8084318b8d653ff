"""Events to canonical JSON and back.

The bytes are what is hashed and stored. Shapes come from the event classes:
nothing in a stored event names code, and reading builds declared types only.
Imports `domain`, `errors` and `protocol`.
"""

from typing import Any

import msgspec

from tract.domain.canonical import encode_plain
from tract.domain.events import TYPES, CommitRecorded, Event, EventBody
from tract.domain.ids import BlobId, OperationId, TractId, uuid_text
from tract.errors import ConfigError, CorruptLogError
from tract.log.protocol import Row


def encode_body(body: EventBody, request: BlobId | None = None) -> bytes:
    """Return the canonical JSON of an event's data."""
    data: dict[str, Any] = _commit_data(body) if isinstance(body, CommitRecorded) else msgspec.to_builtins(body)
    if request is not None:
        data["request"] = request
    return encode_plain(data)


def _commit_data(body: CommitRecorded) -> dict[str, Any]:
    data = {
        "commit": body.commit.recorded_json,
        "branch": body.branch,
        "tokens": body.tokens,
        "counter": body.counter,
        "slot_delta": body.slot_delta,
        "token_delta": body.token_delta,
    }
    if body.before is not None:
        data["before"] = body.before
    return data


def decode_event(row: Row, *, file: str = "") -> Event:
    """Return the event of a row of the `events` table, its columns in order.

    Raises:
        CorruptLogError: A column holds something else than an event has there,
            the type is unknown, or the data is not exactly what an event of
            that type is stored as.
    """
    position, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest = row
    if not (isinstance(stream, bytes) and isinstance(tract, bytes) and isinstance(operation, bytes)):
        raise CorruptLogError(file, None, None, f"the row at position {position} has not its types")
    stream_id, operation_id = TractId(uuid_text(stream)), OperationId(uuid_text(operation))
    try:
        body, request = _decode_body(tag, schema, data, operation_id, actor)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, msgspec.MsgspecError, ConfigError) as exc:
        raise CorruptLogError(file, stream_id, version, f"the data of {tag}, schema {schema}, has not its shape") from exc
    return Event(
        position=position,
        stream=stream_id,
        version=version,
        tract=TractId(uuid_text(tract)),
        body=body,
        operation=operation_id,
        actor=actor,
        recorded_at=recorded_at,
        digest=digest,
        request=request,
    )


def _decode_body(tag: str, schema: int, data: str, operation: OperationId, actor: str | None) -> tuple[EventBody, BlobId | None]:
    kind = TYPES[tag]
    if schema != kind.schema:
        raise ValueError(f"schema {schema} of {tag} is unknown")
    fields = msgspec.json.decode(data, type=dict[str, Any])
    request = msgspec.convert(fields.pop("request", None), BlobId | None)
    if kind is CommitRecorded:
        fields["commit"] = {**fields["commit"], "operation_id": operation, "actor": actor}
    body: EventBody = msgspec.convert(fields, kind)
    # Missing and unknown keys, which the conversion lets pass, show here.
    if encode_body(body, request) != data.encode():
        raise ValueError(f"{tag} would be stored otherwise")
    return body, request
