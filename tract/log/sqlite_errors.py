"""SQLite's errors in our words: the one place where they are told apart.

Imports `errors`.
"""

import sqlite3
from typing import TypeAlias

from tract.errors import (
    CorruptLogError,
    NotAStoreError,
    StoreFailedError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    TractError,
)

_PRIMARY = 0xFF
"""The part of an extended error code that says what it is about."""
_OF_STATEMENTS = (
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
)
DatabaseError: TypeAlias = sqlite3.Error | UnicodeDecodeError
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What calls of sqlite3 raise: what SQLite says may quote damaged text, and sqlite3 takes it for UTF-8."""
_NO_TEXT = "Could not decode to UTF-8"
"""How sqlite3 begins what it says of a text that is none; it has no code of its own."""
_FUNCTION_RAISED = "user-defined function raised exception"
"""What sqlite3 says when a function of ours did, of which `packing` has the only ones; it has no code of its own."""


def translate(error: DatabaseError, where: str) -> TractError:
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
    finding = _finding(code, str(error))
    return StoreFailedError(where, code) if finding is None else CorruptLogError(where, None, None, finding)


def is_of_the_statement(error: Exception) -> bool:
    """Say whether a statement failed by itself: by its name, its SQL, its parameters or the tables that it found.

    The disk, the locks, memory and a damaged file are no statement's doing.
    """
    if not isinstance(error, DATABASE_ERRORS):
        return not isinstance(error, MemoryError)
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, UnicodeDecodeError) or _finding("", str(error)) is not None:
        return False
    # Without a code it is sqlite3's own, of parameters that do not fit.
    return code is None or code & _PRIMARY in _OF_STATEMENTS


def _finding(code: str, said: str) -> str | None:
    """Return what an error says is wrong with the log, if it does."""
    if code.startswith(("SQLITE_CORRUPT", UnicodeDecodeError.__name__)):
        return "SQLite finds the file damaged"
    if code == "SQLITE_CONSTRAINT_TRIGGER":
        return "an event did not follow the last one"
    if said.startswith(_NO_TEXT):
        return "a text is no UTF-8"
    return "a blob cannot be unpacked" if said == _FUNCTION_RAISED else None
