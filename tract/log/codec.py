"""Events to canonical JSON and back.

The bytes are what is hashed and stored. Shapes come from the event classes,
and those of earlier versions from `upcasting`: nothing in a stored event names
code, and reading builds declared types only. What a later version stored is
kept and skipped where it is another type of event, and refused where it is
another shape of a type that means something here.
Imports `domain`, `errors`, `protocol` and `upcasting`.
"""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from tract.domain import canonical
from tract.domain.canonical import encode_plain
from tract.domain.events import TYPES, CommitRecorded, Event, EventBody, UnknownEvent
from tract.domain.ids import BlobId, OperationId, TractId, uuid_text
from tract.errors import ConfigError, CorruptLogError, NewerEventError
from tract.log.protocol import Row
from tract.log.upcasting import PASTS, Fields, read_past, upcast

B = TypeVar("B")
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, RecursionError, msgspec.MsgspecError, ConfigError)
_fields = msgspec.json.Decoder(Fields)
_tag = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){1,3}")


def encode_body(body: EventBody, request: BlobId | None = None) -> bytes:
    """Return the canonical JSON of an event's data."""
    fields: Fields = _commit_fields(body) if isinstance(body, CommitRecorded) else msgspec.to_builtins(body)
    return _encode(fields, request)


def _encode(fields: Fields, request: BlobId | None) -> bytes:
    return encode_plain(fields if request is None else {**fields, "request": request})


def _commit_fields(body: CommitRecorded) -> Fields:
    fields = {
        "commit": body.commit.recorded_json,
        "branch": body.branch,
        "tokens": body.tokens,
        "counter": body.counter,
        "slot_delta": body.slot_delta,
        "token_delta": body.token_delta,
    }
    if body.before is not None:
        fields["before"] = body.before
    return fields


def decode_event(row: Row, *, file: str = "", is_proved: bool = False) -> Event:
    """Return the event of a row of the `events` table, its columns in order.

    What an earlier version stored comes as the class of today; a type that
    this version does not know as an `UnknownEvent`.

    Args:
        row: The columns.
        file: The store, for people.
        is_proved: Whether the row's digest was just seen to follow the one
            before. Then it is what was appended, and is not encoded again to
            see that, which is half of the work.

    Raises:
        CorruptLogError: A column holds something else than an event has there,
            or the data is not exactly what an event of that type and schema
            is stored as.
        NewerEventError: A later version changed what events of that type hold.
    """
    position, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest = row
    if not (isinstance(stream, bytes) and isinstance(tract, bytes) and isinstance(operation, bytes)):
        raise CorruptLogError(file, None, None, f"the row at position {position} has not its types")
    stream_id, operation_id = TractId(uuid_text(stream)), OperationId(uuid_text(operation))
    kind = TYPES.get(tag)
    body: EventBody | UnknownEvent
    try:
        if kind is None:
            body, request = _decode_unknown(tag, schema, data)
        elif schema > kind.schema:
            raise NewerEventError(file, stream_id, version, tag, schema)
        else:
            body, request = _decode_body(kind, schema, data, (operation_id, actor), is_proved=is_proved)
    except _MALFORMED as exc:
        # A tag that is not ours may be anything, also text of a user's.
        unknown = "its type is unknown, and it has not the shape of an event"
        finding = unknown if kind is None else f"the data of {tag}, schema {schema}, has not its shape"
        raise CorruptLogError(file, stream_id, version, finding) from exc
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


def class_of(tag: str) -> type[Any] | None:
    """Return the class of events of a type, None where this version does not know it."""
    return TYPES.get(tag)


def decode_one(kind: type[B], row: Row, *, file: str = "") -> tuple[Event, B]:
    """Return an event that a projection says is one of *kind*, and its body.

    Raises:
        CorruptLogError: It has not its shape, or is of another type.
        NewerEventError: A later version changed what events of that type hold.
    """
    event = decode_event(row, file=file)
    if not isinstance(event.body, kind):
        raise CorruptLogError(file, event.stream, event.version, f"a projection takes {event.body.tag} for something else")
    return event, event.body


def decode_operation(rows: Sequence[Row], *, file: str = "") -> tuple[tuple[Event, ...], BlobId | None]:
    """Return those events of one operation that this version knows, and the operation's request.

    Args:
        rows: All of the operation's rows, in order.
        file: The store, for people.

    Raises:
        CorruptLogError: An event has not its shape.
        NewerEventError: This version knows none of them, or not what one holds.
    """
    events = [decode_event(row, file=file) for row in rows]
    known = tuple(event for event in events if not isinstance(event.body, UnknownEvent))
    if events and not known:
        first = events[0]
        raise NewerEventError(file, first.stream, first.version, first.body.tag, first.body.schema)
    return known, events[0].request if events else None


def _decode_body(
    kind: type[Any], schema: int, data: str, made_by: tuple[OperationId, str | None], *, is_proved: bool
) -> tuple[EventBody, BlobId | None]:
    fields, stored = _fields.decode(data), data.encode()
    request = _take_request(fields)
    if schema != kind.schema:
        fields = _decode_past(kind.tag, schema, fields, request, stored)
        stored = _encode(fields, request)
    recorded: Fields = fields.get("commit") or {}
    if kind is CommitRecorded:
        operation, actor = made_by
        fields["commit"] = {**fields["commit"], "operation_id": operation, "actor": actor}
    body: EventBody = msgspec.convert(fields, kind)
    if is_proved:
        if isinstance(body, CommitRecorded):
            body.commit.recall(recorded)
    # Missing and unknown keys, which the conversion lets pass, show here.
    elif encode_body(body, request) != stored:
        raise ValueError(f"{kind.tag} would be stored otherwise")
    return body, request


def _decode_past(tag: str, schema: int, fields: Fields, request: BlobId | None, stored: bytes) -> Fields:
    """Return what the data of an earlier schema is in the class of today."""
    pasts = PASTS.get(tag, ())
    if not 1 <= schema <= len(pasts):
        raise ValueError(f"{tag} never had schema {schema}")
    if _encode(read_past(pasts[schema - 1], fields), request) != stored:
        raise ValueError(f"{tag} was stored otherwise in schema {schema}")
    return upcast(pasts[schema - 1 :], fields)


def _decode_unknown(tag: str, schema: int, data: str) -> tuple[UnknownEvent, BlobId | None]:
    """Return what every event has, whatever its type: a dotted tag, a schema number and an object in canonical JSON."""
    fields = _fields.decode(data)
    if not _tag.fullmatch(tag) or schema < 1 or canonical.encode(fields) != data.encode():
        raise ValueError("it is no event of any version")
    return UnknownEvent(tag, schema, data), _take_request(fields)


def _take_request(fields: Fields) -> BlobId | None:
    """Return the request, which may stand among an event's own fields, and leave those."""
    request = fields.pop("request", None)
    return None if request is None else msgspec.convert(request, BlobId)
