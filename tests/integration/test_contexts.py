"""The context cache: whatever was asked before, a commit compiles as from nothing."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.recording import Recorder, compiled, recorded, some_content, whole, without_total, write
from tract import AsyncTract
from tract.core.contexts import CAPACITY
from tract.domain.commits import Commit, CommitOperation, Priority
from tract.domain.events import CommitRecorded, NewEvent


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "contexts.db")


@pytest.mark.parametrize("seed", range(4))
async def test_a_warm_handle_compiles_every_commit_as_a_fresh_store_does(path: str, seed: int) -> None:
    chance = random.Random(seed)
    async with AsyncTract.open(path, durability="normal") as t:
        ids = await write(t, chance, 150)
        warm = await compiled(t, ids)
    chance.shuffle(ids)
    async with AsyncTract.open(path) as t:
        assert await compiled(t, ids) == warm


@pytest.mark.parametrize("seed", range(4))
async def test_the_totals_beside_a_commit_are_those_of_its_context(seed: int) -> None:
    async with AsyncTract.open() as t:
        ids = await write(t, random.Random(f"totals {seed}"), 100)
        beside, inside = [], []
        for number, id in enumerate(ids):
            await t.branch(f"at-{number}", at=id)
            status, context = await t.status(), (await t.compile()).context
            beside.append((status.slots, status.token_count))
            inside.append((context.slot_count, 3 + context.slot_tokens))
        assert beside == inside


async def test_a_commit_compiled_while_it_is_head_compiles_alike_as_the_very_first(path: str) -> None:
    chance = random.Random(7)
    seen: dict[str, dict[str, Any]] = {}
    async with AsyncTract.open(path, durability="normal") as t:
        for number in range(60):
            await write_one(t, chance, number)
            context = await t.compile()
            if context.head is not None:
                seen[context.head] = whole(context)
    for id in chance.sample(sorted(seen), 15):
        async with AsyncTract.open(path) as t:
            assert whole(await t.compile(id)) == seen[id]


async def write_one(t: AsyncTract, chance: random.Random, number: int) -> None:
    context = await t.compile()
    slots = [slot.id for slot in context.context.live]
    kind = chance.random()
    if slots and kind < 0.2:
        await t.edit(chance.choice(slots), f"edit {number}")
    elif slots and kind < 0.4:
        await t.annotate(chance.choice(slots), chance.choice(list(Priority)))
    else:
        await t.commit(some_content(chance, number))


@pytest.mark.parametrize("order", ["forwards", "backwards", "scrambled", "twice"])
async def test_more_commits_than_the_cache_holds_compile_alike_in_any_order(path: str, order: str) -> None:
    chance = random.Random(order)
    async with AsyncTract.open(path, durability="normal") as t:
        ids = await write(t, chance, 2 * CAPACITY)
    assert len(ids) > CAPACITY
    asked = {
        "forwards": ids,
        "backwards": ids[::-1],
        "scrambled": chance.sample(ids, len(ids)),
        "twice": [*ids, *ids],
    }[order]
    async with AsyncTract.open(path) as t:
        digests: dict[str, set[tuple[str, int]]] = {}
        for id in asked:
            context = await t.compile(id)
            digests.setdefault(id, set()).add((context.digest, context.token_count))
    for id in chance.sample(ids, 5):
        async with AsyncTract.open(path) as t:
            context = await t.compile(id)
            assert digests[id] == {(context.digest, context.token_count)}


async def test_each_handle_of_a_store_compiles_alike(path: str) -> None:
    chance = random.Random(3)
    async with AsyncTract.open(path, durability="normal") as t, AsyncTract.open(path) as second:
        ids = await write(t, chance, 80)
        assert await compiled(t, ids) == await compiled(second, ids[::-1])


@pytest.mark.parametrize("seed", range(8))
async def test_a_history_full_of_merges_compiles_as_its_linearisation_folds(seed: int) -> None:
    async with AsyncTract.open() as t:
        recorder = await recorded(t, seed)
        ids = list(recorder.steps)
        recorder.chance.shuffle(ids)
        for id in ids:
            assert without_total(whole(await t.compile(id))) == without_total(recorder.naive(id))


@pytest.mark.parametrize("seed", range(3))
async def test_a_history_full_of_merges_compiles_alike_in_a_fresh_store(path: str, seed: int) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        recorder = await recorded(t, f"fresh {seed}")
        warm = await compiled(t, list(recorder.steps))
    ids = list(warm)
    recorder.chance.shuffle(ids)
    async with AsyncTract.open(path) as t:
        assert await compiled(t, ids) == warm
    for id in ids[:5]:
        async with AsyncTract.open(path) as t:
            assert whole(await t.compile(id)) == warm[id]


@pytest.mark.parametrize("seed", range(3))
async def test_a_merge_compiled_while_the_history_grows_compiles_as_it_folds(seed: int) -> None:
    async with AsyncTract.open() as t:
        recorder = Recorder(t, random.Random(f"growing {seed}"))
        for _ in range(90):
            await recorder.grow()
            newest = list(recorder.steps)[-1]
            assert without_total(whole(await t.compile(newest))) == without_total(recorder.naive(newest))


@pytest.mark.parametrize("seed", range(4))
async def test_branches_with_merges_are_counted_as_sets_of_ancestors(seed: int) -> None:
    async with AsyncTract.open() as t:
        recorder = await recorded(t, f"counts {seed}")
        heads = recorder.chance.sample(list(recorder.steps), 8)
        for number, head in enumerate(heads):
            await t.branch(f"b{number}", at=head)
        ours = recorder.ancestors(heads[-1])
        expected = {
            f"b{number}": (len(recorder.ancestors(head) - ours), len(ours - recorder.ancestors(head)))
            for number, head in enumerate(heads)
        }
        found = {info.name: (info.ahead, info.behind) for info in await t.branches() if info.head is not None}
        assert found == expected


@pytest.mark.parametrize("seed", range(3))
async def test_steps_back_and_the_log_follow_first_parents(seed: int) -> None:
    async with AsyncTract.open() as t:
        recorder = await recorded(t, f"steps {seed}")
        for head in recorder.chance.sample(list(recorder.steps), 10):
            line = recorder.first_parents(head)
            assert [(await t.compile(f"{head}~{steps}")).head for steps in range(len(line))] == line
            assert [info.id for info in await t.log(1000, at=head)] == line


async def test_ancestors_shared_through_a_diamond_take_effect_once() -> None:
    async with AsyncTract.open() as t:
        base = await t.user("base")
        await t.branch("side")
        side = await t.user("side")
        await t.switch("main")
        ours = await t.user("ours")
        operation = t.operation()
        merge = Commit((ours.id, side.id), CommitOperation.MERGE, 0, operation)
        await t.record(operation, lambda _: [NewEvent(t.id, CommitRecorded(merge, branch="main"))])
        again = await t.user("after")
        assert list((await t.compile()).slot_ids) == [base.id, ours.id, side.id, again.id]
