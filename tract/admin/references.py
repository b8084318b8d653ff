"""Which blobs and commits an event names, seen from the types of its class.

A field that is declared as a `BlobId` or a `CommitId`, alone, optional, in a
tuple or within a nested class, names one; so a class of events that is added
is understood without a word here. Imports `domain`.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeAlias, get_args, get_type_hints

import attrs

from tract.domain.events import Event
from tract.domain.ids import BlobId, CommitId

_Pick: TypeAlias = Callable[[Any, list[str]], None]
"""Adds the ids that a part of a value names."""


def blobs_of(event: Event) -> list[BlobId]:
    """Return the ids of the blobs that an event names, the same one perhaps twice."""
    named = [BlobId(id) for id in _ids(event.body, BlobId)]
    return named if event.request is None else [*named, event.request]


def commits_of(event: Event) -> list[CommitId]:
    """Return the ids of the commits that an event names, the same one perhaps twice."""
    return [CommitId(id) for id in _ids(event.body, CommitId)]


def _ids(value: Any, wanted: object) -> list[str]:
    found: list[str] = []
    _pick_all(value, wanted, found)
    return found


def _pick_all(value: Any, wanted: object, found: list[str]) -> None:
    kind: Any = type(value)
    for pick in _picks(kind, wanted):
        pick(value, found)


@cache
def _picks(kind: Any, wanted: object) -> tuple[_Pick, ...]:
    hints = get_type_hints(kind)
    found = []
    for field in attrs.fields(kind):
        parts = set(_parts(hints[field.name]))
        if wanted in parts:
            found.append(_pick_ids(field.name))
        elif any(attrs.has(part) for part in parts if isinstance(part, type)):
            found.append(_pick_within(field.name, wanted))
    return tuple(found)


def _parts(hint: Any) -> Iterable[Any]:
    """Yield every type that a hint is put together from."""
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def _pick_ids(name: str) -> _Pick:
    def pick(value: Any, found: list[str]) -> None:
        held = getattr(value, name)
        if isinstance(held, tuple):
            found += held
        elif held is not None:
            found.append(held)

    return pick


def _pick_within(name: str, wanted: object) -> _Pick:
    def pick(value: Any, found: list[str]) -> None:
        held = getattr(value, name)
        for one in held if isinstance(held, tuple) else (held,):
            if one is not None:
                _pick_all(one, wanted, found)

    return pick
