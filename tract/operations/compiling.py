"""What a model is given: a context as messages.

Imports `domain`, `formats` and the rest of the fold. Read `CompiledContext`.
"""

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from attrs import frozen

from tract.domain.canonical import encode_plain
from tract.domain.commits import Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.formats.anthropic import messages_to_anthropic
from tract.formats.openai import message_to_dict, message_to_openai
from tract.operations.closing import Repair, find_repairs
from tract.operations.compilers import DEFAULT, label
from tract.operations.context import Context
from tract.operations.hashing import Chain, digest_of, finish
from tract.operations.overlaying import Overlay
from tract.operations.prefixes import Sent
from tract.operations.sequence import Vector, View
from tract.operations.slots import Closing, Line

__all__ = ["CompiledContext", "Repair"]


@frozen(eq=False, repr=False, str=False, slots=False)
class CompiledContext:
    """The messages of a context, each traceable to its slot and commit.

    The sequences are views: nothing is built until it is asked for, and item
    by item; `list(...)` of one is the caller's to pay. They are as long as
    `len()` says, and one index means one message in all of them.

    Attributes:
        context: What was compiled.
        head: The commit it was compiled at; None where there is none.
        token_count: What the whole costs.
        token_source: Who says so: `counted:<name>` or `reported:<model>`.
        warnings: What the reader should know, one sentence each.
        overlay: What this compile shows in the place of the history's own
            order and messages, or None.
        sent: What was sent last on the branch, beside this; None for nothing.
    """

    context: Context
    head: CommitId | None
    token_count: int
    token_source: str
    warnings: tuple[str, ...] = ()
    overlay: Overlay | None = None
    sent: Sent | None = None

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def compiler(self) -> str:
        """Name and version of what made the messages, such as `tract/1`."""
        return label(DEFAULT) if self.overlay is None else self.overlay.compiler

    @property
    def messages(self) -> Sequence[Message]:
        """What the model reads.

        A message of a history that was compiled before the store was opened
        is read when it is looked at; damaged ones raise `CorruptLogError`.
        """
        if self.overlay is not None:
            return View(self.overlay.messages, _itself)
        return View(self.context.lines, attrgetter("message"))

    @property
    def commit_ids(self) -> Sequence[CommitId]:
        """The commit whose content is shown; that of the call for a closing."""
        return View(self._lines, attrgetter("commit"))

    @property
    def slot_ids(self) -> Sequence[CommitId]:
        """The commit that created the slot; that of the call for a closing."""
        return View(self._lines, attrgetter("id"))

    @property
    def priorities(self) -> Sequence[Priority]:
        """The slot's; that of the call for a closing."""
        return View(self._lines, attrgetter("priority"))

    @property
    def generation_configs(self) -> Sequence[LLMConfig | None]:
        """What the content was made with, where that is known."""
        return View(self._lines, attrgetter("config"))

    @property
    def token_counts(self) -> Sequence[int | None]:
        """As recorded with the commit; None for a closing."""
        return View(self._lines, attrgetter("tokens"))

    @cached_property
    def cacheable_tokens(self) -> int:
        """What the messages at the beginning cost that the branch's last compile record has too.

        That is how much of this a provider may have in its cache, if it was
        sent to the same model with the same tools. Counted as `token_counts`
        has it, whatever a provider reported, and without what a context costs
        beside its messages; 0 where nothing was sent: a branch begins without
        a record, wherever it begins.
        """
        if self.sent is None:
            return 0
        if self.overlay is not None and self.overlay.tokens is not None:
            return sum(self.overlay.tokens[: self.sent.shown])
        return self.sent.tokens(self.context, self._lines)

    @cached_property
    def cache_break(self) -> CommitId | None:
        """The commit that changed the first message of what was sent last that is not there any more.

        An edit, annotate, compress, reorder or revert, or the result that
        came for a call which was sent without one. None where nothing was
        sent, where all that was sent is still there, and where no commit did
        it: another order, marks of edits, another compiler. Where HEAD was
        taken to where that context was never part of the history, the commit
        of what stands in the message's place, None at the end.
        """
        return None if self.sent is None else self.sent.find_break(self.context)

    @cached_property
    def repairs(self) -> tuple[Repair, ...]:
        """What differs from the history so that a provider accepts it, in context order."""
        revealed = {line.id for line in self._lines} if len(self) > len(self.context.lines) else frozenset()
        return find_repairs(slot for slot in self.context.live if slot.compiles or slot.id in revealed)

    @cached_property
    def digest(self) -> str:
        """What identifies the context: of types, roles and blobs, not of text, so it outlives erasure."""
        context = self.context
        if self._lines is not context.lines:
            return digest_of([_entry(line) for line in self._lines])
        return finish(content_chain(context), context.lines, _entry)

    @cached_property
    def payload_digest(self) -> str:
        """What identifies the messages as `to_openai` gives them."""
        context = self.context
        if self.overlay is not None:
            return digest_of([encode_plain(message) for message in self.to_openai()])
        context.chains.payload = context.chains.payload.over(context.lines.leaves, _payload_entry)
        return finish(context.chains.payload, context.lines, _payload_entry)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return each message as role, content and, where present, name, tool_calls and tool_call_id."""
        return [message_to_dict(message) for message in self.messages]

    def to_openai(self) -> list[dict[str, Any]]:
        """Return the messages as OpenAI's Chat Completions takes them.

        Ids of calls stay what they are, and all calls of a message stay in
        it: where a route takes ids of 40 or 64 characters only, or 128 calls
        in a message, that is not mended. One message for each slot, and each
        a function of its slot alone: before the first slot that changed, no
        byte changes.
        """
        return [message_to_openai(message) for message in self.messages]

    def to_anthropic(self) -> dict[str, Any]:
        """Return `messages`, and `system` where there is any, as Anthropic's Messages takes them.

        Anything that the provider would refuse is mended, so what comes out
        may have other call ids, fewer messages and no names. Whether a
        conversation may end with an answer is the model's to say.

        Before the first slot that changed, no block changes. What is added
        behind the last message may join it as one more block, an answer that
        is last has no blanks at its end until something follows, and what the
        system says stands in front wherever it was said: said later, it ends
        what the messages share with those before.
        """
        return messages_to_anthropic(self.messages)

    @property
    def _lines(self) -> Vector[Line]:
        return self.context.lines if self.overlay is None else self.overlay.lines

    def __str__(self) -> str:
        at = self.head[:8] if self.head else "no commit"
        lines = [
            f"Compiled context at {at}",
            f"  {len(self)} message{'' if len(self) == 1 else 's'}, {self.token_count} tokens ({self.token_source})",
        ]
        if self.overlay is not None and self.compiler != label(DEFAULT):
            lines.append(f"  compiler: {self.compiler}")
        if self.repairs:
            kinds = [repair.kind for repair in self.repairs]
            counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
            lines.append(f"  repairs: {counts}")
        lines += (f"  warning: {warning}" for warning in self.warnings)
        return "\n".join(lines)

    def __repr__(self) -> str:
        at = self.head[:8] if self.head else None
        return f"<CompiledContext {at}: {len(self)} messages, {self.token_count} tokens>"


def content_chain(context: Context) -> Chain:
    """Return the chain over what compiles, which the context knows from then on."""
    context.chains.content = context.chains.content.over(context.lines.leaves, _entry)
    return context.chains.content


def _itself(message: Message) -> Message:
    return message


def _entry(line: Line) -> bytes:
    if isinstance(line, Closing):
        return encode_plain([line.slot.content.rendering, "tool", None, None])
    content = line.content
    return encode_plain([content.rendering, content.message.role, content.type, content.blob])


def _payload_entry(line: Line) -> bytes:
    return encode_plain(message_to_openai(line.message))
