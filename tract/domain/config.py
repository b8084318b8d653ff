"""`LLMConfig`: how a model is asked.

Imports only `errors`, `canonical`, `plumbing` and `read_only`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypedDict

from attrs import Attribute, asdict, evolve, field, fields_dict, frozen

from tract.domain import canonical
from tract.domain.plumbing import ALIASES, PLUMBING, attributes_of
from tract.domain.read_only import hashable, plain, read_only
from tract.errors import ConfigError

_ALWAYS_SENT = frozenset({"messages", "stream", "stream_options"})
_word = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRETS = "auth authorization bearer cookie credential credentials jwt passphrase passwd password pwd secret secrets"
_secrets = frozenset(_SECRETS.split(" "))
"""Words that tell a credential wherever they stand in a name."""
_last_words = frozenset({"key", "keys", "signature", "token"})
"""Those that tell one at its end."""
_compounds = re.compile(r"(api|access|account|private|secret)_?(key|token)|(auth|refresh|session|bearer)token")
_harmless = frozenset({("prompt", "cache", "key"), ("cache", "key"), ("eos", "token"), ("bos", "token"), ("pad", "token")})


def _is_secret(key: str) -> bool:
    """Say whether a provider option looks like a credential, by the words of its name."""
    words = tuple(word.lower() for word in _word.findall(key))
    if not words or words in _harmless:
        return False
    if words[-1] in _last_words or ("key" in words[:-1] and words[-1] == "id"):
        return True
    return not _secrets.isdisjoint(words) or _compounds.search("_".join(words)) is not None


def _real(value: object) -> object:
    # Written 1 or 1.0, a temperature is the same setting, so it is the same blob.
    # -0.0 is written as 0.0 is, and a number of another library as Python's own.
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return float(value) + 0.0 if abs(value) < 1000 else value


def _stops(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    # A set has no order, so it would be another config in another process.
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (AbstractSet, Mapping)) else value


def _options(value: object) -> object:
    try:
        return read_only({} if value is None else value)
    except RecursionError:
        raise ConfigError("extra", f"it is nested more than {canonical.MAX_DEPTH} levels deep") from None


def _between(low: float, high: float) -> Any:
    def check(_: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is None:
            return
        if not isinstance(value, float) or not math.isfinite(value) or not low <= value <= high:
            raise ConfigError(attribute.name, f"it must be a number from {low:g} to {high:g}")

    return check


def _whole(low: int) -> Any:
    def check(_: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is None:
            return
        if type(value) is not int or not low <= value <= canonical.INT64_MAX:
            raise ConfigError(attribute.name, f"it must be a whole number, {low} or more")

    return check


def _name(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigError(attribute.name, "it must be a name")
    _check_text(attribute, value)


def _texts(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not (isinstance(value, tuple) and all(isinstance(item, str) and item for item in value)):
        raise ConfigError(attribute.name, "it must be strings that are not empty, in a list or tuple")
    _check_text(attribute, value)


def _check_text(attribute: "Attribute[Any]", value: object) -> None:
    try:
        canonical.check(value)
    except canonical.NotCanonicalError as exc:
        raise ConfigError(attribute.name, f"{exc}") from exc


def _extra(_: object, attribute: "Attribute[Any]", value: Mapping[str, Any]) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(attribute.name, "it must be a mapping")
    try:
        canonical.check(plain(value))
    except canonical.NotCanonicalError as exc:
        raise ConfigError(attribute.name, f"{exc}") from exc
    for key in _keys(value):
        if _is_secret(key):
            raise ConfigError(f"extra.{key}", "it looks like a credential, and those are never stored; give it to the client")
    for key in value:
        if key in fields_dict(LLMConfig):
            raise ConfigError(f"extra.{key}", "LLMConfig has a field of that name; set it there")


def _keys(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _keys(item)


class ModelSettings(TypedDict, total=False):
    """The fields of `LLMConfig`, for verbs that take them one by one."""

    model: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop_sequences: Iterable[str] | str | None
    frequency_penalty: float | None
    presence_penalty: float | None
    top_k: int | None
    seed: int | None
    extra: Mapping[str, Any] | None


@frozen(kw_only=True)
class LLMConfig:
    """How a model is asked; every field is optional.

    Attributes:
        model: The provider's name of the model.
        temperature: 0 to 2.
        top_p: 0 to 1, the probability mass that is sampled from.
        max_tokens: The most tokens an answer may have.
        stop_sequences: Texts that end the answer; one string is one stop.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        top_k: How many candidates are sampled from.
        seed: For repeatable sampling where the provider has it.
        extra: Provider options by name, read-only to the last list in them.
            Never credentials.

    Raises:
        ConfigError: A value is out of its range, or `extra` holds a key that
            looks like a credential or that is a field.
    """

    model: str | None = field(default=None, validator=_name)
    temperature: float | None = field(default=None, converter=_real, validator=_between(0, 2))
    top_p: float | None = field(default=None, converter=_real, validator=_between(0, 1))
    max_tokens: int | None = field(default=None, validator=_whole(1))
    stop_sequences: tuple[str, ...] | None = field(default=None, converter=_stops, validator=_texts)
    frequency_penalty: float | None = field(default=None, converter=_real, validator=_between(-2, 2))
    presence_penalty: float | None = field(default=None, converter=_real, validator=_between(-2, 2))
    top_k: int | None = field(default=None, validator=_whole(1))
    seed: int | None = field(default=None, validator=_whole(canonical.INT64_MIN))
    extra: Mapping[str, Any] = field(factory=dict, converter=_options, validator=_extra)

    def __repr__(self) -> str:
        return f"LLMConfig({', '.join(f'{name}={value!r}' for name, value in _given(self).items())})"

    def __hash__(self) -> int:
        return hash(hashable(self.to_dict()))

    def __deepcopy__(self, memo: dict[int, object]) -> "LLMConfig":
        return self

    def __reduce__(self) -> Any:
        return stored_config, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON values."""
        return {name: plain(value) for name, value in _given(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LLMConfig":
        """Return the config of a mapping such as `to_dict` gives, or of the settings of a provider's request.

        `stop`, `max_completion_tokens` and `max_output_tokens` are understood
        where the field's own name is not there. What belongs to one request
        or to its connection (`messages`, `tools`, `stream`, `timeout`, ...) is
        dropped. Any other key is an option of the provider and goes into
        `extra`, where a key that stands in an `extra` of the mapping wins.
        What is None is not set.

        Raises:
            ConfigError: It is no mapping, a value is out of range, or a key
                looks like a credential.
        """
        if not isinstance(values, Mapping):
            raise ConfigError("values", f"it must be a mapping, not {type(values).__name__}")
        given = {name: value for name, value in values.items() if value is not None}
        extra = given.pop("extra", {})
        if not isinstance(extra, Mapping):
            raise ConfigError("extra", "it must be a mapping")
        fields = {name: given.pop(name) for name in _fields & given.keys()}
        for alias, name in ALIASES.items():
            if alias in given:
                fields.setdefault(name, given.pop(alias))
        options = {name: value for name, value in given.items() if name not in PLUMBING}
        return cls(**fields, extra={**options, **extra})

    @classmethod
    def from_obj(cls, value: object) -> "LLMConfig":
        """Return the config that an object of another library, or of the caller's own, describes.

        Mappings, and the fields of attrs classes, dataclasses and pydantic
        models, are read as by `from_dict`. Of any other object those
        attributes count that are called as a field here is, or one of its
        aliases.

        Raises:
            ConfigError: It describes none: it is a class, or has no such
                attribute; or a value is refused as by `from_dict`.
        """
        if isinstance(value, LLMConfig):
            return value
        return cls.from_dict(value if isinstance(value, Mapping) else attributes_of(value, (*fields_dict(cls), *ALIASES)))

    def as_sent(self) -> "LLMConfig":
        """Return what a client sends of this config: no option of `extra` that a field or the request itself goes before."""
        overruled = {alias for alias, name in ALIASES.items() if getattr(self, name) is not None} | _ALWAYS_SENT
        if not overruled & self.extra.keys():
            return self
        return evolve(self, extra={name: value for name, value in self.extra.items() if name not in overruled})

    def without(self, other: "LLMConfig") -> "LLMConfig":
        """Return this config without what *other* sets, options of `extra` one by one."""
        set_there = other.to_dict()
        kept = {name: value for name, value in self.to_dict().items() if name == "extra" or name not in set_there}
        if "extra" in kept:
            kept["extra"] = {name: value for name, value in kept["extra"].items() if name not in other.extra}
        return LLMConfig(**kept)

    def override(self, over: "LLMConfig | None") -> "LLMConfig":
        """Return this config with the fields that *over* sets in their place."""
        if over is None:
            return self
        given = _given(over)
        if over.extra:
            given["extra"] = {**self.extra, **over.extra}
        return evolve(self, **given)


_fields = frozenset(fields_dict(LLMConfig)) - {"extra"}


def _given(config: LLMConfig) -> dict[str, Any]:
    """Return the fields that are set, by name."""
    return {name: value for name, value in asdict(config, recurse=False).items() if value is not None and value != {}}


def stored_config(values: Mapping[str, Any]) -> LLMConfig:
    """Return the config that was stored, which has its own fields and nothing else.

    Raises:
        ConfigError: A key is not a field, or a value is out of range.
    """
    for name in values:
        if name not in _fields and name != "extra":
            raise ConfigError(str(name), "LLMConfig has no such field; provider options go into extra")
    return LLMConfig(**values)
