"""How far the tool loop has come, by what compiles.

Pure. Imports `domain` and `slots`.
"""

from collections.abc import Collection, Sequence

from attrs import frozen

from tract.domain.content import ReasoningContent
from tract.domain.ids import CommitId
from tract.domain.messages import ToolCall
from tract.operations.slots import Closing, Line, Slot


@frozen(eq=False, repr=False)
class Standing:
    """Where the conversation stands.

    Attributes:
        answer: The last answer, or None.
        open_calls: Its calls that have no result, in its order.
        is_finished: Whether nothing stands behind it, and it calls nothing.
    """

    answer: Slot | None
    open_calls: tuple[ToolCall, ...] = ()
    is_finished: bool = False


def standing_of(lines: Sequence[Line]) -> Standing:
    """Return where the conversation stands, by the lines of its context.

    What a model thought is no answer, wherever it was put.
    """
    open_calls: list[ToolCall] = []
    is_last = True
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        if isinstance(line, Closing):
            open_calls.append(line.call)
        elif line.content.message.role != "assistant":
            is_last = False
        elif line.content.type != ReasoningContent.content_type:
            calls = line.content.message.tool_calls
            return Standing(line, tuple(reversed(open_calls)), is_last and not calls)
    return Standing(None)


def last_answer(lines: Sequence[Line], answers: Collection[CommitId]) -> Slot | None:
    """Return the one of a run's answers that calls nothing, or None where it did not come, or compiles no longer."""
    for line in lines:
        if isinstance(line, Slot) and line.id in answers and not line.content.message.tool_calls:
            return line
    return None
