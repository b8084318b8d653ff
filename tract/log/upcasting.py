"""How what earlier versions stored becomes what is stored today.

Bytes in the log never change. An event whose class has schema 3 was once
stored as schema 1 and 2: each of those has its `Past` here, which says what
stood there and what makes the next schema's fields of it. A step is pure and
sees the plain JSON of its own shape alone, so it is written once, on the day
of the change, and never touched again. Imports nothing of ours; `codec` uses it.

To change an event class: raise its `schema`, describe here what the schema
before held, write the step, and freeze a sample of both in `tests/migration`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypedDict

import msgspec
from attrs import frozen

Fields: TypeAlias = dict[str, Any]
"""An event's data as plain JSON, without the request."""


@frozen
class Past:
    """A schema of an event that is stored no longer, but still read.

    Attributes:
        shape: The typed dict that describes its fields. It is made of JSON's
            own types alone: a class of today may change.
        upcast: Returns the fields of the next schema; pure.
    """

    shape: type[Any]
    upcast: Callable[[Any], Fields]


def read_past(past: Past, fields: Fields) -> Fields:
    """Return the fields that the shape of a schema knows, which a sound event has no more of.

    Raises:
        msgspec.ValidationError: One is missing, or of another type.
    """
    known: Fields = msgspec.convert(fields, past.shape)
    return known


def upcast(pasts: Sequence[Past], fields: Fields) -> Fields:
    """Return the fields of the schema after the last of *pasts*, going up one by one.

    Raises:
        msgspec.ValidationError: The fields are not those of the first one.
    """
    for past in pasts:
        fields = past.upcast(read_past(past, fields))
    return fields


class _Budget(TypedDict):
    max_tokens: int
    action: Literal["warn", "reject"]
    compress_at: int | None


class _TractConfigured1(TypedDict):
    llm_config: str | None
    budget: _Budget | None


def _tract_configured_2(fields: _TractConfigured1) -> Fields:
    return {**fields, "operations": None}


class _Owner(TypedDict):
    host: str | None
    boot: str | None
    namespace: int | None
    process: int | None
    started: int | None


class _GenerationStarted1(TypedDict):
    generation: str
    branch: str
    base: str | None
    question: str | None
    head: str | None
    order: list[str] | None
    compiler: str
    rendering: int
    format: str
    config: str | None
    tools: str | None
    owner: _Owner


def _generation_started_2(fields: _GenerationStarted1) -> Fields:
    return {**fields, "verb": None}


class _GenerationStarted2(_GenerationStarted1):
    verb: str | None


def _generation_started_3(fields: _GenerationStarted2) -> Fields:
    return {**fields, "options": None}


PASTS: Mapping[str, tuple[Past, ...]] = MappingProxyType(
    {
        "tract.configured": (Past(_TractConfigured1, _tract_configured_2),),
        "generation.started": (
            Past(_GenerationStarted1, _generation_started_2),
            Past(_GenerationStarted2, _generation_started_3),
        ),
    }
)
"""By an event's tag what it was before, schema 1 first; tags that never changed are not in it."""
