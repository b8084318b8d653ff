"""JSON values as values of a type that holds no class of a caller's: numbers, texts, lists, enums, dates.

`instances` makes those of attrs classes, dataclasses and typed dicts. Pure.
Imports nothing of ours.
"""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, is_typeddict

import attrs
import msgspec

_at = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_TELLING = ("Expected ", "Object missing ", "Input ", "Number ", "Integer ", "JSON is malformed", "Length ")


class WrongValueError(ValueError):
    """A JSON value is not of the type that it must have.

    Attributes:
        path: Where, such as `.days[0].name`; empty for the value itself.
        reason: What is wrong, without any of its text.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"at {self.path.lstrip('.')}: {self.reason}" if self.path else self.reason


def decode_json(text: str) -> Any:
    """Return the value of JSON.

    Raises:
        WrongValueError: It is none.
    """
    try:
        return msgspec.json.decode(text.encode("utf-8"))
    except (msgspec.DecodeError, UnicodeEncodeError) as exc:
        raise WrongValueError("", "it is not valid JSON") from exc
    except RecursionError as exc:
        raise WrongValueError("", "it is nested too deep") from exc


def plain_json(value: Any) -> Any:
    """Return a copy of a caller's JSON, with dicts and lists for whatever mappings and tuples it has.

    Raises:
        WrongValueError: It is nested too deep, or holds itself.
    """
    try:
        return _copied(value)
    except RecursionError as exc:
        raise WrongValueError("", "it is nested too deep") from exc


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, (list, tuple)) else value


def plain_value(value: Any, kind: Any) -> Any:
    """Return a JSON value as one of the type *kind*; the string "5" is not the number.

    Raises:
        WrongValueError: It is not of that type.
    """
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as exc:
        raise _without_text(exc) from exc
    except RecursionError as exc:
        raise WrongValueError("", "it is nested too deep") from exc
    except Exception as exc:
        # Of a struct of the caller's: msgspec hands on all but ValueError and TypeError.
        raise WrongValueError("", f"it is refused ({type(exc).__name__})") from exc


def _without_text(exc: msgspec.ValidationError) -> WrongValueError:
    """Return what msgspec says, without the text that it quotes of the value."""
    message = str(exc)
    at = _at.search(message)
    path, said = (at["path"], message[: at.start()]) if at else ("", message)
    if exc.__cause__ is not None:
        return WrongValueError(path, f"it is refused ({type(exc.__cause__).__name__})")
    if said.startswith(_TELLING):
        return WrongValueError(path, said[:1].lower() + said[1:])
    if "unknown field" in said:
        return WrongValueError(path, "it has a field that is not known")
    return WrongValueError(path, "it is not one of the values that are allowed")


def is_declared(kind: Any) -> bool:
    """Say whether a type is an attrs class, a dataclass or a typed dict, or one of those with parameters."""
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and (attrs.has(origin) or is_dataclass(origin) or is_typeddict(origin))


def declares(kind: Any) -> bool:
    """Say whether a type is one of those or is made of one."""
    if get_origin(kind) is Annotated:
        return declares(get_args(kind)[0])
    # Python 3.12's `type` statement names a type without being one.
    named = getattr(kind, "__value__", None)
    return is_declared(kind) or (named is not None and declares(named)) or any(map(declares, get_args(kind)))
