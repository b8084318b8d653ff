"""Structured output: the form that an answer must have, and the answer read by it.

Pure. Imports `typed`, `domain` and `errors`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

import msgspec
from attrs import frozen

from tract.domain import canonical
from tract.errors import ConfigError
from tract.formats.typed import NoSchemaError, Schema, schemas_of, value_of
from tract.formats.values import WrongValueError, decode_json, is_declared, plain_json

_FIELD = "response_format"
_not_in_names = re.compile(r"[^A-Za-z0-9_-]")
_JSON_TYPES: Mapping[str, tuple[type[Any], ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_STRICT_KEYS = frozenset({"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref"})
_HARMLESS_KEYS = frozenset({"$defs", "title", "description"})


@frozen(eq=False, repr=False)
class AnswerForm:
    """What an answer must look like.

    Attributes:
        sent: That in the format of OpenAI's Chat Completions.
        kind: The class that the answer is made an instance of; None where it
            is given as JSON.
        schema: What the answer must follow; empty for any JSON, and None where
            any text is right.
    """

    sent: Mapping[str, Any]
    kind: Any
    schema: Mapping[str, Any] | None


_FORMS = "an attrs class, a dataclass, a TypedDict, a JSON schema or a mapping of OpenAI's"


def _given(wanted: object) -> str:
    """Return what a caller gave in the place of a form, and what to give instead where that is known."""
    if hasattr(wanted, "model_json_schema"):
        return "a pydantic model; give its model_json_schema(), and model_validate(response.parsed)"
    if get_origin(wanted) is not None:
        return f"{wanted}; give a class that has it as a field"
    return f"the class {wanted.__name__}" if isinstance(wanted, type) else type(wanted).__name__


def answer_form(wanted: Any) -> AnswerForm:
    """Return the form that a caller asks for.

    Args:
        wanted: An attrs class, dataclass, typed dict or msgspec Struct; a JSON
            schema; or a `response_format` of OpenAI's.

    Raises:
        ConfigError: It is none of them, or cannot be sent.
    """
    if isinstance(wanted, Mapping):
        return _form_of_mapping(wanted)
    if not is_declared(wanted) and not (isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)):
        raise ConfigError(_FIELD, f"it must be {_FORMS}, not {_given(wanted)}")
    try:
        schema = _schema_of_class(wanted)
    except (NoSchemaError, canonical.NotCanonicalError) as exc:
        raise ConfigError(_FIELD, "a field's type has no JSON schema; take those of JSON, or classes of such fields") from exc
    return AnswerForm(_sent(getattr(wanted, "__name__", ""), schema), wanted, schema)


def read_answer(form: AnswerForm, text: str) -> Any:
    """Return what an answer says, in the form that was asked for.

    For a class, its converters and validators have run. Of JSON, the outermost
    type is checked, as no schema is followed further than that here. None
    where any text is right.

    Raises:
        WrongValueError: It has not that form.
    """
    if form.schema is None:
        return None
    value = decode_json(text)
    if form.kind is not None:
        return value_of(value, form.kind)
    names = _type_names(form.schema)
    if names and type(value) not in {kind for name in names for kind in _JSON_TYPES.get(name, ())}:
        raise WrongValueError("", f"it must be of the type {' or '.join(names)}")
    return value


def _type_names(schema: Mapping[str, Any]) -> list[str]:
    named = schema.get("type")
    return [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)]


def _form_of_mapping(wanted: Mapping[str, Any]) -> AnswerForm:
    try:
        given = plain_json(wanted)
        canonical.check(given)
    except (canonical.NotCanonicalError, WrongValueError) as exc:
        raise ConfigError(_FIELD, f"it cannot be stored: {exc}") from exc
    kind = given.get("type")
    if kind == "text":
        return AnswerForm(given, None, None)
    if kind == "json_object":
        return AnswerForm(given, None, {"type": "object"})
    if kind == "json_schema":
        inner = given.get("json_schema")
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not isinstance(inner.get("schema"), dict):
            raise ConfigError(_FIELD, "with the type json_schema it needs json_schema, an object with name and schema")
        return AnswerForm(given, None, inner["schema"])
    if not given or not set(_type_names(given)) <= _JSON_TYPES.keys():
        raise ConfigError(_FIELD, "its type must be one of JSON schema's, or text, json_object or json_schema")
    title = given.get("title")
    return AnswerForm(_sent(title if isinstance(title, str) else "", given), None, given)


def _sent(name: str, schema: Schema) -> Schema:
    named: Schema = {"name": _not_in_names.sub("_", name)[:64] or "answer", "schema": schema}
    if is_strict(schema):
        named["strict"] = True
    return {"type": "json_schema", "json_schema": named}


def _schema_of_class(kind: Any) -> Schema:
    """Return the schema of a class, an object at the root as OpenAI wants it."""
    (root,), parts = schemas_of([kind])
    name = root.get("$ref", "").removeprefix("#/$defs/")
    schema = dict(parts[name]) if name else root
    if not any(reference == root.get("$ref") for part in parts.values() for reference in _references(part)):
        parts.pop(name, None)
    if schema.get("type") != "object":
        raise ConfigError(_FIELD, "its JSON must be an object")
    if parts:
        schema["$defs"] = parts
    canonical.check(schema)
    return schema


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Say whether OpenAI's strict mode takes a schema, as far as is certain.

    Every object names all its properties as required and takes no others, each
    part has a type, and no keyword is used that the mode was ever without:
    https://platform.openai.com/docs/guides/structured-outputs.
    """
    parts = schema.get("$defs", {})
    return (
        schema.get("type") == "object" and _is_strict(schema) and isinstance(parts, dict) and all(map(_is_strict, parts.values()))
    )


def _is_strict(schema: Any) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _STRICT_KEYS | _HARMLESS_KEYS:
        return False
    if "$ref" in schema:
        return len(schema) == 1
    if "anyOf" in schema:
        return "type" not in schema and isinstance(schema["anyOf"], list) and all(map(_is_strict, schema["anyOf"]))
    kind = schema.get("type")
    if kind == "object":
        properties, required = schema.get("properties"), schema.get("required", [])
        return (
            isinstance(properties, dict)
            and schema.get("additionalProperties") is False
            and isinstance(required, list)
            and all(name in required for name in properties)
            and all(map(_is_strict, properties.values()))
        )
    if kind == "array":
        return _is_strict(schema.get("items"))
    return isinstance(kind, str) and kind in _JSON_TYPES
