"""Histories in a real store, random, and all that must be equal of what they compile to.

`write` goes through the public API, `Recorder` through `record`, the door that
verbs use, so that it can record operations that have no verb.
"""

import random
from collections.abc import Sequence
from typing import Any

from tract import AsyncTract, CompiledContext, DialogueContent, LLMConfig, ReasoningContent, ToolCall, ToolIOContent
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


async def write(t: AsyncTract, chance: random.Random, count: int, branches: str = "b") -> list[str]:
    """Write a random history through the public API, with branches of such names; return its commits."""
    ids: list[str] = [(await t.system("Be kind.")).id]
    for number in range(count):
        kind, target = chance.random(), chance.choice(ids[-40:])
        try:
            if kind < 0.1:
                await t.branch(f"{branches}{number}", at=target)
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
