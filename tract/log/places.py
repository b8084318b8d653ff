"""Where a store is: whether one can be there, and whether its files are still those that were opened.

Imports `errors` and `sqlite_files`.
"""

import errno
import os
import stat
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from tract.errors import (
    ConfigError,
    FolderNotFoundError,
    NotAStoreError,
    StoreFailedError,
    StoreNotFoundError,
    StoreReadOnlyError,
    StoreUnreadableError,
    TractError,
)
from tract.log.sqlite_files import looks_foreign

_Identity: TypeAlias = tuple[int, int] | None
"""Device and number of a file, None where there is none."""
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_held: Counter[_Identity] = Counter()
_lock = Lock()


class Hold:
    """Says that this process has a file open, so that nobody here looks at its bytes.

    Whoever closes a file gives up every lock that the process has on it,
    SQLite's too (https://sqlite.org/howtocorrupt.html, section 2.2): another
    process then takes itself for the only one and removes the write-ahead log.
    """

    def __init__(self, path: str) -> None:
        self._identity = _identity(path)
        with _lock:
            _held[self._identity] += 1

    def release(self) -> None:
        """Say that it is closed; once."""
        with _lock:
            _held[self._identity] -= 1


def needs_look(path: str, *, create: bool) -> bool:
    """Refuse a path where no store can be; say whether its file needs `refuse_foreign`.

    Only a regular file is ever opened: a pipe would wait for its other end
    for ever.

    Args:
        path: The file.
        create: Whether it may be made.

    Raises:
        StoreNotFoundError: There is no file and *create* is false.
        FolderNotFoundError: There is no folder to make it in.
        NotAStoreError: It is something else.
        StoreUnreadableError: It may not be looked at.
        StoreError: It cannot be looked at.
    """
    file = Path(path)
    try:
        return _needs_look(file, create=create)
    except OSError as exc:
        raise refusal_to_read(path, exc) from exc


def require_writable(path: str) -> None:
    """Refuse a store that this process may not write to, before anything is made beside it.

    SQLite opens one that may only be read all the same, and makes the files
    that its processes share with the permissions of the store: they would keep
    its owner out for as long as they lie there.

    Raises:
        StoreReadOnlyError: It may not; names the file that is in the way.
    """
    needed = {"": os.W_OK, "-wal": os.W_OK, "-shm": os.W_OK, "-lock": os.R_OK, "-next": os.R_OK}
    for suffix, mode in needed.items():
        name = f"{path}{suffix}"
        # Not by opening it: closing it would give up the locks of this process.
        # Seen before and after: another process may make or remove it in between.
        if Path(name).exists() and not may(name, mode) and Path(name).exists():
            raise StoreReadOnlyError(name)


def refusal(path: str, error: OSError) -> TractError:
    """Return our error for one of the system's about a path."""
    if error.errno in _FORBIDDEN:
        return StoreReadOnlyError(path)
    if error.errno == errno.ENAMETOOLONG:
        return ConfigError("where", "the system takes no path that is so long")
    return StoreFailedError(path, errno.errorcode.get(error.errno or 0, type(error).__name__))


def refusal_to_read(path: str, error: OSError) -> TractError:
    """Return our error for one of the system's about a path that was only to be read."""
    return unreadable(path) if error.errno in _FORBIDDEN else refusal(path, error)


def unreadable(path: str) -> StoreUnreadableError:
    """Return the error of a store that cannot be read, naming the one of its files that may not be."""
    names = (f"{path}{suffix}" for suffix in ("", "-wal", "-shm"))
    return StoreUnreadableError(next((name for name in names if os.path.exists(name) and not may(name, os.R_OK)), path))  # noqa: PTH110 - a Path raises where the folder may not be entered


def _needs_look(file: Path, *, create: bool) -> bool:
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        if not create:
            raise StoreNotFoundError(str(file)) from exc
        if not file.parent.is_dir():
            raise FolderNotFoundError(str(file.parent)) from exc
        return False
    if not stat.S_ISREG(found.st_mode):
        raise NotAStoreError(str(file), "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file")
    with _lock:
        # Nobody begins to hold it between the question and the look.
        return _held[found.st_dev, found.st_ino] > 0 or looks_foreign(file)


def may(name: str, mode: int) -> bool:
    """Say whether this process may do with a file what an `os.R_OK` or `os.W_OK` stands for, without opening it."""
    return os.access(name, mode, effective_ids=os.access in os.supports_effective_ids)


class Presence:
    """The file of an open store and its write-ahead log, as they were when it was opened.

    SQLite goes on writing to a file that was removed or renamed, and whoever
    opens the path sees nothing of it. Neither file is ever replaced by SQLite
    while a connection is open. Two system calls, a few microseconds.
    """

    def __init__(self, path: str) -> None:
        found = {name: _identity(name) for name in (path, f"{path}-wal")}
        self._known = {name: identity for name, identity in found.items() if identity is not None}

    def is_lost(self) -> bool:
        """Say whether the path leads to another file now, or to none."""
        return any(_identity(name) != known for name, known in self._known.items())


def _identity(name: str) -> _Identity:
    try:
        found = os.stat(name)  # noqa: PTH116 - a Path costs as much again, with every append
    except OSError:
        return None
    return found.st_dev, found.st_ino
