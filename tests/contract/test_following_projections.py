"""What every store promises to projections that follow its log, and the runner to who reads them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.builders import tract_id
from tests.contract.test_stores import STORES, Store
from tests.following import FAILURES, STATEMENTS, UNASKED, Echo, Failing, Tally, Unmade, creating, look_at, rows_of, tallied
from tests.memory_store import MemoryStore
from tract.errors import ClosedError, ProjectionError, StoreFailedError
from tract.log.halts import Halt
from tract.log.protocol import Checkpoint, Chunk, Statement, UnfitStatementError
from tract.log.store import SqliteStore
from tract.projections import INLINE
from tract.projections.running import Runner
from tract.testing import FixedClock

A, B = tract_id(1), tract_id(2)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store
    if request.param == "plain memory":
        opened = MemoryStore(FixedClock(), STATEMENTS, INLINE)
    else:
        where = str(tmp_path / "log.db") if request.param == "sqlite file" else ":memory:"
        projections = (*INLINE, Tally(), Echo(), Unmade())
        opened = await SqliteStore.open(
            where, create=True, durability="full", clock=FixedClock(), statements=STATEMENTS, projections=projections
        )
    yield opened
    await opened.aclose()


def following(store: Store, *projections: Tally | Echo) -> Runner:
    runner = Runner(store)
    for projection in projections or (Tally(),):
        runner.follow(projection)
    return runner


async def test_what_was_recorded_is_there_once_the_projection_has_caught_up(store: Store) -> None:
    await store.append(creating("a", "b", "a"))
    await following(store).caught_up("tally")
    assert await tallied(store) == [("a", 0), ("b", 0), ("a", 1)]


async def test_a_reader_sees_its_own_append_each_time(store: Store) -> None:
    runner = following(store)
    for number in range(30):
        await store.append(creating("a"))
        await runner.caught_up("tally")
        assert len(await tallied(store)) == number + 1


async def test_what_many_tasks_append_is_there_for_each_of_them(store: Store) -> None:
    runner = following(store)

    async def append(name: str) -> bool:
        await store.append(creating(name))
        await runner.caught_up("tally")
        return (name, 0) in await tallied(store)

    assert all(await asyncio.gather(*(append(f"b{number}") for number in range(50))))


async def test_an_empty_log_is_caught_up_with_at_once(store: Store) -> None:
    await following(store).caught_up("tally")
    assert await tallied(store) == []


async def test_a_log_longer_than_a_chunk_is_read_to_its_end(store: Store) -> None:
    for start in range(0, 700, 100):
        await store.append(creating(*(f"b{number}" for number in range(start, start + 100))))
    await following(store).caught_up("tally")
    assert await tallied(store) == [(f"b{number}", 0) for number in range(700)]


async def test_a_projection_that_begins_late_catches_up_while_the_other_goes_on(store: Store) -> None:
    runner = following(store, Tally())
    for start in range(0, 600, 100):
        await store.append(creating(*(f"b{number}" for number in range(start, start + 100))))
    await runner.caught_up("tally")
    runner.follow(Echo())
    await store.append(creating("last"))
    await runner.caught_up("tally")
    await runner.caught_up("echo")
    assert len(await rows_of(store, "echo.rows")) == len(await tallied(store)) == 601


async def test_following_twice_is_following_once(store: Store) -> None:
    runner = following(store, Tally(), Tally())
    await store.append(creating("a"))
    await runner.caught_up("tally")
    assert await tallied(store) == [("a", 0)]


async def test_the_runner_says_what_it_follows_and_how_far_that_is(store: Store) -> None:
    runner = following(store)
    await store.append(creating("a", "b"))
    await runner.caught_up("tally")
    assert (runner.follows("tally"), runner.follows("echo"), runner.positions()) == (True, False, {"tally": 2})


async def test_two_runners_on_one_store_apply_each_event_once(store: Store) -> None:
    runners = [following(store), following(store)]
    for number in range(40):
        await store.append(creating(f"b{number}"))
        await runners[number % 2].caught_up("tally")
    await asyncio.gather(*(runner.caught_up("tally") for runner in runners))
    assert await tallied(store) == [(f"b{number}", 0) for number in range(40)]


every_failure = pytest.mark.parametrize("failure", [*FAILURES, UNASKED])


@every_failure
async def test_an_event_that_cannot_be_folded_is_named_to_the_reader(store: Store, failure: str) -> None:
    await store.append(creating("a", "b", stream=A))
    await store.append(creating("c", failure, "d", stream=B))
    with pytest.raises(ProjectionError) as caught:
        await following(store).caught_up("tally")
    error = caught.value
    assert (error.path, error.projection, error.family, error.position) == (store.where, "tally", B, 4)
    assert error.finding.startswith("branch.created cannot be folded (")
    assert "hush" not in str(error)


@every_failure
async def test_what_is_before_an_event_that_cannot_be_folded_stays(store: Store, failure: str) -> None:
    await store.append(creating("a", "b", failure, "c"))
    with pytest.raises(ProjectionError):
        await following(store).caught_up("tally")
    assert await tallied(store) == [("a", 0), ("b", 0)]


@every_failure
async def test_other_projections_and_every_append_go_on_behind_it(store: Store, failure: str) -> None:
    runner = following(store, Tally(), Echo())
    await store.append(creating("a", failure, stream=A))
    for number in range(3):
        await store.append(creating(f"b{number}", stream=A))
        await store.append(creating(f"b{number}", stream=B))
        await runner.caught_up("echo")
    assert [position for position, _ in await rows_of(store, "echo.rows")] == list(range(1, 9))
    with pytest.raises(ProjectionError):
        await runner.caught_up("tally")


async def test_a_projection_that_stands_still_does_so_for_another_runner_too(store: Store) -> None:
    await store.append(creating("code that raises"))
    for _ in range(2):
        with pytest.raises(ProjectionError) as caught:
            await following(store).caught_up("tally")
        assert caught.value.position == 1


async def test_a_projection_whose_tables_cannot_be_made_harms_no_other(store: Store) -> None:
    await store.append(creating("a"))
    runner = following(store, Unmade(), Tally())
    await runner.caught_up("tally")
    with pytest.raises(StoreFailedError):
        await runner.caught_up("unmade")
    assert await tallied(store) == [("a", 0)]


async def test_closing_the_store_ends_the_runner(store: Store) -> None:
    runner = following(store)
    await store.append(creating("a"))
    await runner.caught_up("tally")
    before = asyncio.all_tasks()
    await store.aclose()
    with pytest.raises(ClosedError):
        await runner.caught_up("tally")
    assert [task.get_name() for task in before if not task.done() and task is not asyncio.current_task()] == []


async def test_closing_the_store_wakes_who_waits(store: Store) -> None:
    runner = following(store)
    await store.append(creating(*(f"b{number}" for number in range(3000))))
    waiting = [asyncio.create_task(runner.caught_up("tally")) for _ in range(3)]
    await asyncio.sleep(0)
    await store.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {ClosedError, type(None)}


async def test_a_reader_that_is_cancelled_leaves_the_others_alone(store: Store) -> None:
    runner = following(store)
    await store.append(creating(*(f"b{number}" for number in range(1000))))
    waiting = [asyncio.create_task(runner.caught_up("tally")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [None, None]


CHUNK = Chunk((Checkpoint("tally", 1, 0),), 0, 1, bytes(32), (Statement("tally.insert", (1, "a")),))


async def test_a_chunk_moves_rows_and_checkpoint_together(store: Store) -> None:
    assert await store.adopt(Tally()) == 0
    (event,) = await store.append(creating("a"))
    assert await store.advance(replace(CHUNK, digest=event.digest))
    assert await store.adopt(Tally()) == 1
    assert await tallied(store) == [("a", 0)]


@pytest.mark.parametrize(
    "chunk",
    [
        replace(CHUNK, before=1, after=2),
        replace(CHUNK, projections=(Checkpoint("tally", 2, 0),)),
        replace(CHUNK, projections=(Checkpoint("tally", 1, 3),)),
        replace(CHUNK, projections=(Checkpoint("tally", 1, 0), Checkpoint("echo", 1, 0))),
    ],
    ids=["another place", "another version", "another edition", "one that is not there"],
)
async def test_a_chunk_for_what_is_no_longer_so_changes_nothing(store: Store, chunk: Chunk) -> None:
    await store.adopt(Tally())
    assert not await store.advance(chunk)
    assert await store.adopt(Tally()) == 0
    assert await tallied(store) == []


@pytest.mark.parametrize(
    ("checkpoint", "before"),
    [
        (Checkpoint("tally", 1, 0), 1),
        (Checkpoint("tally", 2, 0), 0),
        (Checkpoint("tally", 1, 3), 0),
        (Checkpoint("echo", 1, 0), 0),
    ],
    ids=["another place", "another version", "another edition", "one that is not there"],
)
async def test_a_halt_of_what_is_no_longer_so_is_not_noted(store: Store, checkpoint: Checkpoint, before: int) -> None:
    await store.adopt(Tally())
    assert not await store.halt(checkpoint, before, Halt(checkpoint.name, b"", 1, "it cannot be folded"))
    assert await rows_of(store, "log.halts") == []


async def test_a_halt_is_noted(store: Store) -> None:
    await store.adopt(Tally())
    assert await store.halt(Checkpoint("tally", 1, 0), 0, Halt("tally", b"", 1, "it cannot be folded"))
    assert await rows_of(store, "log.halts") == [("tally", b"", 1, "it cannot be folded")]


async def test_memory_that_runs_out_stops_no_projection(store: Store) -> None:
    await store.append(creating("a"))
    runner = following(store, Failing(MemoryError()))
    with pytest.raises(StoreFailedError, match="MemoryError"):
        await runner.caught_up("tally")
    await runner.caught_up("tally")
    assert await tallied(store) == [("a", 0)]


async def test_a_chunk_with_a_statement_that_cannot_be_applied_changes_nothing(store: Store) -> None:
    await store.adopt(Tally())
    with pytest.raises(UnfitStatementError):
        await store.advance(replace(CHUNK, statements=(*CHUNK.statements, Statement("tally.insert", (1, "b")))))
    assert await store.adopt(Tally()) == 0
    assert await tallied(store) == []


async def test_tables_that_somebody_removed_are_made_again(store: Store) -> None:
    runner = following(store)
    await store.append(creating("a", "b"))
    await runner.caught_up("tally")
    await store.scratch([Statement("tally.drop")]).wait()
    await store.append(creating("c"))
    await runner.caught_up("tally")
    assert await tallied(store) == [("a", 0), ("b", 0), ("c", 0)]


async def test_a_look_at_what_is_caught_up_has_nothing_to_do(store: Store) -> None:
    await store.append(creating("a"))
    await following(store).caught_up("tally")
    seen = await look_at(store, Tally())
    assert (list(seen.stretches), list(seen.unmade), seen.standings[0].position) == ([], [], 1)
