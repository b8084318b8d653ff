"""What is sent of a context: its messages as JSON, encoded once.

Imports `domain`, `formats`, `compiling` and `slots`. Read `payload_of`.
"""

from collections.abc import Iterable, Sequence

import msgspec

from tract.domain.messages import Message
from tract.domain.payloads import Payload
from tract.formats.openai import message_to_openai
from tract.operations.compiling import CompiledContext
from tract.operations.hashing import NEVER_SENT, Encoded
from tract.operations.slots import Line

_encoder = msgspec.json.Encoder()


def payload_of(compiled: CompiledContext) -> Payload:
    """Return the messages as `to_openai` gives them.

    The contexts of one history share what they encoded, so a turn encodes the
    63 messages behind the last full leaf at most: 0.1 ms, where all of 10,000
    take 6 to 20. What is encoded is kept with the contexts that go on from here.

    Keys stand as `to_openai` has them, not sorted as for `payload_digest`:
    some servers show a call to the model as it came, and models know it by
    its name first.
    """
    if compiled.overlay is not None:
        return Payload(_pieces(compiled.overlay.messages))
    chains, lines = compiled.context.chains, compiled.context.lines
    pieces: tuple[bytes, ...] = ()
    if lines.leaves:
        if chains.encoded is NEVER_SENT:
            chains.encoded = Encoded()
        pieces = chains.encoded.of(lines.leaves, _encode_lines)
    return Payload((*pieces, *_pieces([line.message for line in lines.tail])))


def _encode_lines(lines: Sequence[Line]) -> bytes:
    return _encode(line.message for line in lines)


def _pieces(messages: Sequence[Message]) -> tuple[bytes, ...]:
    return (_encode(messages),) if messages else ()


def _encode(messages: Iterable[Message]) -> bytes:
    return _encoder.encode([message_to_openai(message) for message in messages])[1:-1]
