"""`run`: ask, run the tools that are called, and ask again, until nothing is called.

A run is turns, one after the other. Its whole state is on the branch, so that
`resuming` finds where to go on. Imports `core`, `verbs`, `resuming`, `toolbox`
and `calling`; read `Run` first.
"""

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from inspect import isawaitable
from typing import Any, Self, TypeAlias, Unpack

from attrs import evolve, frozen

from tract.agent.calling import Step, call_tools
from tract.agent.resuming import VERB, Start, find_start
from tract.agent.toolbox import Toolbox, toolbox
from tract.core import TractCore
from tract.core.gates import Hold
from tract.domain.config import LLMConfig, ModelSettings
from tract.domain.messages import ToolCall
from tract.domain.results import ChatResponse
from tract.domain.runs import RunResult, RunStep, sum_usage
from tract.errors import ConfigError, ContentValidationError, TurnStateError
from tract.formats.reading import content_from
from tract.formats.tools import Tool
from tract.verbs.drafting import as_details
from tract.verbs.offering import ToolChoice, offer_of
from tract.verbs.recording import TurnOptions
from tract.verbs.talking import Question, check_turn, config_of_call
from tract.verbs.turns import Turn

MAX_STEPS = 25
"""Model calls of one run, where its caller does not say."""
MAX_CONCURRENCY = 8
"""Tool calls at a time, where the caller does not say."""

OnStep: TypeAlias = Callable[[RunStep], Awaitable[object] | object]
"""What is told of each step once it is recorded."""


@frozen(eq=False, repr=False)
class Plan:
    """What a run was asked for.

    Attributes:
        first: Its first turn.
        tools: What may be called.
        max_steps: The most model calls.
        max_concurrency: The most tool calls at a time.
        on_step: Is told of each step, or None.
    """

    first: TurnOptions
    tools: Toolbox
    max_steps: int
    max_concurrency: int
    on_step: OnStep | None

    @property
    def later(self) -> TurnOptions:
        """The turns behind the first: answers to what the tools brought.

        A choice of tools that was forced on the first answer is not forced
        again, which would never end.
        """
        first = self.first
        return evolve(first, question=None, details=as_details(), operation_id=None, offer=evolve(first.offer, tool_choice=None))


class Run:
    """A run, to await for its result or to iterate for its steps; once.

    Nothing of it happens before that, or between two steps: whoever leaves the
    loop early leaves a branch behind on which `run()` goes on. Awaited in the
    midst of its steps it does the rest.
    """

    def __init__(self, t: TractCore, plan: Plan) -> None:
        self._t = t
        self._plan = plan
        self._branch: str | None = None
        self._steps: list[RunStep] = []
        self._response: ChatResponse | None = None
        self._next: TurnOptions | None = None
        self._asked = 0
        self._is_stepping = False
        self._is_over = False

    @property
    def result(self) -> RunResult:
        """How the run ended, once it did.

        Raises:
            TurnStateError: It did not end, or not with an answer.
        """
        response = self._response
        if response is None or not self._is_over:
            raise TurnStateError("the run has not come to an end; where it was stopped, run() without a text goes on")
        is_finished = not response.tool_calls
        return RunResult(
            text=response.text,
            response=response,
            steps=tuple(self._steps),
            usage=sum_usage(step.response.usage for step in self._steps if step.number),
            finish_reason=response.finish_reason if is_finished else "max_steps",
            is_finished=is_finished,
        )

    def __await__(self) -> Generator[Any, None, RunResult]:
        return self._whole().__await__()

    async def _whole(self) -> RunResult:
        """Take all steps, while other runs that are awaited on the branch wait."""
        if not self._is_over:
            branch, runs = self._begin(), self._t.collaborators.shared.runs
            turn = await runs.enter(self._t.place.tract, branch)
            try:
                with runs.inside(turn):
                    async for _ in self:
                        pass
            finally:
                runs.leave(turn)
        return self.result

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunStep:
        if self._is_stepping:
            raise TurnStateError("another task takes a step of this run; iterate it in one task")
        if self._is_over:
            raise StopAsyncIteration
        self._is_stepping = True
        try:
            step = await self._step()
        except BaseException as exc:
            # Half a step: what is left of it is found on the branch.
            self._response, self._is_over = None, True
            if isinstance(exc, StopAsyncIteration):
                # It would end the caller's loop as if all were done.
                raise RuntimeError("a function of the caller's raised StopAsyncIteration") from exc
            raise
        finally:
            self._is_stepping = False
        if step is None:
            raise StopAsyncIteration
        return step

    def _begin(self) -> str:
        """Return the run's branch, which it keeps wherever the handle goes."""
        if self._branch is None:
            self._t.require_open()
            self._branch = self._t.require_branch()
        return self._branch

    async def _step(self) -> RunStep | None:
        """Take a step; None where there is none."""
        branch, gates = self._begin(), self._t.collaborators.shared.gates
        self._t.require_open()
        self._t.refuse_in_batch()
        hold = await gates.enter(self._t.place.tract, branch)
        try:
            with gates.inside(hold):
                step = await self._take(branch, hold)
        finally:
            gates.leave(hold)
        if step is not None:
            self._steps.append(step)
            await _told(self._plan.on_step, step)
        return step

    async def _take(self, branch: str, hold: Hold) -> RunStep | None:
        plan, calls = self._plan, tuple[ToolCall, ...]()
        if self._next is None:
            start = await find_start(self._t, branch, plan.first)
            self._next, self._response, calls = start.options, start.answer, start.open_calls
            self._is_over = self._response is not None and not calls
            if self._is_over:
                return None
            _require_tools(plan.tools, start)
        if not calls:
            async with Turn(self._t, self._next, is_watched=False, hold=hold) as turn:
                self._response = await turn.finish()
            self._next, self._asked, calls = plan.later, self._asked + 1, self._response.tool_calls
        response = self._response
        assert response is not None
        results = await call_tools(Step(self._t, hold, plan.tools, plan.max_concurrency), calls) if calls else ()
        self._is_over = not response.tool_calls or self._asked == plan.max_steps
        return RunStep(self._asked, response, results)


async def _told(on_step: OnStep | None, step: RunStep) -> None:
    told = None if on_step is None else on_step(step)
    if isawaitable(told):
        await told


def _require_tools(tools: Toolbox, start: Start) -> None:
    """Refuse to go on without the tools that were called: what the model was told of them would stand there for good.

    Raises:
        ConfigError: One is missing that the answer was offered, or all are.
    """
    missing = {call.name for call in start.open_calls if call.name in start.offered and call.name not in tools}
    if start.open_calls and (missing or not tools):
        names = f" of {', '.join(sorted(missing))}" if missing else ""
        raise ConfigError("tools", f"calls{names} stand on the branch without a result: give their tools, or ask something")


def run(
    t: TractCore,
    text: Question | None = None,
    *,
    tools: Iterable[Tool] = (),
    max_steps: int = MAX_STEPS,
    max_concurrency: int = MAX_CONCURRENCY,
    on_step: OnStep | None = None,
    llm_config: LLMConfig | None = None,
    tool_choice: ToolChoice | None = None,
    response_format: type[Any] | Mapping[str, Any] | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
    **settings: Unpack[ModelSettings],
) -> Run:
    """Ask the model, run the tools that it calls and ask it again, until it calls nothing.

    Await what this returns for the result, or iterate it with `async for` for
    one step after the other: an answer, with the results of its calls. For a
    task there is `asyncio.ensure_future(t.run(...))`.

    Each answer is a turn as of `chat`, and moves the branch. Then its calls
    are made, at once: coroutine functions on the event loop, other functions
    in worker threads. Each result is on the branch and durable the moment it
    arrives. A tool's string is the result verbatim, anything else is written
    as JSON, None as null. A tool that fails, does not exist or is called with
    arguments that do not fit is reported to the model, as a result with the
    status `error`, and the run goes on.

    What other tasks add to the branch waits until a step's results are in, and
    comes before the next step; so it does for one that iterates. Runs that are
    awaited on one branch follow one another. From inside a tool, what adds to
    this branch raises `TurnInProgressError`; reading it, and working on other
    branches, is fine.

    Whatever ends a run - a cancellation, an error of the model, the death of
    the process, a loop that is left - `run()` without a text goes on from
    there: it makes the calls that have no result, asks again what a run asked
    last without an answer, unless something was added since, or answers what
    stands on the branch; what has a result is not called again. Where the
    branch ends in an answer, that is returned and no model is asked. A tool
    that was running when the process died, or in a thread when the run was
    cancelled, may have done its work: such tools are called at least once, not
    exactly once. With a text, calls without a result are left as they are and
    the question comes on top.

    Args:
        t: The tract.
        text: The question; as a string, of the user. None goes on.
        tools: The functions that the model may call. Type hints and docstrings
            say what they take; the name of each is its own.
        max_steps: The most model calls. Where the last of them still calls
            tools, those are run, and the result has `is_finished=False` and
            the finish reason `max_steps`; `run()` goes on.
        max_concurrency: The most tools that run at a time.
        on_step: A function, async or not, that is told of each step once it is
            recorded. What it raises ends the run behind that step.
        llm_config: Settings for every model call, over the tract's own.
        tool_choice: As for `chat`, for the first model call; later ones choose
            for themselves, or a forced call would be made for ever.
        response_format: What the last answer must look like, as for `chat`;
            it is in `response.parsed`.
        message: One line on why, with the question's commit.
        metadata: Anything, JSON, with the question's commit.
        timeout: Seconds of silence that are allowed in a model call.
        operation_id: A UUID of the caller's, for the first model call; the
            same call again goes on from where it stopped instead of asking
            twice, and returns the run's own last answer once that came. Where
            the question was never answered, it is asked behind what came since.
        **settings: Fields of `LLMConfig` for every model call, over *llm_config*.

    Raises:
        ConfigError: A tool is no function or cannot be described, a setting
            is out of its range, or calls are left to make and no tools given.
        ContentValidationError: Another argument is malformed, or there is
            nothing to answer.
        ModelNotConfiguredError: No client or model.
        BudgetExceededError: With the question, the context is beyond a budget
            that rejects. Answers and results are never refused.
        ModelAnswerError: The last answer has not the form asked for.
        ModelError: A model call failed, after the client's retries; the
            branch is behind the last whole step, or where it was.
        HeadMovedError: As for `chat`.
        GenerationLostError: As for `chat`.
        TurnStateError: Another process runs a model call of a run from here,
            what was returned is used by two tasks at once, or a tool left a
            cancellation behind that struck after it.
        OperationMismatchError: The operation id belongs to another call.
        TurnInProgressError: Called from inside a turn on this branch, such as
            from a tool, or from inside what that waits for.
        BatchError: Called inside a batch.
        DetachedHeadError: There is no branch to answer on.
    """
    _require_count("max_steps", max_steps)
    _require_count("max_concurrency", max_concurrency)
    if on_step is not None and not callable(on_step):
        raise ContentValidationError("on_step", f"it must be a function, not {type(on_step).__name__}")
    check_turn(keep_partial=None, timeout=timeout)
    given = tuple(tools) if isinstance(tools, Iterator) else tools
    offer = offer_of(given or None, tool_choice, response_format, is_checked=False)
    first = TurnOptions(
        verb=VERB,
        question=None if text is None else content_from(text),
        config=config_of_call(VERB, llm_config, settings),
        details=as_details(message, metadata),
        keep_partial=None,
        timeout=timeout,
        operation_id=operation_id,
        offer=offer,
    )
    return Run(t, Plan(first, toolbox(given or (), offer.tools), max_steps, max_concurrency, on_step))


def _require_count(name: str, value: object) -> None:
    if type(value) is not int or value < 1:
        raise ContentValidationError(name, "it must be a whole number, 1 or more")
