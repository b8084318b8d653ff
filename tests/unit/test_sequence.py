"""Vectors, transients and views behave like tuples and lists."""

from collections.abc import Sequence
from functools import partial
from threading import RLock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.operations.sequence import LEAF, LazyLeaf, Transient, Vector, View

sizes = st.sampled_from([0, 1, 5, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, 3 * LEAF + 7])


def same(vector: Vector[int], items: Sequence[int]) -> bool:
    """Tell whether the vector holds *items* in its one proper form."""
    full = len(items) // LEAF
    return (
        list(vector) == list(items)
        and len(vector) == len(items)
        and [len(leaf) for leaf in vector.leaves] == [LEAF] * full
        and len(vector.tail) == len(items) - full * LEAF
    )


@given(sizes)
def test_a_vector_of_items_holds_them_in_full_leaves_and_a_tail(size: int) -> None:
    assert same(Vector.of(range(size)), range(size))


@given(sizes, st.integers(1, 130))
def test_appending_one_by_one_equals_extending(size: int, more: int) -> None:
    base = Vector.of(range(size))
    grown = base
    for item in range(size, size + more):
        grown = grown.append(item)
    assert same(grown, range(size + more))
    assert same(base.extend(range(size, size + more)), range(size + more))
    assert same(base, range(size))


@given(sizes, st.data())
def test_an_index_reads_and_a_set_replaces_one_item(size: int, data: st.DataObject) -> None:
    items = list(range(size))
    vector = Vector.of(items)
    if items:
        at = data.draw(st.integers(0, size - 1))
        assert vector[at] == vector[at - size] == at
        changed = vector.set(at, -1)
        assert same(changed, [*items[:at], -1, *items[at + 1 :]])
    assert same(vector, items)


@pytest.mark.parametrize("size", [0, 5, LEAF, LEAF + 1])
@pytest.mark.parametrize("off", [0, 1, LEAF])
def test_an_index_outside_raises(size: int, off: int) -> None:
    vector = Vector.of(range(size))
    with pytest.raises(IndexError):
        vector[size + off]
    with pytest.raises(IndexError):
        vector[-size - 1 - off]


@given(sizes, st.slices(250))
def test_a_slice_is_a_tuple_of_what_a_list_would_give(size: int, part: slice) -> None:
    assert Vector.of(range(size))[part] == tuple(range(size))[part]


@given(sizes, st.data(), st.lists(st.integers(), max_size=80))
def test_a_splice_replaces_a_stretch(size: int, data: st.DataObject, items: list[int]) -> None:
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    if data.draw(st.booleans()):
        items = list(range(1000, 1000 + stop - start))
    vector = Vector.of(range(size))
    assert same(vector.splice(start, stop, items), [*range(start), *items, *range(stop, size)])
    assert same(vector, range(size))


def test_a_splice_of_the_same_length_shares_the_other_leaves() -> None:
    vector = Vector.of(range(4 * LEAF))
    changed = vector.splice(LEAF + 3, LEAF + 5, (0, 0))
    assert [one is other for one, other in zip(vector.leaves, changed.leaves, strict=True)] == [True, False, True, True]


def test_index_finds_by_identity_in_any_leaf_and_in_the_tail() -> None:
    items = [object() for _ in range(LEAF + 3)]
    vector = Vector.of(items)
    assert [vector.index(item) for item in items] == list(range(LEAF + 3))
    with pytest.raises(ValueError, match="object is not in the vector"):
        vector.index(object())


@given(sizes, st.lists(st.one_of(st.none(), st.integers(0, 300)), max_size=150))
def test_a_transient_gathers_appends_and_sets(size: int, changes: list[int | None]) -> None:
    base, items = Vector.of(range(size)), list(range(size))
    transient = Transient.of(base)
    for number, change in enumerate(changes):
        if change is None or not items:
            transient.append(-number)
            items.append(-number)
        else:
            transient[change % len(items)] = -number
            items[change % len(items)] = -number
    assert [transient[at] for at in range(len(transient))] == items
    assert same(transient.freeze(), items)
    assert same(base, range(size))


@given(sizes, st.slices(250))
def test_a_view_is_equal_to_the_list_it_shows(size: int, part: slice) -> None:
    view = View(Vector.of(range(size)), str)
    shown = [str(item) for item in range(size)]
    assert view == shown
    assert view[part] == shown[part]
    assert list(view) == shown
    assert len(view) == size
    assert repr(view) == repr(shown)


def test_a_view_differs_from_other_items_other_lengths_and_strings() -> None:
    view = View(Vector.of("ab"), str.upper)
    assert view == ("A", "B")
    assert view != ["A"]
    assert view != ["A", "C"]
    assert view != "AB"


def late(size: int, made: list[int]) -> Vector[int]:
    """Return the numbers up to *size* in leaves that note when they are made."""
    lock = RLock()

    def make(leaf: int) -> tuple[int, ...]:
        made.append(leaf)
        return tuple(range(leaf * LEAF, (leaf + 1) * LEAF))

    leaves = tuple(LazyLeaf(partial(make, leaf), lock) for leaf in range(size // LEAF))
    return Vector(leaves, tuple(range(size // LEAF * LEAF, size)))


@given(sizes, st.data())
def test_a_vector_of_leaves_made_late_changes_as_one_of_tuples(size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    items = data.draw(st.lists(st.integers(), max_size=3))
    ours, theirs = late(size, []), Vector.of(range(size))
    assert list(ours.splice(start, stop, items)) == list(theirs.splice(start, stop, items))
    assert ours[start:stop] == theirs[start:stop]
    assert list(ours.extend(items)) == list(theirs.extend(items))
    assert same(Vector.of(ours), range(size))
    if size:
        transient = Transient.of(late(size, []))
        transient[size // 2] = -1
        assert list(transient.freeze()) == [*range(size // 2), -1, *range(size // 2 + 1, size)]
        assert late(size, []).index(size - 1) == size - 1


def test_a_leaf_is_made_when_it_is_looked_at_and_once() -> None:
    made: list[int] = []
    vector = late(3 * LEAF, made)
    assert (len(vector), made) == (3 * LEAF, [])
    assert [vector[LEAF], vector[LEAF + 1], vector[-1]] == [LEAF, LEAF + 1, 3 * LEAF - 1]
    assert list(vector.append(7))[-1] == 7
    assert made == [1, 2, 0]
