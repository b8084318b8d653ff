"""Server-sent events, as far as model servers use them: the data of each event.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. Pure;
imports nothing of ours.
"""

from attrs import Factory, define


@define(eq=False, repr=False)
class EventDecoder:
    """Puts events together from bytes that were cut anywhere."""

    _rest: list[bytes] = Factory(list)
    _data: list[bytes] = Factory(list)

    def feed(self, part: bytes) -> list[bytes]:
        """Return the data of every event that *part* completes."""
        if b"\n" not in part and b"\r" not in part:
            self._rest.append(part)
            return []
        # Bytes, because lines of text end at characters that JSON may hold.
        lines = b"".join((*self._rest, part)).splitlines(keepends=True)
        # A carriage return may be the first half of a line's end.
        self._rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        return [data for line in lines if (data := self._line(line.rstrip(b"\r\n"))) is not None]

    def finish(self) -> list[bytes]:
        """Return what a last carriage return completes; an event that was cut is none."""
        return self.feed(b"\n") if b"".join(self._rest).endswith(b"\r") else []

    def _line(self, line: bytes) -> bytes | None:
        if line:
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
        elif self._data:
            data, self._data = self._data, []
            return b"\n".join(data)
        return None
