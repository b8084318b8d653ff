"""What a run of the tool loop brings: its steps, and how it ended.

Imports `exchange`, `messages` and `results`.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from attrs import asdict, frozen

from tract.domain.events import UsageFigures
from tract.domain.messages import ToolCall
from tract.domain.results import SHORT, ChatResponse, CommitInfo, preview

ToolStatus: TypeAlias = Literal["ok", "error"]
"""How a tool ended."""


@frozen
class ToolOutcome:
    """What one tool call brought, recorded.

    Attributes:
        call: What the model asked for.
        text: The result as the model is given it.
        status: ok; error where the tool failed, where there is no such tool,
            and where its arguments or what it returned could not be used.
        commit_info: The result's commit.
    """

    call: ToolCall
    text: str
    status: ToolStatus
    commit_info: CommitInfo

    def __str__(self) -> str:
        return f"{self.commit_info.id[:SHORT]} {preview(f'{self.call.name} ({self.status})', self.text)}"


@frozen
class RunStep:
    """One answer of the model, and what its tool calls brought.

    Attributes:
        number: Which model call of the run it was, from 1 on; 0 for an answer
            that stood on the branch before, whose calls had no result yet.
        response: The answer.
        results: Of the calls that this run made, in the order of the calls.
    """

    number: int
    response: ChatResponse
    results: tuple[ToolOutcome, ...]

    def __str__(self) -> str:
        said = [preview(f"{self.number}", self.response.text)] if self.response.text else []
        return "\n".join([*said, *(f"{self.number}: {outcome}" for outcome in self.results)])


@frozen
class RunResult:
    """How a run ended.

    Attributes:
        text: What the last answer says.
        response: The last answer.
        steps: What the run did, in order; none where it had ended before.
        usage: Of all its answers together, as the provider reported it; None
            where it reported nothing. What was tried in vain is in `usage()`.
        finish_reason: The provider's word on the last answer, such as stop;
            `max_steps` where the run ended because it was allowed no more.
        is_finished: Whether the last answer calls nothing, so that there is
            nothing left to do.
    """

    text: str
    response: ChatResponse
    steps: tuple[RunStep, ...]
    usage: UsageFigures | None
    finish_reason: str | None
    is_finished: bool

    def __str__(self) -> str:
        if self.is_finished:
            return self.text
        stopped = "(stopped at max_steps; run() without a text goes on)"
        return f"{self.text}\n{stopped}" if self.text else stopped


def sum_usage(reports: Iterable[UsageFigures | None]) -> UsageFigures | None:
    """Return the sum of what was reported, None where nothing was.

    A figure that no report has stays None.
    """
    told = [asdict(report) for report in reports if report is not None]
    if not told:
        return None
    figures = {name: [report[name] for report in told if report[name] is not None] for name in told[0]}
    return UsageFigures(**{name: sum(found) if found else None for name, found in figures.items()})
