"""An event of the tests alone, in its third schema, with both that were before.

Schema 2 of `order.placed` gave the sum a currency, schema 3 put both into one
object and dropped the note.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, NotRequired, TypedDict

import pytest
from attrs import frozen

from tract.domain.events import TYPES
from tract.log import codec
from tract.log.upcasting import PASTS, Past


@frozen
class Money:
    amount: int
    currency: str


@frozen
class OrderPlaced:
    tag: ClassVar[str] = "order.placed"
    schema: ClassVar[int] = 3
    customer: str
    sum: Money | None


class Order1(TypedDict):
    customer: str
    sum: int
    note: NotRequired[str]


class Order2(TypedDict):
    customer: str
    sum: int
    currency: str | None
    note: NotRequired[str]


def order_2(fields: Order1) -> dict[str, Any]:
    return {**fields, "currency": "EUR" if fields["sum"] else None}


def order_3(fields: Order2) -> dict[str, Any]:
    currency = fields["currency"]
    money = None if currency is None else {"amount": fields["sum"], "currency": currency}
    return {"customer": fields["customer"], "sum": money}


PAST = (Past(Order1, order_2), Past(Order2, order_3))


@contextmanager
def known(kind: type[Any], *pasts: Past) -> Iterator[None]:
    """Let the codec know one more event class, and what it was before, within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "TYPES", MappingProxyType({**TYPES, kind.tag: kind}))
        patch.setattr(codec, "PASTS", MappingProxyType({**PASTS, kind.tag: pasts}))
        yield
