"""What a docstring says of a function and of each parameter: Google's form and Sphinx's.

Pure. Imports nothing of ours.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

_section = re.compile(r"(Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments):")
_google = re.compile(r"\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)")
_sphinx = re.compile(r":(param|parameter|arg|argument)\s+([^:]*\s)?\*{0,2}(?P<name>\w+)\s*:\s*(?P<text>.*)")


@frozen
class Docstring:
    """What a docstring says.

    Attributes:
        summary: Its first paragraph, on one line; empty where it has none.
        parameters: What it says of each parameter, on one line each.
    """

    summary: str
    parameters: Mapping[str, str]


def read_docstring(text: str | None) -> Docstring:
    """Return what *text* says; nothing where it is None."""
    lines = inspect.cleandoc(text or "").splitlines()
    summary: list[str] = []
    for line in lines:
        if not line.strip() or _section.fullmatch(line.strip()) or _sphinx.match(line):
            break
        summary.append(line.strip())
    parameters = {**_read_google(lines), **_read_sphinx(lines)}
    return Docstring(" ".join(summary), parameters)


def _read_google(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        if _section.fullmatch(line.strip()):
            # What stands below the first line has lost its indentation.
            found |= _entries(_indented(lines[number + 1 :], _depth(line) if number else -1), _google)
    return found


def _read_sphinx(lines: Sequence[str]) -> dict[str, str]:
    fields = (number for number, line in enumerate(lines) if _sphinx.match(line.strip()))
    found: dict[str, str] = {}
    for number in fields:
        below = list(_indented(lines[number + 1 :], _depth(lines[number])))
        found |= _entries([lines[number].strip(), *below], _sphinx)
    return found


def _indented(lines: Sequence[str], depth: int) -> Iterator[str]:
    """Yield the lines that stand deeper than *depth*, up to the first that does not."""
    for line in lines:
        if line.strip() and _depth(line) <= depth:
            return
        yield line


def _entries(lines: Iterator[str] | Sequence[str], entry: re.Pattern[str]) -> dict[str, str]:
    """Return the text of each entry with the lines below it that stand deeper."""
    found: dict[str, list[str]] = {}
    name, depth = "", None
    for line in lines:
        words = line.strip()
        if depth is None and words:
            depth = _depth(line)
        begun = entry.fullmatch(words) if depth is not None and words and _depth(line) <= depth else None
        if begun is not None:
            name = begun["name"]
            found[name] = [begun["text"]]
        elif name and words:
            found[name].append(words)
    return {name: text for name, texts in found.items() if (text := " ".join(each for each in texts if each))}


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
