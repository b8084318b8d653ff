"""What counts as text, as the name of a speaker, and as a key that can be shown. Imports `errors`."""

import re

from tract.errors import ContentValidationError


def require_text(field_name: str, value: object) -> None:
    """Refuse what is not a string, or cannot be written as UTF-8.

    Raises:
        ContentValidationError: Naming *field_name*.
    """
    if type(value) is not str:
        raise ContentValidationError(field_name, f"it must be a string, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise ContentValidationError(field_name, "it holds a lone surrogate, which is not text") from exc


def is_blank(text: str) -> bool:
    """Say whether there is nothing to read in *text*."""
    return not text or text.isspace()


def require_speaker(field_name: str, value: object) -> None:
    """Refuse what providers do not take as the name of who speaks.

    Raises:
        ContentValidationError: Naming *field_name*.
    """
    require_text(field_name, value)
    if not _speaker.fullmatch(str(value)):
        raise ContentValidationError(field_name, "providers take up to 64 characters, without spaces and none of < > | / \\")


def key_name(key: object) -> str:
    """Return a key of a caller's as an error may show it: a name as fields have, else `(a key)`."""
    return key if isinstance(key, str) and _field_name.fullmatch(key) else "(a key)"


_field_name = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
# OpenAI answers 400 to names that this does not match.
_speaker = re.compile(r"[^\s<|\\/>]{1,64}")
