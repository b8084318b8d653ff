"""What every store of events promises; a new implementation is added to `STORES`.

A writer is held by a decision that waits for an event, so that what is handed
over meanwhile becomes one batch. Nothing here sleeps.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import pytest
from attrs import evolve
from msgspec.structs import replace

from tests.builders import operation_id, request, tract_id
from tests.memory_store import MemoryStore
from tract.domain.events import (
    BranchCreated,
    Event,
    EventBody,
    GenerationStarted,
    HeadMoved,
    NewEvent,
    Owner,
    TractCreated,
    UsageRecorded,
)
from tract.domain.events import UsageFigures as Figures
from tract.domain.ids import GenerationId, OperationId, TractId, uuid_bytes
from tract.domain.statistics import StoreStatistics
from tract.errors import ClosedError, OperationMismatchError, StoreError, TractError
from tract.log.protocol import BlobDraft, EventStore, Request, Row, Statement
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import FixedClock


class Store(EventStore, Protocol):
    """A store as tests open and close it."""

    async def remember(self, data: bytes) -> None: ...

    def share(self) -> None: ...

    async def aclose(self) -> None: ...


Opener: TypeAlias = Callable[[], Awaitable[Store]]


def sqlite_opener(where: str, clock: Callable[[], int]) -> Opener:
    async def opener() -> Store:
        return await SqliteStore.open(
            where, create=True, durability="full", clock=clock, statements=load(*SQL), projections=INLINE
        )

    return opener


def memory_opener(clock: Callable[[], int]) -> Opener:
    async def opener() -> Store:
        return MemoryStore(clock, load(*SQL), INLINE)

    return opener


# The plain one has no file: what is about opening one again has it made by `sqlite_opener`.
STORES = ["sqlite file", "sqlite memory", "plain memory"]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def opener_of(kind: str, folder: Path, clock: Callable[[], int]) -> Opener:
    if kind == "plain memory":
        return memory_opener(clock)
    return sqlite_opener(str(folder / "log.db") if kind == "sqlite file" else ":memory:", clock)


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Opener:
    return opener_of(request.param, tmp_path, clock)


@pytest.fixture
async def store(open_store: Opener) -> AsyncIterator[Store]:
    opened = await open_store()
    yield opened
    await opened.aclose()


A, B = tract_id(1), tract_id(2)
READ_MAIN = Statement("tracts.root_by_name", ("main",))


class Held:
    """Keeps a store's writer inside a decision until the block ends."""

    def __init__(self, store: Store, *bodies: EventBody) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()
        self._store = store
        self._bodies = bodies
        self.task: asyncio.Task[tuple[Event, ...]]

    def _decide(self, rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        self._entered.set()
        assert self._leave.wait(30)
        return [NewEvent(B, body) for body in self._bodies]

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._store.append(Request(B, operation_id(99), (), self._decide)))
        assert await asyncio.to_thread(self._entered.wait, 30)
        return self

    def let_go(self) -> None:
        self._leave.set()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.let_go()
        await asyncio.wait([self.task])


async def queued(store: Store, wanted: Request) -> asyncio.Task[tuple[Event, ...]]:
    """A task whose request stands in the queue."""
    started = asyncio.Event()

    async def caller() -> tuple[Event, ...]:
        started.set()
        # Up to its first wait, which is for the result, this runs in one go.
        return await store.append(wanted)

    task = asyncio.create_task(caller())
    await started.wait()
    return task


async def in_one_batch(store: Store, *requests: Request) -> list[tuple[Event, ...] | BaseException]:
    """The outcomes of requests that the writer takes together."""
    async with Held(store):
        tasks = [await queued(store, wanted) for wanted in requests]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def logged(store: Store) -> list[Row]:
    return await store.read(lambda query: query("log.events_after", 0, 10_000))


async def branches_in_log(store: Store) -> list[str]:
    """Names of the branches that were created, in order."""
    return [row[6].split('"branch":"')[1].split('"')[0] for row in await logged(store) if row[4] == "branch.created"]


def creating(*branches: str, stream: TractId = A, operation: OperationId | None = None) -> Request:
    return request(*(BranchCreated(name, None) for name in branches), stream=stream, operation=operation)


def raising(error: Exception) -> Request:
    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        raise error

    return Request(A, operation_id(98), (), decide)


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await logged(store) == []


async def test_an_append_returns_its_events_with_their_places(store: Store) -> None:
    bodies = (TractCreated("main"), BranchCreated("main", None))
    events = await store.append(request(*bodies, stream=A, operation=operation_id(7), actor="ann"))
    assert [(event.position, event.stream, event.version, event.body) for event in events] == [
        (1, A, 1, bodies[0]),
        (2, A, 2, bodies[1]),
    ]
    assert {(event.operation, event.actor, event.tract) for event in events} == {(operation_id(7), "ann", A)}


async def test_versions_are_gap_free_and_positions_rise(store: Store) -> None:
    for number in range(5):
        await store.append(creating(f"b{number}", f"c{number}"))
    rows = await logged(store)
    assert [row[2] for row in rows] == list(range(1, 11))
    assert [row[0] for row in rows] == list(range(1, 11))


async def test_two_streams_share_positions_and_count_their_own_versions(store: Store) -> None:
    first = await store.append(creating("a", stream=A))
    second = await store.append(creating("b", stream=B))
    third = await store.append(creating("c", stream=A))
    places = [(event.position, event.stream, event.version) for (event,) in (first, second, third)]
    assert places == [(1, A, 1), (2, B, 1), (3, A, 2)]


async def test_streams_interleave_within_one_batch(store: Store) -> None:
    wanted = [creating(f"{number}", stream=A if number % 2 else B) for number in range(6)]
    outcomes = await in_one_batch(store, *wanted)
    places = [(event.stream, event.version) for outcome in outcomes if isinstance(outcome, tuple) for event in outcome]
    assert places == [(B, 1), (A, 1), (B, 2), (A, 2), (B, 3), (A, 3)]


async def test_what_is_returned_is_what_is_read(store: Store) -> None:
    (event,) = await store.append(creating("main"))
    ((position, stream, version, _, tag, _, _, _, _, recorded_at, digest),) = await logged(store)
    assert (position, stream, version, tag) == (event.position, uuid_bytes(event.stream), event.version, event.body.tag)
    assert (recorded_at, digest) == (event.recorded_at, event.digest)


async def test_a_decision_sees_the_rows_of_its_reads(store: Store) -> None:
    await store.append(request(TractCreated("main"), stream=A))
    seen: list[Sequence[Sequence[Row]]] = []

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        seen.append(rows)
        return []

    await store.append(Request(A, operation_id(1), (READ_MAIN, Statement("tracts.roots", (5,))), decide))
    assert seen == [[[(1, uuid_bytes(A), uuid_bytes(A), "main")]] * 2]


async def test_a_decision_sees_what_an_earlier_request_of_its_batch_wrote(store: Store) -> None:
    seen: list[int] = []

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        seen.append(len(rows[0]))
        return []

    looking = Request(A, operation_id(1), (READ_MAIN,), decide)
    await in_one_batch(store, looking, request(TractCreated("main"), stream=A), looking)
    assert seen == [0, 1]


async def test_a_decision_for_nothing_writes_nothing(store: Store) -> None:
    assert await store.append(Request(A, operation_id(1), (), lambda _: (), (store.draft(b"text"),))) == ()
    assert await logged(store) == []


async def test_an_error_of_a_decision_reaches_its_caller(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        await store.append(raising(ZeroDivisionError()))
    assert await logged(store) == []


async def test_an_error_of_a_decision_fails_its_own_request_only(store: Store) -> None:
    outcomes = await in_one_batch(store, creating("a"), raising(LookupError()), creating("b"))
    assert [type(outcome) for outcome in outcomes] == [tuple, LookupError, tuple]
    assert await branches_in_log(store) == ["a", "b"]


async def test_a_failing_statement_fails_its_own_request_only(store: Store) -> None:
    await store.append(request(TractCreated("main"), BranchCreated("main", None), stream=A))
    outcomes = await in_one_batch(store, creating("a"), creating("b", "main"), creating("c"))
    assert [isinstance(outcome, TractError) for outcome in outcomes] == [False, True, False]
    assert await branches_in_log(store) == ["main", "a", "c"]


async def test_a_request_that_failed_on_a_statement_leaves_no_part_of_itself(store: Store) -> None:
    await store.append(request(TractCreated("main"), BranchCreated("main", None), stream=A))
    with pytest.raises(StoreError):
        await store.append(creating("new", "main"))
    assert await branches_in_log(store) == ["main"]


async def test_versions_stay_gap_free_after_a_failing_statement(store: Store) -> None:
    await store.append(request(TractCreated("main"), BranchCreated("main", None), stream=A))
    await in_one_batch(store, creating("a"), creating("b", "main"), creating("c"))
    await store.append(creating("d"))
    assert [row[2] for row in await logged(store)] == [1, 2, 3, 4, 5]


UNSTORABLE = {
    "a name with a lone surrogate": request(HeadMoved("\ud800", "main"), stream=A),
    "an actor with a lone surrogate": request(HeadMoved("main", "main"), stream=A, actor="\ud800"),
    "a figure beyond 64 bits": request(UsageRecorded(None, None, 1, Figures(prompt=2**70)), stream=A),
    "an id that is not hexadecimal": request(BranchCreated("x", "no hex"), stream=A),  # type: ignore[arg-type]
    "a body that is no event": request("nothing", stream=A),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("unstorable", list(UNSTORABLE))
async def test_an_event_that_cannot_be_stored_fails_its_own_request_only(store: Store, unstorable: str) -> None:
    outcomes = await in_one_batch(store, creating("a"), UNSTORABLE[unstorable], creating("b"))
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    assert await branches_in_log(store) == ["a", "b"]


async def test_recorded_time_never_goes_back_when_the_clock_does(store: Store, clock: FixedClock) -> None:
    (first,) = await store.append(creating("a"))
    clock.advance(-3600)
    (second,) = await store.append(creating("b"))
    assert second.recorded_at == first.recorded_at


async def test_recorded_time_never_goes_back_within_a_batch(store: Store) -> None:
    outcomes = await in_one_batch(store, *(creating(f"b{number}") for number in range(5)))
    times = [event.recorded_at for outcome in outcomes if isinstance(outcome, tuple) for event in outcome]
    assert times == sorted(times)


async def test_the_clock_of_one_stream_does_not_hold_another_one(store: Store, clock: FixedClock) -> None:
    await store.append(creating("a", stream=A))
    clock.advance(-3600)
    (event,) = await store.append(creating("b", stream=B))
    assert event.recorded_at < clock.now


async def blob_is_stored(store: Store, blob: BlobDraft) -> bool:
    rows = await store.read(lambda query: query("log.blob", bytes.fromhex(blob.id)))
    return [tuple(row) for row in rows] == [(blob.data,)]


async def test_a_blob_is_stored_with_the_events_of_its_request(store: Store) -> None:
    blob = store.draft(b"text")
    await store.append(request(BranchCreated("a", None), stream=A, blobs=(blob,)))
    assert await blob_is_stored(store, blob)


async def test_a_blob_of_a_decision_for_nothing_is_not_stored(store: Store) -> None:
    blob = store.draft(b"text")
    await store.append(Request(A, operation_id(1), (), lambda _: (), (blob,)))
    assert not await blob_is_stored(store, blob)


async def test_a_blob_of_a_request_that_failed_is_not_stored(store: Store) -> None:
    blob = store.draft(b"text")
    await store.append(request(TractCreated("main"), BranchCreated("main", None), stream=A))
    with pytest.raises(StoreError):
        await store.append(request(BranchCreated("main", None), stream=A, blobs=(blob,)))
    assert not await blob_is_stored(store, blob)


async def test_a_blob_that_is_named_again_is_stored_once(store: Store) -> None:
    blob = store.draft(b"text")
    for name in "ab":
        await store.append(request(BranchCreated(name, None), stream=A, blobs=(blob, blob)))
    assert await blob_is_stored(store, blob)


async def test_equal_bytes_share_one_blob(store: Store) -> None:
    assert store.draft(b"text") == store.draft(b"text")


async def test_other_bytes_have_another_salt(store: Store) -> None:
    assert store.draft(b"one").salt != store.draft(b"two").salt


async def test_two_stores_salt_the_same_text_differently(clock: FixedClock) -> None:
    open_store = sqlite_opener(":memory:", clock)
    one, two = await open_store(), await open_store()
    assert one.draft(b"text").id != two.draft(b"text").id
    await one.aclose()
    await two.aclose()


async def test_bytes_that_were_stored_before_are_found_again_after_reopening(tmp_path: Path, clock: FixedClock) -> None:
    open_store = sqlite_opener(str(tmp_path / "log.db"), clock)
    store = await open_store()
    blob = store.draft(b"text")
    await store.append(request(BranchCreated("a", None), stream=A, blobs=(blob,)))
    await store.aclose()
    store = await open_store()
    await store.remember(b"text")
    found = store.draft(b"text")
    await store.aclose()
    assert found == blob


async def test_a_caller_that_leaves_the_queue_leaves_nothing(store: Store) -> None:
    async with Held(store):
        task = await queued(store, creating("left"))
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    await store.append(creating("after"))
    assert await branches_in_log(store) == ["after"]


async def test_a_request_that_was_taken_is_written_although_its_caller_left(store: Store) -> None:
    async with Held(store, BranchCreated("taken", None)) as held:
        held.task.cancel()
        await asyncio.wait([held.task])
    assert held.task.cancelled()
    await store.append(creating("after"))
    assert await branches_in_log(store) == ["taken", "after"]


async def test_a_caller_that_left_takes_nobody_with_it(store: Store) -> None:
    async with Held(store):
        before, left, after = [await queued(store, creating(name)) for name in ("before", "left", "after")]
        left.cancel()
    await asyncio.wait([before, left, after])
    assert await branches_in_log(store) == ["before", "after"]


async def test_a_submission_is_written_although_nobody_waits_for_it(store: Store) -> None:
    store.submit(creating("submitted"))
    await store.append(creating("after"))
    assert await branches_in_log(store) == ["submitted", "after"]


async def test_a_submission_survives_the_cancellation_of_whoever_waits(store: Store) -> None:
    async with Held(store):
        submission = store.submit(creating("submitted"))
        waiting = asyncio.create_task(submission.wait())
        waiting.cancel()
        await asyncio.wait([waiting])
    assert waiting.cancelled()
    (event,) = await submission.wait()
    assert event.body == BranchCreated("submitted", None)


async def test_waiting_for_a_submission_raises_what_its_decision_raised(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        await store.submit(raising(ZeroDivisionError())).wait()


async def test_requests_are_written_in_the_order_in_which_they_came(store: Store) -> None:
    names = [f"b{number}" for number in range(300)]
    await in_one_batch(store, *map(creating, names))
    assert await branches_in_log(store) == names


async def test_more_requests_than_may_wait_are_all_written(store: Store) -> None:
    async with Held(store):
        tasks = [await queued(store, creating(f"b{number}")) for number in range(5000)]
    await asyncio.gather(*tasks)
    assert len(await logged(store)) == 5000


async def test_a_submission_finds_a_place_even_where_the_queue_is_full(store: Store) -> None:
    async with Held(store):
        tasks = [await queued(store, creating(f"b{number}")) for number in range(4200)]
        submission = store.submit(creating("submitted"))
    assert await submission.wait()
    await asyncio.gather(*tasks)


async def test_a_caller_that_waits_for_a_place_can_leave(store: Store) -> None:
    async with Held(store):
        tasks = [await queued(store, creating(f"b{number}")) for number in range(4100)]
        tasks[-1].cancel()
    await asyncio.wait(tasks)
    assert len(await logged(store)) == 4099


def repeatable(store: Store, name: str, digest: bytes, operation: OperationId | None = None) -> Request:
    """A request as a verb makes it whose caller gave the operation's id."""
    proof = store.draft(digest)
    events = [NewEvent(A, BranchCreated(name, None), request=proof.id), NewEvent(A, HeadMoved("main", name))]
    return Request(A, operation or operation_id(5), (), lambda _: events, (proof,), digest)


async def test_the_same_operation_again_returns_the_first_events(store: Store) -> None:
    first = await store.append(repeatable(store, "a", bytes(32)))
    again = await store.append(repeatable(store, "other", bytes(32)))
    assert again == first
    assert await branches_in_log(store) == ["a"]


async def test_the_same_operation_again_within_one_batch_returns_the_first_events(store: Store) -> None:
    wanted = repeatable(store, "a", bytes(32))
    first, again = await in_one_batch(store, wanted, wanted)
    assert again == first
    assert await branches_in_log(store) == ["a"]


async def test_an_operation_of_another_call_is_refused(store: Store) -> None:
    await store.append(repeatable(store, "a", bytes(32)))
    with pytest.raises(OperationMismatchError) as caught:
        await store.append(repeatable(store, "a", bytes([1]) * 32))
    assert caught.value.operation == operation_id(5)


async def test_an_operation_whose_id_was_not_given_cannot_be_claimed(store: Store) -> None:
    await store.append(creating("a", operation=operation_id(5)))
    with pytest.raises(OperationMismatchError):
        await store.append(repeatable(store, "a", bytes(32)))


async def test_a_mismatch_fails_its_own_request_only(store: Store) -> None:
    await store.append(repeatable(store, "a", bytes(32)))
    outcomes = await in_one_batch(store, creating("b"), repeatable(store, "c", bytes([1]) * 32), creating("d"))
    assert [type(outcome) for outcome in outcomes] == [tuple, OperationMismatchError, tuple]


async def test_a_reader_sees_one_snapshot(store: Store) -> None:
    await store.append(creating("a"))
    counts = await store.read(lambda query: [len(query("log.events_after", 0, 10)) for _ in range(2)])
    assert counts == [1, 1]


async def test_a_reader_sees_its_own_append(store: Store) -> None:
    for number in range(20):
        await store.append(creating(f"b{number}"))
        assert len(await logged(store)) == number + 1


async def test_an_error_of_a_query_reaches_its_caller_and_harms_nobody(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        await store.read(lambda query: 1 // len(query("log.events_after", 0, 1)))
    await store.append(creating("a"))
    assert await branches_in_log(store) == ["a"]


async def test_closing_writes_what_is_queued(tmp_path: Path, clock: FixedClock) -> None:
    open_store = sqlite_opener(str(tmp_path / "log.db"), clock)
    store = await open_store()
    async with Held(store) as held:
        tasks = [await queued(store, creating(f"b{number}")) for number in range(10)]
        closing = asyncio.create_task(store.aclose())
        held.let_go()
        await closing
    await asyncio.gather(*tasks)
    again = await open_store()
    assert len(await branches_in_log(again)) == 10
    await again.aclose()


async def test_a_closed_store_refuses_everything(open_store: Opener) -> None:
    store = await open_store()
    await store.aclose()
    with pytest.raises(ClosedError):
        await store.append(creating("a"))
    with pytest.raises(ClosedError):
        store.submit(creating("a"))
    with pytest.raises(ClosedError):
        await logged(store)
    with pytest.raises(ClosedError):
        store.share()


async def test_a_shared_store_is_open_until_its_last_user_closes_it(open_store: Opener) -> None:
    store = await open_store()
    store.share()
    await store.aclose()
    await store.append(creating("a"))
    await store.aclose()
    with pytest.raises(ClosedError):
        await store.append(creating("b"))


async def test_closing_once_more_than_opened_is_nothing(open_store: Opener) -> None:
    store = await open_store()
    await store.aclose()
    await store.aclose()


async def test_a_path_that_is_open_is_the_same_store(tmp_path: Path, clock: FixedClock) -> None:
    (tmp_path / "folder").mkdir()
    one = await sqlite_opener(str(tmp_path / "log.db"), clock)()
    two = await sqlite_opener(str(tmp_path / "folder" / ".." / "log.db"), clock)()
    assert one is two
    await one.aclose()
    await two.append(creating("a"))
    await two.aclose()


async def test_a_link_to_a_path_that_is_open_is_the_same_store(tmp_path: Path, clock: FixedClock) -> None:
    one = await sqlite_opener(str(tmp_path / "log.db"), clock)()
    (tmp_path / "link.db").symlink_to(tmp_path / "log.db")
    two = await sqlite_opener(str(tmp_path / "link.db"), clock)()
    assert one is two
    await one.aclose()
    await two.aclose()


async def test_a_path_opened_by_many_tasks_at_once_is_one_store(tmp_path: Path, clock: FixedClock) -> None:
    open_store = sqlite_opener(str(tmp_path / "log.db"), clock)
    stores = await asyncio.gather(*(open_store() for _ in range(10)))
    assert len({id(store) for store in stores}) == 1
    for store in stores:
        await store.aclose()


async def test_a_path_is_opened_anew_after_closing(tmp_path: Path, clock: FixedClock) -> None:
    open_store = sqlite_opener(str(tmp_path / "log.db"), clock)
    one = await open_store()
    await one.append(creating("a"))
    await one.aclose()
    two = await open_store()
    assert two is not one
    assert await branches_in_log(two) == ["a"]
    await two.aclose()


async def test_a_path_opened_while_it_closes_is_a_store_that_works(tmp_path: Path, clock: FixedClock) -> None:
    open_store = sqlite_opener(str(tmp_path / "log.db"), clock)
    one = await open_store()
    task = await queued(one, creating("a"))
    _, two = await asyncio.gather(one.aclose(), open_store())
    await task
    await two.append(creating("b"))
    assert await branches_in_log(two) == ["a", "b"]
    await two.aclose()


async def test_two_stores_in_memory_are_separate(clock: FixedClock) -> None:
    open_store = sqlite_opener(":memory:", clock)
    one, two = await open_store(), await open_store()
    await one.append(creating("a"))
    assert await logged(two) == []
    await one.aclose()
    await two.aclose()


async def test_an_append_moves_the_mark(store: Store) -> None:
    mark = store.mark()
    await store.append(creating("a"))
    assert store.mark() > mark


async def test_what_was_appended_after_the_mark_needs_no_waiting(store: Store) -> None:
    mark = store.mark()
    await store.append(creating("a"))
    await asyncio.wait_for(store.changed(mark), 10)


async def test_an_append_wakes_everybody_who_waits(store: Store) -> None:
    waiting = [asyncio.create_task(store.changed(store.mark())) for _ in range(3)]
    await asyncio.sleep(0)
    await store.append(creating("a"))
    await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def test_whoever_marks_reads_and_waits_sees_every_append(store: Store) -> None:
    async def follow() -> list[str]:
        seen: list[str] = []
        while len(seen) < 50:
            mark = store.mark()
            found = await branches_in_log(store)
            if found == seen:
                await store.changed(mark)
            seen = found
        return seen

    following = asyncio.create_task(follow())
    for number in range(50):
        await store.append(creating(f"b{number}"))
    assert await asyncio.wait_for(following, 10) == [f"b{number}" for number in range(50)]


async def test_closing_wakes_who_waits_for_a_change(open_store: Opener) -> None:
    store = await open_store()
    waiting = [asyncio.create_task(store.changed(store.mark() + 1)) for _ in range(3)]
    await asyncio.sleep(0)
    await store.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClosedError] * 3


async def test_a_closed_store_has_no_changes_to_wait_for(open_store: Opener) -> None:
    store = await open_store()
    await store.aclose()
    with pytest.raises(ClosedError):
        await store.changed(store.mark())


GENERATION = GenerationId(operation_id(50))
KEY = uuid_bytes(GENERATION)


async def answering(store: Store) -> None:
    """A model call is running, so that there is something to note in the scratch tables."""
    started = GenerationStarted(
        generation=GENERATION,
        branch="main",
        base=None,
        question=None,
        head=None,
        order=None,
        compiler="slots/1",
        rendering=1,
        format="openai/1",
        config=None,
        tools=None,
        owner=Owner(None, None, None, None, None),
        verb="chat",
        options=None,
    )
    await store.append(request(TractCreated("main"), started, stream=A))


def noting(text: str) -> tuple[Statement, ...]:
    return (Statement("scratch.renew", (KEY, 1)), Statement("scratch.add", (KEY, 0, text)))


async def noted(store: Store) -> list[Row]:
    return [tuple(row) for row in await store.read(lambda query: query("scratch.pieces", KEY, 0))]


async def test_scratch_is_seen_once_it_was_written_and_is_no_event(store: Store) -> None:
    await answering(store)
    await store.scratch(noting("text")).wait()
    assert await noted(store) == [(0, "text")]
    assert len(await logged(store)) == 2


async def test_scratch_tells_how_many_rows_each_statement_changed(store: Store) -> None:
    await answering(store)
    nobodys = Statement("scratch.add", (uuid_bytes(GenerationId(operation_id(9))), 0, "text"))
    assert await store.scratch((*noting("text"), nobodys)).wait() == (1, 1, 0)


async def test_the_scratch_of_a_request_is_written_with_its_events(store: Store) -> None:
    await answering(store)
    await store.append(replace(creating("a"), scratch=noting("text")))
    assert await noted(store) == [(0, "text")]
    assert await branches_in_log(store) == ["a"]


async def test_the_scratch_of_a_request_that_was_refused_is_not_written(store: Store) -> None:
    await answering(store)
    with pytest.raises(ZeroDivisionError):
        await store.append(replace(raising(ZeroDivisionError()), scratch=noting("text")))
    assert await noted(store) == []


async def test_a_scratch_that_fails_takes_the_events_of_its_request_along(store: Store) -> None:
    await answering(store)
    with pytest.raises(StoreError):
        await store.append(replace(creating("a"), scratch=(*noting("text"), *noting("again"))))
    assert await noted(store) == []
    assert await branches_in_log(store) == []


async def test_scratch_wakes_who_waits_for_a_change(store: Store) -> None:
    await answering(store)
    waiting = asyncio.create_task(store.changed(store.mark()))
    await asyncio.sleep(0)
    await store.scratch(noting("text")).wait()
    await asyncio.wait_for(waiting, 10)


async def test_every_store_writes_the_same_rows_for_the_same_requests(tmp_path: Path) -> None:
    logs = []
    for kind in STORES:
        store = await opener_of(kind, tmp_path, FixedClock(step=0))()
        await answering(store)
        for number in range(10):
            await store.append(
                creating(f"a{number}", f"b{number}", stream=B if number % 3 else A, operation=operation_id(number))
            )
        await in_one_batch(store, creating("c"), raising(ZeroDivisionError()), creating("a0"), creating("d"))
        logs.append(await logged(store))
        await store.aclose()
    assert all(log == logs[0] for log in logs)


async def test_a_store_that_was_only_opened_has_counted_nothing(store: Store) -> None:
    # A file has a write-ahead log from the beginning.
    assert evolve(store.statistics(), wal_size=0) == StoreStatistics(store.where)


async def test_appends_are_counted_each_in_a_batch_of_its_own_where_nobody_else_writes(store: Store) -> None:
    for number in range(3):
        await store.append(creating(f"{number}"))
    found = store.statistics()
    assert (found.appends, found.failed, found.scratch, found.waiting) == (3, 0, 0, 0)
    assert (found.batches, found.batch_max, found.batch_mean, found.commit.count) == (3, 1, 1.0, 3)


async def test_an_append_that_raises_counts_as_failed(store: Store) -> None:
    with pytest.raises(ValueError, match="no"):
        await store.append(raising(ValueError("no")))
    assert (store.statistics().appends, store.statistics().failed) == (0, 1)


async def test_scratch_counts_apart_from_appends(store: Store) -> None:
    await store.scratch(noting("text")).wait()
    assert (store.statistics().appends, store.statistics().scratch) == (0, 1)


async def test_the_sizes_of_batches_add_up_to_all_that_was_written(store: Store) -> None:
    await in_one_batch(store, creating("a"), raising(ValueError("no")), creating("b"))
    found = store.statistics()
    assert (found.appends, found.failed) == (3, 1)
    assert found.batch_mean * found.batches == pytest.approx(4)
    assert found.commit.count == found.batches


async def test_what_waits_is_counted_until_it_is_taken_or_withdrawn(store: Store) -> None:
    async with Held(store):
        tasks = [await queued(store, creating(name)) for name in "abc"]
        counted = [store.statistics().waiting]
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        counted.append(store.statistics().waiting)
    await asyncio.gather(tasks[0], tasks[2])
    assert [*counted, store.statistics().waiting] == [3, 2, 0]


async def test_a_closed_store_tells_nothing_more(open_store: Opener) -> None:
    store = await open_store()
    await store.aclose()
    with pytest.raises(ClosedError):
        store.statistics()
