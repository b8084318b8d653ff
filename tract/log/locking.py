"""Whose turn it is to write, among the processes that have one file open.

SQLite would do with its own lock, but that is not fair, and SQLite up to
3.51.2 can corrupt a write-ahead log that one process checkpoints while
another writes. So whatever writes or checkpoints does it under this lock.
Everything here runs on the thread of a connection. Imports `errors`.
"""

import errno
import math
import os
import random
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

from tract.errors import (
    RebuildRunningError,
    StoreFailedError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreVanishedError,
    TractError,
)

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PATIENCE = 30.0
"""Seconds until who waits gives up, as long as SQLite's busy time-out."""
_PAUSE = 0.0003
"""Seconds between two tries of the one that is next; there is only one."""
_OTHERS_PAUSE = 0.001
"""Between those of all others."""


class WriteLock:
    """The right to write to a file, which one process has at a time.

    `flock` has no queue: a process that writes one batch after another takes
    it again long before any other looks. So there are two. Who wants to write
    takes the lock on `<file>-next`, waits for the one on `<file>-lock`, and
    gives the first up: who has just written stands behind whoever is next. Of
    8 busy processes on 2 cores none waited longer than some 0.1 s; with SQLite's
    own lock alone it was a second.

    The kernel frees what a killed process held. Who has taken the lock looks
    whether its file is still there, so that it can be removed by whoever
    holds it: nobody writes under a lock that others cannot find.

    Attributes:
        waits: How often somebody else had it when it was wanted here.
        waited: Seconds that were waited for them in all.

    Args:
        path: The database file.
        patience: Seconds until `StoreLockedError`.
    """

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._hurry = self._latest = math.inf
        self._lock = self._next = -1
        self.waits, self.waited = 0, 0.0
        self._is_waiting = False

    def __enter__(self) -> Self:
        """Wait until nobody else writes, as `acquire` does."""
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _give_up(self._lock)

    def acquire(self, patience: float | None = None) -> None:
        """Wait until nobody else writes; `close` lets go again.

        Args:
            patience: Seconds until it gives up, where not as long as always.

        Raises:
            StoreLockedError: Somebody did for too long.
            StoreReadOnlyError: The files beside the database cannot be made
                or opened; it names one that is there.
            StoreFullError: There is no room for them.
            StoreVanishedError: The folder is gone.
            StoreFailedError: They cannot be locked.
        """
        start = time.monotonic()
        try:
            self._acquire(start, self._patience if patience is None else patience)
        except OSError as exc:
            raise _translate(exc, self._path) from exc
        finally:
            if self._is_waiting:
                self._is_waiting = False
                self.waited += time.monotonic() - start

    def hurry(self, patience: float) -> None:
        """Have whoever waits here, now or later, give up once others had the lock for so long without a break.

        From any thread; for who is about to close.
        """
        self._hurry, self._latest = patience, time.monotonic() + patience

    def close(self) -> None:
        """Let go of the files, and of the lock if it is held; it can be taken again."""
        for file in (self._lock, self._next):
            if file >= 0:
                os.close(file)
        self._lock = self._next = -1
        _open_locks.discard(self)

    def remove(self) -> None:
        """Remove the files; only for who has the lock."""
        # In this order, while `_open` goes in the other: no one gets the new
        # first file with the old second one.
        for name in ("next", "lock"):
            with suppress(OSError):
                Path(f"{self._path}-{name}").unlink()

    def _acquire(self, start: float, patience: float) -> None:
        if self._next < 0:
            self._open()
        while True:
            self._wait_for(self._next, start, patience)
            try:
                self._wait_for(self._lock, start, patience)
            finally:
                _give_up(self._next)
            if os.fstat(self._lock).st_nlink:
                self._latest = time.monotonic() + self._hurry
                return
            self.close()
            self._open()

    def _wait_for(self, file: int, start: float, patience: float) -> None:
        while not _try(file):
            if not self._is_waiting:
                self._is_waiting = True
                self.waits += 1
            if time.monotonic() > min(start + patience, self._latest):
                raise StoreLockedError(self._path)
            pause = _PAUSE if file == self._lock else _OTHERS_PAUSE
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the tries

    def _open(self) -> None:
        _open_locks.add(self)
        self._lock = _opened(f"{self._path}-lock", self._path)
        try:
            self._next = _opened(f"{self._path}-next", self._path)
        except OSError:
            self.close()
            raise


class RebuildLock:
    """The right to rebuild the tables of a file, which one rebuild has at a time, also of one process.

    A lock on `<file>-rebuild`, which is there as long as a rebuild runs; what a
    killed process leaves of it is in nobody's way.

    Args:
        path: The database file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        """Take it, at once or not at all.

        Raises:
            RebuildRunningError: Somebody else has it.
            StoreReadOnlyError: The file cannot be made or opened.
            StoreFullError: There is no room for it.
            StoreVanishedError: The folder is gone.
            StoreFailedError: It cannot be locked.
        """
        _open_locks.add(self)
        try:
            while self._file < 0:
                self._try()
        except OSError as exc:
            raise _translate(exc, self._path) from exc
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # First, so that nobody locks a file that is about to be removed
        # without seeing that it was.
        with suppress(OSError):
            Path(f"{self._path}-rebuild").unlink()
        self.close()

    def close(self) -> None:
        """Let go of the file, and of the lock."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        _open_locks.discard(self)

    def _try(self) -> None:
        self._file = _opened(f"{self._path}-rebuild", self._path)
        if not _try(self._file):
            self.close()
            raise RebuildRunningError(self._path)
        if not os.fstat(self._file).st_nlink:
            self.close()


_open_locks: "WeakSet[WriteLock | RebuildLock]" = WeakSet()


def _opened(path: str, database: str) -> int:
    # Reading is enough to lock, so a file that another user made will do.
    flags = os.O_RDONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    try:
        file = os.open(path, flags | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, flags, 0o666)
    _open_to_the_same(file, database)
    return file


if sys.platform == "win32":

    def _open_to_the_same(file: int, database: str) -> None:
        pass

    def _try(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _give_up(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:

    def _open_to_the_same(file: int, database: str) -> None:
        """Give a new file the permissions of the database, whatever the umask is, and from root its owner, as SQLite does."""
        with suppress(OSError):
            found = Path(database).stat()
            os.fchmod(file, stat.S_IMODE(found.st_mode) & 0o666)
            if os.geteuid() == 0:
                os.fchown(file, found.st_uid, found.st_gid)

    def _try(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _give_up(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def _translate(error: OSError, path: str) -> TractError:
    # Where it could not even be made, the folder is what keeps us out.
    culprit = error.filename if isinstance(error.filename, str) and Path(error.filename).exists() else path
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return StoreVanishedError(path)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreReadOnlyError(culprit)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFullError(path)
    return StoreFailedError(culprit, errno.errorcode.get(error.errno or 0, "OSError"))


def _forked() -> None:
    # A lock belongs to the open file, which the child shares: the child would
    # keep it where the parent is killed.
    for lock in list(_open_locks):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
