"""Names of things: commit, blob, tract, operation and generation ids.

Hex and UUID text inside, bytes in database columns. Imports nothing of ours.
"""

import re
from functools import lru_cache
from typing import NewType

CommitId = NewType("CommitId", str)
"""SHA-256 of the commit in canonical JSON, 64 lower-case hex digits."""
BlobId = NewType("BlobId", str)
"""SHA-256 of salt and bytes, 64 lower-case hex digits."""
TractId = NewType("TractId", str)
"""A UUIDv7; the id of a root tract is the id of its family's stream."""
OperationId = NewType("OperationId", str)
"""A UUIDv7; what one verb call appended shares it."""
GenerationId = NewType("GenerationId", str)
"""A UUIDv7; one model call."""


_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuid7(time: int, entropy: bytes) -> str:
    """Return a UUIDv7 in lower-case 8-4-4-4-12 text.

    Microseconds within the millisecond fill `rand_a`, so that ids made one
    after another sort by time (RFC 9562, section 6.2, method 3).

    Args:
        time: Microseconds since 1970, UTC.
        entropy: At least 8 random bytes.
    """
    millis, micros = divmod(time, 1000)
    head = millis << 16 | 0x7000 | micros * 4096 // 1000
    tail = int.from_bytes(entropy[:8], "big") & ~(3 << 62) | 2 << 62
    text = f"{head:016x}{tail:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid(value: object) -> bool:
    """Say whether *value* is a UUID in lower-case 8-4-4-4-12 text."""
    return isinstance(value, str) and _uuid.fullmatch(value) is not None


@lru_cache(4096)
def uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes of a UUID in text."""
    return bytes.fromhex(text.replace("-", ""))


@lru_cache(4096)
def uuid_text(data: bytes) -> str:
    """Return the text of a UUID of 16 bytes."""
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def hex_bytes(id: str | None) -> bytes | None:
    """Return the bytes of an id in hex, None for None."""
    return None if id is None else bytes.fromhex(id)
