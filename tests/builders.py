"""Values for tests, and the chain and its rules written a second time, from design.md alone."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from tract.domain.events import EventBody, NewEvent
from tract.domain.ids import OperationId, TractId
from tract.log.protocol import BlobDraft, Request, Row, Statement


def uuid(number: int) -> str:
    """A UUIDv7 that is easy to tell from others."""
    return f"01928c5e-0000-7000-8000-{number:012x}"


def tract_id(number: int) -> TractId:
    return TractId(uuid(number))


def operation_id(number: int) -> OperationId:
    return OperationId(uuid(number))


def request(
    *bodies: EventBody,
    stream: TractId | None = None,
    operation: OperationId | None = None,
    reads: Iterable[Statement] = (),
    blobs: Iterable[BlobDraft] = (),
    actor: str | None = None,
) -> Request:
    """A request that appends *bodies* whatever it reads."""
    tract = stream or tract_id(1)
    events = [NewEvent(tract, body, actor) for body in bodies]
    return Request(tract, operation or operation_id(100), tuple(reads), lambda _: events, tuple(blobs))


def noise(size: int, seed: int = 0) -> str:
    """A text that no compressor makes much smaller, the same for a seed."""
    return base64.b64encode(Random(seed).randbytes(size)).decode()[:size]


def canonical(value: Any) -> bytes:
    """Canonical JSON of a value that holds no float."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def uuid_of(data: bytes) -> str:
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def linked(previous: bytes, head: bytes, data: bytes) -> bytes:
    """The digest of an event, from the one before and the bytes of head and data."""
    return hashlib.sha256(previous + hashlib.sha256(head).digest() + hashlib.sha256(data).digest()).digest()


def broken_links(rows: Sequence[Row]) -> list[str]:
    """What is wrong with the rows of an `events` table, in the order of position; nothing, if all is well."""
    found: list[str] = []
    ends: dict[bytes, tuple[int, bytes, int]] = {}
    for place, row in enumerate(rows, 1):
        position, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest = row
        last, previous, earlier = ends.get(stream, (0, bytes(32), 0))
        head = canonical([uuid_of(stream), version, uuid_of(tract), tag, schema, uuid_of(operation), actor, recorded_at])
        if position != place:
            found.append(f"position {position} stands at {place}")
        if version != last + 1:
            found.append(f"version {version} follows {last} at position {position}")
        if recorded_at < earlier:
            found.append(f"time goes back at position {position}")
        if digest != linked(previous, head, data.encode()):
            found.append(f"the digest at position {position} is another")
        if canonical(json.loads(data)) != data.encode():
            found.append(f"the data at position {position} is not canonical")
        ends[stream] = (version, digest, recorded_at)
    return found
