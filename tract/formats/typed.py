"""Types as JSON schemas, and JSON values as values of them.

Pure. Imports `values` and `canonical`; `instances`, which loads cattrs, where a
type names a class of a caller's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from tract.domain import canonical
from tract.formats.values import declares, plain_value

_names = {str: "string", int: "integer", bool: "boolean"}

Schema: TypeAlias = dict[str, Any]


class NoSchemaError(ValueError):
    """A type has no JSON schema."""


def schemas_of(kinds: Sequence[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the JSON schema of each type, and by its name the schema of each class that they name.

    The same types have the same schemas in every process. An object with
    fields takes no others.

    Raises:
        NoSchemaError: One of them has none.
    """
    try:
        schemas, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
        return [_settled(schema) for schema in schemas], {name: _settled(parts[name]) for name in sorted(parts)}
    except (TypeError, NameError, AttributeError, ValueError, RecursionError) as exc:
        raise NoSchemaError from exc


def has_schema(kind: Any) -> bool:
    """Say whether a type has a JSON schema."""
    try:
        schemas_of([kind])
    except NoSchemaError:
        return False
    return True


def can_be_sent(value: Any) -> bool:
    """Say whether a default is JSON that can be sent and stored; infinity is not."""
    try:
        canonical.check(value)
    except canonical.NotCanonicalError:
        return False
    return True


def value_of(value: Any, kind: Any) -> Any:
    """Return a JSON value as one of the type *kind*, checked as strictly as its schema says.

    Raises:
        WrongValueError: It is not of that type.
    """
    if not declares(kind):
        return plain_value(value, kind)
    from tract.formats.instances import instance_of

    return instance_of(value, kind)


def _settled(schema: Any) -> Any:
    if isinstance(schema, (list, tuple)):
        return [_settled(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    settled = {name: _settled(each) for name, each in schema.items()}
    if "default" in settled and not can_be_sent(settled["default"]):
        del settled["default"]
    if isinstance(settled.get("enum"), list) and "type" not in settled:
        # OpenAI's strict mode wants a type in each part of a schema.
        kinds = {_names.get(type(each)) for each in settled["enum"]}
        if len(kinds) == 1 and None not in kinds:
            settled["type"] = kinds.pop()
    if settled.get("type") == "array" and not settled.get("items"):
        settled["items"] = _settled(_any_of(settled.get("prefixItems", [])))
    if settled.get("type") == "object" and "properties" in settled:
        settled["additionalProperties"] = False
    if isinstance(settled.get("anyOf"), list):
        # Python keeps one object for unions of the same types, so their order
        # is that of whichever was written first in the process.
        settled["anyOf"].sort(key=lambda each: (each == {"type": "null"}, canonical.encode(each)))
    return settled


def _any_of(schemas: Sequence[Schema]) -> Schema:
    """Return what items are of whose places each have a schema.

    OpenAI refuses an array without `items`, and reads past `prefixItems`.
    """
    distinct = [schema for number, schema in enumerate(schemas) if schema not in schemas[:number]]
    if len(distinct) > 1:
        return {"anyOf": distinct}
    return distinct[0] if distinct else {}
