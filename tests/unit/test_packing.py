"""Blobs as they stand in a file: shorter where that pays, and always the same when read."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import noise
from tract.log.packing import DICTIONARY_1, add_functions, pack, unpack

MESSAGE = b'{"content_type":"dialogue","name":null,"role":"user","text":"Could you change the order, please?","tool_calls":[]}'


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.integers(0, 40_000).map(lambda size: b"ab" * size))
def test_what_is_packed_is_unpacked_as_it_was(data: bytes) -> None:
    assert unpack(pack(data)) == data


@given(st.binary(max_size=300))
def test_packing_costs_one_byte_at_the_most(data: bytes) -> None:
    assert len(pack(data)) <= len(data) + 1


@pytest.mark.parametrize("data", [b"", b"short", bytes(range(32)), bytes(99)])
def test_what_is_short_stands_there_as_it_is(data: bytes) -> None:
    assert pack(data) == b"\x00" + data


@pytest.mark.parametrize("size", [100, 16_384, 16_385, 1_000_000])
def test_what_repeats_itself_is_packed_at_any_length(size: int) -> None:
    data = (b"again and " * (size // 10 + 1))[:size]
    assert len(pack(data)) < size // 2
    assert unpack(pack(data)) == data


def test_what_does_not_shrink_stands_there_as_it_is() -> None:
    data = noise(1_000_000).encode()
    assert pack(data) == b"\x00" + data


def test_the_frame_of_a_message_costs_next_to_nothing() -> None:
    frame = len(MESSAGE) - len("Could you change the order, please?")
    assert len(pack(MESSAGE)) < len(MESSAGE) - frame + 10


def test_the_dictionary_is_within_reach_of_the_smallest_window() -> None:
    # Deflate can point back by a window less 262 bytes.
    assert len(DICTIONARY_1) <= 4096 - 262


@pytest.mark.parametrize(
    "stored", [b"", b"\x02abc", b"\xff", b"\x01", b"\x01\xff\xff\xff", pack(MESSAGE)[:-1], pack(MESSAGE) + b"more"]
)
def test_what_is_damaged_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="a blob"):
        unpack(stored)


def test_sql_packs_and_unpacks_and_leaves_null_alone() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        add_functions(connection)
        row = connection.execute("SELECT unpack(pack(?1)), unpack(null), pack(null)", (MESSAGE,)).fetchone()
    assert row == (MESSAGE, None, None)
