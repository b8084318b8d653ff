"""What others call the settings of a model call, and what of a request is no setting.

Read by `LLMConfig.from_dict` and `LLMConfig.from_obj`. Imports only `errors`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from tract.errors import ConfigError

ALIASES: Mapping[str, str] = MappingProxyType(
    {"stop": "stop_sequences", "max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens"}
)
"""Fields by other names that providers have for them; where several are given, the first one counts."""

_CONTENT = "messages prompt input instructions system tools tool_choice parallel_tool_calls functions function_call"
_REQUEST = "response_format prediction stream stream_options n metadata user previous_response_id conversation"
_CONNECTION = "timeout max_retries base_url http_client extra_headers extra_query extra_body default_headers default_query"
PLUMBING = frozenset(f"{_CONTENT} {_REQUEST} {_CONNECTION}".split(" "))
"""Keys of a request, or of its connection, that say nothing of how a model is to be asked another time."""


def attributes_of(value: object, known: Sequence[str]) -> Mapping[str, Any]:
    """Return the public attributes of an object that settings may be read from.

    Those are the fields of an attrs class, a dataclass or a pydantic model,
    and of any other object the attributes that are *known* by name.

    Raises:
        ConfigError: It is a class, or a plain object that has none of them.
    """
    kind = type(value)
    if isinstance(value, type):
        raise ConfigError("value", f"it is a class; pass an instance, {value.__name__}(...)")
    fields: Mapping[str, Any] | None = None
    if attrs.has(kind):
        fields = attrs.asdict(value, recurse=False)  # type: ignore[arg-type]
    elif dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif callable(dump := getattr(value, "model_dump", None)):
        # A pydantic model, told by what it does: pydantic is no dependency.
        fields = dump()
    elif kind.__module__ != "builtins":
        # Not of a builtin: the stop of a slice ends no answer.
        fields = {name: getattr(value, name) for name in known if hasattr(value, name)} or None
    if not isinstance(fields, Mapping):
        raise ConfigError("value", f"a {kind.__name__} has none of the fields of LLMConfig, by their names or aliases")
    return {name: item for name, item in fields.items() if not str(name).startswith("_")}
