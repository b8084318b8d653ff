"""The digests of many events, computed straight from their rows.

What `chain.link` says of one event that somebody has in hand, for whoever
reads the whole log: a tenth of a microsecond counts. Imports `domain` and
`chain`, whose digests it must equal byte for byte.
"""

from hashlib import sha256

from tract.domain.canonical import encode_plain
from tract.domain.ids import uuid_text
from tract.log.protocol import Row

_MOST = 10_000
"""Pieces that are remembered at once; a store may have any number of tracts and actors."""


class Linker:
    """Computes digests, and remembers the pieces of heads that come again and again.

    Six times as fast as `chain.link` with the values that it takes: 4
    microseconds an event, of which 2 are SHA-256.
    """

    def __init__(self) -> None:
        self._ids: dict[bytes, str] = {}
        self._words: dict[bytes | None, str] = {}

    def link(self, previous: bytes, row: Row) -> bytes:
        """Return the digest of an event.

        Args:
            previous: The digest before, 32 bytes.
            row: Of the table `events`, its text as the bytes that are stored.

        Raises:
            AttributeError: A column has not its type.
            TypeError: Likewise.
            ValueError: A text is none.
        """
        _, stream, version, tract, tag, schema, data, operation, actor, recorded_at, _ = row
        ids, words = self._ids, self._words
        # An operation's id is in few events; formatting it here saves a call.
        text = operation.hex()
        head = (
            f'["{ids.get(stream) or self._id(stream)}",{version},"{ids.get(tract) or self._id(tract)}",'
            f"{words.get(tag) or self._word(tag)},{schema},"
            f'"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}",'
            f"{words.get(actor) or self._word(actor)},{recorded_at}]"
        )
        return sha256(previous + sha256(head.encode()).digest() + sha256(data).digest()).digest()

    def _id(self, id: bytes) -> str:
        if len(self._ids) >= _MOST:
            self._ids.clear()
        self._ids[id] = text = uuid_text(id)
        return text

    def _word(self, stored: bytes | None) -> str:
        """Return the canonical JSON of a tag or of an actor."""
        if len(self._words) >= _MOST:
            self._words.clear()
        word = encode_plain(None if stored is None else stored.decode()).decode()
        self._words[stored] = word
        return word
