"""The form that an answer must have, and answers read by it."""

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.errors import ConfigError
from tract.formats.structured import AnswerForm, answer_form, is_strict, read_answer
from tract.formats.values import WrongValueError

T = TypeVar("T")


@attrs.frozen
class Step:
    what: str
    kind: Literal["go", "wait"]


@attrs.frozen
class Plan:
    """What to do."""

    name: str = attrs.field(validator=attrs.validators.max_len(5))
    steps: list[Step]
    seconds: float | None


@attrs.frozen
class Node:
    value: int
    below: "list[Node]"


@attrs.frozen
class Page(Generic[T]):
    items: list[T]


@dataclass
class Point:
    x: int
    y: int = 0


class Told(TypedDict):
    text: str
    sure: NotRequired[bool]


class Short(msgspec.Struct):
    text: str


@attrs.define
class Sum:
    parts: list[int]
    total: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.total = sum(self.parts)


@dataclass
class Area:
    side: int
    size: int = dataclass_field(init=False)

    def __post_init__(self) -> None:
        self.size = self.side**2


def sent(form: AnswerForm) -> dict[str, Any]:
    found: dict[str, Any] = dict(form.sent["json_schema"])
    return found


def test_a_class_is_sent_as_a_strict_schema() -> None:
    step = {
        "title": "Step",
        "type": "object",
        "properties": {"what": {"type": "string"}, "kind": {"enum": ["go", "wait"], "type": "string"}},
        "required": ["what", "kind"],
        "additionalProperties": False,
    }
    assert answer_form(Plan).sent == {
        "type": "json_schema",
        "json_schema": {
            "name": "Plan",
            "schema": {
                "title": "Plan",
                "description": "What to do.",
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
                    "seconds": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                },
                "required": ["name", "steps", "seconds"],
                "additionalProperties": False,
                "$defs": {"Step": step},
            },
            "strict": True,
        },
    }


def test_a_class_that_holds_itself_has_an_object_at_the_root() -> None:
    schema = sent(answer_form(Node))["schema"]
    assert (schema["type"], list(schema["$defs"])) == ("object", ["Node"])


def test_a_class_with_parameters_has_a_name_that_providers_take() -> None:
    assert sent(answer_form(Page[Step]))["name"] == "Page"


@pytest.mark.parametrize("kind", [Point, Told])
def test_a_class_with_a_field_that_may_be_left_out_is_not_strict(kind: Any) -> None:
    assert "strict" not in sent(answer_form(kind))


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
NOT_STRICT: dict[str, dict[str, Any]] = {
    "other properties": {**STRICT, "additionalProperties": True},
    "nothing said of other properties": {name: value for name, value in STRICT.items() if name != "additionalProperties"},
    "a property that is not required": {**STRICT, "required": []},
    "a default": {**STRICT, "properties": {"a": {"type": "string", "default": ""}}},
    "a part without a type": {**STRICT, "properties": {"a": {}}},
    "an array of anything": {**STRICT, "properties": {"a": {"type": "array"}}},
    "an array at the root": {"type": "array", "items": STRICT},
    "a reference with a description": {**STRICT, "properties": {"a": {"$ref": "#", "description": "x"}}},
    "a definition that is not": {**STRICT, "$defs": {"X": {"type": "object"}}},
    "definitions of another type": {**STRICT, "$defs": []},
    "a keyword that is not known": {**STRICT, "patternProperties": {}},
    "types that are a list": {**STRICT, "properties": {"a": {"type": ["string", "null"]}}},
    "alternatives that are not": {**STRICT, "properties": {"a": {"anyOf": [{}]}}},
    "required that is no list": {**STRICT, "required": 5},
}


def test_a_schema_with_all_that_the_mode_wants_is_strict() -> None:
    assert is_strict(STRICT)


@pytest.mark.parametrize("what", NOT_STRICT)
def test_a_schema_that_the_mode_may_refuse_is_not_strict(what: str) -> None:
    assert not is_strict(NOT_STRICT[what])


def test_a_schema_is_sent_by_its_title() -> None:
    assert answer_form({**STRICT, "title": "Two words"}).sent == {
        "type": "json_schema",
        "json_schema": {"name": "Two_words", "schema": {**STRICT, "title": "Two words"}, "strict": True},
    }


def test_a_schema_without_a_title_is_an_answer() -> None:
    assert sent(answer_form({"type": "array"})) == {"name": "answer", "schema": {"type": "array"}}


OWN: list[dict[str, Any]] = [
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": STRICT, "strict": False}},
]


@pytest.mark.parametrize("given_form", OWN, ids=lambda form: form["type"])
def test_a_form_of_openai_is_sent_as_it_is(given_form: dict[str, Any]) -> None:
    assert answer_form(given_form).sent == given_form


REFUSED: dict[str, Any] = {
    "a builtin": int,
    "a list of a class": list[Plan],
    "an instance": Point(1),
    "a word": "json_object",
    "an empty mapping": {},
    "another type": {"type": "grammar"},
    "a type that is no word": {"type": [["object"], 5, "grammar"]},
    "a form without its schema": {"type": "json_schema", "schema": STRICT},
    "a form without a name": {"type": "json_schema", "json_schema": {"schema": STRICT}},
    "what is no JSON": {"type": "object", "default": {1}},
    "a field without a schema": attrs.make_class("Odd", {"a": attrs.field(type=complex)}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_form_is_refused(what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        answer_form(REFUSED[what])
    assert caught.value.field == "response_format"


READ: dict[str, tuple[Any, str, Any]] = {
    "an attrs class": (
        Plan,
        '{"name": "a", "steps": [{"what": "b", "kind": "go"}], "seconds": null}',
        Plan("a", [Step("b", "go")], None),
    ),
    "a class that holds itself": (Node, '{"value": 1, "below": [{"value": 2, "below": []}]}', Node(1, [Node(2, [])])),
    "a class with parameters": (Page[Step], '{"items": [{"what": "b", "kind": "go"}]}', Page([Step("b", "go")])),
    "a dataclass": (Point, ' {"x": 1}\n', Point(1)),
    "a typed dict": (Told, '{"text": "a"}', {"text": "a"}),
    "a struct": (Short, '{"text": "a"}', Short("a")),
    "a class that works out a field itself": (Sum, '{"parts": [1, 2], "total": 4}', Sum([1, 2])),
    "a dataclass that works out a field itself": (Area, '{"side": 3, "size": 10}', Area(3)),
    "one that the model was silent about": (Sum, '{"parts": [1, 2]}', Sum([1, 2])),
    "a schema": ({"type": "array"}, "[1, null]", [1, None]),
    "a schema of two types": ({"type": ["array", "null"]}, "null", None),
    "a schema without a type": ({"enum": [1, 2]}, "1", 1),
    "any object": ({"type": "json_object"}, '{"a": 1}', {"a": 1}),
    "any text": ({"type": "text"}, "not JSON", None),
}


@pytest.mark.parametrize("what", READ)
def test_an_answer_of_the_form_is_read(what: str) -> None:
    kind, text, value = READ[what]
    assert read_answer(answer_form(kind), text) == value


WRONG: dict[str, tuple[Any, str, str]] = {
    "no JSON": (Point, "Sure! Here it is.", "it is not valid JSON"),
    "JSON in a fence": (Point, '```json\n{"x": 1}\n```', "it is not valid JSON"),
    "half of it": (Point, '{"x": 1', "it is not valid JSON"),
    "nothing": (Point, "", "it is not valid JSON"),
    "a list": (Point, "[1]", "it must be an object"),
    "a missing field": (Point, '{"y": 1}', "at x: it is required"),
    "an unknown field": (Point, '{"x": 1, "z": 2}', "it has a field that is not known, z"),
    "another type within": (
        Plan,
        '{"name": "a", "steps": [{"what": 5}], "seconds": 1}',
        "at steps[0].what: expected `str`, got `int`",
    ),
    "what a validator refuses": (Plan, '{"name": "too long", "steps": [], "seconds": 1}', "it is refused (ValueError)"),
    "another type than the schema's": ({"type": "array"}, "{}", "it must be of the type array"),
    "a list in the place of any object": ({"type": "json_object"}, "[]", "it must be of the type object"),
    "truth for a number": ({"type": ["integer", "null"]}, "true", "it must be of the type integer or null"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_answer_of_another_form_is_refused_without_its_text(what: str) -> None:
    kind, text, reason = WRONG[what]
    with pytest.raises(WrongValueError) as caught:
        read_answer(answer_form(kind), text)
    assert str(caught.value) == reason


steps = st.builds(Step, st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["go", "wait"]))
plans = st.builds(Plan, st.text("abc", max_size=5), st.lists(steps), st.none() | st.floats(allow_nan=False, allow_infinity=False))


@given(plans)
def test_what_is_written_by_the_schema_is_read_as_it_was(plan: Plan) -> None:
    assert read_answer(answer_form(Plan), msgspec.json.encode(plan).decode()) == plan
