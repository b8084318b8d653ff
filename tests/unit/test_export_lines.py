"""The lines of an exported file: every value has one form, and every other form is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import canonical, uuid
from tract.admin.lines import (
    BlobLine,
    EndLine,
    EventLine,
    HeadLine,
    NotALineError,
    StreamLine,
    blob_line,
    blob_of,
    decode_head,
    decode_line,
    encode_line,
    event_line,
    names_in,
    row_of,
)
from tract.domain.canonical import INT64_MAX, sha256
from tract.domain.results import LATEST

numbers = st.integers(0, INT64_MAX)
ids = st.integers(0, 999).map(uuid)
digests = st.binary(min_size=32, max_size=32)
events = st.builds(
    EventLine,
    stream_id=ids,
    version=numbers,
    tract_id=ids,
    type=st.text(),
    schema=numbers,
    data=st.text(),
    operation_id=ids,
    actor=st.none() | st.text(),
    recorded_at=st.integers(0, LATEST),
    digest=digests.map(bytes.hex),
)
blobs = st.tuples(st.binary(min_size=16, max_size=16), st.binary() | st.text().map(str.encode)).map(
    lambda both: (sha256(*both), *both)
)
gone = digests.map(lambda id: (id, None, None))
lines = (
    events
    | (blobs | gone).map(lambda blob: blob_line(*blob))
    | st.builds(StreamLine, ids, numbers, digests.map(bytes.hex))
    | st.builds(EndLine, numbers, numbers, numbers)
)


@given(lines)
def test_a_line_comes_back_as_it_was(line: EventLine | BlobLine | StreamLine | EndLine) -> None:
    assert decode_line(encode_line(line)) == line


@given(lines)
def test_a_line_is_canonical_json(line: EventLine | BlobLine | StreamLine | EndLine) -> None:
    written = encode_line(line)
    assert canonical(json.loads(written)) + b"\n" == written


@given(events)
def test_an_event_comes_back_as_its_row(line: EventLine) -> None:
    assert event_line(row_of(line)) == line


@given(blobs | gone)
def test_a_blob_comes_back_as_it_was(blob: tuple[bytes, bytes | None, bytes | None]) -> None:
    assert blob_of(blob_line(*blob)) == blob


@given(st.binary(max_size=300))
def test_bytes_that_are_no_line_are_refused_and_never_crash(found: bytes) -> None:
    for decode in (decode_head, decode_line):
        with pytest.raises(NotALineError):
            decode(found)


@given(lines, st.integers(0, 10_000), st.integers(1, 255))
def test_a_line_with_another_byte_is_another_line_or_none(
    line: EventLine | BlobLine | StreamLine | EndLine, place: int, change: int
) -> None:
    written = bytearray(encode_line(line))
    written[place % len(written)] ^= change
    try:
        found = decode_line(bytes(written))
    except NotALineError:
        return
    assert found != line
    assert encode_line(found) == bytes(written)


HEAD = encode_line(HeadLine("tract-export", 1))


def test_the_first_line_says_what_the_file_is() -> None:
    assert HEAD == b'{"format":"tract-export","number":1}\n'
    assert decode_head(HEAD) == HeadLine("tract-export", 1)
    assert decode_head(HEAD.replace(b"1", b"2")).number == 2


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        HEAD[:-1],
        b" " + HEAD,
        HEAD.replace(b"-", b"_"),
        b'{"number":1,"format":"tract-export"}\n',
        b"\xef\xbb\xbf" + HEAD,
    ],
)
def test_what_is_no_first_line_is_refused(line: bytes) -> None:
    with pytest.raises(NotALineError):
        decode_head(line)


END = b'{"blobs":1,"events":2,"line":"end","streams":1}\n'


@pytest.mark.parametrize(
    "line",
    [
        END[:-1],
        END.replace(b"\n", b"\r\n"),
        END.replace(b":", b": "),
        END.replace(b"1", b"01"),
        END.replace(b"1", b"-1"),
        END.replace(b"1", b"1.0"),
        END.replace(b"1", b"true"),
        END.replace(b"1", b"9223372036854775808"),
        END.replace(b"{", b'{"more":1,'),
        END.replace(b'"blobs":1,', b""),
        END.replace(b'"end"', b'"END"'),
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_line_that_is_written_otherwise_is_refused(line: bytes) -> None:
    with pytest.raises(NotALineError):
        decode_line(line)


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(NotALineError):
        decode_line(END.replace(b'"blobs":1', b'"blobs":1,"blobs":1'))


BLOB = blob_line(sha256(b"s" * 16, b"text"), b"s" * 16, b"text")


@pytest.mark.parametrize(
    "line",
    [
        BlobLine(BLOB.id, BLOB.salt, "text", "other"),
        BlobLine(BLOB.id, BLOB.salt, "base64", "dGV4dA=="),
        BlobLine(BLOB.id, BLOB.salt, "gone", None),
        BlobLine(BLOB.id, None, "gone", "text"),
        BlobLine(BLOB.id, None, "text", "text"),
        BlobLine(BLOB.id, "00" * 16, "text", "text"),
        BlobLine(BLOB.id, "00" * 15, "text", "text"),
        BlobLine(BLOB.id.upper(), BLOB.salt, "text", "text"),
        BlobLine(BLOB.id[:-2], BLOB.salt, "text", "text"),
        BlobLine(BLOB.id, BLOB.salt, "text", None),
        BlobLine(BLOB.id, BLOB.salt, "base64", "no base64"),
        BlobLine(sha256(b"s" * 16, b"\xff").hex(), (b"s" * 16).hex(), "base64", "/w"),
        BlobLine(sha256(b"s" * 16, b"\xff").hex(), (b"s" * 16).hex(), "base64", "/x=="),
    ],
)
def test_a_blob_that_is_not_what_its_id_says_or_has_another_form_is_refused(line: BlobLine) -> None:
    with pytest.raises(NotALineError):
        blob_of(line)


def test_bytes_that_are_no_text_are_told_in_base64() -> None:
    blob = (sha256(b"s" * 16, b"\xff"), b"s" * 16, b"\xff")
    assert (blob_line(*blob).form, blob_line(*blob).data) == ("base64", "/w==")


def test_data_name_what_stands_in_quotes_once_and_in_order() -> None:
    one, two = "1" * 64, "2" * 64
    data = json.dumps(
        {"b": [two, one, two], "c": f"{one} in a text", "d": "3" * 63, "e": "4" * 65, "f": "A" * 64, "g": f'"{one[:-1]}5"'}
    )
    assert names_in(data) == [bytes.fromhex(two), bytes.fromhex(one)]
