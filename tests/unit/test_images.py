"""What images cost, over files of every type with nothing in them but their size."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.domain.parts import ImagePart
from tract.llm.images import image_tokens


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06\0\0\0"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\0\0\0;"


def jpeg(width: int, height: int) -> bytes:
    """With a table and filling before the frame, as cameras write them."""
    table = b"\xff\xc4" + (500).to_bytes(2, "big") + bytes(498)
    frame = b"\xff\xff\xc2\0\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes(9)
    return b"\xff\xd8\xff\xe0\0\x04ab" + table + frame + b"\xff\xd9"


def webp(kind: bytes, size: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + bytes(4) + size + bytes(10)


def lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little"))


def lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little"))


def extended(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


FILES = {
    "png": ("image/png", png),
    "gif": ("image/gif", gif),
    "jpeg": ("image/jpeg", jpeg),
    "lossy webp": ("image/webp", lossy),
    "lossless webp": ("image/webp", lossless),
    "extended webp": ("image/webp", extended),
}

each_file = pytest.mark.parametrize("kind", FILES)


def image(data: bytes, media_type: str, detail: str | None = None) -> ImagePart:
    return ImagePart(data=b64encode(data).decode(), media_type=media_type, detail=detail)


def sized(kind: str, width: int, height: int, detail: str | None = None) -> ImagePart:
    media_type, write = FILES[kind]
    return image(write(width, height), media_type, detail)


@each_file
@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 765),  # the first two are the examples of OpenAI's guide
        (2048, 4096, 1105),
        (1, 1, 255),
        (512, 512, 255),
        (513, 512, 425),
        (768, 768, 765),
        (4000, 1000, 765),
        (10000, 1, 765),
    ],
)
def test_an_image_costs_by_its_tiles(kind: str, width: int, height: int, tokens: int) -> None:
    assert image_tokens(sized(kind, width, height)) == tokens


@each_file
def test_a_low_detail_costs_the_same_for_any_size(kind: str) -> None:
    assert image_tokens(sized(kind, 4096, 8192, "low")) == 85


@pytest.mark.parametrize("detail", [None, "auto", "high", "original"])
def test_any_other_detail_costs_by_tiles(detail: str | None) -> None:
    assert image_tokens(sized("png", 512, 512, detail)) == 255


def test_an_image_at_an_address_costs_as_one_of_1024_pixels() -> None:
    assert image_tokens(ImagePart("https://a.b/c.png")) == 765
    assert image_tokens(ImagePart("https://a.b/c.png", detail="low")) == 85


@each_file
@pytest.mark.parametrize("length", [1, 3, 8, 12, 20])
def test_an_image_that_is_cut_short_costs_as_one_of_unknown_size(kind: str, length: int) -> None:
    media_type, write = FILES[kind]
    size = image_tokens(image(write(512, 512)[:length], media_type))
    assert size == (255 if kind == "gif" and length >= 12 else 765)


def test_an_image_without_a_pixel_costs_as_one_of_unknown_size() -> None:
    assert image_tokens(sized("png", 0, 5)) == 765


def test_a_jpeg_whose_segments_lead_nowhere_costs_as_one_of_unknown_size() -> None:
    assert image_tokens(image(b"\xff\xd8\xff\xe0\xff\xff" + bytes(20), "image/jpeg")) == 765


@given(st.binary(min_size=1, max_size=80), st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]))
def test_whatever_the_bytes_are_an_image_has_a_price(data: bytes, media_type: str) -> None:
    assert image_tokens(image(data, media_type)) >= 255


@given(st.integers(1, 16000), st.integers(1, 16000))
def test_an_image_costs_at_most_two_by_four_tiles(width: int, height: int) -> None:
    assert 255 <= image_tokens(sized("png", width, height)) <= 85 + 170 * 8


def test_a_jpeg_is_not_searched_without_end() -> None:
    """Each byte of filling is a step, and 5 MB of them took a second."""
    filled = b"\xff\xd8" + b"\xff" * 5_000 + jpeg(100, 100)[2:]
    assert image_tokens(ImagePart(data=b64encode(filled).decode(), media_type="image/jpeg")) == 765
