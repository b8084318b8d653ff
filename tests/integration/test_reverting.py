"""Reverting what has no verb of its own yet, and the totals beside every commit.

Compressions and reorders are recorded through `record`, the door that verbs
use, with the totals that the fold gives them.
"""

import random
from collections.abc import Sequence
from contextlib import suppress

import pytest

from tract import AsyncTract, CommitInfo, DialogueContent, Priority, ToolCall
from tract.core.graph import Head
from tract.domain.commits import Commit, CommitOperation, ContentRef
from tract.domain.events import CommitRecorded, NewEvent
from tract.domain.ids import CommitId
from tract.errors import DetachedHeadError, EditTargetError, RevertError
from tract.formats.reading import encode_content
from tract.formats.rendering import RENDERING, render
from tract.log.protocol import BlobDraft
from tract.operations.folding import SlotContent, Step, fold


async def compress(t: AsyncTract, *targets: str, text: str = "A summary.") -> str:
    """Put a summary in place of slots."""
    content = DialogueContent("assistant", text)
    blob = await t.content_blob(encode_content(content))
    return await _record(t, CommitOperation.COMPRESS, sorted(targets), content, blob)


async def reorder(t: AsyncTract, *targets: str) -> str:
    """Move slots together."""
    return await _record(t, CommitOperation.REORDER, targets)


async def _record(
    t: AsyncTract,
    kind: CommitOperation,
    targets: Sequence[str],
    content: DialogueContent | None = None,
    blob: BlobDraft | None = None,
) -> str:
    before = (await t.compile()).context
    head, operation = await t.head(), t.operation()
    assert head is not None
    commit = Commit(
        (CommitId(head),),
        kind,
        t.collaborators.clock(),
        operation,
        tuple(map(CommitId, targets)),
        content=None if content is None or blob is None else ContentRef(content.content_type, blob.id),
        rendering=None if blob is None else RENDERING,
    )
    brought, tokens = None, None
    if content is not None and blob is not None:
        message = render(content)
        tokens = t.collaborators.counter.count_message(message)
        brought = SlotContent(commit.id, content.content_type, blob.id, RENDERING, message, tokens)
    after = fold(before, [Step(commit.id, kind, commit.targets, content=brought)])
    recorded = CommitRecorded(
        commit,
        branch=t.current_branch,
        tokens=tokens,
        counter=None if blob is None else t.collaborators.counter.name,
        slot_delta=after.slot_count - before.slot_count,
        token_delta=after.slot_tokens - before.slot_tokens,
    )
    await t.record(operation, lambda _: [NewEvent(t.id, recorded)], blobs=() if blob is None else (blob,))
    return commit.id


async def numbered(t: AsyncTract, count: int = 4) -> list[str]:
    return [(await t.user(f"{number}")).id for number in range(count)]


async def texts(t: AsyncTract) -> list[str | None]:
    return [message["content"] for message in (await t.compile()).to_openai()]


async def totals(t: AsyncTract) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return slots and tokens as the log has them beside HEAD, and as the context has them."""
    status, context = await t.status(), (await t.compile()).context
    return (status.slots, status.token_count), (context.slot_count, 3 + context.slot_tokens)


async def test_reverting_a_compression_brings_its_slots_back() -> None:
    async with AsyncTract.open() as t:
        ids = await numbered(t)
        before = (await t.compile()).digest
        summary = await compress(t, *ids[1:3])
        compressed = await texts(t)
        info = await t.revert(summary)
        beside, inside = await totals(t)
        assert (compressed, await texts(t)) == (["0", "A summary.", "3"], ["0", "1", "2", "3"])
        assert ((await t.compile()).digest, info.targets, beside) == (before, (summary,), inside)


async def test_scattered_slots_come_back_at_the_place_of_their_summary() -> None:
    async with AsyncTract.open() as t:
        ids = await numbered(t)
        await t.revert(await compress(t, ids[0], ids[2]))
        assert await texts(t) == ["0", "2", "1", "3"]


async def test_a_compression_whose_summary_was_edited_is_reverted_after_the_edit() -> None:
    async with AsyncTract.open() as t:
        ids = await numbered(t)
        summary = await compress(t, *ids)
        edited = await t.edit(summary, "A better one.")
        with pytest.raises(RevertError, match=f"commit {edited.id[:12]} edited its summary since"):
            await t.revert(summary)
        await t.revert(edited.id)
        await t.revert(summary)
        assert await texts(t) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("priority", ["pinned", "skip"])
async def test_a_compression_whose_summary_was_pinned_or_skipped_is_refused(priority: str) -> None:
    async with AsyncTract.open() as t:
        summary = await compress(t, *await numbered(t))
        info = await t.annotate(summary, priority)
        with pytest.raises(RevertError, match=f"commit {info.id[:12]} set the priority of its summary since"):
            await t.revert(summary)


async def test_a_compression_whose_summary_was_compressed_is_refused() -> None:
    async with AsyncTract.open() as t:
        ids = await numbered(t)
        summary = await compress(t, *ids[:2])
        second = await compress(t, summary, ids[2])
        with pytest.raises(RevertError, match=f"commit {second[:12]} compressed its summary away since"):
            await t.revert(summary)


async def test_an_edit_whose_slot_was_compressed_is_refused() -> None:
    async with AsyncTract.open() as t:
        ids = await numbered(t)
        edited = await t.edit(ids[0], "changed")
        summary = await compress(t, *ids[:2])
        with pytest.raises(RevertError, match=f"commit {summary[:12]} compressed the slot away since"):
            await t.revert(edited.id)


async def test_reverting_a_reorder_gives_the_order_back() -> None:
    async with AsyncTract.open() as t:
        ids = await numbered(t)
        before = (await t.compile()).digest
        moved = await reorder(t, *ids[::-1])
        turned = await texts(t)
        await t.revert(moved)
        assert (turned, (await t.compile()).digest) == (["3", "2", "1", "0"], before)


async def test_a_merge_is_refused_with_where_to_go_on_instead() -> None:
    async with AsyncTract.open() as t:
        base = await t.user("base")
        await t.branch("side")
        side = await t.edit(base.id, "side")
        await t.switch("main")
        ours, operation = await t.user("ours"), t.operation()
        merge = Commit((ours.id, side.id), CommitOperation.MERGE, 0, operation)
        await t.record(operation, lambda _: [NewEvent(t.id, CommitRecorded(merge, branch="main"))])
        with pytest.raises(RevertError, match=f'branch\\(name, at="{merge.id[:12]}~1"\\)'):
            await t.revert(merge.id)
        await t.branch("again", at=f"{merge.id[:12]}~1")
        assert await t.head() == ours.id


async def test_an_edit_that_came_with_a_merge_can_be_reverted() -> None:
    async with AsyncTract.open() as t:
        base = await t.user("base")
        await t.branch("side")
        side = await t.edit(base.id, "side")
        await t.switch("main")
        ours, operation = await t.user("ours"), t.operation()
        merge = Commit((ours.id, side.id), CommitOperation.MERGE, 0, operation)
        await t.record(operation, lambda _: [NewEvent(t.id, CommitRecorded(merge, branch="main"))])
        await t.revert(side.id)
        assert await texts(t) == ["base", "ours"]


async def test_a_detached_head_has_nothing_to_revert_on() -> None:
    async with AsyncTract.open() as t:
        edited = await t.edit((await t.user("one")).id, "two")
        t.move_head(Head(None, edited.id))
        with pytest.raises(DetachedHeadError):
            await t.revert(edited.id)


async def change(t: AsyncTract, chance: random.Random, number: int) -> CommitInfo | str:
    """Do one thing of any kind, as a program of many verbs would."""
    live = [slot.id for slot in (await t.compile()).context.live]
    kind, slot = chance.random(), chance.choice(live)
    if kind < 0.2:
        return await t.edit(slot, chance.choice(["short", f"a longer text, number {number}"]))
    if kind < 0.35:
        return await t.annotate(slot, chance.choice(list(Priority)))
    if kind < 0.45:
        return await compress(t, *chance.sample(live, min(len(live), chance.randint(1, 4))), text=f"Summary {number}.")
    if kind < 0.5:
        return await reorder(t, *chance.sample(live, min(len(live), 4)))
    if kind < 0.75:
        return await t.revert(chance.choice(await t.log(20)).id)
    if kind < 0.8:
        id = chance.choice("ab")
        return await t.commit(DialogueContent("assistant", None, tool_calls=(ToolCall(id, "look", "{}"),)))
    if kind < 0.85:
        return await t.tool_result(chance.choice("ab"), f"found {number}")
    return await t.user(f"said {number}", priority=chance.choice(list(Priority)))


@pytest.mark.parametrize("seed", range(8))
async def test_the_totals_beside_a_commit_stay_those_of_its_context(seed: int) -> None:
    chance, reverts = random.Random(f"reverts {seed}"), 0
    async with AsyncTract.open() as t:
        await numbered(t, 6)
        for number in range(120):
            with suppress(EditTargetError, RevertError):
                done = await change(t, chance, number)
                reverts += isinstance(done, CommitInfo) and done.operation is CommitOperation.REVERT
            beside, inside = await totals(t)
            assert beside == inside
    assert reverts > 5


@pytest.mark.parametrize("seed", range(4))
async def test_reverting_the_last_change_gives_the_digest_from_before(seed: int) -> None:
    chance = random.Random(f"last {seed}")
    async with AsyncTract.open() as t:
        await numbered(t, 6)
        for number in range(60):
            with suppress(EditTargetError, RevertError):
                await change(t, chance, number)
            slot = chance.choice([slot.id for slot in (await t.compile()).context.live])
            before = await t.compile()
            last = await (t.edit(slot, f"last {number}") if number % 2 else t.annotate(slot, chance.choice(list(Priority))))
            await t.revert(last.id)
            after = await t.compile()
            assert (after.digest, after.token_count, list(after.priorities)) == (
                before.digest,
                before.token_count,
                list(before.priorities),
            )
