"""What is kept of contexts: numbers as stretches, leaves under checksums, and nothing that is not what it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.operations.frozen import (
    Kind,
    Odd,
    SlotLeaf,
    decode_changes,
    decode_root,
    decode_slots,
    encode,
    key_of,
    leaves_of,
    runs_of,
    sealed,
    unsealed,
)
from tract.operations.sequence import LEAF, Vector

stretches = st.lists(st.tuples(st.integers(-1, 300), st.integers(1, 150)), max_size=12)
numbers = stretches.map(lambda found: [first + step for first, count in found for step in range(count)])


@given(numbers | st.lists(st.integers(-1, 20)))
def test_numbers_come_back_from_their_stretches_in_full_leaves(given: list[int]) -> None:
    vector = Vector.of(given)
    leaves, rest = leaves_of(runs_of((*vector.leaves, vector.tail)))
    assert [list(leaf) for leaf in leaves] == [list(leaf) for leaf in vector.leaves]
    assert rest == vector.tail


@given(numbers)
def test_stretches_of_what_came_back_are_those_it_came_from(given: list[int]) -> None:
    vector = Vector.of(given)
    runs = runs_of((*vector.leaves, vector.tail))
    leaves, rest = leaves_of(runs)
    assert runs_of((*leaves, rest)) == runs


def test_a_history_of_appends_alone_is_one_stretch() -> None:
    vector = Vector.of(range(10 * LEAF + 5))
    assert runs_of((*vector.leaves, vector.tail)) == [0, 10 * LEAF + 5]


kinds = st.builds(Kind, st.sampled_from(["dialogue", "x-note"]), st.just(1), st.booleans(), st.integers(0, 3), st.integers(0, 9))
odd = st.builds(Odd, *[st.integers(0, 2**40)] * 5, st.lists(st.integers(0, 99), max_size=4))
leaves = st.builds(
    SlotLeaf,
    st.lists(st.integers(-(2**40), 2**40), max_size=LEAF),
    st.lists(st.integers(0, 2**31), max_size=LEAF),
    st.lists(st.integers(0, 5), max_size=LEAF),
    st.lists(kinds, max_size=3),
    st.lists(odd, max_size=3),
)


@given(leaves)
def test_a_leaf_comes_back_from_its_bytes(leaf: SlotLeaf) -> None:
    assert decode_slots(encode(leaf)) == leaf


@given(st.binary(max_size=60))
def test_bytes_that_were_not_frozen_here_are_refused(data: bytes) -> None:
    for decode in (decode_slots, decode_changes, decode_root):
        with pytest.raises(ValueError, match="not packed here"):
            decode(data)


@given(st.binary(max_size=40), st.lists(st.binary(max_size=8), max_size=3), st.data())
def test_a_seal_breaks_with_any_bit_of_what_is_sealed_or_of_what_it_is_about(
    data: bytes, of: list[bytes], draw: st.DataObject
) -> None:
    stored = bytearray(sealed(data, *of))
    assert unsealed(bytes(stored), *of) == data
    assert unsealed(bytes(stored), *of, b"") is None
    stored[draw.draw(st.integers(0, len(stored) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    assert unsealed(bytes(stored), *of) is None


def test_what_a_seal_is_about_is_not_run_together() -> None:
    assert unsealed(sealed(b"data", b"ab", b"c"), b"a", b"bc") is None


@pytest.mark.parametrize("data", [b"", b"leaf", bytes(2048)])
def test_a_key_fits_into_an_integer_of_sqlite(data: bytes) -> None:
    assert 0 <= key_of(data) < 2**63
