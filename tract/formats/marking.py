"""Showing in a message that its text was edited.

For readers of a context who want to see where it was corrected; what is sent
to a model has no marks unless somebody asks for them. Numbered like
renderings, and held in place by `tests/migration/compilers.json`. Imports
`errors` and `domain`.
"""

from attrs import evolve

from tract.domain.messages import ABSENT, Message
from tract.domain.parts import Part, TextPart
from tract.errors import ContentValidationError

EDIT_MARK = "[edited]"
"""What rendering 1 puts behind a text that was edited."""

_MARKS = {1: EDIT_MARK}


def mark_edited(message: Message, rendering: int) -> Message:
    """Return *message* with the mark behind its text.

    Where there is no text (null, absent or empty) the mark stands alone, so
    that an edited call shows it too; among parts it stands behind the last
    text, or is one of its own. Calls, their ids and names stay as they are.

    Args:
        message: Of the edited slot.
        rendering: The number of the commit that edited it.

    Raises:
        ContentValidationError: This version does not know the rendering.
    """
    mark = _MARKS.get(rendering)
    if mark is None:
        raise ContentValidationError("rendering", f"number {rendering} is not known; this version knows {max(_MARKS)}")
    if message.content is None or message.content is ABSENT:
        return evolve(message, content=mark)
    if isinstance(message.content, tuple):
        return evolve(message, content=_behind_parts(message.content, mark))
    return evolve(message, content=_behind(message.content, mark))


def _behind_parts(parts: tuple[Part, ...], mark: str) -> tuple[Part, ...]:
    for place in range(len(parts) - 1, -1, -1):
        part = parts[place]
        if isinstance(part, TextPart):
            return (*parts[:place], TextPart(_behind(part.text, mark)), *parts[place + 1 :])
    return (*parts, TextPart(mark))


def _behind(text: str, mark: str) -> str:
    return f"{text} {mark}" if text else mark
