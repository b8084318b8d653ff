"""Server-sent events come out the same, wherever the network cut their bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.llm.event_stream import EventDecoder


def decoded(*parts: bytes) -> list[bytes]:
    decoder = EventDecoder()
    return [data for part in parts for data in decoder.feed(part)] + decoder.finish()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b"data:one\n\ndata:  two\n\n", [b"one", b" two"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b": comment\n\nevent: chunk\nid: 1\nretry: 10\ndata: one\n\n", [b"one"]),
        (b"event: ping\n\n\n\n", []),
        (b"data\n\ndata:\n\n", [b"", b""]),
        (b"database: no\ndata-no\n\n", []),
        (b"data: cut", []),
        (b"data: cut\n", []),
        (b"data: a: b\n\n", [b"a: b"]),
        (b"", []),
    ],
)
def test_a_stream_gives_the_data_of_its_events(stream: bytes, events: list[bytes]) -> None:
    assert decoded(stream) == events


def test_characters_that_end_a_line_of_text_end_no_line_here() -> None:
    text = 'data: {"a": "one\u2028two\u0085three\x0cfour"}'.encode()
    assert decoded(text + b"\n\n") == [text.removeprefix(b"data: ")]


LINES = st.sampled_from([b"data: a", b"data: \xe2\x80\xa8", b"data:", b": ping", b"", b"", b"event: x"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(LINES, max_size=12), ENDS, st.data())
def test_it_makes_no_difference_where_the_bytes_are_cut(lines: list[bytes], end: bytes, data: st.DataObject) -> None:
    stream = b"".join(line + end for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decoded(*parts) == decoded(stream)
