"""JSON values as instances of a caller's classes, through cattrs.

Only cattrs runs the converters of an attrs class beside its validators, and
refuses fields that are not known. Apart from `typed`, which loads it when the
first such class comes. Imports `values` and `domain`.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import cattrs

from tract.domain.texts import key_name
from tract.formats.values import WrongValueError, declares, plain_value


def instance_of(value: Any, kind: Any) -> Any:
    """Return a JSON value as one of the type *kind*, which names classes of a caller's.

    Raises:
        WrongValueError: It is not of that type, or its class refuses it.
    """
    try:
        return _converter.structure(value, kind)
    except RecursionError as exc:
        raise WrongValueError("", "it is nested too deep") from exc
    except Exception as exc:
        raise _first_problem(exc, "") from exc


def _first_problem(exc: BaseException, path: str) -> WrongValueError:
    """Return the first problem that was found, with the way to it.

    Beside our own and those of cattrs, it is whatever a converter or a
    validator of the caller's raised.
    """
    if isinstance(exc, cattrs.ClassValidationError):
        noted, rest = exc.group_exceptions()
        if noted:
            inner, note = noted[0]
            return _first_problem(inner, f"{path}.{note.name}")
        return _first_problem(rest[0], path)
    if isinstance(exc, WrongValueError):
        return WrongValueError(path + exc.path, exc.reason)
    if isinstance(exc, cattrs.ForbiddenExtraKeysError):
        unknown = min(map(key_name, exc.extra_fields))
        return WrongValueError(path, f"it has a field that is not known, {unknown}")
    if isinstance(exc, KeyError):
        return WrongValueError(path, "it is required")
    return WrongValueError(path, f"it is refused ({type(exc).__name__})")


def _part(step: str, value: Any, kind: Any) -> Any:
    try:
        return _converter.structure(value, kind)
    except Exception as exc:
        raise _first_problem(exc, step) from exc


def _array(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise WrongValueError("", "it must be an array")
    origin, kinds = get_origin(kind), get_args(kind)
    if origin is tuple and kinds[-1:] != (...,):
        if len(value) != len(kinds):
            raise WrongValueError("", f"it must be an array of {len(kinds)}")
    else:
        kinds = kinds[:1] * len(value)
    parts = [_part(f"[{number}]", each, of) for number, (each, of) in enumerate(zip(value, kinds, strict=True))]
    return _MADE.get(origin, list)(parts)


def _object(value: Any, kind: Any) -> Any:
    if not isinstance(value, Mapping):
        raise WrongValueError("", "it must be an object")
    of_keys, of_values = get_args(kind)
    return {_key(key, of_keys): _part("[...]", each, of_values) for key, each in value.items()}


def _key(key: str, kind: Any) -> Any:
    (made,) = plain_value({key: None}, dict[kind, None])
    return made


def _union(value: Any, kind: Any) -> Any:
    """Return the value of one of several types, of which one at most is an object and one an array."""
    kinds = get_args(kind)
    for each in kinds:
        is_array = _origin(each) in _ARRAYS
        if declares(each) and isinstance(value, list if is_array else Mapping):
            return _converter.structure(value, each)
    plain = tuple(each for each in kinds if not declares(each))
    try:
        return plain_value(value, Union[plain or (NoneType,)])  # noqa: UP007 - made while running
    except WrongValueError as exc:
        raise WrongValueError("", "it is of none of the types that are allowed") from exc


def _origin(kind: Any) -> Any:
    return _origin(get_args(kind)[0]) if get_origin(kind) is Annotated else get_origin(kind)


def _bare(value: Any, kind: Any) -> Any:
    return _converter.structure(value, get_args(kind)[0])


class _Converter(cattrs.Converter):
    """Says of what is no object that it is none, where cattrs trips over it."""

    def gen_structure_attrs_fromdict(self, cl: Any) -> Callable[[Any, Any], Any]:
        return _of_object(super().gen_structure_attrs_fromdict(cl), _worked_out(cl))

    def gen_structure_typeddict(self, cl: Any) -> Callable[[Any, Any], Any]:
        return _of_object(super().gen_structure_typeddict(cl))


def _of_object(make: Callable[[Any, Any], Any], passed_over: Collection[str] = ()) -> Callable[[Any, Any], Any]:
    def made(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise WrongValueError("", "it must be an object")
        return make({name: each for name, each in value.items() if name not in passed_over} if passed_over else value, kind)

    return made


def _worked_out(kind: Any) -> frozenset[str]:
    """Return the fields that a class fills in itself; its schema has them, so a model gives them."""
    declared = get_origin(kind) or kind
    fields = attrs.fields(declared) if attrs.has(declared) else dataclasses.fields(declared)
    return frozenset(field.name for field in fields if not field.init)


def _comes_of(*origins: Any) -> Callable[[Any], bool]:
    def found(kind: Any) -> bool:
        return get_origin(kind) in origins

    return found


_ARRAYS = (list, tuple, set, frozenset, Sequence, MutableSequence, AbstractSet, MutableSet, Collection)
_MADE: Mapping[Any, Callable[[list[Any]], Any]] = {
    tuple: tuple,
    set: set,
    AbstractSet: set,
    MutableSet: set,
    frozenset: frozenset,
}
_OBJECTS = (dict, Mapping, MutableMapping)

_converter = _Converter(forbid_extra_keys=True)
# The hook that was registered last is asked first.
_converter.register_structure_hook_func(_comes_of(*_ARRAYS), _array)
_converter.register_structure_hook_func(_comes_of(*_OBJECTS), _object)
_converter.register_structure_hook_func(_comes_of(Union, UnionType), _union)
_converter.register_structure_hook_func(_comes_of(Annotated), _bare)
_converter.register_structure_hook_func(lambda kind: not declares(kind), plain_value)
# cattrs asks these first of all, and makes the string "5" of the number 5.
for _kind in (str, bytes, int, float):
    _converter.register_structure_hook(_kind, plain_value)
