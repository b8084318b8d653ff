"""JSON that cannot be changed in place, for values that are hashed, shared and kept.

Imports nothing of ours.
"""

from collections.abc import Hashable, Mapping
from typing import Any, NoReturn


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("it is read-only: change a copy, such as to_dict() returns, and make another of that")


class ReadOnlyDict(dict[str, Any]):
    """An object of JSON that cannot be changed; copied and pickled, it is a dict."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A list of JSON that cannot be changed; copied and pickled, it is a list."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> Any:
        return list, (list(self),)


def read_only(value: Any) -> Any:
    """Return a value that is equal and cannot be changed, nor by who holds the parts it was made of."""
    if isinstance(value, Mapping):
        return ReadOnlyDict((key, read_only(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ReadOnlyList(map(read_only, value))
    return value


def plain(value: Any) -> Any:
    """Return a value as dicts and lists, which are the caller's own."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def hashable(value: object) -> Hashable:
    """Return what equal JSON values have in common, 1 and 1.0 too; hashing that is hashing them."""
    if isinstance(value, dict):
        return frozenset((key, hashable(item)) for key, item in value.items())
    return tuple(map(hashable, value)) if isinstance(value, list) else value
