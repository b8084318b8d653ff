"""Tables derived from events: dropped and replayed, they come out the same."""

import random
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.builders import broken_links, operation_id
from tract import (
    ABSENT,
    ArtifactContent,
    AsyncTract,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    LLMConfig,
    OutputContent,
    ReasoningContent,
    SessionContent,
    TokenBudget,
    TokenUsage,
    ToolCall,
    ToolIOContent,
)
from tract.domain.commits import Commit, CommitOperation
from tract.domain.content import Content
from tract.domain.events import BranchCreated, CommitRecorded, EventBody, NewEvent, OperationRecorded
from tract.domain.ids import CommitId
from tract.errors import ModelConnectionError, ModelError, TractError
from tract.log.editions import without_edition
from tract.log.protocol import Query, Row
from tract.log.statements import load
from tract.projections import INLINE, SQL
from tract.testing import Cut, FixedClock, ScriptedLLM

Dump: TypeAlias = dict[str, list[Row]]
INLINE_TABLES = {table for projection in INLINE for table, _ in projection.tables}
"""What is in step with every append; what follows the log is tested on its own."""


def dumped(connection: sqlite3.Connection) -> Dump:
    """Every row of every projection table in use, in a fixed order, by what statements call it."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    filled = {edition for (edition,) in connection.execute("SELECT edition FROM rebuilds")}
    return {
        without_edition(name)[0]: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
        for name in tables
        if without_edition(name)[0] in INLINE_TABLES and without_edition(name)[1] not in filled
    }


def dump(path: Path) -> Dump:
    with closing(sqlite3.connect(path)) as connection:
        return dumped(connection)


def schema(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        declared = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema") if sql]
    return sorted(re.sub(r"__[0-9]+", "", sql) for sql in declared)


async def drop_everything(t: AsyncTract) -> None:
    """Leave no projection table, through a connection of our own."""
    statements = load(*SQL)
    with closing(sqlite3.connect(t.collaborators.shared.store.where)) as connection:
        for projection in reversed(INLINE):
            for name in projection.drop:
                connection.execute(statements[name])
        connection.commit()
        assert dumped(connection) == {}


CONTENTS: list[Content] = [
    InstructionContent("Be kind."),
    DialogueContent("user", "Grüße", name="ann"),
    DialogueContent("assistant", None, tool_calls=(ToolCall("c1", "find", '{"a": 1.0}'), ToolCall("c2", "find", "{broken"))),
    ToolIOContent("find", "call", text='{"q": 1}', call_id="c3"),
    ToolIOContent("find", "result", payload={"rows": [1, 2.5, None]}, call_id="c1", status="ok"),
    ToolIOContent(None, "result", text="", call_id="c2"),
    ReasoningContent("Hm."),
    ArtifactContent("code", "print()", "python"),
    OutputContent("# Done", "markdown"),
    FreeformContent({"k": ["v"]}),
    SessionContent("handoff", "So far", ("a",), ("b",), ("c",)),
]


class Program:
    """A random program of public verbs over several handles."""

    def __init__(self, seed: int, tracts: list[AsyncTract]) -> None:
        self.random = random.Random(seed)
        self.handles = list(tracts)
        self.told = 0

    def word(self) -> str:
        self.told += 1
        return f"word {self.told} " * self.random.choice([1, 1, 300])

    async def run(self, steps: int) -> None:
        verbs: list[Callable[[AsyncTract], Awaitable[object]]] = [
            self.commit,
            self.commit,
            self.commit,
            self.edit,
            self.annotate,
            self.revert,
            self.branch,
            self.switch,
            self.worktree,
            self.chat,
            self.chat,
            self.batch,
            self.usage,
            self.configure,
        ]
        for _ in range(steps):
            verb, handle = self.random.choice(verbs), self.random.choice(self.handles)
            with suppress(TractError):
                await verb(handle)

    async def target(self, t: AsyncTract) -> str:
        return self.random.choice(await t.log(30)).id

    async def commit(self, t: AsyncTract) -> None:
        await t.commit(
            self.random.choice(CONTENTS),
            message=self.random.choice([None, "", self.word()]),
            priority=self.random.choice([None, None, "skip", "pinned", "important"]),
            generation_config=self.random.choice([None, LLMConfig(model="m", temperature=0.5)]),
            metadata=self.random.choice([None, {"n": self.told}]),
        )

    async def edit(self, t: AsyncTract) -> None:
        await t.edit(await self.target(t), self.random.choice([self.word(), *CONTENTS]))

    async def annotate(self, t: AsyncTract) -> None:
        priority = self.random.choice(["skip", "normal", "important", "pinned"])
        await t.annotate(await self.target(t), priority, reason=self.random.choice([None, "why"]), retain={"keep": 1})

    async def revert(self, t: AsyncTract) -> None:
        changed = [info.id for kind in ("edit", "annotate") for info in await t.log(30, operation=kind)]
        await t.revert(self.random.choice(changed or [await self.target(t)]))

    async def branch(self, t: AsyncTract) -> None:
        at = self.random.choice([None, await self.target(t)])
        await t.branch(f"b{self.random.randrange(8)}", at=at, switch=self.random.random() < 0.5)

    async def switch(self, t: AsyncTract) -> None:
        await t.switch(self.random.choice(await t.branches()).name)

    async def worktree(self, t: AsyncTract) -> None:
        if len(self.handles) < 6:
            self.handles.append(await t.worktree(self.random.choice(await t.branches()).name, name=f"w{self.told}"))

    async def chat(self, t: AsyncTract) -> None:
        how = self.random.randrange(5)
        if how == 0:
            async with t.stream(self.word()) as answer:
                async for _ in answer:
                    break
        elif how == 1:
            with suppress(ZeroDivisionError):
                async with t.stream(self.word()) as answer:
                    await anext(answer)
                    raise ZeroDivisionError
        elif how == 2:
            await t.generate()
        else:
            await t.chat(self.word(), message=self.random.choice([None, "asked"]))

    async def batch(self, t: AsyncTract) -> None:
        async with t.batch():
            for _ in range(self.random.randrange(4)):
                await self.random.choice([self.commit, self.edit, self.annotate])(t)

    async def usage(self, t: AsyncTract) -> None:
        await t.record_usage(TokenUsage(prompt=self.random.randrange(99), completion=self.random.choice([None, 5])))

    async def configure(self, t: AsyncTract) -> None:
        config = self.random.choice([ABSENT, None, LLMConfig(seed=self.told, stop_sequences=self.word())])
        budgets = [TokenBudget(9), TokenBudget(10**6, "reject", compress_at=5)]
        await t.configure(llm_config=config, budget=self.random.choice([ABSENT, None, *budgets]))
        name, config = self.random.choice(["chat", "merge", "compress"]), LLMConfig(seed=self.told)
        given: dict[str, Any] = {name: self.random.choice([None, config])}
        await t.configure_operations(**given)


def scripted(seed: int) -> ScriptedLLM:
    """A model that mostly answers, sometimes fails, and sometimes is cut."""
    chance = random.Random(seed)

    def reply(_: object) -> Any:
        return chance.choice(
            ["An answer.", "Another one, longer.", ModelConnectionError(), Cut(["Half "], ModelError("It broke"))]
        )

    return ScriptedLLM(reply)


async def open_tract(where: str, name: str, seed: int) -> AsyncTract:
    return await AsyncTract.open(
        where, name=name, llm=scripted(seed), llm_config=LLMConfig(model="scripted"), durability="normal", clock=FixedClock()
    )


async def write_program(where: str, seed: int, steps: int) -> Program:
    tracts = [await open_tract(where, name, seed) for name in ("one", "two", "three")]
    program = Program(seed, tracts)
    for t in tracts:
        await t.user("begin")
    await program.run(steps)
    return program


async def close_all(program: Program) -> None:
    for handle in program.handles:
        await handle.aclose()


@pytest.mark.parametrize("seed", range(6))
async def test_a_random_history_replays_to_identical_rows(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "log.db"
    program = await write_program(str(path), seed, 150)
    live, tables = dump(path), schema(path)
    first = program.handles[0]
    await drop_everything(first)
    await first.collaborators.shared.store.rebuild()
    assert dump(path) == live
    assert schema(path) == tables
    await close_all(program)


async def test_the_random_histories_fill_every_table_and_use_every_verb(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    program = await write_program(str(path), 1, 300)
    await close_all(program)
    with closing(sqlite3.connect(path)) as connection:
        tags = {tag for (tag,) in connection.execute("SELECT DISTINCT type FROM events")}
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT json_extract(data, '$.commit.operation') FROM events")}
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    assert {name for name, found in dump(path).items() if not found} <= {"operation_events", "operation_commits"}
    assert tags >= {"generation.completed", "generation.failed", "generation.cancelled", "usage.recorded", "context.compiled"}
    assert "tract.configured" in tags
    assert kinds >= {"append", "edit", "annotate", "revert"}
    assert broken_links(rows) == []


async def test_replaying_twice_is_replaying_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    program = await write_program(str(path), 7, 60)
    store = program.handles[0].collaborators.shared.store
    counts = [(await store.rebuild()).events for _ in range(2)]
    live = dump(path)
    await store.rebuild()
    assert dump(path) == live
    with closing(sqlite3.connect(path)) as connection:
        assert counts == [connection.execute("SELECT count(*) FROM events").fetchone()[0]] * 2
    await close_all(program)


async def test_a_replay_repairs_rows_that_somebody_damaged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    program = await write_program(str(path), 8, 40)
    live = dump(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM movements WHERE position % 2")
        connection.execute("UPDATE commits SET tokens = 0, run = 1")
        connection.execute("DELETE FROM refs WHERE kind = 'branch'")
        connection.commit()
    await program.handles[0].collaborators.shared.store.rebuild()
    assert dump(path) == live
    await close_all(program)


async def test_work_goes_on_after_a_replay(tmp_path: Path) -> None:
    program = await write_program(str(tmp_path / "log.db"), 9, 40)
    t = program.handles[0]
    before = await t.head()
    await t.collaborators.shared.store.rebuild()
    assert await t.head() == before
    assert (await t.user("after")).parents == (before,)
    await close_all(program)


async def test_an_empty_store_replays_to_empty_tables(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        assert (await t.collaborators.shared.store.rebuild()).events == 3


def tables_of(query: Query) -> Dump:
    """What the named reads of every projection give, where no second connection can look."""
    found: Dump = {"roots": query("tracts.roots", 100)}
    for number, *_ in found["roots"]:
        branches = query("refs.branches", number)
        found[f"settings of {number}"] = query("settings.of_tract", number)
        found[f"branches of {number}"] = branches
        for _, _, head, _ in branches:
            if head is not None:
                node = query("commits.by_number", head)[0]
                found[f"log of {head}"] = query("commits.log", node[3], head, None, 1000)
                found[f"usage at {head}"] = query("generations.reported", node[3], head)
    return found


async def test_a_store_in_memory_replays_to_the_same_answers() -> None:
    async with AsyncTract.open(llm=scripted(3), llm_config=LLMConfig(model="scripted")) as t:
        program = Program(3, [t])
        await t.user("begin")
        await program.run(100)
        live = await t.read(tables_of)
        assert (await t.collaborators.shared.store.rebuild()).events > 100
        assert await t.read(tables_of) == live
        for handle in program.handles[1:]:
            await handle.aclose()


async def test_the_receipts_of_operations_replay_to_identical_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        ids = [CommitId((await t.user(f"{number}")).id) for number in range(4)]
        parameters = t.blob({"target": 100})
        bodies = (
            OperationRecorded("compress", "main", tuple(ids[:3]), (ids[3],), 90, 12, parameters.id),
            OperationRecorded("gc", None, (), ()),
            OperationRecorded("reorder", "main", (ids[2], ids[0]), (ids[2], ids[0])),
        )
        for number, body in enumerate(bodies):
            events = [NewEvent(t.id, body)]
            await t.record(operation_id(number), lambda _, events=events: events, blobs=(parameters,))  # type: ignore[misc]
        live = dump(path)
        await drop_everything(t)
        await t.collaborators.shared.store.rebuild()
    assert dump(path) == live
    assert [(kind, branch, before, after) for _, _, _, kind, branch, before, after, _ in sorted(live["operation_events"])] == [
        ("compress", "main", 90, 12),
        ("gc", None, None, None),
        ("reorder", "main", None, None),
    ]
    assert len(live["operation_commits"]) == 8


async def test_merges_side_branches_and_interruptions_replay_to_identical_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path), llm=scripted(1), llm_config=LLMConfig(model="scripted")) as t:
        base = CommitId((await t.user("base")).id)
        ours = CommitId((await t.user("ours")).id)
        await t.branch("side", at=base)
        theirs = CommitId((await t.user("theirs")).id)
        merge = Commit((ours, theirs), CommitOperation.MERGE, 5, operation_id(4))
        off = Commit((merge.id,), CommitOperation.APPEND, 6, operation_id(4), index=1)
        bodies: list[EventBody] = [
            CommitRecorded(merge, branch="main", slot_delta=1, token_delta=5),
            BranchCreated("beside", merge.id),
            CommitRecorded(off, branch=None),
            CommitRecorded(Commit((merge.id,), CommitOperation.APPEND, 7, operation_id(4), index=2), branch="beside"),
        ]
        await t.record(operation_id(4), lambda _: [NewEvent(t.id, body) for body in bodies])
        with suppress(TractError):
            await t.chat("question")
        generation = dump(path)["generations"][0]
        assert generation[4] != "running"
        live = dump(path)
        await drop_everything(t)
        await t.collaborators.shared.store.rebuild()
    assert dump(path) == live


async def test_a_commit_continues_the_run_of_its_parent_or_opens_one(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        for number in range(3):
            await t.user(f"{number}")
        await t.branch("side", at="HEAD~1")
        for number in range(2):
            await t.user(f"side {number}")
        await t.switch("main")
        await t.user("on")
    runs = [(depth, run) for _, _, _, _, depth, run, *_ in sorted(dump(path)["commits"])]
    first, side = runs[0][1], runs[3][1]
    assert runs == [(0, first), (1, first), (2, first), (2, side), (3, side), (3, first)]
    assert first != side


async def test_a_statement_of_a_later_projection_sees_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.branch("side")
        await t.switch("main")
    moves = [row[2:] for row in dump(path)["movements"]]
    assert (None, None, "main", "side") in moves
    assert (None, None, "side", "main") in moves


def test_every_projection_names_its_own_statements() -> None:
    for projection in INLINE:
        for name in (*projection.create, *projection.drop):
            assert name.partition(".")[0] == projection.name
