"""SQL as package data: named statements in `.sql` files.

A line `-- name: x` begins the statement x, which runs to the next such line.
Nothing is ever put together from strings in Python.
"""

from functools import cache
from importlib.resources import files
from types import MappingProxyType

_MARK = "-- name: "


@cache
def load(*packages: str) -> MappingProxyType[str, str]:
    """Return the statements of every `.sql` file in the packages, by name.

    Raises:
        ValueError: Two statements have one name.
    """
    found: dict[str, str] = {}
    for package in packages:
        for file in sorted(files(package).iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".sql"):
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
