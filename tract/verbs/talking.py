"""Talking to a model: chat, generate, stream.

Each is one turn; `turns` says what that is. Imports `turns` and `formats`.
"""

from collections.abc import Mapping
from typing import Any

from tract.core import TractCore
from tract.domain.config import LLMConfig
from tract.domain.content import Content, Renderable
from tract.domain.results import ChatResponse
from tract.errors import ContentValidationError
from tract.formats.reading import content_from
from tract.verbs.drafting import as_details
from tract.verbs.recording import TurnOptions
from tract.verbs.turns import Turn


async def chat(
    t: TractCore,
    text: Content | Renderable | Mapping[str, Any] | str,
    *,
    llm_config: LLMConfig | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
) -> ChatResponse:
    """Ask the model and record question and answer on the branch, or neither.

    The model is called without any lock or transaction. If the call fails or
    is cancelled, the branch is where it was; question and partial answer are
    commits off the branch, named by the error. So calling again never doubles
    the question.

    Args:
        t: The tract.
        text: The question; as a string, of the user.
        llm_config: Settings for this call, over the tract's own.
        message: One line on why, with the question's commit.
        metadata: Anything, JSON, with the question's commit.
        keep_partial: True puts question and what arrived onto the branch, if
            anything did, where the call fails or is cancelled; so who asks
            again then asks twice.
        timeout: Seconds of silence that are allowed.
        operation_id: A UUID of the caller's for this call; the same id again
            returns the first answer instead of asking twice.

    Raises:
        ModelNotConfiguredError: No client or model; nothing was recorded.
        BudgetExceededError: With the question, the context is beyond a budget
            that rejects; nothing was recorded or sent.
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
    _check(keep_partial=keep_partial, timeout=timeout)
    details = as_details(message, metadata)
    options = TurnOptions("chat", content_from(text), llm_config, details, keep_partial, timeout, operation_id)
    return await _finished(t, options)


async def generate(
    t: TractCore,
    *,
    llm_config: LLMConfig | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
) -> ChatResponse:
    """Have the model answer what stands on the branch; `chat` without a question.

    *keep_partial* and *operation_id* are as for `chat`.

    Raises:
        ContentValidationError: The branch has no commit yet.
        ModelNotConfiguredError: No client or model; nothing was recorded.
        BudgetExceededError: The context is beyond a budget that rejects.
        ModelError: The call failed, after the client's retries.
        HeadMovedError: As for `chat`.
        GenerationLostError: As for `chat`.
        TurnStateError: As for `chat`.
        OperationMismatchError: The operation id belongs to another call.
    """
    _check(keep_partial=keep_partial, timeout=timeout)
    options = TurnOptions("generate", None, llm_config, as_details(), keep_partial, timeout, operation_id)
    return await _finished(t, options)


def stream(
    t: TractCore,
    text: Content | Renderable | Mapping[str, Any] | str | None = None,
    *,
    llm_config: LLMConfig | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
    operation_id: str | None = None,
) -> Turn:
    """Return a turn to enter with `async with` and iterate for the text.

    Each piece of text is written down before it is handed on: if the process
    dies, `generations` has every word that was seen. Afterwards `response` holds what `chat` returns. Leaving the block before
    the end keeps question and partial answer, if anything arrived, with
    `finish_reason="cancelled"`; an exception, a cancellation or a call that
    fails leaves the branch as it was. Between the deltas, other tasks' appends to this branch
    wait; from inside the block they raise `TurnInProgressError`.

    Args:
        t: The tract.
        text: The question, or None to answer what stands on the branch.
        llm_config: Settings for this call, over the tract's own.
        message: One line on why, with the question's commit.
        metadata: Anything, JSON, with the question's commit.
        keep_partial: Overrides what happens where the answer does not come
            to its end, by whatever: True puts question and what was handed
            on onto the branch, if anything was, False nothing.
        timeout: Seconds of silence that are allowed.
        operation_id: As for `chat`; an answer that was recorded before comes
            in one piece.

    Raises:
        ContentValidationError: The question is malformed. What `chat` raises
            comes when the block is entered and read.
    """
    _check(keep_partial=keep_partial, timeout=timeout)
    question = None if text is None else content_from(text)
    details = as_details(message, metadata)
    return Turn(t, TurnOptions("stream", question, llm_config, details, keep_partial, timeout, operation_id))


async def _finished(t: TractCore, options: TurnOptions) -> ChatResponse:
    async with Turn(t, options, is_watched=False) as turn:
        return await turn.finish()


def _check(*, keep_partial: bool | None, timeout: float | None) -> None:
    if keep_partial is not None and type(keep_partial) is not bool:
        raise ContentValidationError("keep_partial", "it must be True, False or None")
    if timeout is not None and not (type(timeout) in (int, float) and timeout > 0):
        raise ContentValidationError("timeout", "it must be a number of seconds, more than 0")
