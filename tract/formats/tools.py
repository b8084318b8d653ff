"""Tools: what a model may call, as schemas, and what it called them with.

A tool is a function whose type hints and docstring say what it takes, or a
schema as providers have them. Pure. Imports `docstrings`, `typed`, `domain`
and `errors`; `tool_schemas` is where to begin reading.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints

from attrs import frozen

from tract.domain import canonical
from tract.domain.content import require_tool_name
from tract.domain.texts import key_name
from tract.errors import ConfigError, ContentValidationError, ToolArgumentsError
from tract.formats.docstrings import read_docstring
from tract.formats.typed import NoSchemaError, Schema, can_be_sent, has_schema, schemas_of, value_of
from tract.formats.values import WrongValueError, decode_json, plain_json

Tool: TypeAlias = Callable[..., Any] | Mapping[str, Any]
"""A function with type hints, or a schema in the form of OpenAI or Anthropic."""


def tool_schemas(tools: Iterable[Tool]) -> tuple[Schema, ...]:
    """Return the schemas of *tools*, in their order.

    Raises:
        ConfigError: One is no tool, or two have one name; it is named as `tools[0]`.
    """
    if isinstance(tools, (str, bytes, Mapping)) or callable(tools) or not isinstance(tools, Iterable):
        raise ConfigError("tools", "it must be a list of functions and schemas; one alone is written tools=[tool]")
    schemas: dict[str, Schema] = {}
    for number, tool in enumerate(tools):
        schema = tool_schema(tool, f"tools[{number}]")
        name = schema["function"]["name"]
        if name in schemas:
            raise ConfigError(f"tools[{number}]", f"another tool is called {name!r} already")
        schemas[name] = schema
    return tuple(schemas.values())


def tool_schema(tool: Tool, field: str = "tool") -> Schema:
    """Return the schema of *tool*, in the format of OpenAI's Chat Completions.

    A function's name is the tool's, the first paragraph of its docstring the
    description. A parameter is described by its type hint, by an `Annotated`
    text or by its entry in the docstring, in Google's form or Sphinx's; one
    with a default is not required. What `functools.partial` gives by name is
    not the model's to give. The same function has the same schema in every process.

    Args:
        tool: The function or schema.
        field: How errors name it.

    Raises:
        ConfigError: It is no tool, a parameter has no type hint or one without
            a JSON schema, or a schema is malformed.
    """
    schema = _of_mapping(tool, field) if isinstance(tool, Mapping) else _of_function(tool, field)
    try:
        canonical.check(schema)
    except canonical.NotCanonicalError as exc:
        raise ConfigError(field, f"its schema cannot be stored: {exc}") from exc
    function = schema["function"]
    try:
        require_tool_name(field, function.get("name"))
    except ContentValidationError as exc:
        raise ConfigError(field, exc.reason) from exc
    parameters = function.get("parameters", {})
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise ConfigError(field, "its parameters must be a JSON schema of the type object")
    if not isinstance(function.get("description", ""), str):
        raise ConfigError(field, "its description must be a string")
    return schema


def read_arguments(function: Callable[..., Any], arguments: str) -> dict[str, Any]:
    """Return what a model gave, as keyword arguments of *function*.

    Each is of its parameter's type; one that was not given is not in it, so
    that the function's own default holds. Nothing is guessed: the string "5"
    is not the number.

    Args:
        function: The tool.
        arguments: JSON as the model wrote it; an empty string is no arguments.

    Raises:
        ToolArgumentsError: It is not a JSON object, or lacks a parameter, has
            another one or one of another type.
        ConfigError: The function cannot be a tool.
    """
    signature = _signature(function, "function")
    try:
        given = decode_json(arguments) if arguments.strip() else {}
        if not isinstance(given, dict):
            raise WrongValueError("", "they must be a JSON object")
        for name in given:
            if name not in signature.parameters:
                raise WrongValueError("", f"there is no parameter {key_name(name)}")
        for name, parameter in signature.parameters.items():
            if parameter.is_required and name not in given:
                raise WrongValueError("", f"the parameter {name} is missing")
        return {name: _argument(name, given[name], each) for name, each in signature.parameters.items() if name in given}
    except WrongValueError as exc:
        raise ToolArgumentsError(signature.name, str(exc)) from exc


def _argument(name: str, value: Any, parameter: "_Parameter") -> Any:
    try:
        return value_of(value, parameter.kind)
    except WrongValueError as exc:
        raise WrongValueError(f"{name}{exc.path}", exc.reason) from exc


@frozen
class _Parameter:
    kind: Any
    is_required: bool
    default: Any


@frozen
class _Signature:
    name: str
    doc: str | None
    parameters: Mapping[str, _Parameter]


def _of_function(tool: Callable[..., Any], field: str) -> Schema:
    signature = _signature(tool, field)
    doc = read_docstring(signature.doc)
    schemas, parts = _schemas_of(signature, field)
    properties = dict(zip(signature.parameters, schemas, strict=True))
    for name, parameter in signature.parameters.items():
        text = _annotated_text(parameter.kind) or doc.parameters.get(name)
        if text:
            properties[name].setdefault("description", text)
        if parameter.default is not None and can_be_sent(parameter.default):
            properties[name].setdefault("default", plain_json(parameter.default))
    parameters: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [name for name, parameter in signature.parameters.items() if parameter.is_required]
    if required:
        parameters["required"] = required
    if parts:
        parameters["$defs"] = parts
    described = {"description": doc.summary} if doc.summary else {}
    return {"type": "function", "function": {"name": signature.name, **described, "parameters": parameters}}


def _schemas_of(signature: _Signature, field: str) -> tuple[list[Schema], dict[str, Schema]]:
    try:
        # Together, so that two classes of one name are told apart by their modules.
        return schemas_of([parameter.kind for parameter in signature.parameters.values()])
    except NoSchemaError as exc:
        for name, parameter in signature.parameters.items():
            if not has_schema(parameter.kind):
                field = f"{field}.{name}"
                break
        reason = f"its type has no JSON schema; take one of JSON's, or a class of such fields, in {signature.name}()"
        raise ConfigError(field, reason) from exc


def _annotated_text(kind: Any) -> str | None:
    if get_origin(kind) is not Annotated:
        return None
    return next((each for each in get_args(kind)[1:] if isinstance(each, str)), None)


def _signature(tool: object, field: str) -> _Signature:
    if inspect.iscoroutine(tool):
        tool.close()  # or Python warns of it besides
        raise ConfigError(field, "it is a coroutine; give the function itself, without calling it")
    if not callable(tool) or isinstance(tool, type):
        given = "a class" if isinstance(tool, type) else type(tool).__name__
        raise ConfigError(field, f"a tool is a function with type hints, or a mapping with its schema, not {given}")
    function, name, doc = _underlying(tool)
    try:
        parameters = inspect.signature(tool).parameters
        hints = _hints(function)
    except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as exc:
        unknown = f": {exc.name} is not known there" if isinstance(exc, NameError) and exc.name else ""
        reason = f"the parameters of {name}() cannot be read ({type(exc).__name__}{unknown}); look at its type hints"
        raise ConfigError(field, reason) from exc
    bound = tool.keywords if isinstance(tool, functools.partial) else {}
    read = {each: _parameter(parameters[each], hints, f"{field}.{each}") for each in parameters if each not in bound}
    if name == "<lambda>":
        raise ConfigError(field, "a lambda has no name to be called by; define a function")
    return _Signature(name, doc, read)


def _hints(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:
        # What it returns may be known to type checkers alone, and is not needed.
        hints = {name: hint for name, hint in inspect.get_annotations(function).items() if name != "return"}
        described = SimpleNamespace(__annotations__=hints)
        return get_type_hints(described, function.__globals__, include_extras=True)


def _parameter(parameter: inspect.Parameter, hints: Mapping[str, Any], field: str) -> _Parameter:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise ConfigError(field, "a tool takes no * or ** parameters, for a model gives each by its name")
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise ConfigError(field, "it is positional-only, and a model gives parameters by name")
    if parameter.name not in hints:
        hint = f"{parameter.name}: str"
        raise ConfigError(field, f"it needs a type hint, such as {hint}, so that the model can be told what to give")
    return _Parameter(hints[parameter.name], parameter.default is inspect.Parameter.empty, parameter.default)


def _underlying(tool: Any) -> tuple[Any, str, str | None]:
    """Return the function that has the type hints of a callable, its name and its docstring."""
    while isinstance(tool, functools.partial):
        tool = tool.func
    name = getattr(tool, "__name__", None) or type(tool).__name__
    function = inspect.unwrap(tool)
    if inspect.isroutine(function):
        return function, name, inspect.getdoc(tool)
    call = type(function).__call__
    return call, name, call.__doc__ or inspect.getdoc(type(function))


_KEYS = frozenset({"type", "name", "description", "parameters", "input_schema", "strict"})


def _of_mapping(tool: Mapping[str, Any], field: str) -> Schema:
    """Return a copy of a schema in the form of OpenAI, out of that, Anthropic's or the bare function."""
    try:
        given = plain_json(tool)
    except WrongValueError as exc:
        raise ConfigError(field, f"its schema cannot be stored: {exc}") from exc
    if "function" in given:
        if not isinstance(given["function"], dict) or given.get("type", "function") != "function":
            raise ConfigError(field, "its type must be function, and its function an object")
        return {"type": "function", **given}
    unknown = sorted(key_name(key) for key in given if key not in _KEYS)
    if unknown:
        raise ConfigError(field, f"{unknown[0]} is no key of a tool's schema; there are name, description and parameters")
    if given.pop("type", "function") not in ("function", "custom"):
        raise ConfigError(field, "its type must be function")
    if "input_schema" in given:
        given["parameters"] = given.pop("input_schema")
    return {"type": "function", "function": given}
