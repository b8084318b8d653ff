"""What earlier versions stored becomes what is stored today, step by step, from exactly the bytes of then."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import canonical, operation_id, tract_id, uuid
from tests.orders import PAST, Money, Order1, Order2, OrderPlaced, known, order_3
from tract.domain.events import TYPES
from tract.domain.ids import BlobId, uuid_bytes
from tract.errors import CorruptLogError, NewerEventError
from tract.log.codec import decode_event
from tract.log.protocol import Row
from tract.log.upcasting import PASTS, Past


@pytest.fixture(autouse=True)
def order_placed() -> Iterator[None]:
    with known(OrderPlaced, *PAST):
        yield


def row(schema: int, data: bytes) -> Row:
    stream = uuid_bytes(tract_id(1))
    return (7, stream, 3, stream, "order.placed", schema, data.decode(), uuid_bytes(operation_id(1)), "ann", 5, bytes(32))


def read(schema: int, data: bytes) -> tuple[Any, BlobId | None]:
    event = decode_event(row(schema, data))
    return event.body, event.request


ORDER = OrderPlaced("Ärzte GmbH", Money(12, "EUR"))
STORED = {
    1: [b'{"customer":"\xc3\x84rzte GmbH","sum":12}', b'{"customer":"\xc3\x84rzte GmbH","note":"soon","sum":12}'],
    2: [b'{"currency":"EUR","customer":"\xc3\x84rzte GmbH","sum":12}'],
    3: [b'{"customer":"\xc3\x84rzte GmbH","sum":{"amount":12,"currency":"EUR"}}'],
}
EACH = [pytest.param(schema, data, id=f"{schema}-{place}") for schema, rows in STORED.items() for place, data in enumerate(rows)]


@pytest.mark.parametrize(("schema", "data"), EACH)
def test_bytes_of_every_schema_become_the_class_of_the_last(schema: int, data: bytes) -> None:
    assert read(schema, data) == (ORDER, None)


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_the_request_of_an_operation_is_read_in_every_schema(schema: int) -> None:
    request = BlobId("a" * 64)
    head, _, rest = STORED[schema][0].partition(b'"sum"')
    stored = head + b'"request":"' + request.encode() + b'","sum"' + rest
    assert read(schema, stored) == (ORDER, request)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1))
def test_going_up_from_the_first_schema_is_going_up_from_the_second(customer: str, amount: int) -> None:
    first = canonical({"customer": customer, "sum": amount})
    second = canonical({"customer": customer, "sum": amount, "currency": "EUR" if amount else None})
    assert read(1, first) == read(2, second)


REFUSED = {
    "a missing key": (1, b'{"customer":"x"}'),
    "an unknown key": (1, b'{"customer":"x","more":1,"sum":12}'),
    "a key of the next schema": (1, b'{"currency":"EUR","customer":"x","sum":12}'),
    "a missing key that may be null": (2, b'{"customer":"x","sum":12}'),
    "a value of another type": (1, b'{"customer":"x","sum":"12"}'),
    "another type in what goes away": (2, b'{"currency":"EUR","customer":"x","note":5,"sum":12}'),
    "null where there is none": (1, b'{"customer":null,"sum":12}'),
    "keys in another order": (1, b'{"sum":12,"customer":"x"}'),
    "a space": (1, b'{"customer":"x", "sum":12}'),
    "one key twice": (1, b'{"customer":"x","customer":"x","sum":12}'),
    "the shape of a later schema": (1, STORED[3][0]),
    "the shape of an earlier schema": (3, STORED[1][0]),
    "no JSON": (2, b"nonsense"),
    "a list": (1, b"[]"),
    "a request that is a number": (1, b'{"customer":"x","request":5,"sum":12}'),
    "a schema before the first": (0, STORED[1][0]),
    "a schema below zero": (-1, STORED[1][0]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_bytes_than_that_schema_stored_are_refused(what: str) -> None:
    with pytest.raises(CorruptLogError) as caught:
        decode_event(row(*REFUSED[what]), file="/x.db")
    assert (caught.value.file, caught.value.tract, caught.value.version) == ("/x.db", uuid(1), 3)


def test_a_schema_beyond_the_last_is_a_later_versions() -> None:
    with pytest.raises(NewerEventError):
        decode_event(row(4, STORED[3][0]))


def test_a_schema_without_its_past_is_refused() -> None:
    with known(OrderPlaced), pytest.raises(CorruptLogError):
        decode_event(row(1, STORED[1][0]))


def test_a_step_that_makes_something_else_than_the_next_schema_is_refused() -> None:
    careless = Past(Order1, lambda fields: {**fields, "currency": 5})
    with known(OrderPlaced, careless, PAST[1]), pytest.raises(CorruptLogError):
        decode_event(row(1, STORED[1][0]))


def test_a_step_that_leaves_more_than_the_class_has_is_refused() -> None:
    careless = Past(Order2, lambda fields: {**order_3(fields), "left": 1})
    with known(OrderPlaced, PAST[0], careless), pytest.raises(CorruptLogError):
        decode_event(row(2, STORED[2][0]))


@pytest.mark.parametrize("tag", sorted(TYPES))
def test_every_schema_before_the_present_one_has_its_past(tag: str) -> None:
    assert len(PASTS.get(tag, ())) == TYPES[tag].schema - 1
