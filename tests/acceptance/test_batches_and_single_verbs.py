"""A law: a program run in batches says what it says verb by verb, at every step, but for the ids.

The same program runs on two tracts, in batches on one of them, and against a
list of slots as a plain model of both.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias

from attrs import define, evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from tract import AsyncTract, CommitInfo, CommitOperation, DialogueContent, LLMConfig, Priority, ToolCall, ToolIOContent
from tract.domain.content import Content
from tract.errors import RevertError

PRIORITIES = list(Priority)


@frozen
class Append:
    """Bring a content."""

    content: Content
    priority: Priority | None
    config: LLMConfig | None


@frozen
class Edit:
    """Replace what stands in a slot, counted from the newest."""

    back: int
    content: Content


@frozen
class Annotate:
    """Set the priority of a slot, counted from the newest."""

    back: int
    priority: Priority


@frozen
class Revert:
    """Undo a change, counted from the newest."""

    back: int


Step: TypeAlias = Append | Edit | Annotate | Revert


@frozen
class Group:
    """Steps that stand in one block.

    Attributes:
        steps: What is done.
        nests: At which step a nested block begins; beyond the last, nowhere.
        fails: Whether an exception leaves the block.
    """

    steps: tuple[Step, ...]
    nests: int
    fails: bool


def call(call_id: str) -> Content:
    return DialogueContent("assistant", None, tool_calls=(ToolCall(call_id, "look", "{}"),))


texts = st.sampled_from(["a", "b", "Grüß dich", "word " * 600])
contents: st.SearchStrategy[Content] = st.one_of(
    st.builds(DialogueContent, st.sampled_from(["user", "assistant"]), texts),
    st.sampled_from("cd").map(call),
    st.builds(lambda call_id, text: ToolIOContent("look", text=text, call_id=call_id), st.sampled_from("cd"), texts),
)
configs = st.sampled_from([None, LLMConfig(model="m"), LLMConfig(model="m", temperature=0.5)])
backs = st.integers(0, 6)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Append, contents, st.sampled_from([None, *PRIORITIES]), configs),
    st.builds(Append, contents, st.none(), configs),
    st.builds(Edit, backs, contents),
    st.builds(Annotate, backs, st.sampled_from(PRIORITIES)),
    st.builds(Revert, backs),
)
groups = st.builds(Group, st.lists(steps, max_size=8).map(tuple), st.integers(0, 8), st.sampled_from([False, False, True]))


def said(info: CommitInfo) -> str | None:
    """Return a commit's preview, if it names no other commit."""
    return None if info.operation in (CommitOperation.REVERT, CommitOperation.ANNOTATE) else info.message


@define
class Told:
    """A tract with its slots and its changes, by the commits that made them."""

    t: AsyncTract
    slots: list[str]
    changes: list[str]

    async def do(self, step: Step) -> None:
        if isinstance(step, Append):
            info = await self.t.commit(step.content, priority=step.priority, generation_config=step.config)
            self.slots.append(info.id)
        elif isinstance(step, Revert):
            if self.changes:
                with suppress(RevertError):
                    await self.t.revert(self.changes[-1 - step.back % len(self.changes)])
        elif self.slots:
            target = self.slots[-1 - step.back % len(self.slots)]
            if isinstance(step, Edit):
                info = await self.t.edit(target, step.content)
            else:
                info = await self.t.annotate(target, step.priority)
            self.changes.append(info.id)

    async def do_group(self, group: Group) -> None:
        """Do the steps in one block, of which a part may be a block of its own."""
        before = list(self.slots), list(self.changes)
        with suppress(ZeroDivisionError):
            async with self.t.batch(), AsyncExitStack() as nested:
                for number, step in enumerate(group.steps):
                    if number == group.nests:
                        await nested.enter_async_context(self.t.batch())
                    await self.do(step)
                if group.fails:
                    raise ZeroDivisionError
                return
        self.slots, self.changes = before

    async def seen(self) -> dict[str, Any]:
        """Return everything that shall not depend on how it was recorded."""
        context = await self.t.compile()
        number = {id: place for place, id in enumerate(self.slots)}
        infos, status = await self.t.log(1000), await self.t.status()
        return {
            "payload": context.payload_digest,
            "slots": [number[id] for id in context.slot_ids],
            "priorities": list(context.priorities),
            "configs": list(context.generation_configs),
            "tokens": (list(context.token_counts), context.token_count, status.token_count, status.slots),
            "repairs": [(repair.kind, number[repair.slot]) for repair in context.repairs],
            "log": [(info.operation, said(info), info.tokens, len(info.targets)) for info in infos],
        }


async def run(where: str, program: Sequence[Group]) -> None:
    async with (
        AsyncTract.open(where, name="batches", durability="normal") as one,
        AsyncTract.open(where, name="single verbs", durability="normal") as other,
    ):
        batched, single = Told(one, [], []), Told(other, [], [])
        for group in program:
            await batched.do_group(group)
            for step in () if group.fails else group.steps:
                await single.do(step)
            assert await batched.seen() == await single.seen()
        # Both share their texts' blobs, so the digests of what is stored are equal too.
        digests = [(await t.compile()).digest for t in (one, other)]
        assert digests[0] == digests[1]
        last = await batched.seen()
    async with AsyncTract.open(where, name="batches") as again:
        assert await evolve(batched, t=again).seen() == last


@settings(max_examples=60, deadline=None)
@given(st.lists(groups, max_size=5))
def test_a_program_run_in_batches_says_what_it_says_verb_by_verb(program: list[Group]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(str(Path(folder) / "log.db"), program))


async def step_by_step(where: str, program: Sequence[Step]) -> None:
    async with AsyncTract.open(where, name="batch") as one, AsyncTract.open(where, name="single verbs") as other:
        inside, single = Told(one, [], []), Told(other, [], [])
        await inside.do(Append(DialogueContent("user", "before"), None, None))
        await single.do(Append(DialogueContent("user", "before"), None, None))
        async with one.batch():
            for step in program:
                await inside.do(step)
                await single.do(step)
                assert await inside.seen() == await single.seen()


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=15))
def test_a_batch_is_seen_from_inside_at_every_step_as_if_each_verb_were_recorded(program: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(step_by_step(str(Path(folder) / "log.db"), program))
