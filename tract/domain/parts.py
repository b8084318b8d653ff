"""The parts that a message can be made of: texts and images.

They are Structs of msgspec and not attrs classes because they are stored with
a tag, `type`, by which they are told apart when they are read; to make one is
checked like everything else here. Imports `errors` and `texts`.
"""

import binascii
import re
from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import force_setattr

from tract.domain.texts import is_blank, key_name, require_text
from tract.errors import ContentValidationError

MEDIA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""The images that both OpenAI and Anthropic take."""
DETAILS = ("auto", "low", "high", "original")
"""How closely OpenAI's models may be told to look."""

_web_address = re.compile(r"https?://[^\x00-\x20\x7f/?#][^\x00-\x20\x7f]*", re.IGNORECASE)
_data_address = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)


class TextPart(Struct, frozen=True, tag="text", tag_field="type"):
    """A text among the parts of a message.

    Attributes:
        text: What is said; not blank, since no provider takes a blank one.
    """

    text: str

    def __post_init__(self) -> None:
        require_text("text", self.text)
        if is_blank(self.text):
            raise ContentValidationError("text", "a part must not be blank: no provider takes it")


class ImagePart(Struct, frozen=True, tag="image", tag_field="type", omit_defaults=True):
    """An image among the parts of a user's message, by its address or by its bytes.

    Give either *url*, or *data* with *media_type*. A `data:` URL is taken
    apart into these two.

    Attributes:
        url: Where it is, `http://` or `https://`; None where the bytes are here.
        data: Its bytes in base64, as `base64.b64encode` gives them.
        media_type: image/png, image/jpeg, image/gif or image/webp.
        detail: How closely to look: auto, low, high or original; None leaves
            it to the provider. Only OpenAI's format knows it.
    """

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.data is None):
            raise ContentValidationError("url", "give either url or data")
        if self.url is not None:
            self._read_url(self.url)
        if self.data is not None:
            _check_data(self.data, self.media_type)
        elif self.media_type is not None:
            raise ContentValidationError("media_type", "it goes with data and not with url")
        if self.detail is not None and self.detail not in DETAILS:
            raise ContentValidationError("detail", f"it must be one of {', '.join(DETAILS)}")

    def _read_url(self, url: str) -> None:
        require_text("url", url)
        if not url.startswith("data:"):
            if not _web_address.fullmatch(url):
                raise ContentValidationError("url", "it must be an http, https or data URL, without spaces")
            return
        found = _data_address.fullmatch(url)
        if found is None or self.media_type is not None:
            raise ContentValidationError("url", "a data URL is data:<media type>;base64,<bytes>, with nothing beside it")
        force_setattr(self, "url", None)
        force_setattr(self, "media_type", found[1])
        force_setattr(self, "data", found[2])


Part: TypeAlias = TextPart | ImagePart

_KINDS: dict[object, type[Part]] = {"text": TextPart, "image": ImagePart}


def as_parts(field_name: str, value: object) -> Any:
    """Return a list of parts, or of mappings with their fields, as a tuple of parts; anything else as it is.

    Raises:
        ContentValidationError: Naming the part and the field, as `text[0].url`.
    """
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(_part(item, f"{field_name}[{index}]") for index, item in enumerate(value))


def with_text(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    """Return *parts* with one text, where the first one stood or in front, and all images.

    Raises:
        ContentValidationError: The text is blank or no text.
    """
    first = next((index for index, part in enumerate(parts) if isinstance(part, TextPart)), 0)
    images = [part for part in parts if isinstance(part, ImagePart)]
    return (*images[:first], TextPart(text), *images[first:])


def _part(value: object, where: str) -> Part:
    if isinstance(value, get_args(Part)):
        part: Part = value
        return part
    if not isinstance(value, Mapping):
        raise ContentValidationError(where, "it must be a TextPart, an ImagePart, or a mapping with type")
    given: dict[Any, Any] = dict(value)
    tag = given.pop("type", None)
    kind = _KINDS.get(tag) if isinstance(tag, str) else None
    if kind is None:
        raise ContentValidationError(f"{where}.type", f"it must be one of {', '.join(map(str, _KINDS))}")
    for name in given:
        if name not in kind.__struct_fields__:
            raise ContentValidationError(f"{where}.{key_name(name)}", "it is not a field that is known here")
    if kind is TextPart and "text" not in given:
        raise ContentValidationError(f"{where}.text", "it is required")
    try:
        return kind(**given)
    except ContentValidationError as exc:
        raise ContentValidationError(f"{where}.{exc.field}", exc.reason) from exc


def _check_data(data: str, media_type: str | None) -> None:
    require_text("data", data)
    if media_type not in MEDIA_TYPES:
        raise ContentValidationError("media_type", f"it must be one of {', '.join(MEDIA_TYPES)}")
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError) as exc:
        raise ContentValidationError("data", "it is not base64; see base64.b64encode") from exc
    if not data:
        raise ContentValidationError("data", "it must not be empty")
