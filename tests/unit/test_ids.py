from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from tract.domain.ids import uuid7, uuid_bytes, uuid_text

times = st.integers(0, 2**48 * 1000 - 1)
entropies = st.binary(min_size=8, max_size=8)


def test_a_known_time_and_entropy_give_a_known_id() -> None:
    assert uuid7(1_700_000_000_123_456, b"\xff" * 8) == "018bcfe5-687b-774b-bfff-ffffffffffff"


@given(times, entropies)
def test_an_id_is_a_uuid_of_version_7(time: int, entropy: bytes) -> None:
    parsed = UUID(uuid7(time, entropy))
    assert (parsed.version, parsed.variant) == (7, RFC_4122)


@given(times, entropies)
def test_an_id_begins_with_its_milliseconds(time: int, entropy: bytes) -> None:
    assert int(uuid7(time, entropy).replace("-", "")[:12], 16) == time // 1000


@given(times, times, entropies, entropies)
def test_ids_of_different_microseconds_sort_by_time(first: int, second: int, one: bytes, other: bytes) -> None:
    if first < second:
        assert uuid7(first, one) < uuid7(second, other)


@given(times, entropies)
def test_text_becomes_bytes_and_text_again(time: int, entropy: bytes) -> None:
    text = uuid7(time, entropy)
    assert uuid_text(uuid_bytes(text)) == text


@given(times, entropies)
def test_the_bytes_are_those_of_the_standard_library(time: int, entropy: bytes) -> None:
    text = uuid7(time, entropy)
    assert uuid_bytes(text) == UUID(text).bytes
