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
        keep_partial: True puts what arrived before a cancellation onto the branch.
        timeout: Seconds of silence that are allowed.

    Raises:
        ModelNotConfiguredError: No client or model; nothing was recorded.
        ModelError: The call failed, after the client's retries.
        HeadMovedError: The branch gained something that the model never saw;
            the answer is kept off the branch.
        TurnInProgressError: Called from inside a turn on this branch.
        DetachedHeadError: There is no branch to answer on.
    """
    if text is None:
        raise ContentValidationError("text", "it must not be None; generate() asks without a question")
    turn = stream(
        t,
        text,
        llm_config=llm_config,
        message=message,
        metadata=metadata,
        keep_partial=keep_partial,
        timeout=timeout,
    )
    return await _finished(turn)


async def generate(
    t: TractCore,
    *,
    llm_config: LLMConfig | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
) -> ChatResponse:
    """Have the model answer what stands on the branch; `chat` without a question.

    Raises:
        ContentValidationError: The branch has no commit yet.
        ModelNotConfiguredError: No client or model; nothing was recorded.
        ModelError: The call failed, after the client's retries.
        HeadMovedError: As for `chat`.
    """
    return await _finished(stream(t, llm_config=llm_config, keep_partial=keep_partial, timeout=timeout))


def stream(
    t: TractCore,
    text: Content | Renderable | Mapping[str, Any] | str | None = None,
    *,
    llm_config: LLMConfig | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    keep_partial: bool | None = None,
    timeout: float | None = None,
) -> Turn:
    """Return a turn to enter with `async with` and iterate for the text.

    Afterwards `response` holds what `chat` returns. Leaving the block before
    the end keeps question and partial answer, if anything arrived, with
    `finish_reason="cancelled"`; an exception or a cancellation leaves the
    branch as it was. Between the deltas, other tasks' appends to this branch
    wait; from inside the block they raise `TurnInProgressError`.

    Args:
        t: The tract.
        text: The question, or None to answer what stands on the branch.
        llm_config: Settings for this call, over the tract's own.
        message: One line on why, with the question's commit.
        metadata: Anything, JSON, with the question's commit.
        keep_partial: Overrides what leaving early does.
        timeout: Seconds of silence that are allowed.

    Raises:
        ContentValidationError: The question is malformed. What `chat` raises
            comes when the block is entered and read.
    """
    if timeout is not None and not (type(timeout) in (int, float) and timeout > 0):
        raise ContentValidationError("timeout", "it must be a number of seconds, more than 0")
    question = None if text is None else content_from(text)
    options = TurnOptions(question, llm_config, as_details(message, metadata), keep_partial, timeout)
    return Turn(t, options)


async def _finished(turn: Turn) -> ChatResponse:
    async with turn:
        async for _ in turn:
            pass
    return turn.response
