"""SQLite's errors in our words: the one place where they are told apart.

Imports `errors`.
"""

import sqlite3

from tract.errors import (
    CorruptLogError,
    NotAStoreError,
    StoreFailedError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    TractError,
)

_FUNCTION_RAISED = "user-defined function raised exception"
"""What sqlite3 says when a function of ours did, of which `packing` has the only ones; it has no code of its own."""


def translate(error: sqlite3.Error, where: str) -> TractError:
    """Return our error for one of sqlite3's.

    Args:
        error: As it was raised; its text stays out of ours.
        where: The store, for people.
    """
    code: str = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreLockedError(where)
    if code == "SQLITE_FULL":
        return StoreFullError(where)
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return StoreReadOnlyError(where)
    if code == "SQLITE_NOTADB":
        return NotAStoreError(where, "not a SQLite database")
    if code.startswith("SQLITE_CORRUPT"):
        return CorruptLogError(where, None, None, "SQLite finds the file damaged")
    if code == "SQLITE_CONSTRAINT_TRIGGER":
        return CorruptLogError(where, None, None, "an event did not follow the last one")
    if str(error) == _FUNCTION_RAISED:
        return CorruptLogError(where, None, None, "a blob cannot be unpacked")
    return StoreFailedError(where, code)
