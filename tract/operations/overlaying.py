"""What one compile shows beyond what the history says by itself.

Another order, marks on what was edited, what the model thought, another
compiler: none of them changes the context, which is shared and a pure function
of its commit. Imports `errors`, `domain`, `formats`, `closing`, `compilers`,
`context` and `slots`.
"""

from collections.abc import Sequence

from attrs import frozen

from tract.domain.commits import Priority
from tract.domain.content import ReasoningContent
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.errors import ContentValidationError
from tract.formats.marking import mark_edited
from tract.operations.closing import arrange
from tract.operations.compilers import DEFAULT, CompiledSlot, Compiler, label, run
from tract.operations.context import Context
from tract.operations.sequence import Vector
from tract.operations.slots import Closing, Line, Slot


@frozen(eq=False, repr=False)
class Overlay:
    """What is shown in the place of a context's own lines and messages.

    Attributes:
        lines: What compiles, in the order that is shown.
        messages: What the model reads, one for each line.
        compiler: Name and version of the compiler that made them.
        tokens: What each of them costs; None where recorded counts hold.
    """

    lines: Vector[Line]
    messages: tuple[Message, ...]
    compiler: str
    tokens: tuple[int, ...] | None = None


def overlay(lines: Vector[Line], compiler: Compiler, *, edit_marks: bool) -> Overlay:
    """Return the lines as *compiler* shows them.

    Args:
        lines: What compiles, in the order to be shown.
        compiler: Makes the messages; marks are in what it is given.
        edit_marks: Whether edited slots show that they were edited.

    Raises:
        CompilerError: The compiler failed.
    """
    said = [_marked(line) if edit_marks else line.message for line in lines]
    if compiler is DEFAULT:
        return Overlay(lines, tuple(said), label(compiler))
    slots = tuple(_given(line, message) for line, message in zip(lines, said, strict=True))
    return Overlay(lines, run(compiler, slots), label(compiler))


def is_edited(line: Line) -> bool:
    """Tell whether what a line shows was brought by an edit; not so for what stands in for a result."""
    return isinstance(line, Slot) and line.content.commit != line.id


def thinking_lines(context: Context) -> Vector[Line]:
    """Return what compiles together with the reasoning that is skipped unasked, each where it stands.

    What somebody skipped stays hidden. Reasoning between a call and its result
    comes behind the result, as all that stands there does.
    """
    shown = [slot for slot in context.live if slot.compiles or _is_hidden_thought(slot)]
    return context.lines if len(shown) == context.slot_count else arrange(shown, 0).lines.freeze()


def _is_hidden_thought(slot: Slot) -> bool:
    is_hidden = slot.priority is Priority.SKIP and slot.priority_by is None
    return is_hidden and slot.content.type == ReasoningContent.content_type


def order_lines(context: Context, lines: Vector[Line], order: Sequence[CommitId]) -> Vector[Line]:
    """Return what compiles in another order.

    Args:
        context: The context.
        lines: What compiles of it.
        order: Its slots, each once. A tool call and its results are one unit,
            which stays together: name it by any of its parts, or by several
            side by side.

    Raises:
        ContentValidationError: It is not everything that compiles, each once.
    """
    units = _units(lines)
    places = {line.id: place for place, unit in enumerate(units) for line in unit}
    placed: dict[int, None] = {}
    last: int | None = None
    for at, commit in enumerate(order):
        slot = context.find_slot(commit)
        place = None if slot is None else places.get(slot.id)
        if place is None:
            raise ContentValidationError(f"order[{at}]", "it is not a slot that compiles here; slot_ids lists those")
        if place in placed and not (place == last and len(units[place]) > 1):
            raise ContentValidationError(f"order[{at}]", "its slot or tool unit was named before")
        placed[place] = None
        last = place
    if len(placed) < len(units):
        left = len(units) - len(placed)
        raise ContentValidationError("order", f"it leaves out {left} of {len(units)} slots and tool units; skip() hides one")
    return Vector.of(line for place in placed for line in units[place])


def _units(lines: Vector[Line]) -> list[list[Line]]:
    """Part lines so that each call is together with its results."""
    units: list[list[Line]] = []
    for line in lines:
        if line.message.role == "tool":
            units[-1].append(line)
        else:
            units.append([line])
    return units


def _marked(line: Line) -> Message:
    if isinstance(line, Slot) and is_edited(line):
        return mark_edited(line.message, line.content.rendering)
    return line.message


def _given(line: Line, message: Message) -> CompiledSlot:
    kind = None if isinstance(line, Closing) else line.content.type
    return CompiledSlot(line.id, line.commit, kind, line.priority, line.config, message)
