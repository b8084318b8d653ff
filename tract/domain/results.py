"""What verbs return: frozen values with a readable `__str__`.

Imports `budgets`, `commits`, `config`, `content`, `exchange` and `messages`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from tract.domain.budgets import TokenBudget
from tract.domain.commits import CommitOperation, Priority
from tract.domain.config import LLMConfig
from tract.domain.content import Content, Renderable
from tract.domain.events import UsageFigures
from tract.domain.ids import CommitId, OperationId, TractId
from tract.domain.messages import Message, ToolCall

SHORT = 8
"""Digits of a commit id that people are shown."""
_PREVIEW = 72
_LOOK = 1024
_epoch = datetime(1970, 1, 1, tzinfo=UTC)
P = TypeVar("P")


LATEST = (datetime.max.replace(tzinfo=UTC) - _epoch) // timedelta(microseconds=1)
"""The last microsecond since 1970 that a datetime can say, in the year 9999."""


def moment(micros: int) -> datetime:
    """Return the aware UTC datetime of microseconds since 1970; of what is later than `LATEST`, that."""
    micros = min(micros, LATEST)
    return _epoch + timedelta(microseconds=micros)


def preview(kind: str, text: str) -> str:
    """Return `<kind>: <first words>` on one line of at most 72 characters."""
    # More words than fit into a preview even if each were one letter.
    first = text[:_LOOK].split(None, _PREVIEW // 2)
    words = " ".join((f"{kind}:", *first))
    if len(words) <= _PREVIEW and not text[_LOOK:].strip():
        return words
    cut = words[: _PREVIEW - 3]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > len(kind) + 1 else cut) + "..."


@frozen
class CommitInfo:
    """A commit, as people see it.

    Attributes:
        id: Its id, 64 hex digits.
        tract_id: Whose it is.
        parents: First parent first.
        operation: What it does.
        targets: What it acts on; for pin and skip the whole tool unit.
        content_type: Tag of what it brings, or None.
        priority: That it gives, or None.
        message: As given, or a preview made from the content.
        metadata: As given, or None.
        generation_config: What the content was made with, or None.
        tokens: What the content costs, or None where there is none.
        actor: Who did it, or None.
        time: Of the verb call, aware, UTC.
        operation_id: The verb call.
    """

    id: CommitId
    tract_id: TractId
    parents: tuple[CommitId, ...]
    operation: CommitOperation
    targets: tuple[CommitId, ...]
    content_type: str | None
    priority: Priority | None
    message: str
    metadata: Mapping[str, Any] | None
    generation_config: LLMConfig | None
    tokens: int | None
    actor: str | None
    time: datetime
    operation_id: OperationId

    def __str__(self) -> str:
        cost = "" if self.tokens is None else f" ({self.tokens} tokens)"
        return f"{self.id[:SHORT]} {self.operation.value:<8} {self.message}{cost}"


@frozen
class CommitDetail:
    """A commit with what it brought.

    Attributes:
        info: The commit.
        content: What it brought, or None; of a registered type an instance,
            and a `RegisteredContent` where the class is not registered.
        rendered: That as a message, or None.
        reason: Why a priority was set, or None.
        retain: What a compression must keep, or None.
    """

    info: CommitInfo
    content: Content | Renderable | None
    rendered: Message | None
    reason: str | None
    retain: Any

    def __str__(self) -> str:
        info = self.info
        lines = [f"commit {info.id}", f"time   {info.time.isoformat(timespec='seconds')}"]
        if info.actor:
            lines.append(f"actor  {info.actor}")
        lines.append(f"{info.operation.value}  {info.message}")
        if info.targets:
            lines.append(f"on     {', '.join(target[:SHORT] for target in info.targets)}")
        if self.reason:
            lines.append(f"reason {self.reason}")
        if self.rendered is not None:
            lines += ["", *(f"    {line}" for line in self.rendered.text.splitlines())]
            lines += [f"    -> {call.name}({call.arguments})" for call in self.rendered.tool_calls]
        return "\n".join(lines)


@frozen
class BranchInfo:
    """A branch, compared with this handle's HEAD.

    Attributes:
        name: Its name.
        head: Its commit, None while it has none.
        is_current: Whether HEAD is on it.
        ahead: Commits it has and HEAD has not.
        behind: Commits HEAD has and it has not.
        last_activity: When it last moved, aware, UTC.
    """

    name: str
    head: CommitId | None
    is_current: bool
    ahead: int
    behind: int
    last_activity: datetime

    def __str__(self) -> str:
        mark = "*" if self.is_current else " "
        apart = f" [{self.ahead} ahead, {self.behind} behind]" if self.ahead or self.behind else ""
        return f"{mark} {self.name} {(self.head or 'no commit')[:9]}{apart}"


@frozen
class TractStatus:
    """Where a handle stands and what the context there costs.

    Attributes:
        tract_id: Which tract.
        name: Its name.
        branch: The current branch, None when detached.
        head: The commit there, None before the first.
        slots: How many slots compile.
        token_count: What they cost.
        token_source: `counted:<counter>`, or `reported:<model>` where a
            provider told; what was committed since is counted on top.
        budget: What the context may cost, or None. It is held against the
            recorded counts, also where a provider told another figure.
    """

    tract_id: TractId
    name: str
    branch: str | None
    head: CommitId | None
    slots: int
    token_count: int
    token_source: str
    budget: TokenBudget | None = None

    def __str__(self) -> str:
        at = f"on {self.branch}" if self.branch else "detached"
        head = self.head[:SHORT] if self.head else "no commit yet"
        slots = f"{self.slots} slot{'' if self.slots == 1 else 's'}"
        tokens = f"{self.token_count}" if self.budget is None else f"{self.token_count:,} of {self.budget.max_tokens:,}"
        return f"{self.name} {at} at {head}: {slots}, {tokens} tokens ({self.token_source})"


@frozen
class ChatResponse:
    """An answer, recorded.

    Attributes:
        text: What was said; empty where only tools are called.
        usage: As the provider reported it, or None.
        commit_info: The answer's commit.
        generation_config: What was sent, with the model that answered.
        tool_calls: What it calls.
        finish_reason: The provider's word, or `cancelled`.
        parsed: The answer as the JSON that `response_format` asked for; None
            where none was asked for.
        reasoning: What the model thought before it answered, or None where
            the provider does not tell.
    """

    text: str
    usage: UsageFigures | None
    commit_info: CommitInfo
    generation_config: LLMConfig
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    parsed: Any = None
    reasoning: str | None = None

    def __str__(self) -> str:
        return self.text


@frozen
class ParsedResponse(ChatResponse, Generic[P]):
    """An answer, recorded, to a call whose `response_format` is a class.

    Attributes:
        parsed: The answer as a value of that class.
    """

    parsed: P = field(kw_only=True)
