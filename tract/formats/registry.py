"""Content types of callers: which classes there are, and to and from what is stored.

What is registered is the process's, as classes are. Imports `errors` and
`domain`. Start at `register_content_type`.
"""

import re
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any

import msgspec
from attrs import evolve, frozen, has
from attrs import fields as attrs_fields

from tract.domain.commits import Priority
from tract.domain.content import RegisteredContent, Renderable, require_type_name
from tract.domain.texts import key_name
from tract.errors import ConfigError, ContentValidationError

_at_field = re.compile(r" - at `\$\.?([^`]*)`$")
_wrong_type = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_missing = re.compile(r"Object missing required field `([^`]+)`")


@frozen
class _Registration:
    name: str
    cls: type[Renderable]
    priority: Priority


_by_name: dict[str, _Registration] = {}
_by_class: dict[type, _Registration] = {}


def register_content_type(name: str, cls: type[Renderable], *, priority: Priority | str = Priority.NORMAL) -> None:
    """Let values of a class be committed, under a content type of their own.

        @attrs.frozen
        class Ticket:
            title: str
            body: str

            def to_message(self) -> Message:
                return Message("user", f"# {self.title}\\n\\n{self.body}")

        register_content_type("ticket", Ticket)
        await t.commit(Ticket("Refund", "The bag never arrived."))

    `commit` takes instances, and mappings with `content_type` and the fields;
    `show` gives instances back, a field of type `Any` as JSON has it. What `to_message` returns when a value is
    committed is stored beside the fields, and is what every compile gives,
    in processes without the class and after the class has changed too. To
    register the same class again is nothing.

    Args:
        name: A letter a-z and up to 63 of a-z, 0-9, _, . and -. It stands in
            the log in the clear and cannot be erased.
        cls: An attrs class or dataclass whose fields have JSON as their form
            (also dates, enums, and such classes in turn), and which has
            `to_message(self) -> Message`.
        priority: Of a new slot where the commit gives none.

    Raises:
        ConfigError: The name is malformed or taken, or the class cannot do it.
    """
    try:
        require_type_name("name", name)
    except ContentValidationError as exc:
        raise ConfigError("name", exc.reason) from exc
    try:
        registration = _Registration(name, cls, Priority(priority))
    except ValueError:
        raise ConfigError("priority", f"it must be one of {', '.join(each.value for each in Priority)}") from None
    _check_class(cls)
    known = _by_class.get(cls)
    if known is not None and known.name != name:
        raise ConfigError("cls", f"{cls.__name__} is registered as {known.name} already, and a class has one name")
    taken = _by_name.setdefault(name, registration)
    if taken.cls is not cls:
        raise ConfigError("name", f"{name} is the name of another class, {taken.cls.__name__}; choose another one")
    if taken != registration:
        raise ConfigError("priority", f"{name} is registered with {taken.priority.value} already")
    _by_class[cls] = registration


def registered_names() -> tuple[str, ...]:
    """Return the names that are registered, in the order of registration."""
    return tuple(_by_name)


def find_registered(value: object) -> RegisteredContent | None:
    """Return what stands for a value in the store; None where its class is not registered.

    Raises:
        ContentValidationError: Its fields are no JSON, or its message is malformed.
    """
    registration = _by_class.get(type(value))
    return None if registration is None else _rendered(registration, value)


def find_registered_mapping(name: str, values: Mapping[str, Any]) -> RegisteredContent | None:
    """Return what stands in the store for the fields of a value; None where no such type is registered.

    Raises:
        ContentValidationError: Naming the field that is unknown, missing or malformed.
    """
    registration = _by_name.get(name)
    if registration is None:
        return None
    known = _field_names(registration.cls)
    for field in values:
        if field not in known:
            raise ContentValidationError(key_name(field), "it is not a field that is known here")
    try:
        value = msgspec.convert(values, registration.cls, str_keys=True)
        if has(registration.cls):
            # msgspec passes attrs' converters over, which a caller relies on.
            value = evolve(value)  # type: ignore[misc]
    except msgspec.ValidationError as exc:
        raise _problem(exc) from None
    except (TypeError, ValueError) as exc:
        raise ContentValidationError(name, f"{registration.cls.__name__} does not take these fields") from exc
    return _rendered(registration, value)


def value_of(content: RegisteredContent) -> Renderable | RegisteredContent:
    """Return the instance that a stored content stands for, or the content itself.

    The latter where its type is not registered, or the class has changed so
    that it does not take the fields any more.
    """
    registration = _by_name.get(content.content_type)
    if registration is None:
        return content
    try:
        return msgspec.convert(content.data, registration.cls, str_keys=True)
    except msgspec.ValidationError:
        return content


def registered_priority(name: str) -> Priority:
    """Return the priority of a new slot of a registered type; normal where it is not registered here."""
    registration = _by_name.get(name)
    return Priority.NORMAL if registration is None else registration.priority


def _rendered(registration: _Registration, value: Any) -> RegisteredContent:
    try:
        data = msgspec.to_builtins(value, str_keys=True)
    except (TypeError, ValueError) as exc:
        raise ContentValidationError("data", f"a field of {registration.cls.__name__} holds what JSON does not have") from exc
    content = RegisteredContent(registration.name, data, value.to_message())
    try:
        # What could never be shown again is not taken in.
        msgspec.convert(content.data, registration.cls, str_keys=True)
    except msgspec.ValidationError as exc:
        raise _problem(exc) from None
    return content


def _check_class(cls: object) -> None:
    if not isinstance(cls, type) or not (has(cls) or is_dataclass(cls)):
        raise ConfigError("cls", "it must be an attrs class or a dataclass")
    if not callable(getattr(cls, "to_message", None)):
        raise ConfigError("cls", f"{cls.__name__} has no to_message(); it returns the Message that a model reads")
    for name in _field_names(cls):
        if name == "content_type" or name.startswith("_"):
            raise ConfigError("cls", f"{cls.__name__} has a field {name}, which has no place in what is stored; rename it")
    try:
        msgspec.json.Decoder(cls)
    except (TypeError, NameError) as exc:
        raise ConfigError("cls", f"the types that the fields of {cls.__name__} are declared with cannot be read as JSON") from exc


def _field_names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in (attrs_fields(cls) if has(cls) else dataclass_fields(cls)))


def _problem(exc: msgspec.ValidationError) -> ContentValidationError:
    """Return what msgspec found, without the text of a caller's that its message may hold; nor does a traceback show it."""
    found = _at_field.search(str(exc))
    where = found[1] if found else ""
    missing, wrong = _missing.match(str(exc)), _wrong_type.match(str(exc))
    if missing:
        return ContentValidationError(f"{where}.{missing[1]}" if where else missing[1], "it is required")
    reason = f"it must be {wrong[1]}, not {wrong[2]}" if wrong else "it has not the form that its class declares"
    return ContentValidationError(where or "content", reason)
