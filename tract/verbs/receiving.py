"""An answer on its way: read in a task of its own, written down, handed on.

Reading goes on while what came before is written, so a fast model is not held
up by the disk, and a slow caller not by the network. Imports `core` and `llm`.
"""

import asyncio
from collections import deque

from tract.core.deltas import Deltas, Flush
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.ids import GenerationId
from tract.domain.texts import require_text
from tract.errors import ContentValidationError, ModelResponseError
from tract.llm.protocol import LLMClient, ModelStream

AHEAD = 64 * 1024
"""Characters that are read before a caller took the first of them; then the
provider waits, as it would for a caller that reads the connection itself."""
CLOSING_SECONDS = 1.0
"""How long a client may take to close its connection; then it is cancelled in that."""


class Receiving:
    """The task that reads a model's answer, and what it has read.

    Args:
        client: Whom to ask.
        request: What to ask.
        generation: The call, begun at *deltas*.
        deltas: Where each delta is written down.
        is_watched: Whether a caller takes each delta. Where nobody does, nothing waits
            to be written.
    """

    def __init__(
        self, client: LLMClient, request: ModelRequest, generation: GenerationId, deltas: Deltas, *, is_watched: bool
    ) -> None:
        self._generation = generation
        self._deltas = deltas
        self._is_watched = is_watched
        self._stream: ModelStream | None = None
        self._parts: list[str] = []
        self._waiting: deque[tuple[str, Flush]] = deque()
        self._ahead = 0
        self._error: BaseException | None = None
        self._is_over = False
        self._is_stopped = False
        self._is_closing = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._read(client, request), name="tract answer")

    @property
    def text(self) -> str:
        """What was handed on, or read where nobody takes each delta."""
        if len(self._parts) > 1:
            # Once: who looks at each delta would join all of them each time.
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def arrived(self) -> str:
        """All that was read; followers may have seen it."""
        return self.text + "".join(text for text, _ in self._waiting)

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped before the answer's end."""
        return self._is_stopped

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every request made so far."""
        return () if self._stream is None else self._stream.attempts

    @property
    def reply(self) -> ModelReply:
        """The whole answer, after its end."""
        assert self._stream is not None
        return self._stream.reply

    async def connected(self) -> None:
        """Return once the client has given its stream, or failed to, or it was stopped."""
        while self._stream is None and not self._has_ended:
            await self._change()
        if self._stream is None and self._error is not None:
            raise self._error

    async def next(self) -> str | None:
        """Return the next delta once it is written; None at the end, and once it was stopped.

        Leaving early loses nothing: the same delta comes next. Where several
        tasks take them, each delta goes to one.

        Raises:
            ModelError: The call failed.
            StoreError: The delta could not be written.
            GenerationLostError: Somebody else ended the call.
        """
        while (first := await self._first()) is not None:
            text, flush = first
            await flush.wait(self._generation)
            if self._is_stopped:
                return None
            # Nothing is awaited from here on, so a caller that leaves has it or finds it here.
            if self._waiting and self._waiting[0] is first:
                self._waiting.popleft()
                self._ahead -= len(text)
                self._room.set()
                self._parts.append(text)
                return text
        return None

    async def _first(self) -> tuple[str, Flush] | None:
        while self._is_stopped or not self._waiting:
            if self._has_ended:
                if self._error is not None:
                    raise self._error
                return None
            await self._change()
        return self._waiting[0]

    async def finished(self) -> None:
        """Return when the whole answer was read, or it was stopped.

        Raises:
            ModelError: The call failed.
        """
        while not self._has_ended:
            await self._change()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Read no further, and begin to close the connection; after the answer's end, or twice, is nothing."""
        if self._is_stopped or self._task.done():
            return
        self._is_stopped = True
        self._changed.set()
        # Once only, and never while the client closes: it would be cancelled in that.
        if not self._is_closing:
            self._task.cancel()

    async def aclose(self) -> None:
        """Stop reading and wait until the client has closed the connection, `CLOSING_SECONDS` at most."""
        self.stop()
        try:
            await asyncio.wait((self._task,), timeout=CLOSING_SECONDS)
        finally:
            self._task.cancel()

    @property
    def _has_ended(self) -> bool:
        return self._is_over or self._is_stopped

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _read(self, client: LLMClient, request: ModelRequest) -> None:
        try:
            async with client.stream(request) as stream:
                self._stream = stream
                self._changed.set()
                try:
                    async for text in stream:
                        await self._take(text)
                finally:
                    self._is_closing = True
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001 - raised where the caller waits, cancellations of the client's own too
            if not self._is_stopped:
                self._error = exc
        finally:
            self._is_over = True
            self._changed.set()

    async def _take(self, text: str) -> None:
        try:
            require_text("text", text)
        except ContentValidationError as exc:
            raise ModelResponseError(f"A piece of the answer cannot be used ({exc.reason})") from exc
        if not text:
            return
        flush = self._deltas.write(self._generation, text, is_watched=self._is_watched)
        if not self._is_watched:
            self._parts.append(text)
            return
        self._waiting.append((text, flush))
        self._ahead += len(text)
        self._changed.set()
        while self._ahead >= AHEAD:
            self._room.clear()
            await self._room.wait()
