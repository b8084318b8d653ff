"""What a batch is in the log, and what the store says from inside it."""

from tract import AsyncTract
from tract.core.graph import find_node
from tract.domain.events import CommitRecorded
from tract.domain.ids import uuid_bytes
from tract.log.codec import decode_event


async def test_the_commits_of_a_batch_are_numbered_in_its_operation() -> None:
    async with AsyncTract.open() as t:
        async with t.batch() as batch:
            slot = await t.user("one")
            await t.edit(slot.id, "two")
            await t.pin(slot.id)
        operation = batch.operation_id
        assert operation is not None
        rows = await t.read(lambda query: query("log.operation_events", uuid_bytes(operation)))
        bodies = [decode_event(row).body for row in rows]
        assert [body.commit.index for body in bodies if isinstance(body, CommitRecorded)] == [0, 1, 2]
        assert [body.branch for body in bodies if isinstance(body, CommitRecorded)] == ["main"] * 3


async def test_a_commit_of_an_open_batch_is_found_by_its_id() -> None:
    async with AsyncTract.open() as t, t.batch():
        info = await t.user("one")
        node = await t.read(lambda query: find_node(query, bytes.fromhex(info.id)))
        assert node is not None
        assert (node.id, node.depth, node.slots) == (info.id, 0, 1)


async def test_a_look_that_began_before_a_commit_of_the_batch_does_not_see_it() -> None:
    async with AsyncTract.open() as t, t.batch() as batch:
        await t.user("one")
        looking = t.open_batch()
        assert looking is not None
        sight = looking.seen_from_inside()
        info = await t.user("two")
        found = await t.collaborators.shared.store.read(lambda query: find_node(sight.of(query), bytes.fromhex(info.id)))
        assert (found, len(batch.commit_ids)) == (None, 2)
