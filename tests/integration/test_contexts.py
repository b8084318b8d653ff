"""The context cache: whatever was asked before, a commit compiles as from nothing.

Histories come about through the public API, or, where they hold operations
that have no verb yet, through `record`, the door that verbs use.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tract import AsyncTract, CompiledContext, DialogueContent, LLMConfig, ReasoningContent, ToolCall, ToolIOContent
from tract.core.contexts import CAPACITY
from tract.domain.commits import Commit, CommitOperation, ContentRef, Priority
from tract.domain.content import Content
from tract.domain.events import CommitRecorded, NewEvent
from tract.domain.ids import CommitId
from tract.errors import EditTargetError
from tract.formats.reading import encode_content
from tract.formats.rendering import default_priority, render
from tract.log.protocol import BlobDraft
from tract.operations.folding import EMPTY, SlotContent, Step, fold
from tract.operations.graph import linearise

COMPARED = (
    "to_openai",
    "digest",
    "payload_digest",
    "slot_ids",
    "commit_ids",
    "priorities",
    "generation_configs",
    "token_counts",
    "repairs",
    "token_count",
    "slots",
)


def whole(context: CompiledContext) -> dict[str, Any]:
    """Return everything that must be equal, under its name."""
    inner = context.context
    values = (
        context.to_openai(),
        context.digest,
        context.payload_digest,
        list(context.slot_ids),
        list(context.commit_ids),
        list(context.priorities),
        list(context.generation_configs),
        list(context.token_counts),
        context.repairs,
        context.token_count,
        (inner.slot_count, inner.slot_tokens),
    )
    return dict(zip(COMPARED, values, strict=True))


def some_content(chance: random.Random, number: int) -> Content:
    kind = chance.random()
    ids = chance.choices("abc", k=chance.randint(1, 3))
    if kind < 0.2:
        return DialogueContent("assistant", None, tool_calls=tuple(ToolCall(id, "look", "{}") for id in ids))
    if kind < 0.5:
        return ToolIOContent(text=f"found {number}", call_id=chance.choice("abcd"))
    if kind < 0.6:
        return ReasoningContent(f"thought {number}")
    return DialogueContent(chance.choice(["user", "assistant"]), f"said {number}")


def some_config(chance: random.Random) -> LLMConfig | None:
    return LLMConfig(model="tiny", seed=chance.randint(0, 3)) if chance.random() < 0.2 else None


async def write(t: AsyncTract, chance: random.Random, count: int) -> list[str]:
    """Write a random history through the public API; return its commits."""
    ids: list[str] = [(await t.system("Be kind.")).id]
    for number in range(count):
        kind, target = chance.random(), chance.choice(ids[-40:])
        try:
            if kind < 0.1:
                await t.branch(f"b{number}", at=target)
            elif kind < 0.15:
                await t.switch(chance.choice(await t.branches()).name)
            elif kind < 0.3:
                config = some_config(chance)
                ids.append((await t.edit(target, some_content(chance, number), generation_config=config)).id)
            elif kind < 0.5:
                ids.append((await t.annotate(target, chance.choice(list(Priority)))).id)
            else:
                info = await t.commit(some_content(chance, number), generation_config=some_config(chance))
                ids.append(info.id)
        except EditTargetError:
            continue
    return ids


async def compiled(t: AsyncTract, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {id: whole(await t.compile(id)) for id in ids}


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


class Recorder:
    """Records a DAG of every operation, and keeps what naive folding needs."""

    def __init__(self, t: AsyncTract, chance: random.Random) -> None:
        self.t = t
        self.chance = chance
        self.steps: dict[CommitId, Step] = {}
        self.parents: dict[CommitId, tuple[CommitId, ...]] = {}

    async def grow(self) -> None:
        """Record one commit more, of any operation that the history has room for."""
        ids = list(self.steps)
        if not ids:
            await self.bring(CommitOperation.APPEND, (), ())
            return
        parent = self.chance.choice(ids[-12:])
        some = tuple(self.chance.sample(ids, min(len(ids), self.chance.randint(1, 4))))
        kind = self.chance.random()
        if kind < 0.3:
            await self.bring(CommitOperation.APPEND, (parent,), ())
        elif kind < 0.4:
            await self.bring(CommitOperation.EDIT, (parent,), some[:1])
        elif kind < 0.5:
            await self.bring(CommitOperation.COMPRESS, (parent,), tuple(sorted(some)))
        elif kind < 0.6:
            await self.act(CommitOperation.ANNOTATE, (parent,), tuple(sorted(some)), self.chance.choice(list(Priority)))
        elif kind < 0.67:
            await self.act(CommitOperation.REORDER, (parent,), some)
        elif kind < 0.75:
            await self.act(CommitOperation.REVERT, (parent,), some[:1])
        else:
            other = self.chance.choice(ids)
            if other != parent:
                await self.act(CommitOperation.MERGE, (parent, other), ())

    async def bring(self, kind: CommitOperation, parents: tuple[CommitId, ...], targets: tuple[CommitId, ...]) -> None:
        content, config = some_content(self.chance, len(self.steps)), some_config(self.chance)
        message, blob = render(content), await self.t.content_blob(encode_content(content))
        details = None if config is None else self.t.blob(config.to_dict())
        priority = default_priority(content) if kind is not CommitOperation.EDIT else None
        commit = Commit(
            parents,
            kind,
            self.t.collaborators.clock(),
            self.t.operation(),
            targets,
            content=ContentRef(content.content_type, blob.id),
            priority=priority,
            config=None if details is None else details.id,
            rendering=1,
        )
        tokens = self.t.collaborators.counter.count_message(message)
        await self.record(CommitRecorded(commit, tokens=tokens), (blob,) if details is None else (blob, details))
        brought = SlotContent(commit.id, content.content_type, blob.id, 1, message, tokens)
        self.steps[commit.id] = Step(commit.id, kind, targets, priority, brought, config)
        self.parents[commit.id] = parents

    async def act(
        self,
        kind: CommitOperation,
        parents: tuple[CommitId, ...],
        targets: tuple[CommitId, ...],
        priority: Priority | None = None,
    ) -> None:
        now = self.t.collaborators.clock()
        commit = Commit(parents, kind, now, self.t.operation(), targets, priority=priority)
        await self.record(CommitRecorded(commit), ())
        self.steps[commit.id] = Step(commit.id, kind, targets, priority)
        self.parents[commit.id] = parents

    async def record(self, body: CommitRecorded, blobs: tuple[BlobDraft, ...]) -> None:
        await self.t.record(body.commit.operation_id, lambda _: [NewEvent(self.t.id, body)], blobs=blobs)

    def naive(self, head: CommitId) -> dict[str, Any]:
        line = [self.steps[commit] for commit in linearise(head, self.parents.__getitem__)]
        return whole(CompiledContext(fold(EMPTY, line), head, 0, "naive"))

    def ancestors(self, head: CommitId) -> set[CommitId]:
        return set(linearise(head, self.parents.__getitem__))

    def first_parents(self, head: CommitId) -> list[CommitId]:
        line = [head]
        while self.parents[line[-1]]:
            line.append(self.parents[line[-1]][0])
        return line


async def recorded(t: AsyncTract, seed: object, count: int = 90) -> Recorder:
    recorder = Recorder(t, random.Random(f"{seed}"))
    while len(recorder.steps) < count:
        await recorder.grow()
    return recorder


def without_total(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "token_count"}


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
