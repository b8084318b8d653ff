from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import image_parts, text_parts, texts
from tract.domain.content import DialogueContent
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.parts import ImagePart, TextPart, with_text
from tract.errors import ContentValidationError

IMAGE = ImagePart("https://a.b/c.png")


def test_a_data_url_is_taken_apart() -> None:
    assert ImagePart("data:image/png;base64,AAAA", detail="low") == ImagePart(data="AAAA", media_type="image/png", detail="low")


@pytest.mark.parametrize("url", ["http://a", "https://example.com/a.png?b=c#d", "HTTPS://a.b:80/\u00e4"])
def test_an_address_is_kept_as_it_is(url: str) -> None:
    assert ImagePart(url).url == url


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "url"),
        ({"url": "https://a.b", "data": "AAAA", "media_type": "image/png"}, "url"),
        ({"url": 5}, "url"),
        ({"url": ""}, "url"),
        ({"url": "a.png"}, "url"),
        ({"url": "file:///a.png"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https:///a.png"}, "url"),
        ({"url": "https://a.b/c d.png"}, "url"),
        ({"url": "https://a.b\n"}, "url"),
        ({"url": "https://a.b/\ud800"}, "url"),
        ({"url": "data:image/png,AAAA"}, "url"),
        ({"url": "data:image/PNG;base64,AAAA"}, "url"),
        ({"url": "data:image/png;base64,AAAA", "media_type": "image/png"}, "url"),
        ({"url": "data:image/bmp;base64,AAAA"}, "media_type"),
        ({"url": "data:image/png;base64,"}, "data"),
        ({"url": "https://a.b", "media_type": "image/png"}, "media_type"),
        ({"data": "AAAA"}, "media_type"),
        ({"data": "AAAA", "media_type": "image/jpg"}, "media_type"),
        ({"data": "A", "media_type": "image/png"}, "data"),
        ({"data": "AAAA\n", "media_type": "image/png"}, "data"),
        ({"data": "\u00e4\u00e4\u00e4\u00e4", "media_type": "image/png"}, "data"),
        ({"data": b"AAAA", "media_type": "image/png"}, "data"),
        ({"url": "https://a.b", "detail": "most"}, "detail"),
    ],
)
def test_a_malformed_image_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        ImagePart(**fields)
    assert refusal.value.field == field


@pytest.mark.parametrize("text", ["", " \n", None, 5, "\ud800"])
def test_a_blank_text_is_no_part(text: Any) -> None:
    with pytest.raises(ContentValidationError, match=r"^text: "):
        TextPart(text)


def test_parts_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        IMAGE.url = "https://c.d"  # type: ignore[misc]


def test_parts_may_be_given_as_a_list_with_mappings() -> None:
    content = DialogueContent("user", [{"type": "text", "text": "hi"}, {"type": "image", "url": "https://a.b/c.png"}])
    assert content.text == (TextPart("hi"), IMAGE)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"text": []}, "text"),
        ({"text": ()}, "text"),
        ({"text": {"type": "text", "text": "hi"}}, "text"),
        ({"text": ["hi"]}, "text[0]"),
        ({"text": [TextPart("hi"), {}]}, "text[1].type"),
        ({"text": [{"type": "audio"}]}, "text[0].type"),
        ({"text": [{"type": ["text"]}]}, "text[0].type"),
        ({"text": [{"type": "text"}]}, "text[0].text"),
        ({"text": [{"type": "text", "text": ""}]}, "text[0].text"),
        ({"text": [{"type": "text", "text": "hi", "url": None}]}, "text[0].url"),
        ({"text": [{"type": "image", "url": "a.png"}]}, "text[0].url"),
        ({"text": [IMAGE], "role": "system"}, "text[0]"),
        ({"text": [TextPart("hi"), IMAGE], "role": "assistant"}, "text[1]"),
        ({"text": [TextPart("hi")], "tool_calls": [ToolCall("a", "find", "{}")]}, "tool_calls"),
    ],
)
def test_malformed_parts_are_refused_by_place(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        DialogueContent(**{"role": "user", **fields})
    assert refusal.value.field == field


def test_a_refusal_does_not_repeat_the_address() -> None:
    with pytest.raises(ContentValidationError) as refusal:
        ImagePart("ftp://secret.example.com")
    assert "secret" not in str(refusal.value)


def test_a_new_text_stands_where_the_first_one_stood() -> None:
    other = ImagePart("https://d.e")
    parts = (IMAGE, TextPart("one"), other, TextPart("two"))
    assert with_text(parts, "new") == (IMAGE, TextPart("new"), other)


def test_a_new_text_stands_before_images_that_had_none() -> None:
    assert with_text((IMAGE,), "new") == (TextPart("new"), IMAGE)


@given(st.lists(text_parts | image_parts, min_size=1).map(tuple), text_parts)
def test_a_new_text_keeps_every_image_in_its_order(parts: tuple[TextPart | ImagePart, ...], text: TextPart) -> None:
    after = with_text(parts, text.text)
    assert [part for part in after if isinstance(part, ImagePart)] == [part for part in parts if isinstance(part, ImagePart)]
    assert [part for part in after if isinstance(part, TextPart)] == [text]


def test_the_text_of_a_message_is_its_content() -> None:
    assert [Message("user", said).text for said in ("hi", "", None, ABSENT)] == ["hi", "", "", ""]


def test_the_text_of_parts_has_a_line_each() -> None:
    assert Message("user", (TextPart("a"), IMAGE, TextPart("b"))).text == "a\n[image]\nb"


@given(texts)
def test_the_text_of_a_message_with_one_part_is_the_parts(text: str) -> None:
    if text.strip():
        assert Message("user", (TextPart(text),)).text == text
