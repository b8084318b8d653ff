"""Talking to a model: chat, generate, stream.

Each is one turn; `turns` says what that is. Imports `turns`, `offering` and `formats`.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from tract.core import TractCore
from tract.domain.config import LLMConfig, ModelSettings
from tract.domain.content import Content, Renderable
from tract.domain.plumbing import ALIASES, PLUMBING
from tract.domain.results import ChatResponse, ParsedResponse
from tract.errors import ContentValidationError
from tract.formats.reading import content_from
from tract.formats.tools import Tool
from tract.llm.protocol import require_config
from tract.verbs.drafting import as_details
from tract.verbs.offering import ToolChoice, offer_of
from tract.verbs.recording import TurnOptions
from tract.verbs.turns import Turn

A = TypeVar("A")
Question: TypeAlias = Content | Renderable | Mapping[str, Any] | str


class CallOptions(ModelSettings, total=False):
    """What `chat` and `generate` take whatever the answer is read as; see there."""

    llm_config: LLMConfig | None
    message: str | None
    metadata: Mapping[str, Any] | None
    keep_partial: bool | None
    timeout: float | None
    operation_id: str | None


@overload
async def chat(
    t: TractCore,
    text: Question,
    *,
    tools: Iterable[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    response_format: Mapping[str, Any] | None = None,
    **options: Unpack[CallOptions],
) -> ChatResponse: ...


@overload
async def chat(
    t: TractCore,
    text: Question,
    *,
    response_format: type[A],
    tools: None = None,
    tool_choice: None = None,
    **options: Unpack[CallOptions],
) -> ParsedResponse[A]: ...


@overload
async def chat(
    t: TractCore,
    text: Question,
    *,
    response_format: type[A],
    tools: Iterable[Tool],
    tool_choice: ToolChoice | None = None,
    **options: Unpack[CallOptions],
) -> ParsedResponse[A | None]: ...


async def chat(
    t: TractCore,
    text: Question,
    *,
    llm_config: LLMConfig | None = None,
    tools: Iterable[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    response_format: type[Any] | Mapping[str, Any] | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
    **settings: Unpack[ModelSettings],
) -> ChatResponse:
    """Ask the model and record question and answer on the branch, or neither.

    The model is called without any lock or transaction. If the call fails or
    is cancelled, the branch is where it was; question and partial answer are
    commits off the branch, named by the error. So calling again never doubles
    the question. What the model thought before it answered, where the provider
    tells, is a commit between question and answer, skipped.

    Args:
        t: The tract.
        text: The question; as a string, of the user.
        llm_config: Settings for this call, over the tract's own.
        tools: What the model may call: functions, whose type hints and
            docstring become a schema, or schemas in the form of OpenAI or
            Anthropic. Nothing is called here: the answer has the calls.
        tool_choice: auto, required, none, or one of the tools: its name, the
            function, or a mapping in the format of OpenAI's Chat Completions.
        response_format: What the answer must look like: an attrs class,
            dataclass or typed dict, a JSON schema, or a mapping in the same
            format. It is in `parsed`, of a class as an instance; an answer
            that calls one of the tools is not read.
        message: One line on why, with the question's commit.
        metadata: Anything, JSON, with the question's commit.
        keep_partial: True puts question and what arrived onto the branch, if
            anything did, where the call fails or is cancelled; so who asks
            again then asks twice.
        timeout: Seconds of silence that are allowed.
        operation_id: A UUID of the caller's for this call; the same id again
            returns the first answer instead of asking twice.
        **settings: Fields of `LLMConfig` for this call, over *llm_config*.

    Raises:
        ModelNotConfiguredError: No client or model; nothing was recorded.
        BudgetExceededError: With the question, the context is beyond a budget
            that rejects; nothing was recorded or sent.
        ConfigError: A setting, a tool, `tool_choice` or `response_format`
            cannot be sent; nothing was recorded.
        ModelAnswerError: The answer has not the form asked for, or calls a
            tool that was not offered or with arguments that are no JSON
            object; all of it is kept off the branch.
        ModelRefusalError: The model refused; its words are the error's partial.
        ModelError: The call failed, after the client's retries.
        HeadMovedError: The branch gained something that the model never saw;
            the answer is kept off the branch.
        GenerationLostError: Another process took this one for dead and ended
            the call; the answer is kept off the branch.
        TurnStateError: The same operation still runs, or ended without an answer.
        OperationMismatchError: The operation id belongs to another call.
        TurnInProgressError: Called from inside a turn on this branch, or from
            inside what that waits for.
        DetachedHeadError: There is no branch to answer on.
    """
    if text is None:
        raise ContentValidationError("text", "it must not be None; generate() asks without a question")
    check_turn(keep_partial=keep_partial, timeout=timeout)
    details = as_details(message, metadata)
    config, offer = config_of_call("chat", llm_config, settings), offer_of(tools, tool_choice, response_format)
    options = TurnOptions("chat", content_from(text), config, details, keep_partial, timeout, operation_id, offer)
    return await _finished(t, options)


@overload
async def generate(
    t: TractCore,
    *,
    tools: Iterable[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    response_format: Mapping[str, Any] | None = None,
    **options: Unpack[CallOptions],
) -> ChatResponse: ...


@overload
async def generate(
    t: TractCore,
    *,
    response_format: type[A],
    tools: None = None,
    tool_choice: None = None,
    **options: Unpack[CallOptions],
) -> ParsedResponse[A]: ...


@overload
async def generate(
    t: TractCore,
    *,
    response_format: type[A],
    tools: Iterable[Tool],
    tool_choice: ToolChoice | None = None,
    **options: Unpack[CallOptions],
) -> ParsedResponse[A | None]: ...


async def generate(
    t: TractCore,
    *,
    llm_config: LLMConfig | None = None,
    tools: Iterable[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    response_format: type[Any] | Mapping[str, Any] | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
    **settings: Unpack[ModelSettings],
) -> ChatResponse:
    """Have the model answer what stands on the branch; `chat` without a question.

    Its arguments are as for `chat`; message and metadata are with the
    answer's commit.

    Raises:
        ContentValidationError: The branch has no commit yet, or an argument
            is malformed.
        ModelNotConfiguredError: No client or model; nothing was recorded.
        BudgetExceededError: The context is beyond a budget that rejects.
        ConfigError: As for `chat`.
        ModelAnswerError: As for `chat`.
        ModelError: The call failed, after the client's retries.
        HeadMovedError: As for `chat`.
        GenerationLostError: As for `chat`.
        TurnStateError: As for `chat`.
        OperationMismatchError: The operation id belongs to another call.
    """
    check_turn(keep_partial=keep_partial, timeout=timeout)
    config, offer = config_of_call("generate", llm_config, settings), offer_of(tools, tool_choice, response_format)
    details = as_details(message, metadata)
    options = TurnOptions("generate", None, config, details, keep_partial, timeout, operation_id, offer)
    return await _finished(t, options)


def stream(
    t: TractCore,
    text: Question | None = None,
    *,
    llm_config: LLMConfig | None = None,
    tools: Iterable[Tool] | None = None,
    tool_choice: ToolChoice | None = None,
    response_format: type[Any] | Mapping[str, Any] | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
    **settings: Unpack[ModelSettings],
) -> Turn:
    """Return a turn to enter with `async with` and iterate for the text.

    Each piece of text is written down before it is handed on: if the process
    dies, `generations` has every word that was seen. The words of a refusal
    are handed on too, and then `ModelRefusalError` says what they are; what the
    model thinks is not. Afterwards `response` holds what `chat` returns. Leaving the block before
    the end keeps question and partial answer, if anything arrived, with
    `finish_reason="cancelled"`; an exception, a cancellation or a call that
    fails leaves the branch as it was. Between the deltas, other tasks' appends to this branch
    wait; from inside the block they raise `TurnInProgressError`.

    Args:
        t: The tract.
        text: The question, or None to answer what stands on the branch.
        llm_config: Settings for this call, over the tract's own.
        tools: As for `chat`.
        tool_choice: As for `chat`.
        response_format: As for `chat`.
        message: One line on why, with the question's commit; without a
            question, with the answer's.
        metadata: Anything, JSON, with the same.
        keep_partial: Overrides what happens where the answer does not come
            to its end, by whatever: True puts question and what was handed
            on onto the branch, if anything was, False nothing.
        timeout: Seconds of silence that are allowed.
        operation_id: As for `chat`; an answer that was recorded before comes
            in one piece.
        **settings: As for `chat`.

    Raises:
        ContentValidationError: The question is malformed.
        ConfigError: As for `chat`. What else that raises comes when the block
            is entered and read.
    """
    check_turn(keep_partial=keep_partial, timeout=timeout)
    question = None if text is None else content_from(text)
    details = as_details(message, metadata)
    config, offer = config_of_call("stream", llm_config, settings), offer_of(tools, tool_choice, response_format)
    return Turn(t, TurnOptions("stream", question, config, details, keep_partial, timeout, operation_id, offer))


async def _finished(t: TractCore, options: TurnOptions) -> ChatResponse:
    async with Turn(t, options, is_watched=False) as turn:
        return await turn.finish()


def config_of_call(verb: str, llm_config: LLMConfig | None, settings: ModelSettings) -> LLMConfig | None:
    """Return what a call says of how to ask: single settings over its config; None where it says nothing.

    Raises:
        ConfigError: A setting is out of its range, or *llm_config* is none.
        TypeError: There is no such setting.
    """
    if llm_config is not None:
        require_config("llm_config", llm_config)
    for name in settings:
        if name not in ModelSettings.__annotations__:
            raise TypeError(f"{verb}() got an unexpected keyword argument {name!r}{_hint(name)}")
    if not settings:
        return llm_config
    return (llm_config or LLMConfig()).override(LLMConfig(**settings))


def _hint(name: str) -> str:
    near = [ALIASES[name]] if name in ALIASES else get_close_matches(name, ModelSettings.__annotations__, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return "" if name in PLUMBING else f"; an option of the provider goes into extra={{{name!r}: ...}}"


def check_turn(*, keep_partial: bool | None, timeout: float | None) -> None:
    """Refuse what no turn can be given.

    Raises:
        ContentValidationError: It names the argument.
    """
    if keep_partial is not None and type(keep_partial) is not bool:
        raise ContentValidationError("keep_partial", "it must be True, False or None")
    if timeout is not None and not (type(timeout) in (int, float) and timeout > 0):
        raise ContentValidationError("timeout", "it must be a number of seconds, more than 0")
