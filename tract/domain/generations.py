"""Model calls as people see them, and the pieces of an answer on its way.

Imports `events`, `ids` and `results`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from attrs import frozen

from tract.domain.ids import CommitId, GenerationId, OperationId, TractId
from tract.domain.results import SHORT, preview

GenerationStatus: TypeAlias = Literal["running", "completed", "failed", "cancelled", "interrupted"]
"""How a model call stands; an interrupted one's owner is gone."""


@frozen
class GenerationInfo:
    """One model call, as people see it.

    Attributes:
        id: Its id; what `follow` takes.
        tract_id: Whose it is.
        verb: What was called: chat, generate, stream or run; None for a call that
            an earlier version recorded, which did not note it.
        branch: Where the answer was to go.
        base: Where that branch was when it began; None without a commit.
        question: The question's commit, None where nothing was asked.
        answer: The commit of the answer, or of the part that was kept; None
            while the call runs and where nothing arrived. Take one that is not
            on the branch with `branch(name, at=...)`.
        status: running, completed, failed, cancelled or interrupted.
        text: The answer, or all that arrived of it, which may be more than its
            commit has: a stream that is left keeps what its caller saw.
        finish_reason: The provider's word, `cancelled`, or the error's class.
        model: Which model was asked.
        started: When it began, aware, UTC.
        ended: When it ended; None while it runs, and before somebody recorded
            that it was interrupted.
        operation_id: The verb call.
        actor: Who asked, or None.
        tools: Schemas of the tools that were offered, in the format of
            OpenAI's Chat Completions.
        tool_choice: Which of them had to or might be called, in the same
            format; None where that was not said.
        response_format: What the answer had to look like, in the same format,
            or None.
    """

    id: GenerationId
    tract_id: TractId
    verb: str | None
    branch: str
    base: CommitId | None
    question: CommitId | None
    answer: CommitId | None
    status: GenerationStatus
    text: str
    finish_reason: str | None
    model: str | None
    started: datetime
    ended: datetime | None
    operation_id: OperationId
    actor: str | None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        kept = f" ({self.answer[:SHORT]})" if self.answer else ""
        return f"{self.id} {self.status:<11} on {self.branch}{kept} {preview(self.model or 'model', self.text)}"


@frozen
class Delta:
    """A piece of an answer.

    Attributes:
        text: The piece.
        cursor: How many characters of the answer end with it; pass it as
            `after` to go on from there.
    """

    text: str
    cursor: int

    def __str__(self) -> str:
        return self.text
