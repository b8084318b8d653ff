import json
import math
from typing import Any

import pytest
from hypothesis import given

from tests.strategies import json_values
from tract.domain.canonical import MAX_DEPTH, NotCanonicalError, check, encode, encode_plain, sha256


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(json_values())
def test_what_is_encoded_reads_back_as_the_same_value(value: Any) -> None:
    assert json.loads(encode(value)) == value


@given(json_values(floats=False))
def test_the_fast_encoder_writes_the_same_bytes_where_there_is_no_float(value: Any) -> None:
    assert encode_plain(value) == encode(value)


@given(json_values())
def test_the_order_in_which_keys_were_given_does_not_matter(value: Any) -> None:
    assert encode({"b": value, "a": value}) == encode({"a": value, "b": value})


def test_keys_are_sorted_by_code_point_and_not_by_utf_16_unit() -> None:
    assert encode({"\U00010000": 1, "\uffff": 2}) == '{"\uffff":2,"\U00010000":1}'.encode()


def test_text_is_not_normalised() -> None:
    assert encode("e\u0301") != encode("\u00e9")


def test_minus_zero_keeps_its_sign() -> None:
    assert encode(-0.0) == b"-0.0"


def test_a_float_stays_a_float_and_an_integer_an_integer() -> None:
    assert encode([1.0, 1]) == b"[1.0,1]"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_refused(value: float) -> None:
    with pytest.raises(NotCanonicalError, match="NaN or an infinity"):
        encode({"deep": [value]})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integers_outside_64_bits_are_refused(value: int) -> None:
    with pytest.raises(NotCanonicalError, match="64 bits"):
        encode(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, [{"a": "x\udc00"}]])
def test_a_lone_surrogate_is_refused_in_text_and_in_keys(value: Any) -> None:
    with pytest.raises(NotCanonicalError, match="lone surrogate"):
        encode(value)


def test_the_fast_encoder_refuses_a_lone_surrogate_too() -> None:
    with pytest.raises(NotCanonicalError, match="lone surrogate"):
        encode_plain(["\ud800"])


@pytest.mark.parametrize("value", [{1: "a"}, {None: "a"}, {True: "a"}])
def test_a_key_that_is_not_a_string_is_refused_with_its_type(value: Any) -> None:
    with pytest.raises(NotCanonicalError, match=f"key of type {type(next(iter(value))).__name__}"):
        encode(value)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), 1j])
def test_what_json_does_not_have_is_refused_with_its_type(value: Any) -> None:
    with pytest.raises(NotCanonicalError, match=type(value).__name__):
        encode([value])


def test_the_deepest_nesting_that_is_allowed_is_encoded() -> None:
    assert encode(nested(MAX_DEPTH)).count(b"[") == MAX_DEPTH


def test_deeper_nesting_is_refused() -> None:
    with pytest.raises(NotCanonicalError, match="levels deep"):
        encode(nested(MAX_DEPTH + 1))


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotCanonicalError, match="levels deep"):
        check(loop)


def test_a_refusal_does_not_repeat_the_text() -> None:
    with pytest.raises(NotCanonicalError) as refusal:
        encode({"my secret diary \ud800": 1})
    assert "diary" not in str(refusal.value)


def test_hashing_parts_is_hashing_them_joined() -> None:
    assert sha256(b"a", b"bc") == sha256(b"abc")


def test_a_list_that_holds_itself_twice_is_refused_at_once() -> None:
    value: list[Any] = []
    value += [value, value]
    with pytest.raises(NotCanonicalError, match="nested"):
        encode(value)


def test_a_mapping_that_holds_itself_twice_is_refused_at_once() -> None:
    value: dict[str, Any] = {}
    value |= {"a": value, "b": [value]}
    with pytest.raises(NotCanonicalError, match="nested"):
        encode(value)
