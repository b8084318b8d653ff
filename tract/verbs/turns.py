"""One turn: ask, stream, record. `talking` holds the verbs.

A turn is two appends with a model call between them, and no lock or
transaction across it. The question is recorded first, on no branch; the end is
one append that moves the branch, if that is still where the turn began. So a
call that fails, is cancelled or dies leaves the branch as it was. Read `Turn`
from top to bottom. Imports `core`, `compiling`, `recording`, `receiving`, `recalling`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from tract.core import TractCore
from tract.core.gates import Hold
from tract.domain.config import LLMConfig
from tract.domain.content import DialogueContent
from tract.domain.events import GenerationCancelled, GenerationCompleted, GenerationFailed
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.ids import GenerationId
from tract.domain.results import ChatResponse
from tract.errors import (
    ContentValidationError,
    GenerationLostError,
    HeadMovedError,
    ModelError,
    ModelNotConfiguredError,
    RefNotFoundError,
    TurnStateError,
)
from tract.llm.protocol import LLMClient, require_config
from tract.operations.compiling import CompiledContext
from tract.operations.sending import payload_of
from tract.verbs.answering import accounts, answer_of, check_answer, cleaned, partial_answer, with_parsed
from tract.verbs.compiling import compile
from tract.verbs.recalling import recall_turn, turn_digest
from tract.verbs.receiving import Receiving
from tract.verbs.recording import Answer, Recorded, Started, TurnOptions, interrupt_others, record_start, submit_end


class Turn:
    """A turn as an async context manager over its answer's text.

    Iterate it for the text as it comes: each piece is written down before it
    is handed on, so what was seen is found again whatever happens. Then
    `response` is there. Several tasks may iterate it: each piece goes to one,
    and where one leaves the block, it simply ends for the others. Leaving the
    block before the end (`break`, `return`) keeps question and what was handed
    on of the answer on the branch, if there was anything; an exception and a
    call that fails leave the branch as it was. `keep_partial` overrides either.

    Args:
        t: The tract.
        options: What to ask, and how.
        is_watched: Whether a caller takes each delta.
        hold: On the branch, where the caller has it, is inside it and gives it
            up, and whose branch is meant, wherever the handle stands; None to
            wait for one.
    """

    def __init__(self, t: TractCore, options: TurnOptions, *, is_watched: bool = True, hold: Hold | None = None) -> None:
        self._t = t
        self._options = options
        self._is_watched = is_watched
        self._hold = hold
        self._holding = ExitStack()
        self._started: Started | None = None
        self._compiled: CompiledContext | None = None
        self._receiving: Receiving | None = None
        self._is_receiving = False
        self._ending: Callable[[], Awaitable[Recorded]] | None = None
        self._response: ChatResponse | None = None
        self._repeated: str | None = None
        self._is_entered = False
        self._is_over = False

    @property
    def response(self) -> ChatResponse:
        """The recorded answer.

        Raises:
            TurnStateError: The stream was not read to its end.
        """
        if self._response is None:
            raise TurnStateError("there is no response before the stream was read to its end")
        return self._response

    @property
    def generation(self) -> GenerationId | None:
        """The id under which the call is recorded; None before it began."""
        return None if self._started is None else self._started.asked.generation

    @property
    def text(self) -> str:
        """What was handed on so far."""
        return "" if self._receiving is None else self._receiving.text

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise TurnStateError("a turn is entered once; call stream() again")
        self._is_entered = True
        self._t.require_open()
        self._t.refuse_in_batch()
        # Once, before the first await: other tasks may take the handle elsewhere.
        branch = self._t.require_branch() if self._hold is None else self._hold.key[1]
        gates = self._t.collaborators.shared.gates
        digest = turn_digest(self._t, branch, self._options)
        if digest is not None and await self._recall(digest):
            return self
        client, config = _model(self._t, self._options.config)
        turn = self._hold or await gates.enter(self._t.place.tract, branch)
        if self._hold is None:
            self._holding.callback(gates.leave, turn)
        try:
            self._holding.enter_context(self._t.in_flight(turn, self._abandoned))
            if self._hold is None:
                self._holding.enter_context(gates.inside(turn))
            await self._require_words(branch)
            self._started = await record_start(self._t, branch, config, self._options, digest)
            if self._started is None:
                # The same call, made at the same time, was faster.
                await self._release()
                assert digest is not None
                await self._recall(digest)
                return self
            await interrupt_others(self._t, self._started)
            await self._started.spending.tell()
            self._compiled = await compile(self._t, at=self._started.asked.head)
            await self._call(client, config)
        except Exception as exc:
            await self._leave(exc, GenerationFailed)
            raise
        except BaseException as exc:
            await self._leave(exc)
            raise
        return self

    async def _require_words(self, branch: str) -> None:
        """Refuse to ask where there is neither a question nor anything that compiles.

        Raises:
            ContentValidationError: No provider takes a request without messages.
        """
        if self._options.question is not None:
            return
        try:
            compiled = await compile(self._t, at=branch)
        except RefNotFoundError:
            # Recording tells a branch without commits from one that is gone.
            return
        if not compiled.messages:
            raise ContentValidationError("text", "there is nothing to answer: nothing on the branch compiles")

    async def _recall(self, digest: bytes) -> bool:
        """Give the answer of the same call made before, if there is one."""
        recalled = await recall_turn(self._t, self._options, digest)
        if recalled is None:
            return False
        self._response, self._repeated = recalled, recalled.text
        return True

    async def _call(self, client: LLMClient, config: LLMConfig) -> None:
        assert self._compiled is not None
        offer = self._options.offer
        request = ModelRequest(
            payload_of(self._compiled), config, offer.tools, offer.tool_choice, offer.response_format, self._options.timeout
        )
        generation, deltas = self.generation, self._t.collaborators.shared.deltas
        assert generation is not None
        self._receiving = Receiving(client, request, generation, deltas, is_watched=self._is_watched)
        self._is_receiving = True
        async with self._failing():
            await self._receiving.connected()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if not self._is_entered:
            raise TurnStateError("a stream is entered with 'async with' before it is iterated")
        if self._repeated:
            text, self._repeated = self._repeated, None
            return text
        if self._receiving is None or not self._is_receiving:
            raise StopAsyncIteration
        async with self._failing():
            delta = await self._receiving.next()
        if delta is None:
            if not self._receiving.is_stopped:
                await self._completed()
            raise StopAsyncIteration
        return delta

    async def finish(self) -> ChatResponse:
        """Read the answer to its end and return it.

        Raises:
            ModelError: The call failed.
            HeadMovedError: As for `chat`.
            TurnStateError: The turn was left meanwhile, or its tract closed.
        """
        if self._receiving is not None and self._is_receiving:
            async with self._failing():
                await self._receiving.finished()
            if self._receiving.is_stopped:
                raise TurnStateError("the turn was left before its answer was whole; generations() has what arrived")
            await self._completed()
        return self.response

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[None]:
        """Record what fails in the block as the end of the turn."""
        try:
            yield
        except ModelError as exc:
            await self._failed(exc)
            raise
        except GenerationLostError as exc:
            raise await self._lost(exc) from exc
        except Exception as exc:
            await self._crashed(exc)
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._leave(error)

    async def _completed(self) -> None:
        assert self._receiving is not None
        async with self._failing():
            reply, content = cleaned(self._receiving.reply), None
        try:
            content = answer_of(reply)
            parsed = check_answer(self._options.offer, reply)
        except ModelError as exc:
            await self._failed(exc, self._refused(exc, content, reply))
            raise
        answer = Answer(GenerationCompleted, content, keeps=True, finish_reason=reply.finish_reason, reply=reply)
        self._respond(await self._end(answer), reply, parsed)
        assert self._started is not None
        await self._started.spending.tell()

    async def _failed(self, error: ModelError, answer: Answer | None = None) -> None:
        """Record the failure and name in the error what was kept."""
        ended = await self._end(answer or self._failure(error))
        partial = None if ended.answer is None else ended.answer.id
        error.located(question=ended.question, partial=partial, generation=self.generation, is_on_branch=ended.is_on_branch)

    async def _lost(self, error: GenerationLostError) -> GenerationLostError:
        """Record what arrived, which nobody was handed, and return the error that names it."""
        ended = await self._end(self._cut_short(GenerationFailed, type(error).__name__, keeps=False))
        return GenerationLostError(error.generation, None if ended.answer is None else ended.answer.id)

    async def _crashed(self, error: Exception) -> None:
        """Record that a client of the caller's own raised what is no `ModelError`."""
        await self._end(self._failure(error))

    async def _leave(
        self, error: BaseException | None, kind: type[GenerationFailed | GenerationCancelled] = GenerationCancelled
    ) -> None:
        """End a turn that is not over: the caller left it, or was cancelled, or no model could be asked."""
        if self._started is None or self._is_over:
            await self._release()
            return
        keeps = error is None if self._options.keep_partial is None else self._options.keep_partial
        reason = type(error).__name__ if isinstance(error, Exception) else "cancelled"
        answer = self._cut_short(kind, reason, keeps=keeps)
        # Nothing may be raised in the place of what made the caller leave: a
        # cancellation that turned into another error would be lost.
        try:
            ended = await self._end(answer)
        except Exception as exc:
            if error is None:
                raise
            error.add_note(f"Besides, the end of the turn could not be recorded: {type(exc).__name__}.")
            return
        if answer.keeps and ended.answer is not None and (error is None or ended.is_on_branch):
            self._respond(ended, ModelReply(self.text, finish_reason="cancelled"))
        if error is None:
            await self._started.spending.tell()

    async def _abandoned(self) -> None:
        await self._leave(asyncio.CancelledError())

    def _failure(self, error: Exception) -> Answer:
        return self._cut_short(GenerationFailed, type(error).__name__, keeps=self._options.keep_partial is True)

    def _refused(self, error: ModelError, content: DialogueContent | None, reply: ModelReply) -> Answer:
        """Return what is kept of a whole answer that is not what was asked for: all of it, or the words of a refusal."""
        answer = self._failure(error)
        said = content or answer.content or partial_answer(reply.refusal or "")
        keeps = said is not None and self._options.keep_partial is True
        return evolve(answer, reply=reply, content=said, partial=content or answer.partial or said, keeps=keeps)

    def _cut_short(self, kind: type[GenerationFailed | GenerationCancelled], reason: str, *, keeps: bool) -> Answer:
        """Return what is kept of an answer that is not whole.

        On the branch goes what the caller saw, if it saw anything. The record
        has all that arrived, since followers may have seen that.
        """
        arrived = None if self._receiving is None else partial_answer(self._receiving.arrived)
        seen = partial_answer(self.text) if keeps else None
        return Answer(kind, seen or arrived, finish_reason=reason, keeps=seen is not None, partial=arrived)

    async def _end(self, answer: Answer) -> Recorded:
        """Record the end, which nothing can prevent any more, and let go.

        A time-out of the caller's may strike meanwhile; who iterates again
        waits for the same end.
        """
        try:
            if self._ending is None:
                await self._submit(answer)
            assert self._ending is not None
            ended = await self._ending()
        finally:
            await self._release()
        self._is_receiving = False
        return ended

    async def _submit(self, answer: Answer) -> None:
        assert self._started is not None
        attempts: tuple[Attempt, ...] = ()
        if self._receiving is not None:
            self._receiving.stop()
            attempts = (Attempt(1),)
        try:
            if self._receiving is not None:
                attempts = accounts(self._receiving.attempts, answer.reply)
            self._ending = submit_end(self._t, self._started, answer, attempts, self._compiled)
        except Exception as exc:
            # Neither a counter that fails on the answer nor a client that does
            # not tell of its requests must leave the call open.
            failure = Answer(GenerationFailed, None, finish_reason=type(exc).__name__)
            wait = submit_end(self._t, self._started, failure, attempts, self._compiled)
            self._is_over, self._is_receiving = True, False
            await wait()
            raise
        self._is_over = True

    async def _release(self) -> None:
        try:
            if self._receiving is not None:
                await self._receiving.aclose()
        finally:
            self._holding.close()

    def _respond(self, ended: Recorded, reply: ModelReply, parsed: Any = None) -> None:
        """Give the answer, if it is on the branch.

        Raises:
            HeadMovedError: The branch went elsewhere; the answer is kept.
            GenerationLostError: Somebody else ended the call; the same.
        """
        assert self._started is not None and ended.answer is not None
        asked = self._started.asked
        if ended.is_lost:
            raise GenerationLostError(asked.generation, ended.answer.id)
        if not ended.is_on_branch:
            raise HeadMovedError(asked.branch, asked.base, ended.head, ended.answer.id)
        assert ended.answer.generation_config is not None
        response = ChatResponse(
            text=reply.text or "",
            usage=reply.usage,
            commit_info=ended.answer,
            generation_config=ended.answer.generation_config,
            tool_calls=reply.tool_calls,
            finish_reason=reply.finish_reason,
            reasoning=reply.reasoning,
        )
        self._response = with_parsed(response, self._options.offer.form, parsed)


def _model(t: TractCore, over: LLMConfig | None) -> tuple[LLMClient, LLMConfig]:
    if over is not None:
        require_config("llm_config", over)
    config = t.settings.config_for("chat").override(over)
    client = t.models.client_for("chat")
    if config.model is None:
        raise ModelNotConfiguredError("model")
    return client, config.as_sent()
