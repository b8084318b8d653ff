import traceback
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

import pytest
from attrs import define, field, frozen

from tract.domain.commits import Priority
from tract.domain.content import InstructionContent, RegisteredContent
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.parts import ImagePart, TextPart
from tract.errors import ConfigError, ContentValidationError
from tract.formats.reading import content_from, decode_content, encode_content
from tract.formats.registry import register_content_type, value_of
from tract.formats.rendering import default_priority


class Colour(Enum):
    RED = "red"


@frozen
class Seat:
    row: int
    letter: str


def stripped(text: str) -> str:
    return text.strip()


@frozen
class Booking:
    """A class with all that a field may be."""

    name: str = field(converter=stripped)
    seats: tuple[Seat, ...] = ()
    day: date | None = None
    colour: Colour = Colour.RED
    price: float = 0.0

    def __attrs_post_init__(self) -> None:
        if not self.name:
            raise ValueError("a secret reason")

    def to_message(self) -> Message:
        return Message("user", f"{self.name}: {len(self.seats)} seats")


@dataclass
class Remark:
    text: str

    def to_message(self) -> Message:
        return Message("system", self.text)


register_content_type("registry.booking", Booking)
register_content_type("registry.remark", Remark, priority="pinned")

BOOKING = Booking("Ada", (Seat(12, "A"),), date(2026, 1, 2))
DATA = {"name": "Ada", "seats": [{"row": 12, "letter": "A"}], "day": "2026-01-02", "colour": "red", "price": 0.0}
STORED = RegisteredContent("registry.booking", DATA, Message("user", "Ada: 1 seats"))


def test_an_instance_is_its_data_beside_its_message() -> None:
    assert content_from(BOOKING) == STORED


def test_a_mapping_is_the_instance_of_its_fields() -> None:
    assert content_from({"content_type": "registry.booking", **DATA}) == STORED


def test_a_mapping_goes_through_the_converters_of_its_class() -> None:
    content = content_from({"content_type": "registry.booking", "name": " Ada "})
    assert isinstance(content, RegisteredContent)
    assert content.data["name"] == "Ada"


def test_what_is_stored_stands_for_an_equal_instance() -> None:
    stored = decode_content("registry.booking", encode_content(STORED))
    assert isinstance(stored, RegisteredContent)
    assert value_of(stored) == BOOKING


@frozen
class Seats:
    by_row: dict[int, str]

    def to_message(self) -> Message:
        return Message("user", "seats")


register_content_type("registry.seats", Seats)


@pytest.mark.parametrize("given", [Seats({1: "a"}), {"content_type": "registry.seats", "by_row": {"1": "a"}}])
def test_keys_that_are_numbers_come_back_as_numbers(given: Any) -> None:
    content = content_from(given)
    assert isinstance(content, RegisteredContent)
    assert value_of(content) == Seats({1: "a"})


def test_a_dataclass_will_do() -> None:
    content = content_from(Remark("Be kind."))
    assert isinstance(content, RegisteredContent)
    assert value_of(content) == Remark("Be kind.")


def test_what_is_stored_does_not_change_with_the_value() -> None:
    remark = Remark("before")
    content = content_from(remark)
    remark.text = "after"
    assert content == RegisteredContent("registry.remark", {"text": "before"}, Message("system", "before"))


def test_the_priority_is_the_registered_one() -> None:
    assert default_priority(content_from(Remark("x"))) is Priority.PINNED
    assert default_priority(content_from(BOOKING)) is Priority.NORMAL
    assert default_priority(RegisteredContent("unheard.of", {}, Message("user", "x"))) is Priority.NORMAL


def test_data_that_the_class_does_not_take_any_more_stays_as_it_is() -> None:
    content = RegisteredContent("registry.booking", {"passenger": "Ada"}, Message("user", "Ada"))
    assert value_of(content) is content


def test_a_type_without_its_class_stays_as_it_is() -> None:
    content = RegisteredContent("unheard.of", {"a": 1}, Message("user", "x"))
    assert value_of(content) is content


def test_registering_the_same_class_again_is_nothing() -> None:
    register_content_type("registry.booking", Booking)
    register_content_type("registry.remark", Remark, priority=Priority.PINNED)


@frozen
class Free:
    text: str

    def to_message(self) -> Message:
        return Message("user", self.text)


class Plain:
    def to_message(self) -> Message:
        return Message("user", "x")


@frozen
class Mute:
    text: str


@frozen
class Tagged:
    content_type: str

    def to_message(self) -> Message:
        return Message("user", "x")


@frozen
class Private:
    _text: str

    def to_message(self) -> Message:
        return Message("user", "x")


@frozen
class Ambiguous:
    either: Seat | Mute

    def to_message(self) -> Message:
        return Message("user", "x")


@pytest.mark.parametrize(
    ("arguments", "setting", "reason"),
    [
        ({"name": "dialogue"}, "name", "of Tract's own"),
        ({"name": "registry.booking"}, "name", "another class, Booking"),
        ({"name": ""}, "name", "a letter a-z"),
        ({"name": "Free"}, "name", "a letter a-z"),
        ({"name": "two words"}, "name", "a letter a-z"),
        ({"name": "x" * 65}, "name", "a letter a-z"),
        ({"name": 5}, "name", "a letter a-z"),
        ({"cls": Booking}, "cls", "Booking is registered as registry.booking already"),
        ({"cls": Plain}, "cls", "attrs class or a dataclass"),
        ({"cls": Free("x")}, "cls", "attrs class or a dataclass"),
        ({"cls": Mute}, "cls", r"Mute has no to_message\(\)"),
        ({"cls": Tagged}, "cls", "field content_type"),
        ({"cls": Private}, "cls", "field _text"),
        ({"cls": Ambiguous}, "cls", "cannot be read as JSON"),
        ({"priority": "urgent"}, "priority", "skip, normal, important, pinned"),
        ({"name": "registry.remark", "cls": Remark, "priority": "skip"}, "priority", "with pinned already"),
    ],
)
def test_a_registration_that_cannot_be_is_refused(arguments: dict[str, Any], setting: str, reason: str) -> None:
    given: dict[str, Any] = {"name": "registry.free", "cls": Free, **arguments}
    with pytest.raises(ConfigError, match=reason) as refusal:
        register_content_type(given.pop("name"), given.pop("cls"), **given)
    assert refusal.value.field == setting


@frozen
class Order(InstructionContent):
    urgent: bool = False

    def to_message(self) -> Message:
        return Message("system", self.text.upper())


def test_a_class_derived_from_a_content_is_taken_only_where_it_is_registered() -> None:
    with pytest.raises(ContentValidationError, match="not Order"):
        content_from(Order("Be kind."))
    register_content_type("registry.order", Order)
    stored = RegisteredContent("registry.order", {"text": "Be kind.", "urgent": False}, Message("system", "BE KIND."))
    assert content_from(Order("Be kind.")) == stored


def test_a_refused_registration_leaves_nothing_behind() -> None:
    with pytest.raises(ContentValidationError, match="register_content_type"):
        content_from(Free("x"))


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({}, "name", "it is required"),
        ({"name": "Ada", "meal": "no"}, "meal", "not a field that is known"),
        ({"name": 5}, "name", "it must be str, not int"),
        ({"name": "Ada", "seats": [{"row": "12", "letter": "A"}]}, "seats[0].row", "it must be int, not str"),
        ({"name": "Ada", "seats": [{"row": 12}]}, "seats[0].letter", "it is required"),
        ({"name": "Ada", "colour": "secret blue"}, "colour", "the form that its class declares"),
        ({"name": " "}, "registry.booking", "Booking does not take these fields"),
        ({"name": ""}, "content", "the form that its class declares"),
    ],
)
def test_a_malformed_mapping_is_refused_by_field_and_without_its_text(fields: dict[str, Any], name: str, reason: str) -> None:
    with pytest.raises(ContentValidationError, match=reason) as refusal:
        content_from({"content_type": "registry.booking", **fields})
    assert refusal.value.field == name
    assert "secret" not in str(refusal.value)


@define
class Loose:
    value: Any

    def to_message(self) -> Message:
        return Message("user", "x")


register_content_type("registry.loose", Loose)


@pytest.mark.parametrize("value", [object(), {object(): 1}, float("nan"), 2**70, "\ud800"])
def test_what_json_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(ContentValidationError, match=r"^data: "):
        content_from(Loose(value))


MALFORMED: list[tuple[Any, str]] = [
    ("Hi", "message"),
    (None, "message"),
    (Message("robot", "x"), "message.role"),
    (Message("user", 5), "message.content"),  # type: ignore[arg-type]
    (Message("user", "\ud800"), "message.content"),
    (Message("user", ()), "message.content"),
    (Message("assistant", (ImagePart("https://a.b"),)), "message.content[0]"),
    (Message("user", "x", tool_calls=(ToolCall("a", "find", "{}"),)), "message.tool_calls"),
    (Message("user", "x", tool_call_id="a"), "message.tool_call_id"),
    (Message("tool", "x"), "message.tool_call_id"),
    (Message("tool", None, tool_call_id="a"), "message.content"),
    (Message("tool", ABSENT, tool_call_id="a"), "message.content"),
    (Message("tool", (TextPart("x"),), tool_call_id="a"), "message.content"),
    (Message("tool", "x", "two words", tool_call_id="a"), "message.name"),
    (Message("tool", "x", tool_calls=(ToolCall("a", "find", "{}"),), tool_call_id="a"), "message.tool_calls"),
]


@frozen
class Odd:
    at: int

    def to_message(self) -> Any:
        return MALFORMED[self.at][0]


register_content_type("registry.odd", Odd)


@pytest.mark.parametrize("at", range(len(MALFORMED)))
def test_a_malformed_message_is_refused(at: int) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        content_from(Odd(at))
    assert refusal.value.field == MALFORMED[at][1]


LISTS: list[Any] = [
    Message("assistant", [TextPart("one"), TextPart("two")], tool_calls=[ToolCall("a", "look", "{}")]),  # type: ignore[arg-type]
    Message("assistant", [{"type": "text", "text": "one"}, TextPart("two")], tool_calls=(ToolCall("a", "look", "{}"),)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("given", LISTS)
def test_lists_in_a_message_are_stored_as_tuples_of_parts(given: Message) -> None:
    content = RegisteredContent("registry.list", {}, given)
    assert content.message == Message("assistant", (TextPart("one"), TextPart("two")), tool_calls=(ToolCall("a", "look", "{}"),))


def test_what_is_rendered_of_lists_is_what_is_read_back() -> None:
    content = RegisteredContent("registry.list", {}, LISTS[0])
    assert decode_content("registry.list", encode_content(content)) == content


@pytest.mark.parametrize("name", ["Ticket", "", None])
def test_a_stored_content_has_a_name_that_could_be_registered(name: Any) -> None:
    with pytest.raises(ContentValidationError, match=r"^content_type: "):
        RegisteredContent(name, {}, Message("user", "x"))


def test_an_unknown_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(ContentValidationError, match=r"instruction, .*registry\.booking"):
        content_from({"content_type": "unheard.of"})


def test_a_refused_value_stands_in_no_traceback() -> None:
    secret = "2retnuh"[::-1]
    with pytest.raises(ContentValidationError) as refusal:
        content_from({"content_type": "registry.booking", "name": "Ada", "colour": secret})
    assert secret not in "".join(traceback.format_exception(refusal.value))
