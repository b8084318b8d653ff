"""Blobs as they stand in the file: packed where that pays.

The first byte says how the rest is to be read: 0, as it is; 1, as raw DEFLATE
(RFC 1951) with `DICTIONARY_1`. What was stored once is read for ever, so a
form is never changed, only added to. Ids and fingerprints are those of the
plain bytes. Imports nothing of ours.
"""

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

PLAIN = b"\x00"
DEFLATED_1 = b"\x01"

DICTIONARY_1 = (
    # What is likely comes last, where it is cheapest to point at.
    b"https://www. .com true false null error result value status results list count limit offset query input output "
    b"print return import class function file path line code test data text html json python number total date time "
    b"January Monday minutes hours year address email phone account customer order price payment request change check "
    b"confirm available search find update create delete details information question answer summary message tool agent "
    b"assistant because before after between another through without something different following however example "
    b"please provide would like could should there their about which other these first people think thank thanks sorry "
    b"help need want know make sure your you the and that have for not with this but from they will what can are was "
    b"is in it of to a I'm I'll Let me \n\n1. \n- **: "
    rb"\", \"\": {\"id\": \"name\": \"type\": \"description\": \"content\": \"status\": "
    b'{"metadata":{"message":"{"model":"gpt-","temperature":'
    b'{"content_type":"session","decisions":[],"failed_approaches":[],"next_steps":[],"session_type":"handoff","summary":"'
    b'{"artifact_type":"code","content":"","content_type":"artifact","language":"python"}'
    b'{"content_type":"freeform","payload":{"{"content_type":"output","format":"markdown","text":"'
    b'{"content_type":"reasoning","text":"{"content_type":"instruction","text":"'
    b'{"call_id":"call_","content_type":"tool_io","direction":"result","payload":{"status":null,"text":"","tool_name":null}'
    b'{"content_type":"dialogue","name":null,"role":"assistant","text":null,"tool_calls":['
    rb'{"arguments":"{\"\": \"\", \"\": \"\"}","id":"call_","name":"get_"}]}'
    b'{"content_type":"dialogue","name":null,"role":"assistant","text":"","tool_calls":[]}'
    b'{"content_type":"dialogue","name":null,"role":"user","text":"'
)
"""Field names of what we store, and words that agents and people use; frozen."""

_SHORTEST = 100
"""Below so many bytes there is too little to gain."""
_BRIEF = 1_024
"""Up to here packing it well costs next to nothing."""
_SHORT = 16_384
"""Up to here a window of 4 KB loses little, and has 32 KB of memory; one of 32
KB has 256, which the system clears anew for each (70 microseconds, not 13)."""
_SAMPLE = 65_536
"""A longer one is packed if its beginning shrinks by a third: an image in base64 does not."""


def pack(data: bytes) -> bytes:
    """Return *data* as it is stored."""
    if len(data) < _SHORTEST:
        return PLAIN + data
    if len(data) > _SAMPLE and len(_deflated(data[:_SAMPLE])) > _SAMPLE * 2 // 3:
        return PLAIN + data
    packed = _deflated(data)
    return DEFLATED_1 + packed if len(packed) < len(data) else PLAIN + data


def _deflated(data: bytes) -> bytes:
    # Somebody waits. At the highest level prose of a few hundred bytes takes 15
    # microseconds instead of 13, and what is long five times as long, for a
    # tenth less.
    level = 6 if len(data) <= _BRIEF else 1
    window, memory = (-12, 5) if len(data) <= _SHORT else (-15, 8)
    packer = zlib.compressobj(level, zlib.DEFLATED, window, memory, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)
    return packer.compress(data) + packer.flush()


def unpack(stored: bytes) -> bytes:
    """Return what was packed.

    Raises:
        ValueError: It is damaged, or of a form that is not known here.
    """
    form, rest = stored[:1], stored[1:]
    if form == PLAIN:
        return rest
    if form != DEFLATED_1:
        raise ValueError("a blob of a form that is not known here")
    unpacker = zlib.decompressobj(-15, DICTIONARY_1)
    try:
        data = unpacker.decompress(rest)
    except zlib.error as exc:
        raise ValueError("a blob that cannot be unpacked") from exc
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("a blob that is cut off or too long")
    return data


def _unpack_sound(stored: bytes | None) -> bytes | None:
    try:
        return None if stored is None else unpack(stored)
    except ValueError:
        return None


def add_functions(connection: "sqlite3.Connection") -> None:
    """Let SQL on a connection say `unpack(data)`, `unpack_sound(data)` and `pack(data)`; null stays null.

    What is damaged is null to the second one.
    """
    connection.create_function("unpack", 1, lambda stored: None if stored is None else unpack(stored), deterministic=True)
    connection.create_function("unpack_sound", 1, _unpack_sound, deterministic=True)
    connection.create_function("pack", 1, lambda data: None if data is None else pack(data), deterministic=True)
