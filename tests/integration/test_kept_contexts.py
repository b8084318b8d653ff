"""Contexts that are kept in the file: with them and without, a commit compiles to the same."""

import random
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar, cast

import pytest

from tests.recording import compiled, recorded, whole, write
from tract import AsyncTract, CompiledContext, DialogueContent, LLMConfig, ToolCall, ToolIOContent, admin
from tract.core import contexts, keeping
from tract.core.bounding import BYTES
from tract.core.checking import ContextFinding, check_contexts
from tract.core.contexts import FAR, ContextCache
from tract.core.graph import resolve
from tract.core.keeping import STRIDE, keep_contexts
from tract.core.kept import about
from tract.errors import CorruptLogError
from tract.log.halts import InUse
from tract.log.protocol import EventStore, Query, Row, Statement
from tract.operations.frozen import sealed, unsealed
from tract.operations.slots import Slot, StoredContent

T = TypeVar("T")


async def keep(t: AsyncTract, stride: int = 1) -> int:
    """Keep what is *stride* commits from what was kept, as in the background."""
    shared = t.collaborators.shared
    return await keep_contexts(shared.store, shared.contexts, stride=stride)


def execute(path: Path, sql: str, *parameters: Any) -> list[Row]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, parameters).fetchall()


def cleared(path: Path) -> Path:
    """Return a copy of a closed store that keeps no context."""
    copy = path.with_name("cleared.db")
    shutil.copy(path, copy)
    execute(copy, "DELETE FROM contexts")
    execute(copy, "DELETE FROM context_leaves")
    return copy


async def everything(path: Path, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    async with AsyncTract.open(path) as t:
        return await compiled(t, ids)


async def each_alone(path: Path, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what each commit compiles to as the first one of a store that was just opened."""
    found: dict[str, dict[str, Any]] = {}
    for id in ids:
        found |= await everything(path, [id])
    return found


class Counting:
    """A query that counts what is asked of it."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self.counts: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    @property
    def facts(self) -> dict[Any, Any]:
        return {}

    @property
    def in_use(self) -> InUse:
        return self._query.in_use

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        self.counts[name] += 1
        rows = self._query(name, *parameters)
        self.rows[name] += len(rows)
        return rows


async def statements(t: AsyncTract, ref: str = "HEAD") -> Counter[str]:
    """Return what a compile asks of a store that was just opened, once it has the commit."""

    def count(query: Query) -> Counter[str]:
        head, counting = resolve(query, t.place, ref), Counting(query)
        ContextCache("a store").context(counting, head)
        return counting.counts

    return await t.read(count)


def contents(context: CompiledContext) -> Iterator[StoredContent]:
    return (slot.content for slot in context.context.slots if isinstance(slot.content, StoredContent))


def read(context: CompiledContext) -> int:
    """Return how many messages were decoded."""
    return sum(content.read is not None for content in contents(context))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


@pytest.fixture
async def long(path: Path) -> Path:
    """A store with a history of 700 messages, kept at its head."""
    async with AsyncTract.open(path, durability="normal") as t:
        async with t.batch():
            for number in range(700):
                await t.user(f"text {number}")
        assert await keep(t) == 1
    return path


@pytest.mark.parametrize("seed", range(4))
async def test_every_commit_of_a_history_compiles_alike_with_what_is_kept_and_without(path: Path, seed: int) -> None:
    chance = random.Random(f"kept {seed}")
    ids: list[str] = []
    for round in range(4):
        async with AsyncTract.open(path, durability="normal") as t:
            ids += await write(t, chance, 60, f"round-{round}-")
            await keep(t, chance.randint(1, 30))
    without = await everything(cleared(path), ids)
    chance.shuffle(ids)
    assert await everything(path, ids) == without
    some = chance.sample(ids, 12)
    assert await each_alone(path, some) == {id: without[id] for id in some}


@pytest.mark.parametrize("seed", range(6))
async def test_every_commit_of_a_history_of_every_operation_compiles_alike_with_and_without(path: Path, seed: int) -> None:
    chance = random.Random(f"every operation {seed}")
    async with AsyncTract.open(path, durability="normal") as t:
        recorder = await recorded(t, f"kept {seed}", 150)
        for number, id in enumerate(chance.sample(list(recorder.steps), 10)):
            await t.branch(f"b{number}", at=id)
            await keep(t)
    ids = list(recorder.steps)
    without = await everything(cleared(path), ids)
    chance.shuffle(ids)
    assert await everything(path, ids) == without
    some = chance.sample(ids, 12)
    assert await each_alone(path, some) == {id: without[id] for id in some}


@pytest.mark.parametrize("seed", range(6))
async def test_a_history_that_goes_on_from_what_was_kept_compiles_as_from_nothing(path: Path, seed: int) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        recorder = await recorded(t, f"going on {seed}", 80)
        await t.branch("here", at=list(recorder.steps)[-1])
        await keep(t)
    async with AsyncTract.open(path, durability="normal") as t:
        # What is known of it is known from the file alone.
        await t.compile("here")
        recorder.t = t
        while len(recorder.steps) < 140:
            await recorder.grow()
            newest = list(recorder.steps)[-1]
            ours = whole(await t.compile(newest))
            assert {**ours, "token_count": 0} == {**recorder.naive(newest), "token_count": 0}
        await t.branch("there", at=newest)
        await keep(t)
    assert await each_alone(path, [newest]) == await each_alone(cleared(path), [newest])


async def test_a_compile_where_a_context_is_kept_asks_once_for_slots_and_once_for_words(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        assert await statements(t) == {
            "contexts.nearest": 1,
            "contexts.leaves": 1,
            "contexts.texts": 1,
            "commits.by_number": 1,
            "commits.any_merge": 1,
            "commits.run_start": 1,
        }


async def test_a_compile_beyond_what_is_kept_reads_what_came_since_and_no_more(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        await t.user("more")
        asked = await statements(t)
    assert (asked["contexts.texts"], asked["commits.steps"]) == (1, 1)


async def test_a_compile_before_what_is_kept_does_without(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        assert (await statements(t, "HEAD~1"))["contexts.leaves"] == 0


async def test_only_the_messages_that_are_looked_at_are_decoded(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        context = await t.compile()
        assert len(list(contents(context))) == 700
        assert read(context) == 0
        assert [message.text for message in context.messages[-20:]] == [f"text {number}" for number in range(680, 700)]
        assert read(context) == 20
        _ = context.messages[-20:], context.digest, context.token_count, context.repairs
        assert read(context) <= 20 + 700 % 64


async def test_an_edit_of_what_was_kept_decodes_little(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        target = (await t.compile()).slot_ids[350]
        await t.edit(target, "better")
        context = await t.compile()
        assert context.messages[350].text == "better"
        assert read(context) < 5


async def test_a_message_is_decoded_once_however_many_threads_look_at_it(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        context = await t.compile()
    barrier = Barrier(8)

    def look(_: int) -> list[int]:
        barrier.wait()
        return [id(message) for message in context.messages]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(look, range(8)))
    assert all(each == found[0] for each in found)


async def test_what_was_kept_is_read_when_the_store_is_closed_already(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        context = await t.compile()
    execute(long, "DELETE FROM contexts")
    execute(long, "DELETE FROM context_leaves")
    assert [message["content"] for message in context.to_openai()] == [f"text {number}" for number in range(700)]


async def test_open_calls_are_closed_and_answered_after_a_restart_as_before(path: Path) -> None:
    calls = tuple(ToolCall(id, "look", "{}") for id in ("a", "b", "a"))
    async with AsyncTract.open(path) as t:
        await t.user("Look")
        await t.commit(DialogueContent("assistant", None, tool_calls=calls))
        await t.commit(ToolIOContent(text="found", call_id="a"))
        before = whole(await t.compile())
        await keep(t)
    async with AsyncTract.open(path) as t:
        context = await t.compile()
        assert isinstance(context.context.slots[0].content, StoredContent)
        assert whole(context) == before
        await t.commit(ToolIOContent(text="found too", call_id="a"))
        await t.commit(ToolIOContent(text="and this", call_id="b"))
        after = whole(await t.compile())
    head = str(await head_of(path))
    assert {head: after} == await everything(cleared(path), [head])


async def head_of(path: Path) -> str | None:
    async with AsyncTract.open(path) as t:
        return await t.head()


async def test_a_batch_stands_on_what_was_kept(long: Path) -> None:
    async with AsyncTract.open(long) as t, t.batch():
        await t.user("inside")
        assert [message.text for message in (await t.compile()).messages[-2:]] == ["text 699", "inside"]


async def test_configs_come_back_with_the_contents_that_were_made_with_them(path: Path) -> None:
    config = LLMConfig(model="tiny", temperature=0.5, extra={"top": 1})
    async with AsyncTract.open(path) as t:
        for number in range(300):
            said = await t.assistant(f"{number}", generation_config=config if number % 3 else None)
        # An edit that brings no config keeps that of what it replaces.
        await t.edit(said.id, "edited")
        before = list((await t.compile()).generation_configs)
        await keep(t)
    async with AsyncTract.open(path) as t:
        assert list((await t.compile()).generation_configs) == before
        assert before[-1] == config


async def test_a_store_that_is_closed_keeps_what_was_compiled_in_it(path: Path) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        async with t.batch():
            for number in range(STRIDE):
                await t.user(f"text {number}")
        await t.compile()
    async with AsyncTract.open(path) as t:
        assert (await statements(t))["contexts.texts"] == 1


async def test_a_store_that_is_closed_keeps_nothing_of_a_short_history(path: Path) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        async with t.batch():
            for number in range(STRIDE - 1):
                await t.user(f"text {number}")
        await t.compile()
    assert execute(path, "SELECT count(*) FROM contexts") == [(0,)]


async def test_a_branch_is_kept_again_when_it_went_far_and_not_before(long: Path) -> None:
    async with AsyncTract.open(long, durability="normal") as t:
        await t.user("a little more")
        assert await keep(t, STRIDE) == 0
        async with t.batch():
            for number in range(STRIDE):
                await t.user(f"much more {number}")
        assert await keep(t, STRIDE) == 1
        assert await keep(t, STRIDE) == 0


async def test_what_a_later_context_replaces_goes_and_what_they_share_stays(path: Path) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        sizes = []
        for _ in range(6):
            async with t.batch():
                for number in range(200):
                    await t.user(f"text {number}")
            await keep(t)
            sizes.append(execute(path, "SELECT count(*), sum(length(data)) FROM context_leaves")[0])
        assert execute(path, "SELECT count(*) FROM contexts") == [(1,)]
        assert [count for count, _ in sizes] == [200 * (round + 1) // 64 for round in range(6)]
        # Numbers of one or two digits: far less than a message or its id.
        assert sizes[-1][1] < 4 * 1200
        for slot in (await t.compile()).slot_ids[:3]:
            await t.edit(slot, "edited")
        await keep(t)
        assert execute(path, "SELECT count(*) FROM context_leaves") == [(1200 // 64,)]


async def test_branches_share_what_was_before_they_parted(path: Path) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        async with t.batch():
            for number in range(640):
                await t.user(f"text {number}")
        for name in ("one", "two", "three"):
            await t.branch(name, at="main")
            await t.user(f"only {name}")
        assert await keep(t) == 4
    assert execute(path, "SELECT count(*) FROM context_leaves") == [(10,)]


async def test_there_is_an_end_to_the_contexts_that_are_kept_of_one_history(path: Path) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        base = await t.user("base")
        for number in range(30):
            await t.branch(f"b{number}", at=base.id)
            await t.user(f"text {number}")
        await keep(t)
    assert execute(path, "SELECT count(*) FROM contexts") == [(16,)]


async def test_no_word_of_anybody_is_in_what_is_kept(path: Path) -> None:
    async with AsyncTract.open(path) as t:
        await t.system("Gentian")
        for number in range(200):
            call = f"heather-{number}"
            await t.commit(DialogueContent("assistant", "yarrow", tool_calls=(ToolCall(call, "moss", '{"fern": 1}'),)))
            if number % 2:
                await t.commit(ToolIOContent("moss", text="clover", call_id=call))
        await keep(t)
    rows = execute(path, "SELECT data FROM context_leaves UNION ALL SELECT substr(data, 9) FROM contexts")
    plain = b"".join(zlib.decompress(row[0], -15) if len(row[0]) != 2048 else row[0] for row in rows)
    assert b"dialogue" in plain
    assert [word for word in (b"entian", b"heather", b"yarrow", b"moss", b"fern", b"clover") if word in plain] == []


@pytest.mark.parametrize("table", ["contexts", "context_leaves"])
async def test_a_damaged_row_counts_as_none(long: Path, tmp_path: Path, table: str) -> None:
    head = str(await head_of(long))
    without = await everything(cleared(long), [head])
    chance = random.Random(table)
    columns = {"contexts": ["leaves", "data"], "context_leaves": ["data"]}[table]
    key = {"contexts": "number", "context_leaves": "key"}[table]
    for number in range(40):
        copy = tmp_path / f"{number}.db"
        shutil.copy(long, copy)
        column = chance.choice(columns)
        which, stored = chance.choice(execute(copy, f"SELECT {key}, {column} FROM {table}"))
        damaged = bytearray(stored)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        execute(copy, f"UPDATE {table} SET {column} = ? WHERE {key} = ?", bytes(damaged), which)
        assert await everything(copy, [head]) == without


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE contexts SET version = version + 1",
        "UPDATE contexts SET data = x''",
        "UPDATE contexts SET leaves = CAST('[]' AS BLOB)",
        "UPDATE contexts SET leaves = x'ff7b'",
        "UPDATE contexts SET number = number - 1",
        "UPDATE contexts SET run = run + 1",
        "DELETE FROM context_leaves WHERE key = (SELECT max(key) FROM context_leaves)",
        "UPDATE context_leaves SET key = key + 1",
        "UPDATE context_leaves SET data = (SELECT max(data) FROM context_leaves)",
    ],
)
async def test_rows_that_are_not_what_was_written_count_as_none_and_are_written_anew(long: Path, change: str) -> None:
    head = str(await head_of(long))
    without = await everything(cleared(long), [head])
    execute(long, change)
    assert await everything(long, [head]) == without
    async with AsyncTract.open(long, durability="normal") as t:
        async with t.batch():
            for number in range(STRIDE):
                await t.user(f"more {number}")
        assert await keep(t, STRIDE) == 1
        assert (await statements(t))["contexts.texts"] == 1
        assert await t.read(partial(found_wrong, t)) == []


def found_wrong(t: AsyncTract, query: Query) -> list[ContextFinding]:
    return list(check_contexts(query, "a store"))


async def test_leaves_that_somebody_removed_are_written_again(long: Path) -> None:
    async with AsyncTract.open(long, durability="normal") as t:
        await t.compile()
        await t.collaborators.shared.store.scratch([Statement("contexts.clear_leaves")]).wait()
        await t.user("more")
        assert await keep(t) == 1
    async with AsyncTract.open(long) as t:
        assert (await statements(t))["contexts.texts"] == 1


async def test_damaged_words_are_an_error_of_ours_when_they_are_looked_at(long: Path) -> None:
    execute(long, "UPDATE blobs SET data = x'0200' WHERE number = (SELECT max(number) FROM blobs)")
    async with AsyncTract.open(long) as t:
        context = await t.compile()
        with pytest.raises(CorruptLogError):
            _ = context.messages[-1]
        assert context.messages[-2].text == "text 698"


async def test_what_is_kept_is_found_right(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        assert await t.read(partial(found_wrong, t)) == []


async def test_a_context_under_the_name_of_another_commit_is_found_wrong(long: Path) -> None:
    """The checksum is right, as only a fault of ours could make it."""
    async with AsyncTract.open(long) as t:
        await t.branch("before", switch=False)
        later = await t.user("more")
        await keep(t)
        select = "SELECT x.number, x.run, c.id, x.leaves, x.data FROM contexts x JOIN commits c USING (number) ORDER BY number"
        (_, run, id, keys, stored), (number, *_) = execute(long, select)
        data = unsealed(stored, *about(run, id, keys))
        assert data is not None
        lie = sealed(data, *about(run, bytes.fromhex(later.id), keys))
        execute(long, "UPDATE contexts SET leaves = ?, data = ? WHERE number = ?", keys, lie, number)
        findings = await t.read(partial(found_wrong, t))
    assert [(each.number, each.commit) for each in findings] == [(number, later.id)]
    assert findings[0].finding == "it differs from its commit in how many slots compile"


async def test_a_damaged_context_and_one_of_no_commit_are_found(long: Path) -> None:
    execute(long, "INSERT INTO contexts SELECT 999999, run, origin, version, leaves, data FROM contexts")
    execute(long, "UPDATE contexts SET data = x'00' WHERE number < 999999")
    async with AsyncTract.open(long) as t:
        findings = await t.read(partial(found_wrong, t))
    assert [each.finding for each in findings] == ["it is damaged or not whole", "it is of no commit"]


async def test_what_was_computed_from_tables_goes_when_they_are_made_anew(long: Path) -> None:
    await admin.rebuild(long)
    assert execute(long, "SELECT count(*) FROM contexts UNION ALL SELECT count(*) FROM context_leaves") == [(0,), (0,)]


async def test_what_was_compiled_from_damaged_rows_is_not_kept_once_they_were_made_anew(path: Path) -> None:
    async with AsyncTract.open(path) as t, t.batch():
        for number in range(STRIDE + 88):
            await t.user(f"{number}")
    execute(path, "DELETE FROM contexts")
    execute(path, "DELETE FROM commits WHERE number = 104")
    async with AsyncTract.open(path) as t:
        assert len((await t.compile()).messages) < STRIDE + 88
        await admin.rebuild(path)
    async with AsyncTract.open(path) as t:
        assert len((await t.compile()).messages) == STRIDE + 88


async def test_a_context_is_not_kept_where_the_tables_were_made_anew_meanwhile(long: Path) -> None:
    execute(long, "DELETE FROM contexts")
    async with AsyncTract.open(long) as t:
        shared = t.collaborators.shared
        head = await t.read(lambda query: resolve(query, t.place, "HEAD"))
        edition = execute(long, "SELECT edition FROM projections WHERE name = 'commits'")[0][0]
        row = (head.number, head.run, head.number, 1, b"[]", b"")
        assert await shared.store.scratch([Statement("contexts.put", (*row, edition + 1))]).wait() == (0,)
        assert await shared.store.scratch([Statement("contexts.put", (*row, edition))]).wait() == (1,)


async def test_a_history_that_cannot_be_compiled_keeps_no_other_from_being_kept(path: Path) -> None:
    async with AsyncTract.open(path) as t:
        base = await t.user("base")
        for name in ("damaged", "whole"):
            await t.branch(name, at=base.id)
            await t.user(f"only {name}")
    execute(path, "UPDATE blobs SET data = x'0200' WHERE number = (SELECT max(number) - 1 FROM blobs)")
    async with AsyncTract.open(path) as t:
        assert await keep(t) == 2
        assert await keep(t) == 0


async def test_a_store_in_memory_keeps_nothing() -> None:
    async with AsyncTract.open() as t:
        await t.user("said")
        assert await keep(t) == 0


async def test_slots_of_what_was_kept_are_the_same_wherever_they_are_met(long: Path) -> None:
    async with AsyncTract.open(long) as t:
        await t.skip("HEAD~300")
        await keep(t)
    async with AsyncTract.open(long) as t:
        context = (await t.compile()).context
        by_line = {id(line) for line in context.lines if isinstance(line, Slot)}
        assert by_line == {id(slot) for slot in context.live if slot.compiles}


async def read_while_another_writes(long: Path, rounds: int, more: int) -> list[tuple[int, int]]:
    """Compile in one cache what is written and kept in another.

    Returns how often words were read and how many contexts are in memory, each time.
    """
    found = []
    async with AsyncTract.open(long, durability="normal") as t:
        shared, reader = t.collaborators.shared, ContextCache("a store")
        for round in range(rounds):
            async with t.batch():
                for number in range(more):
                    await t.user(f"round {round} {number}")
            await t.compile()
            await keep_contexts(shared.store, shared.contexts, stride=1)
            found.append((await t.read(partial(read_words, reader, t)), reader.statistics().kept))
    return found


def read_words(reader: ContextCache, t: AsyncTract, query: Query) -> int:
    head, counting = resolve(query, t.place, "HEAD"), Counting(query)
    reader.context(counting, head)
    return counting.counts["contexts.texts"]


async def test_a_context_that_comes_from_the_file_takes_the_place_of_those_before_it(long: Path) -> None:
    assert await read_while_another_writes(long, 4, FAR) == [(1, 1)] * 4


async def test_what_came_since_is_folded_where_that_is_less_than_reading_all_words_again(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "AS_FOLDED", 2)
    assert await read_while_another_writes(long, 4, FAR) == [(1, 1), (0, 2), (0, 3), (0, 4)]


async def test_there_is_an_end_to_the_words_that_are_in_memory(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("one", "two", "three")
    async with AsyncTract.open(long, durability="normal") as t:
        for name in names:
            await t.branch(name, at="HEAD~1" if name == "one" else "one~1")
            await t.user(f"only {name}")
            await t.compile()
        assert await keep(t) == 3
    held = {}
    for bound in (BYTES, 1):
        monkeypatch.setattr("tract.core.bounding.BYTES", bound)
        async with AsyncTract.open(long) as t:
            for name in names:
                assert (await t.compile(name)).messages[-1].text == f"only {name}"
            held[bound] = t.statistics().contexts.kept
    assert held == {BYTES: 3, 1: 1}


async def test_what_is_compiled_in_the_background_is_not_in_memory_afterwards(path: Path) -> None:
    async with AsyncTract.open(path, durability="normal") as t:
        for number in range(200):
            await t.user(f"text {number}")
        assert await keep(t) == 1
        assert t.statistics().contexts.kept == 0


async def test_a_long_history_is_kept_piece_by_piece(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PIECE", 100)
    async with AsyncTract.open(path, durability="normal") as t:
        async with t.batch():
            for number in range(450):
                await t.user(f"text {number}")
        shared = t.collaborators.shared
        watched = Watched(shared.store)
        assert await keep_contexts(cast(EventStore, watched), shared.contexts, stride=1) == 1
        assert [steps for steps in watched.steps if steps] == [100, 100, 100, 100, 50]
        assert await t.read(partial(found_wrong, t)) == []
    assert execute(path, "SELECT count(*) FROM contexts") == [(1,)]


class Watched:
    """A store that counts the commits that each read folds."""

    def __init__(self, store: EventStore) -> None:
        self.where, self.scratch = store.where, store.scratch
        self.steps: list[int] = []
        self._store = store

    async def read(self, query: Callable[[Query], T]) -> T:
        def counted(snapshot: Query) -> T:
            counting = Counting(snapshot)
            found = query(counting)
            self.steps.append(counting.rows["commits.steps"])
            return found

        return await self._store.read(counted)
