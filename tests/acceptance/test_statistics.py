"""Story: an operator asks a store how busy it is."""

import asyncio
from pathlib import Path

import pytest
from attrs import asdict, evolve

from tests.acceptance.scripting import Dictated, opened
from tract import AsyncTract, StoreStatistics
from tract.errors import ClosedError, HeadMovedError


@pytest.fixture(params=["file", "memory"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "log.db") if request.param == "file" else ":memory:"


async def test_of_a_hundred_appends_at_once_the_figures_add_up(where: str) -> None:
    async with AsyncTract.open(where) as t:
        before = t.statistics()
        writing = [asyncio.create_task(t.user(f"number {number}")) for number in range(100)]
        await asyncio.gather(*writing)
        found = t.statistics()
    assert (found.appends - before.appends, found.failed, found.scratch, found.waiting) == (100, 0, 0, 0)
    batches = found.batches - before.batches
    assert 1 <= batches <= 100
    assert 100 / batches <= found.batch_max <= 100
    assert found.batch_mean * found.batches == pytest.approx(found.appends)
    commit = found.commit
    assert commit.count == found.batches
    assert 0 < commit.p50 <= commit.p90 <= commit.p99 <= commit.max < 60


async def test_what_was_refused_by_the_writer_counts_as_failed(t: AsyncTract) -> None:
    said = await t.user("one")
    await t.user("two")
    before = t.statistics()
    with pytest.raises(HeadMovedError):
        await t.user("three", expect=said.id)
    after = t.statistics()
    assert (after.failed - before.failed, after.appends - before.appends) == (1, 0)


async def test_an_answer_on_its_way_is_counted_apart(where: str) -> None:
    model = Dictated()
    async with opened(model, where) as t:
        async with t.stream("Count") as stream:
            before = t.statistics()
            model.say("One ")
            await anext(stream)
            after = t.statistics()
            model.end()
            await stream.finish()
        assert after.scratch > before.scratch
        assert after.appends == before.appends


async def test_a_compile_is_found_or_grown_or_folded(t: AsyncTract) -> None:
    await t.user("one")
    contexts = []
    await t.compile()
    contexts.append(t.statistics().contexts)
    await t.compile()
    contexts.append(t.statistics().contexts)
    await t.user("two")
    await t.compile()
    contexts.append(t.statistics().contexts)
    assert [(each.folded, each.found, each.grown, each.kept) for each in contexts] == [(1, 0, 0, 1), (1, 1, 0, 1), (1, 1, 1, 2)]


async def test_each_turn_goes_on_from_the_context_of_the_one_before() -> None:
    async with opened(["a", "b", "c"]) as t:
        for question in "123":
            await t.chat(question)
        contexts = t.statistics().contexts
        assert (contexts.folded, contexts.grown) == (1, 2)
        assert [message.text for message in (await t.compile()).messages] == ["1", "a", "2", "b", "3", "c"]


async def test_all_handles_of_a_store_are_counted_together(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path) as one, AsyncTract.open(path, name="other") as other, await one.worktree("main") as third:
        before = one.statistics().appends
        await asyncio.gather(one.user("a"), other.user("b"), third.user("c"))
        assert [t.statistics().appends - before for t in (one, other, third)] == [3, 3, 3]
        assert one.statistics().path == path


async def test_each_store_in_memory_counts_for_itself() -> None:
    async with AsyncTract.open() as one, AsyncTract.open() as other:
        before = other.statistics()
        await one.user("a")
        # Whether the runner of its projections reads just now says nothing.
        assert evolve(other.statistics(), readers_busy=before.readers_busy) == before


async def test_statistics_count_from_anew_when_a_file_is_opened_again(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path) as t:
        for number in range(5):
            await t.user(f"{number}")
        first = t.statistics()
    async with AsyncTract.open(path) as t:
        assert t.statistics().appends < first.appends


async def test_statistics_hold_plain_numbers_to_hand_on_to_a_monitor(t: AsyncTract) -> None:
    await t.user("one")
    figures = asdict(t.statistics())
    nested = {**figures.pop("commit"), **figures.pop("contexts")}
    assert figures.pop("path") == ":memory:"
    assert {type(figure) for figure in (*figures.values(), *nested.values())} == {int, float}


async def test_asking_changes_no_figure(t: AsyncTract) -> None:
    await t.user("one")
    assert t.statistics() == t.statistics()


async def test_a_closed_tract_tells_nothing_more() -> None:
    async with AsyncTract.open() as t:
        assert isinstance(t.statistics(), StoreStatistics)
    with pytest.raises(ClosedError):
        t.statistics()
