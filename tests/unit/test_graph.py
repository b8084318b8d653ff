"""Linearising a history given as a dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from tract.operations.graph import linearise


def parents(**history: str) -> dict[str, tuple[str, ...]]:
    return {commit: tuple(before) for commit, before in history.items()}


def test_a_line_is_listed_from_its_root() -> None:
    assert linearise("c", parents(a="", b="a", c="b").__getitem__) == ["a", "b", "c"]


def test_a_merge_lists_the_first_side_then_what_only_the_second_has_then_itself() -> None:
    history = parents(a="", b="a", x="a", y="x", m="by")
    assert linearise("m", history.__getitem__) == ["a", "b", "x", "y", "m"]


def test_parents_the_other_way_round_give_the_other_order() -> None:
    history = parents(a="", b="a", x="a", y="x", m="yb")
    assert linearise("m", history.__getitem__) == ["a", "x", "y", "b", "m"]


def test_criss_cross_merges_list_every_commit_once() -> None:
    history = parents(a="", b="a", x="a", m="bx", n="xb", z="mn")
    assert linearise("z", history.__getitem__) == ["a", "b", "x", "m", "n", "z"]


def test_known_commits_are_left_out_with_all_before_them() -> None:
    history = parents(a="", b="a", x="a", y="x", m="by")
    assert linearise("m", history.__getitem__, {"a", "b"}) == ["x", "y", "m"]
    assert linearise("a", history.__getitem__, {"a"}) == []


def test_histories_without_a_common_root_join() -> None:
    assert linearise("m", parents(a="", x="", m="ax").__getitem__) == ["a", "x", "m"]


def test_a_hundred_thousand_commits_are_no_recursion() -> None:
    count = 100_000
    assert linearise(count, lambda commit: (commit - 1,) if commit else ()) == list(range(count + 1))


@given(st.lists(st.lists(st.integers(1, 8), max_size=2), min_size=1, max_size=30))
def test_the_order_is_the_definition(back: list[list[int]]) -> None:
    history = {at: tuple(dict.fromkeys(at - one for one in steps if one <= at)) for at, steps in enumerate(back)}

    def defined(commit: int) -> list[int]:
        listed: list[int] = []
        for parent in history[commit]:
            listed += [one for one in defined(parent) if one not in listed]
        return [*listed, commit]

    for head in list(history)[:14]:
        assert linearise(head, history.__getitem__) == defined(head)
