"""Digests straight from rows are those that an append computes."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.domain.ids import OperationId, TractId
from tract.log import chain
from tract.log.linking import Linker
from tract.log.protocol import Row

texts = st.text(st.characters(exclude_categories=["Cs"]))
ids = st.binary(min_size=16, max_size=16)
numbers = st.integers(-(2**63), 2**63 - 1)
rows = st.tuples(
    st.integers(1), ids, numbers, ids, texts, numbers, st.binary(max_size=300), ids, st.none() | texts, numbers, st.just(b"")
)


def stored(row: Row) -> Row:
    """A row whose text is the bytes that are stored."""
    return tuple(value.encode() if isinstance(value, str) else value for value in row)


def appended(previous: bytes, row: Row) -> bytes:
    """The digest that an append computes from what it has in hand."""
    _, stream, version, tract, tag, schema, data, operation, actor, recorded_at, _ = row
    tracts = TractId(str(UUID(bytes=stream))), TractId(str(UUID(bytes=tract)))
    head = (tracts[0], version, tracts[1], tag, schema, OperationId(str(UUID(bytes=operation))), actor, recorded_at)
    return chain.link(previous, head, data)


@given(rows=st.lists(rows, max_size=5), previous=st.binary(min_size=32, max_size=32))
def test_a_digest_from_a_row_is_that_of_its_append(rows: list[Row], previous: bytes) -> None:
    linker = Linker()
    # Twice, for what is remembered of the first time.
    for row in [*rows, *rows]:
        assert linker.link(previous, stored(row)) == appended(previous, row)


def test_however_many_actors_and_tracts_there_are_the_digests_are_right() -> None:
    linker = Linker()
    for number in range(25_000):
        id = number.to_bytes(16, "big")
        row = (number, id, 1, id, "head.moved", 1, b"{}", id, f"actor {number}", 5, b"")
        if number % 5_000 == 0:
            assert linker.link(chain.START, stored(row)) == appended(chain.START, row)
        else:
            linker.link(chain.START, stored(row))


@pytest.mark.parametrize(
    "row",
    [
        (1, "text", 1, bytes(16), b"tag", 1, b"{}", bytes(16), None, 5, b""),
        (1, bytes(16), 1, bytes(16), b"tag", 1, None, bytes(16), None, 5, b""),
        (1, bytes(16), 1, bytes(16), b"\xff", 1, b"{}", bytes(16), None, 5, b""),
        (1, bytes(16), 1, bytes(16), b"tag", 1, b"{}", 7, None, 5, b""),
    ],
    ids=["a stream that is text", "no data", "a tag that is no text", "an operation that is a number"],
)
def test_columns_that_hold_something_else_are_refused(row: Row) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError)):
        Linker().link(chain.START, row)
