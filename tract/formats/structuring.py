"""Contents from mappings of a caller's, through cattrs.

Apart from `reading`, which loads it when the first mapping comes. Imports
`errors` and `domain`.
"""

from collections.abc import Mapping
from typing import Any

import cattrs
from attrs import has
from cattrs.gen import make_dict_structure_fn

from tract.domain.content import Content
from tract.domain.messages import ToolCall
from tract.domain.texts import key_name
from tract.errors import ContentValidationError


def structure(values: Mapping[str, Any], kind: type[Content]) -> Content:
    """Return the content of type *kind* with these fields.

    Raises:
        ContentValidationError: Naming the field that is unknown, missing or
            malformed, such as `tool_calls[0].name`.
    """
    try:
        content: Content = _converter.structure(values, kind)
    except cattrs.BaseValidationError as exc:
        raise _first_problem(exc, "") from None
    return content


def _first_problem(exc: BaseException, path: str) -> ContentValidationError:
    """Return the first problem that cattrs found, with the way to its field."""
    if isinstance(exc, cattrs.ClassValidationError):
        noted, rest = exc.group_exceptions()
        if noted:
            inner, note = noted[0]
            return _first_problem(inner, _dotted(path, note.name))
        return _first_problem(rest[0], path)
    if isinstance(exc, cattrs.IterableValidationError):
        item, place = exc.group_exceptions()[0][0]
        return _first_problem(item, f"{path}[{place.index}]")
    if isinstance(exc, ContentValidationError):
        return ContentValidationError(_dotted(path, exc.field), exc.reason)
    if isinstance(exc, cattrs.ForbiddenExtraKeysError):
        return ContentValidationError(_dotted(path, min(map(key_name, exc.extra_fields))), "it is not a field that is known here")
    if isinstance(exc, KeyError):
        return ContentValidationError(path, "it is required")
    return ContentValidationError(path or "content", f"it cannot be read ({type(exc).__name__})")


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _as_given(value: Any, _: object) -> Any:
    return value


def _structure_call(value: Any, _: object) -> ToolCall:
    if isinstance(value, ToolCall):
        return value
    if not isinstance(value, Mapping):
        raise ContentValidationError("", "it must be a ToolCall, or a mapping with id, name and arguments")
    return _structure_call_mapping(value, ToolCall)


def _structure_calls(value: Any, _: object) -> Any:
    return _converter.structure(value, list[ToolCall]) if isinstance(value, (list, tuple)) else value


# The classes check their own fields, so leaves pass as they are: cattrs would
# make the string "5" of the number 5.
_converter = cattrs.Converter(forbid_extra_keys=True)
_converter.register_structure_hook_func(lambda kind: not has(kind) and kind != list[ToolCall], _as_given)
_converter.register_structure_hook(str, _as_given)
_converter.register_structure_hook_func(lambda kind: kind == tuple[ToolCall, ...], _structure_calls)
_structure_call_mapping = make_dict_structure_fn(ToolCall, _converter)
_converter.register_structure_hook(ToolCall, _structure_call)
