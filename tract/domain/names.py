"""Names that people give to tracts, branches and worktrees.

They stand in events in the clear and cannot be erased. Imports `errors`.
"""

import re

from tract.errors import InvalidNameError

MAIN = "main"
"""Name of the first branch, of the plain worktree, and of a tract without one."""

_name = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_hex = frozenset("0123456789abcdef")


def check_name(kind: str, name: str) -> None:
    """Refuse a name that could not be told from a ref, or not be written.

    A tract is never named by a ref, so its name may hold spaces and marks.

    Raises:
        InvalidNameError: Saying why.
    """
    if type(name) is not str or not name:
        raise InvalidNameError(kind, f"<{type(name).__name__}>", "it must be a string that is not empty")
    if len(name) > 255:
        raise InvalidNameError(kind, name[:32] + "...", "it is longer than 255 characters")
    if kind == "tract":
        if not name.isprintable() or not name.strip():
            raise InvalidNameError(kind, ascii(name), "it may not be blank or hold control characters")
        return
    if name in ("HEAD", "ORIG_HEAD"):
        raise InvalidNameError(kind, name, "it is a ref of its own")
    if len(name) == 64 and _hex.issuperset(name):
        raise InvalidNameError(kind, name, "it has the form of a commit id")
    if not _name.fullmatch(name) or name.startswith("-") or name.endswith("/"):
        raise InvalidNameError(
            kind, name, "it may not begin with -, end with /, or hold spaces, control characters or any of ~ ^ : ? * [ \\"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidNameError(kind, ascii(name), "it holds a lone surrogate") from None
