"""A place for a file that is whole, on the disk and alone before it gets its name.

Runs on a thread. Imports `errors` and `log`; read `Destination` first.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from tract.errors import (
    DestinationExistsError,
    FolderNotFoundError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreVanishedError,
    TractError,
)
from tract.log.locking import WriteLock
from tract.log.places import refusal

if sys.platform != "win32":
    import fcntl

PARTIAL = ".tract-partial"
"""Follows the name of a file that is being made."""
_BESIDE = ("-wal", "-shm", "-journal", "-lock", "-next")
_OTHERS = ("-wal", "-journal")
"""What SQLite would take for the log of a database that gets the name before it."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


class Destination:
    """Where a file is to be, and the temporary name under which it is made.

    Whoever makes it holds a lock meanwhile, which a process that is killed
    gives up: what such a one left under the temporary name is removed by the
    next. Nothing that is there is ever replaced.

    Args:
        path: The file to be made; nobody else makes it as long as this is claimed.
        is_new: There must be nothing yet, and `publish` will be called.

    Attributes:
        path: The same.
        partial: The temporary name.
    """

    def __init__(self, path: str, *, is_new: bool = True) -> None:
        self.path = path
        self.partial = f"{path}{PARTIAL}"
        self._is_new = is_new
        self._lock = WriteLock(f"{path}.tract", patience=0)
        self._is_claimed = False

    def claim(self) -> None:
        """Take the place, and remove what a killed process left of an earlier try.

        Raises:
            DestinationExistsError: There is something already.
            FolderNotFoundError: There is no folder to make it in.
            StoreLockedError: Another process is making it just now.
            StoreReadOnlyError: Nothing can be made there.
            StoreError: Nothing can be made there for another reason.
        """
        try:
            if self._is_new:
                self._refuse_what_is_there()
            if not Path(self.path).parent.is_dir():
                raise FolderNotFoundError(str(Path(self.path).parent))
            self._acquire()
            self._is_claimed = True
            self._remove()
        except OSError as exc:
            raise self.refusal(exc) from exc

    def create(self, model: str) -> None:
        """Make an empty file under the temporary name, which those may read that may read *model*.

        One that is there already is made empty.

        Raises:
            StoreError: It cannot be made.
        """
        try:
            file = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                if sys.platform != "win32":
                    os.fchmod(file, stat.S_IMODE(Path(model).stat().st_mode) & 0o666 | 0o600)
            finally:
                os.close(file)
        except OSError as exc:
            raise self.refusal(exc) from exc

    def publish(self) -> int:
        """Give the file its name, once it is on the disk; return its size.

        Raises:
            DestinationExistsError: Somebody else was faster.
            StoreError: It cannot be written to the disk or named.
        """
        try:
            size = Path(self.partial).stat().st_size
            _sync(self.partial)
            self._refuse_what_is_there()
            self._name()
            if sys.platform != "win32":
                _sync(str(Path(self.path).parent))
        except OSError as exc:
            raise self.refusal(exc) from exc
        return size

    def discard(self) -> None:
        """Leave nothing but the file that was published; nothing if it was not claimed."""
        if self._is_claimed:
            self._is_claimed = False
            with suppress(OSError):
                self._remove()
            self._lock.remove()
        self._lock.close()

    def refusal(self, error: OSError) -> TractError:
        """Return our error for one of the system's."""
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            return StoreFullError(self.path)
        return refusal(self.path, error)

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except StoreVanishedError as exc:
            # The folder is there, but takes no files, as those of /proc.
            raise StoreReadOnlyError(self.path) from exc
        except (StoreLockedError, StoreReadOnlyError, StoreFullError) as exc:
            # Who calls knows nothing of the files of the lock.
            raise type(exc)(self.path) from exc

    def _refuse_what_is_there(self) -> None:
        for name in (self.path, *(f"{self.path}{suffix}" for suffix in _OTHERS)):
            if os.path.lexists(name):
                raise DestinationExistsError(name)

    def _name(self) -> None:
        if sys.platform == "win32":
            # Refuses a name that is taken, which it does not elsewhere.
            Path(self.partial).rename(self.path)
            return
        try:
            os.link(self.partial, self.path)
        except FileExistsError as exc:
            raise DestinationExistsError(self.path) from exc
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            # A file system without links, such as that of a memory card.
            Path(self.partial).rename(self.path)

    def _remove(self) -> None:
        for suffix in ("", *_BESIDE):
            Path(f"{self.partial}{suffix}").unlink(missing_ok=True)


def _sync(name: str) -> None:
    """Have what was written to a file, or the names in a folder, survive power loss."""
    file = os.open(name, os.O_RDONLY if Path(name).is_dir() else os.O_RDWR)
    try:
        os.fsync(file)
        if sys.platform == "darwin":
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    finally:
        os.close(file)
