"""What an image costs: OpenAI's published rule for tiles.

A low detail costs 85 tokens. Any other costs 85 and 170 for each tile of 512 x
512 pixels, once the image is scaled down to fit into 2048 x 2048 and then to
768 pixels on its shorter side (the *Images and vision* guide of
https://platform.openai.com/docs). The size stands in the first bytes of a
file; of an image at an address, or one that cannot be read, it is not known,
and it costs as much as one of 1024 x 1024: 765. Other models count otherwise;
where a provider reports usage, that counts.

Imports `domain`. Read `image_tokens` first.
"""

from base64 import b64decode
from math import ceil

from tract.domain.parts import ImagePart

LOW = 85
"""Tokens of an image, whatever its size, and all of one with low detail."""
PER_TILE = 170
"""Tokens of each tile."""
_UNKNOWN = (1024, 1024)
_HEAD = 64
_MOST_STEPS = 1_000
"""Segments, and bytes of filling between them, in which a JPEG must come to its frame."""
# Frames of a JPEG, which hold its size; the rest of C0 to CF are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def image_tokens(image: ImagePart) -> int:
    """Return what an image costs in a message."""
    if image.detail == "low":
        return LOW
    width, height = _size(image) or _UNKNOWN
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    tiles = ceil(_scaled(width, scale) / 512) * ceil(_scaled(height, scale) / 512)
    return LOW + PER_TILE * tiles


def _scaled(length: int, scale: float) -> int:
    # Whole pixels, as an image has them: 768.0000001 is no second tile.
    return max(1, round(length * scale))


def _size(image: ImagePart) -> tuple[int, int] | None:
    """Return width and height in pixels, None where they cannot be read."""
    if image.data is None:
        return None
    if image.media_type == "image/jpeg":
        size = _jpeg(b64decode(image.data))
    else:
        size = _READERS[image.media_type or ""](b64decode(image.data[:_HEAD]))
    return size if size is not None and min(size) > 0 else None


def _png(head: bytes) -> tuple[int, int] | None:
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _gif(head: bytes) -> tuple[int, int] | None:
    if not head.startswith(b"GIF8") or len(head) < 10:
        return None
    return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")


def _webp(head: bytes) -> tuple[int, int] | None:
    """Read the three kinds of WebP: lossy, lossless and extended (RFC 9649)."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return None
    match head[12:16]:
        case b"VP8 ":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """Walk the segments of a JPEG up to its frame (ITU T.81, annex B)."""
    at = 2
    for _ in range(_MOST_STEPS):
        if data[:2] != b"\xff\xd8" or at + 9 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


_READERS = {"image/png": _png, "image/gif": _gif, "image/webp": _webp}
