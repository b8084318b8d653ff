"""The digest chain that makes a torn or tampered log evident.

Each event's digest covers everything of it but `position`, and the digest
before it, so that a family can move between stores. Imports `domain`.
"""

from tract.domain.canonical import encode_plain, sha256
from tract.domain.ids import OperationId, TractId

START = bytes(32)
"""What stands before the first event of a stream."""


def link(previous: bytes, head: tuple[TractId, int, TractId, str, int, OperationId, str | None, int], data: bytes) -> bytes:
    """Return the digest of an event.

    Args:
        previous: The digest before, 32 bytes.
        head: stream_id, version, tract_id, type, schema, operation_id, actor
            and recorded_at.
        data: The event's canonical JSON.
    """
    return sha256(previous, sha256(encode_plain(head)), sha256(data))
