"""Salts of texts, remembered so that equal texts are stored once. Imports `domain` and `protocol`."""

from collections import OrderedDict
from collections.abc import Iterable

from tract.domain.canonical import sha256
from tract.domain.ids import BlobId
from tract.log.entropy import random_bytes
from tract.log.protocol import BlobDraft, Row

REMEMBERED = 4096
"""Texts whose salts are remembered."""


class Salts:
    """The salts of the texts that were stored last, by their fingerprints."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def draft(self, data: bytes) -> BlobDraft:
        """Return a blob for *data*, with the salt of equal data if it is remembered."""
        fingerprint = sha256(data)
        salt = self._known.get(fingerprint)
        if salt is not None:
            self._known.move_to_end(fingerprint)
        else:
            salt = self._known[fingerprint] = random_bytes(16)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return BlobDraft(BlobId(sha256(salt, data).hex()), salt, fingerprint, data)

    def knows(self, data: bytes) -> bool:
        """Say whether the salt of equal data is remembered."""
        return sha256(data) in self._known

    def learn(self, data: bytes, rows: Iterable[Row]) -> None:
        """Remember the salt of *data* if one of the rows, of id and salt, is its own."""
        for id, salt in rows:
            # Only the beginning of a fingerprint is stored.
            if id == sha256(salt, data):
                self._known[sha256(data)] = salt
