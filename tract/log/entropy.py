"""Random bytes for salts and ids, and whether this process was forked.

Imports nothing of ours.
"""

import os
import secrets

_SLICE = 4096


class _Source:
    """Random bytes drawn from the system in slices.

    A system call for each salt and each id took a fifth of a bulk import.
    """

    def __init__(self) -> None:
        self.forks = 0
        self._bytes = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        if self._used + count > len(self._bytes):
            self._bytes, self._used = secrets.token_bytes(max(_SLICE, count)), 0
        start, self._used = self._used, self._used + count
        return self._bytes[start : self._used]

    def forked(self) -> None:
        # Parent and child must not draw the same bytes.
        self.forks += 1
        self._bytes, self._used = b"", 0


_source = _Source()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_source.forked)


def random_bytes(count: int) -> bytes:
    """Return *count* bytes fit for secrets; only for the event loop's thread."""
    return _source.take(count)


def forks() -> int:
    """Return how many forks lie between the first process and this one."""
    return _source.forks
