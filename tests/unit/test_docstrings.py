"""What a docstring says of a function and its parameters."""

import pytest

from tract.formats.docstrings import Docstring, read_docstring

GOOGLE = """Search the
    web.

    Not the files.

    Args:
        query: What to look for,
            in words.
        limit (int): At most
            so many.
        *more: More words.

    Returns:
        found: Pages.
    """
SPHINX = """Search the web.

    :param query: What to look for,
        in words.
    :param int limit: At most so many.
    :returns: Pages.
    """
TABLE = {
    "nothing": (None, Docstring("", {})),
    "a blank one": ("  \n ", Docstring("", {})),
    "one line": ("Search.", Docstring("Search.", {})),
    "Google's form": (
        GOOGLE,
        Docstring(
            "Search the web.", {"query": "What to look for, in words.", "limit": "At most so many.", "more": "More words."}
        ),
    ),
    "Sphinx's form": (
        SPHINX,
        Docstring("Search the web.", {"query": "What to look for, in words.", "limit": "At most so many."}),
    ),
    "no blank line before the parameters": ("Search.\nArgs:\n    a: One.", Docstring("Search.", {"a": "One."})),
    "parameters alone": ("Args:\n    a: One.", Docstring("", {"a": "One."})),
    "a colon within a text": (
        "S.\n\nArgs:\n    a: One: two.\n        three: four.",
        Docstring("S.", {"a": "One: two. three: four."}),
    ),
    "a parameter without a text": ("S.\n\nArgs:\n    a:\n    b: Two.", Docstring("S.", {"b": "Two."})),
    "a text that begins below": ("S.\n\nArgs:\n    a:\n        One.", Docstring("S.", {"a": "One."})),
    "a blank line between two": ("S.\n\nArgs:\n    a: One.\n\n    b: Two.", Docstring("S.", {"a": "One.", "b": "Two."})),
    "Sphinx's with nothing between": (":param a: One.\n:param b: Two.", Docstring("", {"a": "One.", "b": "Two."})),
}


@pytest.mark.parametrize("what", TABLE)
def test_a_docstring_is_read(what: str) -> None:
    text, said = TABLE[what]
    assert read_docstring(text) == said
