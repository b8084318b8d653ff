"""Server-sent events, however their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.llm.event_streams import EventDecoder

STREAMS: dict[str, tuple[bytes, list[str]]] = {
    "two events": (b"data: one\n\ndata: two\n\n", ["one", "two"]),
    "without a space": (b"data:one\n\n", ["one"]),
    "only the first space is none of it": (b"data:  one \n\n", [" one "]),
    "ends of lines of Windows": (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
    "ends of lines of old": (b"data: one\r\rdata: two\r\r", ["one", "two"]),
    "ends of lines of all kinds": (b"data: one\r\n\ndata: two\r\r\ndata: three\n\r\n", ["one", "two", "three"]),
    "data on several lines": (b"data: one\ndata: two\n\n", ["one\ntwo"]),
    "comments": (b": ping\n\n:\ndata: one\n: ping\n\n", ["one"]),
    "other fields": (b"event: message\nid: 7\nretry: 100\ndata: one\nodd\n\n", ["one"]),
    "events without data": (b"event: ping\n\nretry: 5\n\nid: 1\n\ndata\n\ndata:\n\ndata: one\n\n\n\n", ["one"]),
    "a byte order mark": (b"\xef\xbb\xbfdata: one\n\n", ["one"]),
    "a byte order mark further on is none": (b"data: one\n\n\xef\xbb\xbfdata: two\n\n", ["one"]),
    "an event that is not ended": (b"data: one\n\ndata: two\n", ["one"]),
    "half a line": (b"data: one\n\ndat", ["one"]),
    "letters of several bytes": ("data: 猫\u2028\x85 😀\n\n".encode(), ["猫\u2028\x85 😀"]),
    "a colon in the data": (b"data: a: b\n\n", ["a: b"]),
    "nothing": (b"", []),
}

each_stream = pytest.mark.parametrize(("sent", "expected"), STREAMS.values(), ids=STREAMS)


@each_stream
def test_a_stream_is_read_at_once(sent: bytes, expected: list[str]) -> None:
    assert EventDecoder().feed(sent) == expected


@each_stream
def test_a_stream_is_read_byte_by_byte(sent: bytes, expected: list[str]) -> None:
    decoder = EventDecoder()
    assert [data for byte in sent for data in decoder.feed(bytes([byte]))] == expected


@given(st.lists(st.sampled_from([sent for sent, _ in STREAMS.values()])), st.lists(st.integers(0, 200)))
def test_where_a_stream_is_cut_makes_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(parts)
    places = sorted({min(cut, len(sent)) for cut in cuts} | {0, len(sent)})
    decoder = EventDecoder()
    pieces = [sent[start:end] for start, end in pairwise(places)]
    assert [data for piece in pieces for data in decoder.feed(piece)] == EventDecoder().feed(sent)


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        EventDecoder().feed(b"data: \xff\n\n")


def test_a_line_of_many_pieces_takes_time_in_proportion() -> None:
    decoder = EventDecoder()
    for _ in range(100_000):
        decoder.feed(b"data: x" * 3)
    (data,) = decoder.feed(b"\n\n")
    assert len(data) == 100_000 * 21 - len("data: ")
