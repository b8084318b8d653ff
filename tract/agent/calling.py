"""The tool calls of one answer: made at once, each result recorded as it arrives.

Inside the hold that the run has on the branch, whose own appends pass it.
Imports `core`, `verbs`, `toolbox` and anyio; read `call_tools` first.
"""

import asyncio
import math
from collections.abc import Callable, Sequence

import anyio
from attrs import frozen

from tract.agent.toolbox import Toolbox
from tract.core import TractCore
from tract.core.gates import Hold
from tract.domain.commits import Details
from tract.domain.content import ToolIOContent
from tract.domain.events import NewEvent
from tract.domain.ids import CommitId
from tract.domain.messages import ToolCall
from tract.domain.results import CommitInfo
from tract.domain.runs import ToolOutcome
from tract.errors import BranchNotFoundError, TurnStateError
from tract.formats.rendering import render
from tract.log.protocol import Row, Statement
from tract.operations.budgeting import Source
from tract.verbs.budgeting import Spending
from tract.verbs.drafting import OFF_LOOP, Draft, draft_content, draft_now, draft_words
from tract.verbs.writing import AppendPlace, appended, recorded_append


@frozen(eq=False, repr=False)
class Step:
    """What the calls of one step have in common.

    Attributes:
        t: The tract.
        hold: The run's, on the branch.
        tools: What may be called.
        max_concurrency: How many calls run at a time.
    """

    t: TractCore
    hold: Hold
    tools: Toolbox
    max_concurrency: int


async def call_tools(step: Step, calls: Sequence[ToolCall]) -> tuple[ToolOutcome, ...]:
    """Make calls at once and record each result the moment it arrives.

    Calls that share an id are told apart by the order of their results alone,
    so those are made one after the other.

    Returns:
        What they brought, in the order of the calls.

    Raises:
        BranchNotFoundError: The branch was deleted.
        ClosedError: The tract was closed, before a tool was called or by one of the tools.
        StoreError: A result could not be written.
        TurnStateError: A tool had its task cancelled behind its back.
    """
    chains: dict[str, list[int]] = {}
    for place, call in enumerate(calls):
        chains.setdefault(call.id, []).append(place)
    outcomes: dict[int, ToolOutcome] = {}
    failures: list[BaseException] = []
    slots, threads = anyio.Semaphore(step.max_concurrency), anyio.CapacityLimiter(step.max_concurrency)
    is_called_off = _calling_off()

    async def make(places: list[int]) -> None:
        try:
            for place in places:
                async with slots:
                    result = await step.tools.call(calls[place], threads, is_called_off)
                outcomes[place] = await _recorded(step, calls[place], result)
        except asyncio.CancelledError:
            if is_called_off():
                raise
            failures.append(
                TurnStateError("a tool cancelled its task after it had returned; run() goes on from what is recorded")
            )
            group.cancel_scope.cancel()
        except BaseException as exc:  # noqa: BLE001 - raised below, by itself and not in a group
            failures.append(exc)
            group.cancel_scope.cancel()

    # What closed the tract before cannot know of these calls.
    step.t.require_open()
    with step.t.in_flight(step.hold, _nothing_to_record):
        async with anyio.create_task_group() as group:
            for places in chains.values():
                group.start_soon(make, places)
    if failures:
        raise failures[0]
    return tuple(outcomes[place] for place in range(len(calls)))


def _calling_off() -> Callable[[], bool]:
    """Return what says whether a cancellation in a task of a group comes from without.

    From the task that opened the group, or from a cancel scope.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    return lambda: task.cancelling() > before or anyio.current_effective_deadline() == -math.inf


async def _nothing_to_record() -> None:
    """End no turn: what the calls brought until now is recorded already."""


async def _recorded(step: Step, call: ToolCall, result: ToolIOContent) -> ToolOutcome:
    """Record a result; no cancellation strikes before it is the writer's, so that what a tool did is not lost."""
    message = render(result)
    words = draft_words(step.t, Details())
    if len(message.text) > OFF_LOOP:
        with anyio.CancelScope(shield=True):
            draft = await draft_content(step.t, result, words)
    else:
        draft = draft_now(step.t, result, words)
    info = await _append(step.t, step.hold.key[1], draft)
    return ToolOutcome(call, message.text, "error" if result.status == "error" else "ok", info)


async def _append(t: TractCore, branch: str, draft: Draft) -> CommitInfo:
    """Append to wherever the branch is, although a turn is in progress: it is ours."""
    operation, time, spending = t.operation(), t.collaborators.clock(), Spending(t, branch)
    place = (t.place.tract, branch)

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if not rows[0]:
            raise BranchNotFoundError(branch)
        id = rows[0][0][0]
        parents = () if id is None else (CommitId(id.hex()),)
        recorded = appended(t, draft, AppendPlace(operation, time, parents, branch))
        spending.check(rows, Source.OUTCOME, recorded)
        return [NewEvent(t.id, recorded, t.collaborators.actor)]

    submission = t.submit(operation, decide, reads=(Statement("refs.branch", place), spending.read), blobs=draft.blobs)
    (event,) = await submission.wait()
    info = recorded_append(t, event, draft)
    await spending.tell()
    return info
