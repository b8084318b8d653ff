"""The form of an exported file: JSON Lines, form 1.

Each line is one JSON object in canonical JSON (`tract.domain.canonical`) and a
line feed; nothing else is in the file. In their order:

1. `{"format":"tract-export","number":1}`
2. An event, `"line":"event"`, has the columns of its row but for `position`,
   under their names: `stream_id`, `version`, `tract_id`, `type`, `schema`,
   `data` (a string: the very text that was hashed), `operation_id`, `actor`,
   `recorded_at` (microseconds since 1970, UTC) and `digest`. Ids are
   8-4-4-4-12, digests hex. Events stand in the order of the log, so each
   family's from version 1 on without a gap.
3. A blob, `"line":"blob"`, stands before the first event whose data names it,
   in the order in which the data does: `id` and `salt` in hex, `data`, and
   `form`, which says what `data` is: `text` (as it is), `base64` (of bytes
   that are no UTF-8), or `gone`: erased or collected, with `salt` and `data`
   null. Data name a blob by its id as a JSON string. `id` is SHA-256 of salt
   and bytes.
4. `{"digest":...,"line":"stream","stream_id":...,"version":...}` for each
   family, by id: where it ends.
5. `{"blobs":...,"events":...,"line":"end","streams":...}`: how many there are.

Whoever has the lines can so prove the digest chain (`tract.log.chain`), and
that nothing is missing. A log has one such file: exporting it twice, or what
was imported from it, gives the same bytes. What was exported once is read for
ever: a form is never changed, only added to.

Imports `domain` and `log`.
"""

import base64
import binascii
import re
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from tract.domain.canonical import INT64_MAX, encode_plain, sha256
from tract.domain.ids import is_uuid, uuid_bytes, uuid_text
from tract.domain.results import LATEST
from tract.log.protocol import Row

FORMAT = "tract-export"
NUMBER = 1

_Number: TypeAlias = Annotated[int, Meta(ge=0, le=INT64_MAX)]

_named = re.compile(r'"([0-9a-f]{64})"')
_hex = re.compile(r"([0-9a-f]{2})*")


class HeadLine(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The first line."""

    format: str
    number: int


class BlobLine(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="line", tag="blob"):
    """A blob."""

    id: str
    salt: str | None
    form: Literal["text", "base64", "gone"]
    data: str | None


class EventLine(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="line", tag="event"):
    """An event, its columns as they were hashed."""

    stream_id: str
    version: _Number
    tract_id: str
    type: str
    schema: _Number
    data: str
    operation_id: str
    actor: str | None
    recorded_at: _Number
    digest: str


class StreamLine(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="line", tag="stream"):
    """Where a family ends."""

    stream_id: str
    version: _Number
    digest: str


class EndLine(Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="line", tag="end"):
    """The last line."""

    streams: _Number
    events: _Number
    blobs: _Number


Line: TypeAlias = BlobLine | EventLine | StreamLine | EndLine

_decoder = msgspec.json.Decoder(Line)
_head_decoder = msgspec.json.Decoder(HeadLine)


class NotALineError(ValueError):
    """A line has not its form; the message says why, without its text."""


def encode_line(line: HeadLine | Line) -> bytes:
    """Return a line with its line feed.

    Raises:
        NotCanonicalError: A string holds a lone surrogate.
    """
    return encode_plain(line) + b"\n"


def decode_head(line: bytes) -> HeadLine:
    """Return the first line, of whatever form the rest is.

    Raises:
        NotALineError: It is no first line of an export.
    """
    try:
        head = _head_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise NotALineError("it is no first line of an export") from exc
    if head.format != FORMAT or encode_line(head) != line:
        raise NotALineError("it is no first line of an export")
    return head


def decode_line(line: bytes) -> Line:
    """Return what a line says; any line but the first.

    Raises:
        NotALineError: It has not its form, or is written otherwise than `encode_line` does.
    """
    if not line.endswith(b"\n"):
        raise NotALineError("it is cut off")
    try:
        said: Line = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise NotALineError("it has not its form") from exc
    if encode_line(said) != line:
        raise NotALineError("it is not canonical JSON")
    return said


def blob_line(id: bytes, salt: bytes | None, data: bytes | None) -> BlobLine:
    """Return the line of a blob."""
    if data is None or salt is None:
        return BlobLine(id.hex(), None, "gone", None)
    try:
        return BlobLine(id.hex(), salt.hex(), "text", data.decode("utf-8"))
    except UnicodeDecodeError:
        return BlobLine(id.hex(), salt.hex(), "base64", base64.b64encode(data).decode("ascii"))


def blob_of(line: BlobLine) -> tuple[bytes, bytes | None, bytes | None]:
    """Return id, salt and bytes of a blob; neither of the two where it is gone.

    Raises:
        NotALineError: The id is not that of salt and bytes, or it would be written otherwise.
    """
    id, salt, data = _bytes(line.id, 32), None, None
    if line.form != "gone":
        salt, data = _bytes(line.salt or "", 16), _plain(line)
        if sha256(salt, data) != id:
            raise NotALineError("the blob's id is not that of its salt and data")
    if blob_line(id, salt, data) != line:
        raise NotALineError("the blob would be written otherwise")
    return id, salt, data


def event_line(row: Row) -> EventLine:
    """Return the line of a row of `events`, its columns in order."""
    _, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest = row
    return EventLine(
        uuid_text(stream),
        version,
        uuid_text(tract),
        tag,
        schema,
        data,
        uuid_text(operation),
        actor,
        recorded_at,
        digest.hex(),
    )


def row_of(line: EventLine) -> Row:
    """Return the row of an event, at position 0.

    Raises:
        NotALineError: A column holds something else than an event has there.
    """
    if not all(map(is_uuid, (line.stream_id, line.tract_id, line.operation_id))):
        raise NotALineError("an id is none")
    if line.recorded_at > LATEST:
        raise NotALineError("its time is out of its range")
    return (
        0,
        uuid_bytes(line.stream_id),
        line.version,
        uuid_bytes(line.tract_id),
        line.type,
        line.schema,
        line.data,
        uuid_bytes(line.operation_id),
        line.actor,
        line.recorded_at,
        _bytes(line.digest, 32),
    )


def names_in(data: str) -> list[bytes]:
    """Return the ids that an event's data names, each once, in their order.

    Blobs and commits are told apart only by what there is under the id. So the
    data of a type that is not known here names its blobs too.
    """
    return [bytes.fromhex(id) for id in dict.fromkeys(_named.findall(data))]


def _plain(line: BlobLine) -> bytes:
    data = line.data or ""
    if line.form == "text":
        return data.encode("utf-8")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise NotALineError("the blob's data are no base64") from exc


def _bytes(text: str, length: int) -> bytes:
    if len(text) != 2 * length or not _hex.fullmatch(text):
        raise NotALineError("an id, a salt or a digest is none")
    return bytes.fromhex(text)
