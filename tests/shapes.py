"""What a class stores, written down as JSON: the names of its fields and their types, all the way down."""

import enum
import types
from collections.abc import Mapping
from typing import Any, Literal, NewType, NotRequired, TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

import attrs
import msgspec

Shape: TypeAlias = Any
"""A name, an object of names and shapes, or a list of shapes, of which one is there."""

_NAMES: dict[object, str] = {
    str: "text",
    int: "integer",
    float: "float",
    bool: "true or false",
    type(None): "null",
    msgspec.UnsetType: "left out",
    Any: "any JSON",
}


def shape_of(hint: Any) -> Shape:
    """Describe a class, or what a field is declared as."""
    if get_origin(hint) is NotRequired:
        return shape_of(get_args(hint)[0])
    if hint in _NAMES:
        return _NAMES[hint]
    if isinstance(hint, NewType):
        return hint.__name__
    if isinstance(hint, type) and get_origin(hint) is None:
        return _shape_of_class(hint)
    return _shape_of_many(get_origin(hint), get_args(hint))


def _shape_of_many(origin: Any, parts: tuple[Any, ...]) -> Shape:
    if origin in (Union, types.UnionType):
        return _one_of([shape_of(part) for part in parts])
    if origin is Literal:
        return _one_of([repr(part) for part in parts])
    if origin is list or (origin is tuple and parts[1:] == (...,)):
        item = shape_of(parts[0])
        return f"[{item}]" if isinstance(item, str) else {"list of": item}
    if isinstance(origin, type) and issubclass(origin, Mapping) and parts == (str, Any):
        return "any object"
    raise AssertionError(f"nothing that is stored is declared as {origin}{parts}: say here what it is stored as")


def _one_of(shapes: list[Shape]) -> Shape:
    if all(isinstance(shape, str) for shape in shapes):
        return " | ".join(sorted(shapes))
    return sorted(shapes, key=str)


def _shape_of_class(kind: type[Any]) -> Shape:
    if issubclass(kind, enum.Enum):
        return _one_of([repr(member.value) for member in kind])
    if is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {f"{name}{'?' if get_origin(hint) is NotRequired else ''}": shape_of(hint) for name, hint in sorted(hints.items())}
    hints = get_type_hints(kind)
    if attrs.has(kind):
        return {field.name: shape_of(hints[field.name]) for field in sorted(attrs.fields(kind), key=lambda field: field.name)}
    if issubclass(kind, msgspec.Struct):
        config = kind.__struct_config__
        tag = {} if config.tag_field is None else {config.tag_field: repr(config.tag)}
        optional = "?" if config.omit_defaults else ""
        return tag | {f"{name}{optional}": shape_of(hints[name]) for name in sorted(kind.__struct_fields__)}
    raise AssertionError(f"nothing that is stored is a {kind.__name__}: say here what it is stored as")
