"""What counts as text. Imports `errors`."""

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
