"""Functions as tools: their schemas, and what a model calls them with."""

import enum
import functools
import inspect
import json
import keyword
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.domain import canonical
from tract.errors import ConfigError, ToolArgumentsError
from tract.formats.tools import Tool, read_arguments, tool_schema, tool_schemas


def stripped(text: str) -> str:
    return text.strip()


@attrs.frozen
class Place:
    """Where something is."""

    name: str = attrs.field(converter=stripped, validator=attrs.validators.min_len(1))
    height: float = 0.0


@dataclass
class Route:
    places: list[Place]
    via: "Route | None" = None
    names: dict[str, Place] = field(default_factory=dict)


class Filter(TypedDict):
    kind: Literal["road", "path"]
    near: NotRequired[Place]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Odd(msgspec.Struct):
    text: str

    def __post_init__(self) -> None:
        raise KeyError(self.text)


def odd(value: Odd) -> None: ...


class Deep(msgspec.Struct, forbid_unknown_fields=True):
    day: date


def plain(query: str, limit: int = 3) -> str:
    """Search the web.

    Args:
        query: What to look for.
        limit: At most so many.
    """
    return query * limit


async def coroutine(query: str) -> str:
    """Search the web."""
    return query


def rich(
    place: Place,
    route: Route | None = None,
    filters: Sequence[Filter] = (),
    colour: Colour = Colour.RED,
    deep: Deep | None = None,
    pair: tuple[int, Place] | None = None,
    mixed: int | list[Place] | None = None,
    noted: Annotated[str, "a note"] = "",
    bounded: Annotated[int, msgspec.Meta(ge=1, description="from one")] = 1,
) -> None: ...


class Search:
    """Searches."""

    def method(self, query: str) -> str:
        """Search the web."""
        return query

    def __call__(self, query: str) -> str:
        return query


if TYPE_CHECKING:
    from tract import AsyncTract as Elsewhere


def returning(query: "str") -> "Elsewhere":
    raise KeyError(query)


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def nothing() -> None: ...


def parameters(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = tool_schema(tool)["function"]["parameters"]
    return found


def described(name: str, description: str | None, **properties: Any) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name} if description is None else {"name": name, "description": description}
    function["parameters"] = {"type": "object", "properties": properties, "additionalProperties": False}
    if properties:
        function["parameters"]["required"] = [key for key, value in properties.items() if "default" not in value]
    return {"type": "function", "function": function}


QUERY = {"type": "string"}
FUNCTIONS: dict[str, tuple[Tool, dict[str, Any]]] = {
    "a function": (
        plain,
        described(
            "plain",
            "Search the web.",
            query={"type": "string", "description": "What to look for."},
            limit={"type": "integer", "description": "At most so many.", "default": 3},
        ),
    ),
    "a coroutine function": (coroutine, described("coroutine", "Search the web.", query=QUERY)),
    "a bound method": (Search().method, described("method", "Search the web.", query=QUERY)),
    "an object that is called": (Search(), described("Search", "Searches.", query=QUERY)),
    "a partial by position": (
        functools.partial(plain, "x"),
        described("plain", "Search the web.", limit={"type": "integer", "description": "At most so many.", "default": 3}) | {},
    ),
    "a partial by name": (
        functools.partial(plain, limit=5),
        described("plain", "Search the web.", query={"type": "string", "description": "What to look for."}),
    ),
    "a wrapped function": (wrapped(coroutine), described("coroutine", "Search the web.", query=QUERY)),
    "a function whose result only type checkers know": (returning, described("returning", None, query=QUERY)),
    "a function without parameters": (nothing, described("nothing", None)),
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_a_function_is_described(what: str) -> None:
    tool, schema = FUNCTIONS[what]
    required = schema["function"]["parameters"].get("required")
    if required == []:
        del schema["function"]["parameters"]["required"]
    assert tool_schema(tool) == schema


def test_classes_are_described_once_beside_the_parameters() -> None:
    found = parameters(rich)
    assert found["required"] == ["place"]
    assert found["$defs"]["Place"] == {
        "title": "Place",
        "description": "Where something is.",
        "type": "object",
        "properties": {"name": {"type": "string"}, "height": {"type": "number", "default": 0.0}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert sorted(found["$defs"]) == ["Colour", "Deep", "Filter", "Place", "Route"]
    assert found["properties"]["place"] == {"$ref": "#/$defs/Place"}
    assert found["properties"]["mixed"] == {
        "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Place"}}, {"type": "integer"}, {"type": "null"}]
    }


def test_an_annotation_describes_its_parameter() -> None:
    found = parameters(rich)["properties"]
    assert found["noted"] == {"type": "string", "description": "a note", "default": ""}
    assert found["bounded"] == {"type": "integer", "minimum": 1, "description": "from one", "default": 1}


@dataclass
class Patient:
    seconds: float = float("inf")


def wait(seconds: float = float("inf"), how: Patient | None = None) -> None: ...


def test_a_default_that_json_does_not_have_is_left_out() -> None:
    found = parameters(wait)
    assert found["properties"]["seconds"] == {"type": "number"}
    assert found["$defs"]["Patient"]["properties"] == {"seconds": {"type": "number"}}


def test_a_schema_is_the_same_in_every_process() -> None:
    program = (
        "import json, typing; typing.Union[None, list, int]; from tests.unit.test_tools import *; "
        "print(json.dumps(tool_schemas([plain, rich, Search()])))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        )
        for seed in ("1", "2")
    ]
    assert {run.stdout for run in runs} == {json.dumps(tool_schemas([plain, rich, Search()])).encode() + b"\n"}


class Position(NamedTuple):
    name: str
    row: int = 0


ARRAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "list": (list, {"type": "array", "items": {}}),
    "tuple": (tuple, {"type": "array", "items": {}}),
    "tuple of one type": (
        tuple[float, float],
        {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "number"}] * 2, "items": {"type": "number"}},
    ),
    "tuple of several": (
        tuple[str, int],
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
    ),
    "empty tuple": (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0, "items": {}}),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_an_array_says_what_its_items_are_which_openai_wants_of_each(what: str) -> None:
    kind, schema = ARRAYS[what]

    def tool(value: Any) -> None: ...

    tool.__annotations__ = {"value": kind}
    assert parameters(tool)["properties"]["value"] == schema


def test_a_named_tuple_says_what_its_items_are() -> None:
    def tool(value: Position) -> None: ...

    assert parameters(tool)["$defs"]["Position"] == {
        "title": "Position",
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "prefixItems": [{"type": "string"}, {"type": "integer", "default": 0}],
        "items": {"anyOf": [{"type": "integer", "default": 0}, {"type": "string"}]},
    }


def test_the_order_of_a_union_makes_no_difference() -> None:
    def one(value: list[int | str]) -> None: ...

    def other(value: list[str | int]) -> None: ...

    assert parameters(one) == parameters(other)


FUNCTION = {"name": "search", "description": "Search.", "parameters": {"type": "object", "properties": {"q": QUERY}}}
RAW: dict[str, Mapping[str, Any]] = {
    "OpenAI's form": {"type": "function", "function": FUNCTION},
    "the bare function": FUNCTION,
    "the flat form": {"type": "function", **FUNCTION},
    "Anthropic's form": {"name": "search", "description": "Search.", "input_schema": FUNCTION["parameters"]},
    "a mapping that is no dict": MappingProxyType({"function": MappingProxyType(FUNCTION)}),
}


@pytest.mark.parametrize("form", RAW)
def test_a_schema_of_any_form_becomes_that_of_openai(form: str) -> None:
    assert tool_schema(RAW[form]) == {"type": "function", "function": FUNCTION}


def test_a_schema_is_copied() -> None:
    properties: dict[str, Any] = {}
    given = {"name": "search", "parameters": {"type": "object", "properties": properties}}
    schema = tool_schema(given)
    properties["more"] = QUERY
    assert schema["function"]["parameters"] == {"type": "object", "properties": {}}


def unhinted(query, limit: int = 3): ...  # type: ignore[no-untyped-def]


def starred(query: str, *more: str) -> None: ...


def keyed(query: str, **more: str) -> None: ...


def positional(query: str, /) -> None: ...


def strange(query: str, when: complex) -> None: ...


def unresolved(query: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def two_classes(one: Place | Route) -> None: ...


loop: dict[str, Any] = {"name": "search"}
loop["parameters"] = loop
REFUSED: dict[str, tuple[Any, str]] = {
    "a parameter without a hint": ([plain, unhinted], "tools[1].query"),
    "starred parameters": ([starred], "tools[0].more"),
    "parameters of any name": ([keyed], "tools[0].more"),
    "a positional parameter": ([positional], "tools[0].query"),
    "a type without a schema": ([strange], "tools[0].when"),
    "a hint that leads nowhere": ([unresolved], "tools[0]"),
    "two classes that JSON cannot tell apart": ([two_classes], "tools[0].one"),
    "a lambda": ([lambda: 1], "tools[0]"),
    "a method of no object": ([Search.method], "tools[0].self"),
    "a class": ([Search], "tools[0]"),
    "a number": ([7], "tools[0]"),
    "the same name twice": ([plain, {"name": "plain"}], "tools[1]"),
    "a name that no provider takes": ([{"name": "two words"}], "tools[0]"),
    "no name": ([{"description": "x"}], "tools[0]"),
    "an unknown key": ([{"name": "a", "colour": 1}], "tools[0]"),
    "another type": ([{"type": "web_search"}], "tools[0]"),
    "another type around a function": ([{"type": "custom", "function": FUNCTION}], "tools[0]"),
    "a function that is no object": ([{"type": "function", "function": "search"}], "tools[0]"),
    "parameters that are no object": ([{"name": "a", "parameters": {"type": "array"}}], "tools[0]"),
    "parameters that are no schema": ([{"name": "a", "parameters": "x"}], "tools[0]"),
    "a description that is no text": ([{"name": "a", "description": 5}], "tools[0]"),
    "what is no JSON": ([{"name": "a", "parameters": {"default": {1}}}], "tools[0]"),
    "a number that JSON does not have": ([{"name": "a", "parameters": {"default": float("nan")}}], "tools[0]"),
    "a schema that holds itself": ([loop], "tools[0]"),
    "one function": (plain, "tools"),
    "one schema": (FUNCTION, "tools"),
    "a string": ("plain", "tools"),
    "None in their place": (None, "tools"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_tool_is_refused_by_its_place(what: str) -> None:
    tools, place = REFUSED[what]
    with pytest.raises(ConfigError) as caught:
        tool_schemas(tools)
    assert caught.value.field == place


def test_tools_keep_their_order_whatever_holds_them() -> None:
    assert [schema["function"]["name"] for schema in tool_schemas(iter((plain, coroutine)))] == ["plain", "coroutine"]


PLACE = {"name": "  home "}
HOME = Place("home")
READ: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "nothing": (nothing, "", {}),
    "blank": (nothing, " \n", {}),
    "an empty object": (nothing, "{}", {}),
    "what was left to its default": (plain, '{"query": "a"}', {"query": "a"}),
    "everything": (plain, '{"limit": 5, "query": "ä"}', {"query": "ä", "limit": 5}),
    "an attrs class with its converters": (rich, json.dumps({"place": PLACE}), {"place": HOME}),
    "null": (rich, json.dumps({"place": PLACE, "route": None}), {"place": HOME, "route": None}),
    "classes within classes": (
        rich,
        json.dumps({"place": PLACE, "route": {"places": [PLACE], "via": {"places": []}, "names": {"x": PLACE}}}),
        {"place": HOME, "route": Route([HOME], Route([]), {"x": HOME})},
    ),
    "a typed dict": (
        rich,
        json.dumps({"place": PLACE, "filters": [{"kind": "road", "near": PLACE}]}),
        {"place": HOME, "filters": [{"kind": "road", "near": HOME}]},
    ),
    "an enum": (rich, json.dumps({"place": PLACE, "colour": "blue"}), {"place": HOME, "colour": Colour.BLUE}),
    "a struct": (
        rich,
        json.dumps({"place": PLACE, "deep": {"day": "2026-01-02"}}),
        {"place": HOME, "deep": Deep(date(2026, 1, 2))},
    ),
    "a tuple": (rich, json.dumps({"place": PLACE, "pair": [1, PLACE]}), {"place": HOME, "pair": (1, HOME)}),
    "one of several types": (rich, json.dumps({"place": PLACE, "mixed": [PLACE]}), {"place": HOME, "mixed": [HOME]}),
    "another of them": (rich, json.dumps({"place": PLACE, "mixed": 4}), {"place": HOME, "mixed": 4}),
}


@pytest.mark.parametrize("what", READ)
def test_arguments_become_what_the_hints_say(what: str) -> None:
    function, arguments, values = READ[what]
    assert read_arguments(function, arguments) == values


WRONG: dict[str, tuple[Callable[..., Any], str, str]] = {
    "no JSON": (plain, '{"query": "secret', "it is not valid JSON"),
    "a list": (plain, '["secret"]', "they must be a JSON object"),
    "null in the place of an object": (plain, "null", "they must be a JSON object"),
    "a missing parameter": (plain, '{"limit": 3}', "the parameter query is missing"),
    "an unknown parameter": (plain, '{"query": "a", "more": "secret"}', "there is no parameter more"),
    "an unknown parameter with a long name": (plain, '{"secret %s": 1}' % ("x" * 50), "there is no parameter (a key)"),
    "text for a number": (plain, '{"query": "a", "limit": "5"}', "at limit: expected `int`, got `str`"),
    "a number for text": (plain, '{"query": 5}', "at query: expected `str`, got `int`"),
    "a number out of its bounds": (rich, '{"place": {"name": "a"}, "bounded": 0}', "at bounded: expected `int` >= 1"),
    "none of the words": (
        rich,
        '{"place": {"name": "a"}, "colour": "secret"}',
        "at colour: it is not one of the values that are allowed",
    ),
    "what a validator refuses": (rich, '{"place": {"name": " "}}', "at place: it is refused (ValueError)"),
    "what a struct refuses in its own way": (odd, '{"value": {"text": "secret"}}', "at value: it is refused (KeyError)"),
    "a field of a class that is missing": (rich, '{"place": {}}', "at place.name: it is required"),
    "a field that a class has not": (
        rich,
        '{"place": {"name": "a", "secret": 1}}',
        "at place: it has a field that is not known, secret",
    ),
    "a list in the place of an object": (rich, '{"place": []}', "at place: it must be an object"),
    "an object in the place of a list": (rich, '{"place": {"name": "a"}, "filters": {}}', "at filters: it must be an array"),
    "something wrong deep within": (
        rich,
        '{"place": {"name": "a"}, "route": {"places": [], "names": {"secret": {"name": 5}}}}',
        "at route.names[...].name: expected `str`, got `int`",
    ),
    "a tuple of another length": (rich, '{"place": {"name": "a"}, "pair": [1]}', "at pair: it must be an array of 2"),
    "none of several types": (
        rich,
        '{"place": {"name": "a"}, "mixed": "secret"}',
        "at mixed: it is of none of the types that are allowed",
    ),
    "a lone surrogate": (plain, '{"query": "\ud800"}', "it is not valid JSON"),
    "no end of brackets": (plain, "[" * 100_000, "it is nested too deep"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_refused_with_what_a_model_may_be_told(what: str) -> None:
    function, arguments, reason = WRONG[what]
    with pytest.raises(ToolArgumentsError) as caught:
        read_arguments(function, arguments)
    assert (caught.value.tool, caught.value.reason) == (function.__name__, reason)


def test_what_a_partial_gave_is_not_the_models_to_give() -> None:
    with pytest.raises(ToolArgumentsError, match="there is no parameter limit"):
        read_arguments(functools.partial(plain, limit=5), '{"query": "a", "limit": 7}')


texts = st.text(st.characters(exclude_categories=["Cs"]))
KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (str, texts),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (list[int], st.lists(st.integers())),
    (dict[str, float], st.dictionaries(texts, st.floats(0, 1))),
    (Literal["a", "b"], st.sampled_from("ab")),
    (int | None, st.none() | st.integers()),
    (list[list[str] | None], st.lists(st.none() | st.lists(texts))),
    (Any, st.none() | texts),
    (Place, st.builds(Place, st.just("x"), st.floats(0, 9))),
    (list[Place | None], st.lists(st.none() | st.builds(Place, st.just("x")))),
    (Colour, st.sampled_from(Colour)),
]
names = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))


@st.composite
def signatures(draw: st.DrawFn) -> tuple[Callable[..., Any], dict[str, Any], set[str]]:
    """A function of any parameters, arguments for it, and which of them must be given."""
    kinds = draw(st.dictionaries(names, st.sampled_from(KINDS), max_size=5))
    optional = draw(st.sets(st.sampled_from(sorted(kinds)))) if kinds else set()
    given = {name: draw(values) for name, (_, values) in kinds.items() if name not in optional or draw(st.booleans())}

    def function() -> None: ...

    empty = inspect.Parameter.empty
    function.__annotations__ = {name: kind for name, (kind, _) in kinds.items()}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None if name in optional else empty, annotation=kind)
            for name, (kind, _) in kinds.items()
        ]
    )
    return function, given, kinds.keys() - optional


@given(signatures())
def test_what_a_schema_asks_for_is_what_is_read(drawn: tuple[Callable[..., Any], dict[str, Any], set[str]]) -> None:
    function, given_values, required = drawn
    found = parameters(function)
    canonical.check(found)
    assert set(found.get("required", ())) == required
    assert given_values.keys() <= found["properties"].keys()
    arguments = json.dumps(msgspec.to_builtins(given_values))
    assert read_arguments(function, arguments) == given_values


@given(signatures(), st.data())
def test_without_what_is_required_nothing_is_read(
    drawn: tuple[Callable[..., Any], dict[str, Any], set[str]], data: st.DataObject
) -> None:
    function, given_values, required = drawn
    if not required:
        return
    gone = data.draw(st.sampled_from(sorted(required)))
    arguments = json.dumps(msgspec.to_builtins({name: value for name, value in given_values.items() if name != gone}))
    with pytest.raises(ToolArgumentsError):
        read_arguments(function, arguments)
