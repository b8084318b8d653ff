"""Contents from what callers give, and to and from stored bytes.

A caller gives a content, a dict with `content_type`, or a string; the store
keeps canonical JSON. Nothing that is read names code: declared types only.
Imports `errors` and `domain`. Start at `content_from`.
"""

from collections.abc import Mapping
from typing import Any, get_args

import cattrs
import msgspec
from attrs import fields, has
from cattrs.gen import make_dict_structure_fn

from tract.domain import canonical
from tract.domain.content import CONTENT_TYPES, Content, DialogueContent, InstructionContent
from tract.domain.messages import ABSENT, ToolCall
from tract.errors import ContentValidationError


def content_from(value: object, *, role: str = "user") -> Content:
    """Return the content that *value* stands for.

    A content is returned as it is, a mapping with `content_type` becomes the
    content of that type, and a string what *role* says: user and assistant a
    dialogue, system an instruction. *role* is looked at for strings only.

    Raises:
        ContentValidationError: Naming the field that is unknown, missing or
            malformed, such as `tool_calls[0].name`.
    """
    if isinstance(value, _CLASSES):
        return value
    if isinstance(value, str):
        return _from_text(value, role)
    if isinstance(value, Mapping):
        return _from_mapping(value)
    raise ContentValidationError(
        "content", f"it must be a content, a mapping with content_type, or a string, not {type(value).__name__}"
    )


def encode_content(content: Content) -> bytes:
    """Return what is stored: canonical JSON of the type and every field.

    A field that is `ABSENT` is left out; one that is None is null.
    """
    values: dict[str, Any] = {"content_type": content.content_type}
    for name in _FIELDS[type(content)]:
        value = getattr(content, name)
        if value is not ABSENT:
            values[name] = value
    # Only a payload can hold a float, which msgspec would not write canonically.
    return canonical.encode(values) if "payload" in values else canonical.encode_plain(values)


def decode_content(content_type: str, data: bytes) -> Content:
    """Return the content of stored bytes; keys that are not known are ignored.

    Raises:
        ContentValidationError: This version does not know the type, or the
            bytes have not its shape.
    """
    decoder = _DECODERS.get(content_type)
    if decoder is None:
        raise _unknown_type()
    try:
        content: Content = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise ContentValidationError("content", f"the stored bytes have not the shape of type {content_type}") from exc
    return content


def _from_text(text: str, role: str) -> Content:
    if role == "system":
        return InstructionContent(text)
    if role == "tool":
        raise ContentValidationError("role", "a string does not say which call it answers; use tool_result(call_id, content)")
    return DialogueContent(role, text)


def _from_mapping(value: Mapping[Any, Any]) -> Content:
    values = dict(value)
    tag = values.pop("content_type", None)
    kind = CONTENT_TYPES.get(tag) if isinstance(tag, str) else None
    if kind is None:
        raise _unknown_type()
    for name in values:
        if not isinstance(name, str):
            raise ContentValidationError(str(name), f"a field's name is a string, not {type(name).__name__}")
    try:
        content: Content = _converter.structure(values, kind)
    except cattrs.BaseValidationError as exc:
        raise _first_problem(exc, "") from exc
    return content


def _unknown_type() -> ContentValidationError:
    return ContentValidationError("content_type", f"it must be one of {', '.join(CONTENT_TYPES)}")


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
        return ContentValidationError(_dotted(path, min(map(str, exc.extra_fields))), "it is not a field that is known here")
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

_CLASSES: tuple[type[Content], ...] = get_args(Content)
_FIELDS = {kind: tuple(attribute.name for attribute in fields(kind)) for kind in _CLASSES}
# msgspec runs the classes' own checks too; a dialogue takes 1 microsecond,
# which cattrs takes three times over.
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {tag: msgspec.json.Decoder(kind) for tag, kind in CONTENT_TYPES.items()}
