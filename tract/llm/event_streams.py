"""Server-sent events: the bytes of a streamed answer in, the data of each event out.

By the rules of https://html.spec.whatwg.org/multipage/server-sent-events.html
(interpreting an event stream), which the openai package follows less closely:
it loses the first event behind a byte order mark and takes an event without
data for broken JSON. Imports nothing of ours.
"""

import re

_line_end = re.compile(rb"\r\n|\r|\n")
_MARK = b"\xef\xbb\xbf"


class EventDecoder:
    """Puts events together from bytes that may be cut anywhere."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._data: list[str] = []
        self._is_after_return = False
        self._is_first = True

    def feed(self, piece: bytes) -> list[str]:
        """Return the data of each event that ends within *piece*, which follows the pieces before.

        Comments, other fields and events without data are passed over; an
        event that is never ended is never returned.

        Raises:
            UnicodeDecodeError: It is not UTF-8; replacing what is not would
                change what the model said.
        """
        if not piece:
            return []
        if self._is_after_return:
            piece = piece.removeprefix(b"\n")
        self._is_after_return = piece.endswith(b"\r")
        *ended, begun = _line_end.split(piece)
        found = []
        for end in ended:
            line = b"".join((*self._begun, end))
            self._begun = []
            if (data := self._take(line)) is not None:
                found.append(data)
        self._begun.append(begun)
        return found

    def _take(self, line: bytes) -> str | None:
        """Take in a line; return the data of the event that it ends."""
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_MARK)
        if not line:
            data, self._data = "\n".join(self._data), []
            return data or None
        name, _, value = line.decode("utf-8").partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        return None
