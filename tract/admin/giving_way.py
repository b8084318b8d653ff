"""Letting writers empty their write-ahead log between two snapshots. Imports nothing of ours."""

from pathlib import Path
from threading import Event
from time import monotonic

_LONG = 64_000_000
"""Bytes of a write-ahead log that a store's own writer does not mind."""
_STEP = 16_000_000
"""How much longer it may become before it is waited for again, if that was in vain."""
_PATIENCE = 1.0
"""Seconds that it is waited for."""
_LOOK = 0.005
"""Seconds between two looks."""


class WayGiver:
    """Sees to it that a reader that comes again and again does not let the write-ahead log grow without end.

    SQLite begins it anew only where a writer finds nobody who still reads in
    it. Snapshots that are short leave gaps, but on a busy machine none may
    fall where the writer looks.

    Args:
        path: The store.
        stop: Set when nobody waits any more.
    """

    def __init__(self, path: str, stop: Event) -> None:
        self._wal = Path(f"{path}-wal")
        self._stop = stop
        self._limit = _LONG

    def give_way(self) -> None:
        """Wait, outside of any snapshot, if the write-ahead log has become long; a microsecond, if not."""
        size = self._size()
        if size <= self._limit:
            return
        began, until = self._beginning(), monotonic() + _PATIENCE
        while self._beginning() == began and monotonic() < until and not self._stop.wait(_LOOK):
            pass
        # The file keeps its length when it begins anew, and has room for as much again.
        self._limit = size if self._beginning() != began else size + _STEP

    def _size(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _beginning(self) -> bytes:
        """Return what is another each time that it begins anew (https://sqlite.org/fileformat.html#walformat)."""
        try:
            with self._wal.open("rb") as opened:
                return opened.read(32)
        except OSError:
            return b""
