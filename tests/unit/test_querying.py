"""Conditions on configs: what is refused, and what stands for a value in the index."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import json_values
from tract import Condition, LLMConfig
from tract.domain.conditions import OPERATORS, conditions_of
from tract.errors import ContentValidationError
from tract.operations.querying import Points, Span, flattened, indexed, joined, place, sought

WRONG: list[tuple[tuple[Any, ...], str]] = [
    (("temprature", "=", 1), "field"),
    (("", "=", 1), "field"),
    (("extras.a", "=", 1), "field"),
    ((1, "=", 1), "field"),
    (("extra.\ud800", "=", 1), "field"),
    (("seed", "==", 1), "operator"),
    (("seed", None, 1), "operator"),
    (("seed", ["="], 1), "operator"),
    (("seed", "exists", 1), "value"),
    (("seed", "exists", "yes"), "value"),
    (("seed", "=", None), "value"),
    (("seed", "=", "1"), "value"),
    (("seed", "=", True), "value"),
    (("seed", "in", [1, "1"]), "value"),
    (("seed", "in", 1), "value"),
    (("seed", "in", {1}), "value"),
    (("model", "in", "gpt"), "value"),
    (("model", "=", 4), "value"),
    (("seed", "in", list(range(1001))), "value"),
    (("seed", "between", 1), "value"),
    (("seed", "between", (1, 2, 3)), "value"),
    (("extra.a", "between", (1, "b")), "value"),
    (("extra.a", "between", (True, 2)), "value"),
    (("extra.a", ">", None), "value"),
    (("extra.a", ">", True), "value"),
    (("extra.a", "<=", [1]), "value"),
    (("extra.a", "=", float("nan")), "value"),
    (("extra.a", "=", 2**63), "value"),
    (("extra.a", "=", "\ud800"), "value"),
    (("extra.a", "=", object()), "value"),
    (("extra.a", "=", {1: 2}), "value"),
    (("stop_sequences", "=", "END"), "value"),
    (("stop_sequences", "in", ["END"]), "value"),
    (("stop_sequences", "=", [1]), "value"),
    (("stop_sequences", ">", ["a"]), "value"),
]


@pytest.mark.parametrize(("made_of", "field"), WRONG, ids=repr)
def test_a_condition_that_makes_no_sense_is_refused_naming_what(made_of: tuple[Any, ...], field: str) -> None:
    with pytest.raises(ContentValidationError) as caught:
        Condition(*made_of)
    assert caught.value.field == field


def test_equal_conditions_have_equal_hashes() -> None:
    one, other = Condition("extra.a", "in", [{"b": [1]}]), Condition("extra.a", "in", ({"b": (1.0,)},))
    assert (one, hash(one)) == (other, hash(other))


def test_what_a_condition_compares_with_is_read_only() -> None:
    with pytest.raises(TypeError, match="read-only"):
        Condition("seed", "in", [1]).value.append("x")


def test_an_operand_that_contains_itself_is_refused() -> None:
    operand: dict[str, Any] = {}
    operand["again"] = operand
    with pytest.raises(ContentValidationError, match=r"value.*deep"):
        Condition("extra.a", "=", operand)


def test_a_condition_is_not_changed_by_what_becomes_of_its_list() -> None:
    values = ["a", "b"]
    condition = Condition("model", "in", values)
    values.append("c")
    assert condition == Condition("model", "in", ("a", "b"))


def test_each_operator_stands_in_the_documentation() -> None:
    assert [operator for operator in OPERATORS if f"`{operator}`" not in (Condition.__doc__ or "")] == []


def test_a_config_is_asked_for_by_all_that_is_set_in_it() -> None:
    config = LLMConfig(model="m", temperature=0, stop_sequences=("a",), extra={"b": {"c": 1}, "d": None})
    assert set(map(str, conditions_of(config))) == {
        str(Condition("model", "=", "m")),
        str(Condition("temperature", "=", 0.0)),
        str(Condition("stop_sequences", "=", ["a"])),
        str(Condition("extra.b", "=", {"c": 1})),
        str(Condition("extra.d", "=", None)),
    }


def test_objects_are_there_themselves_and_with_what_is_in_them() -> None:
    assert flattened({"model": "m", "extra": {"a": {"b": [{"c": 1}]}, "d": None}}) == {
        "model": "m",
        "extra": {"a": {"b": [{"c": 1}]}, "d": None},
        "extra.a": {"b": [{"c": 1}]},
        "extra.a.b": [{"c": 1}],
        "extra.d": None,
    }


@pytest.mark.parametrize(
    ("extra", "value"),
    [({"a.b": 1, "a": {"b": 2}}, 1), ({"a": {"b.c": 1, "b": {"c": 2}}}, 1), ({"a": {"b.c": 1}, "a.b": {"c": 2}}, 1)],
)
def test_of_two_settings_at_one_path_the_one_nearest_to_the_top_counts(extra: Any, value: int) -> None:
    found = flattened({"extra": extra})
    assert (found.get("extra.a.b.c") if "c" in str(extra) else found["extra.a.b"]) == value


def equal(one: Any, other: Any) -> bool:
    """Equal as JSON, where 1 is 1.0 and True is neither."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return (type(one) in (int, float) and type(other) in (int, float) and one == other) or (
        type(one) is type(other) and one == other
    )


def refloated(value: Any) -> Any:
    """The same value with floats for integers, where those are equal."""
    if isinstance(value, dict):
        return {key: refloated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [refloated(item) for item in value]
    return float(value) if type(value) is int and int(float(value)) == value else value


@given(json_values(), json_values())
def test_values_are_equal_in_the_index_exactly_where_they_are_equal(one: Any, other: Any) -> None:
    assert (indexed(one) == indexed(other)) == equal(one, other)


@given(json_values())
def test_a_number_is_the_same_in_the_index_whatever_its_type(value: Any) -> None:
    assert indexed(value) == indexed(refloated(value))


@pytest.mark.parametrize(("one", "other"), [([1], [True]), ([2**53 + 1], [float(2**53)]), ({"a": None}, {}), ("1", 1), ([], {})])
def test_what_is_nearly_equal_is_not_equal(one: Any, other: Any) -> None:
    assert indexed(one) != indexed(other)


simple = st.integers(-3, 3) | st.floats(-3, 3) | st.text("ab", max_size=2) | st.booleans() | st.none()
numbers = st.integers(-3, 3) | st.floats(-3, 3)
words = st.text("ab", max_size=2)
conditions = st.one_of(
    st.builds(Condition, st.just("extra.a"), st.sampled_from(["=", "!="]), simple),
    st.builds(Condition, st.just("extra.a"), st.sampled_from(["in", "not in"]), st.lists(simple, max_size=5)),
    st.builds(Condition, st.just("extra.a"), st.sampled_from([">", "<", ">=", "<="]), numbers | words),
    st.builds(Condition, st.just("extra.a"), st.just("between"), st.tuples(numbers, numbers) | st.tuples(words, words)),
    st.builds(Condition, st.just("extra.a"), st.just("exists"), st.booleans()),
)


@given(st.lists(conditions, min_size=1, max_size=4), st.none() | simple.map(indexed))
def test_conditions_that_were_joined_hold_exactly_where_all_of_them_do(made: list[Condition], stored: Any) -> None:
    each = [sought(condition) for condition in made]
    (together,) = joined(each)
    assert together.holds(stored) == all(one.holds(stored) for one in each)


@given(st.lists(conditions, min_size=2, max_size=4))
def test_what_a_joined_range_leaves_out_is_within_it_and_in_order(made: list[Condition]) -> None:
    (together,) = joined(sought(condition) for condition in made)
    if isinstance(together, Span):
        places = [place(each) for each in together.excluded]
        assert places == sorted(places)
        assert all(place(together.low) <= each <= place(together.high) for each in places)
    elif isinstance(together, Points):
        assert len(set(together.values)) == len(together.values)
