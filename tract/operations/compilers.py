"""What makes messages of a context: the `Compiler` protocol and the compilers there are.

Imports `errors`, `domain`. Read `Compiler`, then `run`.
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Protocol

from attrs import frozen

from tract.domain.commits import Priority
from tract.domain.config import LLMConfig
from tract.domain.content import checked_message
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.domain.parts import Part, TextPart
from tract.domain.texts import is_blank, require_speaker
from tract.errors import CompilerError, ContentValidationError


@frozen
class CompiledSlot:
    """One message of the context, as a compiler is given it.

    Attributes:
        id: The commit that created the slot; for what stands in for a missing
            result, that of the call.
        commit: The commit whose content is shown.
        type: Tag of the content's type, such as dialogue; None for what
            stands in for a missing result.
        priority: Of the slot.
        config: What the content was made with, where that is known.
        message: What the history says; calls are answered already.
    """

    id: CommitId
    commit: CommitId
    type: str | None
    priority: Priority
    config: LLMConfig | None
    message: Message


class Compiler(Protocol):
    """Makes the messages that a model reads; pure, so a context compiles alike for ever.

    Change what it makes, and change its version: both are on the record of
    every context that was sent.
    """

    @property
    def name(self) -> str:
        """One word, stored in the clear, such as `xml`."""
        ...

    @property
    def version(self) -> int:
        """A whole number, 1 for the first; recorded with the name."""
        ...

    def compile(self, slots: Sequence[CompiledSlot]) -> Sequence[Message]:
        """Return one message for each slot, in their order, that a provider accepts.

        A tool call must still be followed by its results. So calls and
        results stay what they are, or all of them become plain text.
        """
        ...


@frozen
class TractCompiler:
    """The default: every message as the history says it."""

    name: ClassVar[str] = "tract"
    version: ClassVar[int] = 1

    def compile(self, slots: Sequence[CompiledSlot]) -> Sequence[Message]:
        """Return the messages as they are."""
        return [slot.message for slot in slots]


@frozen
class XMLCompiler:
    """Puts each text into a tag named by its content's type: `<dialogue>Hi</dialogue>`.

    `&`, `<` and `>` in the text become `&amp;`, `&lt;` and `&gt;`, so that no
    text can end its tag or begin another. Of several parts each text gets a
    tag. Roles, images, tool calls and tool results stay as they are, and a
    call without a text gets no tag.
    """

    name: ClassVar[str] = "xml"
    version: ClassVar[int] = 1

    def compile(self, slots: Sequence[CompiledSlot]) -> Sequence[Message]:
        """Return each message with its text in a tag."""
        return [_tagged(slot) for slot in slots]


DEFAULT = TractCompiler()
"""What compiles where no other compiler was given; contexts hold its result already."""

_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]")


def label(compiler: Compiler) -> str:
    """Return name and version as records hold them, such as `tract/1`."""
    return f"{compiler.name}/{compiler.version}"


def run(compiler: Compiler, slots: Sequence[CompiledSlot]) -> tuple[Message, ...]:
    """Return what a compiler makes of the slots, if a provider accepts it.

    Raises:
        CompilerError: It raised, or made something else than one message for
            each slot, or messages that no provider takes.
    """
    try:
        made: object = compiler.compile(slots)
    except Exception as exc:
        raise CompilerError(label(compiler), f"it raised {type(exc).__name__}") from exc
    if not isinstance(made, Sequence) or isinstance(made, (str, bytes)):
        raise CompilerError(label(compiler), f"it returned a value of type {type(made).__name__}, not a list of messages")
    if len(made) != len(slots):
        raise CompilerError(label(compiler), f"it made {len(made)} messages of {len(slots)} slots, not one for each")
    owed: list[str] = []
    messages = []
    for place, (message, slot) in enumerate(zip(made, slots, strict=True)):
        if not isinstance(message, Message):
            raise CompilerError(label(compiler), f"message {place} is of type {type(message).__name__}")
        try:
            # What is still as it was given was looked at when it was committed.
            messages.append(message if message is slot.message else _sendable(message))
        except ContentValidationError as exc:
            raise CompilerError(label(compiler), f"message {place} has a {exc.field} that cannot be sent: {exc.reason}") from exc
        problem = _misplaced(messages[-1], owed)
        if problem is not None:
            raise CompilerError(label(compiler), f"message {place} {problem}")
    if owed:
        raise CompilerError(label(compiler), "its last tool call has no result")
    return tuple(messages)


def _sendable(message: Message) -> Message:
    """Return a message as it is sent.

    Raises:
        ContentValidationError: Naming the field that no provider takes.
    """
    checked = checked_message(message)
    if checked.role != "tool" and not checked.tool_calls and is_blank(checked.text):
        raise ContentValidationError("content", f"a message of role {checked.role} must not be blank")
    if checked.name is not None:
        require_speaker("name", checked.name)
    return checked


def _misplaced(message: Message, owed: list[str]) -> str | None:
    """Return what is wrong with a message where it stands, and note which calls it leaves unanswered."""
    if message.role != "tool":
        if owed:
            return "stands between a tool call and its result"
        owed += (call.id for call in message.tool_calls)
    elif message.tool_call_id in owed:
        owed.remove(message.tool_call_id)
    else:
        return "is a result that answers no call before it"
    return None


def _tagged(slot: CompiledSlot) -> Message:
    message, content = slot.message, slot.message.content
    if (
        slot.type is None
        or message.role == "tool"
        or not isinstance(content, (str, tuple))
        or (message.tool_calls and not content)
    ):
        return message
    tag = _tag(slot.type)
    said = _inside(tag, content) if isinstance(content, str) else tuple(_part_inside(tag, part) for part in content)
    return Message(message.role, said, message.name, message.tool_calls, message.tool_call_id)


def _part_inside(tag: str, part: Part) -> Part:
    return TextPart(_inside(tag, part.text)) if isinstance(part, TextPart) else part


def _inside(tag: str, text: str) -> str:
    inner = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<{tag}>{inner}</{tag}>"


def _tag(content_type: str) -> str:
    """Return the type as XML can name an element."""
    name = _NAME_CHARACTERS.sub("_", content_type)
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"
