"""Contents from what callers give, and to and from stored bytes.

A caller gives a content, a value of a registered class, a dict with
`content_type`, or a string; the store keeps canonical JSON. Nothing that is
read names code: declared types only. Imports `errors`, `domain` and
`registry`. Start at `content_from`.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from attrs import fields

from tract.domain import canonical
from tract.domain.content import CONTENT_TYPES, Content, DialogueContent, InstructionContent, RegisteredContent, require_type_name
from tract.domain.messages import ABSENT
from tract.errors import ContentValidationError
from tract.formats.registry import find_registered, find_registered_mapping, registered_names


def content_from(value: object, *, role: str = "user") -> Content:
    """Return the content that *value* stands for.

    A content is returned as it is, a value of a registered class as what is
    stored of it, a mapping with `content_type` becomes the content of that
    type, and a string what *role* says: user and assistant a dialogue, system
    an instruction. *role* is looked at for strings only.

    Raises:
        ContentValidationError: Naming the field that is unknown, missing or
            malformed, such as `tool_calls[0].name`.
    """
    # By the very class: one derived from it is a caller's, and is stored as that only where it is registered.
    if isinstance(value, _CLASSES) and type(value) in _CLASSES:
        if isinstance(value, RegisteredContent):
            require_type_name("content_type", value.content_type)
        return value
    if isinstance(value, str):
        return _from_text(value, role)
    if isinstance(value, Mapping):
        return _from_mapping(value)
    registered = find_registered(value)
    if registered is not None:
        return registered
    raise ContentValidationError(
        "content",
        "it must be a content, a value of a class given to register_content_type, a mapping with content_type, or a string, "
        f"not {type(value).__name__}",
    )


def encode_content(content: Content) -> bytes:
    """Return what is stored: canonical JSON of the type and every field.

    A field that is `ABSENT` is left out; one that is None is null.
    """
    if type(content) is RegisteredContent:
        message = msgspec.to_builtins(content.message)
        return canonical.encode({"content_type": content.content_type, "data": content.data, "message": message})
    values: dict[str, Any] = {"content_type": content.content_type}
    for name in _FIELDS[type(content)]:
        value = getattr(content, name)
        if value is not ABSENT:
            values[name] = value
    # Only a payload can hold a float, which msgspec would not write canonically.
    return canonical.encode(values) if "payload" in values else canonical.encode_plain(values)


def decode_content(content_type: str, data: bytes) -> Content:
    """Return the content of stored bytes; keys that are not known are ignored.

    A registered type needs no class here, because its message is stored too.
    It is read as one as well where its name has become that of another type.

    Raises:
        ContentValidationError: This version does not know the type, or the
            bytes have not its shape.
    """
    decoder = _DECODERS.get(content_type)
    try:
        content: Content = (decoder or _registered_decoder).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        if decoder is None:
            raise _unknown_type() from exc
        registered = _find_registered_form(data)
        if registered is None:
            raise ContentValidationError("content", f"the stored bytes have not the shape of type {content_type}") from exc
        return registered
    return content


def _find_registered_form(data: bytes) -> RegisteredContent | None:
    try:
        return _registered_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


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
    for name in values:
        if not isinstance(name, str):
            raise ContentValidationError(str(name), f"a field's name is a string, not {type(name).__name__}")
    if kind is None:
        registered = find_registered_mapping(tag, values) if isinstance(tag, str) else None
        if registered is None:
            raise _unknown_type()
        return registered
    # Few callers give mappings, and cattrs is 12 ms of `import tract`.
    from tract.formats.structuring import structure

    return structure(values, kind)


def _unknown_type() -> ContentValidationError:
    names = ", ".join((*CONTENT_TYPES, *registered_names()))
    return ContentValidationError("content_type", f"it must be one of {names}; see register_content_type for more")


_CLASSES: tuple[type[Content], ...] = get_args(Content)
_FIELDS: dict[type[Content], tuple[str, ...]] = {
    kind: tuple(attribute.name for attribute in fields(kind)) for kind in CONTENT_TYPES.values()
}
# msgspec runs the classes' own checks too; a dialogue takes 1 microsecond,
# which cattrs takes three times over.
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {tag: msgspec.json.Decoder(kind) for tag, kind in CONTENT_TYPES.items()}
_registered_decoder = msgspec.json.Decoder(RegisteredContent)
