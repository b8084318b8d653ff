"""What a file says of the commits of a context: their ids and their stored words.

Imports `domain`, `errors`, `formats`, `frozen` and `slots`. Read `Source`.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from threading import RLock
from typing import TypeAlias

import msgspec

from tract.domain.config import LLMConfig
from tract.domain.ids import BlobId, CommitId
from tract.domain.messages import Message
from tract.errors import CorruptLogError
from tract.formats.reading import decode_content
from tract.formats.rendering import render
from tract.operations.frozen import Kind
from tract.operations.slots import StoredContent

TextRow: TypeAlias = tuple[int, bytes, bytes | None, bytes | None]
"""A commit's number and id, and the id and stored bytes of the blob with its content."""
_number_of = itemgetter(0)
_stored_of = itemgetter(3)
ROW = 300
"""Bytes that a row takes beside what is stored."""


class Source:
    """The commits of one context, as the file has them.

    Args:
        where: The store, for people.
        texts: A row for each commit, by number.
        configs: The stored bytes of what contents were made with, by number.
        unpack: Returns the bytes of stored ones; raises ValueError for damaged ones.
        decode_config: Returns the config of its bytes.

    Attributes:
        lock: Held while something is made of it; one for all, since one thing
            may be made of another.
        size: About how many bytes of memory the rows take.
    """

    def __init__(
        self,
        where: str,
        texts: Sequence[TextRow],
        configs: Mapping[int, bytes],
        unpack: Callable[[bytes], bytes],
        decode_config: Callable[[bytes], LLMConfig],
    ) -> None:
        self.lock = RLock()
        self.size = sum(map(len, filter(None, map(_stored_of, texts)))) + ROW * len(texts)
        self._where = where
        self._texts = texts
        self._configs = configs
        self._unpack = unpack
        self._decode_config = decode_config
        self._decoded: dict[int, LLMConfig] = {}
        self._reader = _Reader(where, unpack, self.lock)

    def ids(self) -> dict[int, CommitId]:
        """Return the id of every commit there is."""
        return {number: CommitId(id.hex()) for number, id, *_ in self._texts}

    def commit(self, number: int) -> CommitId:
        """Return the id of a commit.

        Raises:
            CorruptLogError: It is not there.
        """
        return CommitId(self._row(number)[1].hex())

    def find_commit(self, number: int) -> CommitId | None:
        """Return the id of a commit; None for 0."""
        return None if number == 0 else self.commit(number)

    def content(self, number: int, kind: Kind, tokens: int) -> StoredContent:
        """Return what a commit brought.

        Args:
            number: The commit's.
            kind: Of the slot or change that it stands in.
            tokens: What it costs.

        Raises:
            CorruptLogError: It is not there, or brought nothing.
        """
        _, id, blob, stored = self._row(number)
        if blob is None:
            raise damaged(self._where)
        commit, blob_id = CommitId(id.hex()), BlobId(blob.hex())
        return StoredContent(commit, kind.type, blob_id, kind.rendering, tokens, kind.speaks_only, self._reader, stored)

    def config(self, number: int) -> LLMConfig | None:
        """Return what a content was made with; None for 0.

        Raises:
            CorruptLogError: It is not there, or damaged.
        """
        if number == 0:
            return None
        config = self._decoded.get(number)
        if config is None:
            try:
                config = self._decode_config(self._unpack(self._configs[number]))
            except (LookupError, TypeError, ValueError, msgspec.MsgspecError) as exc:
                raise damaged(self._where) from exc
            self._decoded[number] = config
        return config

    def _row(self, number: int) -> TextRow:
        place = bisect_left(self._texts, number, key=_number_of)
        if place == len(self._texts) or self._texts[place][0] != number:
            raise damaged(self._where)
        return self._texts[place]


class _Reader:
    """Makes messages, and knows nothing of the rows: they may go when the last leaf is made."""

    __slots__ = ("_lock", "_unpack", "_where")

    def __init__(self, where: str, unpack: Callable[[bytes], bytes], lock: RLock) -> None:
        self._where = where
        self._unpack = unpack
        self._lock = lock

    def __call__(self, content: StoredContent) -> Message:
        with self._lock:
            if content.read is None:
                try:
                    data = self._unpack(content.stored or b"")
                except ValueError as exc:
                    raise damaged(self._where) from exc
                content.read = render(decode_content(content.type, data), content.rendering)
                content.stored = None
            return content.read


def damaged(where: str) -> CorruptLogError:
    """Return the error for a row that is not what it was."""
    return CorruptLogError(where, None, None, "a row has not the shape of what is stored there")
