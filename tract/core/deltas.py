"""Answers on their way: written down before anybody sees them.

What arrives for all calls of a store within 10 ms is one write through the
store's writer, to tables that are no part of the log. So whoever reads the
file, in this process or another, now or after the process died, finds every
word that was handed on. Read `Deltas.write`. Imports `domain`, `log` and
`owners`.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence

from attrs import define, field

from tract.core.edges import Clock
from tract.core.owners import LEASE, begin_answering, stop_answering
from tract.domain.ids import GenerationId, uuid_bytes
from tract.errors import GenerationLostError, TractError
from tract.log.protocol import EventStore, Statement, Submission

FLUSH_SECONDS = 0.010
"""Between two writes; a call's first delta does not wait for it."""
RENEW_SECONDS = 10.0
"""Between two signs of life of the calls that run here."""
SYNC_SECONDS = 1.0
"""For which power loss may take what was written, where the store is durable."""
ADD = "scratch.add"


class Flush:
    """One write of deltas, for those who wait for it."""

    __slots__ = ("_done", "_error", "_lost")

    def __init__(self) -> None:
        self._done = asyncio.Event()
        self._error: BaseException | None = None
        self._lost: Collection[GenerationId] = ()

    async def wait(self, generation: GenerationId) -> None:
        """Return once what it holds of a call is written, or the call has ended here.

        Raises:
            StoreError: It could not be.
            ClosedError: The store was closed before.
            GenerationLostError: Somebody else ended the call, so nothing of it is written any more.
        """
        if not self._done.is_set():
            await self._done.wait()
        if self._error is not None:
            raise self._error
        if generation in self._lost:
            raise GenerationLostError(generation, None)

    def settle(self, error: BaseException | None = None, lost: Collection[GenerationId] = ()) -> None:
        """Let go of those who wait.

        Args:
            error: Why nothing was written.
            lost: The calls that somebody else had ended.
        """
        self._error, self._lost = error, lost
        self._done.set()


@define(eq=False, repr=False)
class _Call:
    """A call that runs here.

    Attributes:
        generation: Its id.
        clock: Tells until when its lease holds.
        length: How many characters are on their way to the store, or there.
        parts: What comes after them.
        renews: Whether a sign of life is due.
        sent: What is on its way to the store.
    """

    generation: GenerationId
    clock: Clock
    length: int = 0
    parts: list[str] = field(factory=list)
    renews: bool = True
    sent: str = ""

    def statements(self) -> Iterator[Statement]:
        """Yield what is to be written, which counts as written from now on."""
        key = uuid_bytes(self.generation)
        if self.renews:
            self.renews = False
            yield Statement("scratch.renew", (key, self.clock() + LEASE))
        if self.parts:
            text = "".join(self.parts)
            yield Statement(ADD, (key, self.length, text))
            self.length += len(text)
            self.sent = text
            self.parts.clear()

    def settle(self, *, is_written: bool) -> None:
        """Take back what could not be written, so that the next write leaves no gap."""
        if not is_written:
            self.renews = True
            if self.sent:
                self.length -= len(self.sent)
                self.parts.insert(0, self.sent)
        self.sent = ""


class Deltas:
    """The calls of one store that run in this event loop."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._calls: dict[GenerationId, _Call] = {}
        self._changed: set[GenerationId] = set()
        self._next = Flush()
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._syncing: asyncio.TimerHandle | None = None
        self._is_sync_due = False
        self._last = -1.0
        self._is_urgent = False

    def begin(self, generation: GenerationId, clock: Clock) -> None:
        """Count a call as running here, before its start is recorded.

        Its lease is written with its first delta; until then the time of its
        start counts as its sign of life.
        """
        begin_answering(generation)
        self._calls[generation] = _Call(generation, clock)
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().call_later(RENEW_SECONDS, self._renew)

    def write(self, generation: GenerationId, text: str, *, is_watched: bool) -> Flush:
        """Hand a delta over, and return what to wait for before anybody may see it.

        Where nobody waits, it is written after a pause at the latest: a short
        answer is over by then, and needs no write but that of its end.
        """
        call = self._calls[generation]
        is_first = not call.length and not call.parts
        call.parts.append(text)
        flush = self._next
        self._changed.add(generation)
        self._is_urgent = self._is_urgent or (is_first and is_watched)
        self._schedule(0.0 if is_watched else FLUSH_SECONDS)
        return flush

    def end(self, generation: GenerationId) -> tuple[Statement, ...]:
        """Write nothing more of a call; return the statements that clear its rows, for the append that ends it.

        The call counts as running until `forget`, which follows that append.
        """
        self._calls.pop(generation, None)
        self._changed.discard(generation)
        if not self._changed:
            # No other call will have it written.
            flush, self._next = self._next, Flush()
            flush.settle()
            self._unschedule()
        if not self._calls:
            for timer in (self._renewal, self._syncing):
                if timer is not None:
                    timer.cancel()
            self._renewal = self._syncing = None
        return cleared(generation)

    def forget(self, generation: GenerationId) -> None:
        """Count a call as over."""
        self.end(generation)
        stop_answering(generation)

    def _schedule(self, pause: float = 0.0) -> None:
        if self._writing is not None:
            return
        loop = asyncio.get_running_loop()
        rest = max(self._last + FLUSH_SECONDS - loop.time(), pause)
        if self._is_urgent or rest <= 0:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(rest, self._start)

    def _unschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._unschedule()
        calls = [self._calls[generation] for generation in self._changed]
        batch = [(call, each) for call in calls for each in call.statements()]
        self._changed.clear()
        flush, self._next = self._next, Flush()
        loop = asyncio.get_running_loop()
        self._last, self._is_urgent = loop.time(), False
        is_durable, self._is_sync_due = self._is_sync_due, False
        if not is_durable and self._syncing is None and any(each.name == ADD for _, each in batch):
            self._syncing = loop.call_later(SYNC_SECONDS, self._sync)
        try:
            # Handed over at once: what ends a call must come behind it.
            written = self._store.scratch([each for _, each in batch], is_durable=is_durable)
        except TractError as exc:
            for call, _ in batch:
                call.settle(is_written=False)
            flush.settle(exc)
            return
        self._writing = asyncio.create_task(self._settle(written, flush, batch), name="tract deltas")

    async def _settle(self, written: Submission[tuple[int, ...]], flush: Flush, batch: Sequence[tuple[_Call, Statement]]) -> None:
        error: BaseException | None = None
        counts: tuple[int, ...] = ()
        try:
            counts = await written.wait()
        except Exception as exc:  # noqa: BLE001 - whoever waits for the write is told
            error = exc
        except BaseException as exc:
            error = exc
            raise
        finally:
            self._writing = None
            for call, _ in batch:
                call.settle(is_written=error is None)
            self._is_sync_due = self._is_sync_due or error is not None
            # A call that somebody else ended takes no more words.
            wrote = zip(batch, counts, strict=False)
            flush.settle(error, {call.generation for (call, each), rows in wrote if each.name == ADD and not rows})
        if self._changed:
            self._schedule()

    def _renew(self) -> None:
        self._renewal = asyncio.get_running_loop().call_later(RENEW_SECONDS, self._renew)
        self._touch()

    def _sync(self) -> None:
        self._syncing, self._is_sync_due = None, True
        # A transaction that writes nothing would not be synced.
        self._touch()

    def _touch(self) -> None:
        for generation, call in self._calls.items():
            call.renews = True
            self._changed.add(generation)
        self._schedule()


def cleared(generation: GenerationId) -> tuple[Statement, ...]:
    """Return the statements that clear what a call left outside the log."""
    key = uuid_bytes(generation)
    return (Statement("scratch.clear_partials", (key,)), Statement("scratch.clear_lease", (key,)))
