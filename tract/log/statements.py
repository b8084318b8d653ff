"""SQL as package data: named statements in `.sql` files.

A line `-- name: x` begins the statement x, which runs to the next such line.
Nothing is ever put together from strings in Python.
"""

from functools import cache
from pathlib import Path
from types import MappingProxyType

_MARK = "-- name: "

SQL = Path(__file__).with_name("sql")
"""The statements of the log itself."""


@cache
def load(*folders: Path) -> MappingProxyType[str, str]:
    """Return the statements of every `.sql` file in the folders, by name.

    Raises:
        ValueError: Two statements have one name.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for file in sorted(folder.glob("*.sql")):
            for name, sql in _parse(file.read_text("utf-8")):
                if name in found:
                    raise ValueError(f"two SQL statements are called {name}")
                found[name] = sql
    return MappingProxyType(found)


def _parse(text: str) -> list[tuple[str, str]]:
    statements = []
    for part in text.split(_MARK)[1:]:
        name, _, body = part.partition("\n")
        statements.append((name.strip(), body.strip().removesuffix(";")))
    return statements
