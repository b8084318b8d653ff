"""Contents from what callers give, and to and from stored bytes.

A caller gives a content, a dict with `content_type`, or a string; the store
keeps canonical JSON. Nothing that is read names code: declared types only.
Imports `errors` and `domain`. Start at `content_from`.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from attrs import fields

from tract.domain import canonical
from tract.domain.content import CONTENT_TYPES, Content, DialogueContent, InstructionContent
from tract.domain.messages import ABSENT
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
    if tag is None and "role" in values:
        raise ContentValidationError("content_type", "it is missing; a provider's messages are read by from_openai()")
    if kind is None:
        raise _unknown_type()
    for name in values:
        if not isinstance(name, str):
            raise ContentValidationError(str(name), f"a field's name is a string, not {type(name).__name__}")
    # Few callers give mappings, and cattrs is 12 ms of `import tract`.
    from tract.formats.structuring import structure

    return structure(values, kind)


def _unknown_type() -> ContentValidationError:
    return ContentValidationError("content_type", f"it must be one of {', '.join(CONTENT_TYPES)}")


_CLASSES: tuple[type[Content], ...] = get_args(Content)
_FIELDS = {kind: tuple(attribute.name for attribute in fields(kind)) for kind in _CLASSES}
# msgspec runs the classes' own checks too; a dialogue takes 1 microsecond,
# which cattrs takes three times over.
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {tag: msgspec.json.Decoder(kind) for tag, kind in CONTENT_TYPES.items()}
