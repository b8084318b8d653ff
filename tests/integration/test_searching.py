"""The search index: what compiling shows is what is found, however the index came to be."""

import random
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings

from tests.histories import History, append, compress, edit, histories, merge, revert
from tests.integration.test_projections import close_all, write_program
from tests.programs import Step as Call
from tests.programs import play, programs
from tract import AsyncTract, admin
from tract.core.graph import find_head, node
from tract.core.visibility import Brought, Lineage, Visibility
from tract.domain.commits import Commit, CommitOperation, ContentRef, Priority
from tract.domain.events import CommitRecorded, NewEvent
from tract.domain.ids import CommitId, uuid_bytes
from tract.errors import ContentValidationError, ProjectionError
from tract.log.codec import decode_event
from tract.log.editions import Editions, create_all, drop_all
from tract.log.packing import DEFLATED_1, add_functions, pack
from tract.log.protocol import Query, Row
from tract.log.statements import load
from tract.operations.folding import EMPTY, fold
from tract.operations.searching import searchable
from tract.projections import INLINE, SQL
from tract.projections.searching import Search, type_word

STATEMENTS = load(*SQL)
SEARCH = Search()
MANY = 1_000


def recorded(t: AsyncTract, history: History) -> tuple[list[NewEvent], list[Any], dict[CommitId, CommitId]]:
    """Return a history as events and blobs, each content saying `shared` and its name; and ids by the names there."""
    operation = t.operation()
    ids: dict[CommitId, CommitId] = {}
    events, blobs = [], []
    for index, (name, step) in enumerate(history.steps.items()):
        content = None
        if step.content is not None:
            blob = t.blob({"content_type": "dialogue", "role": "user", "text": f"shared {name}"})
            content = ContentRef("dialogue", blob.id)
            blobs.append(blob)
        commit = Commit(
            tuple(ids[parent] for parent in history.parents[name]),
            step.operation,
            index,
            operation,
            tuple(ids.get(target, CommitId("0" * 64)) for target in step.targets),
            content,
            step.priority,
            rendering=None if content is None else 1,
            index=index,
        )
        ids[name] = commit.id
        events.append(NewEvent(t.id, CommitRecorded(commit)))
    return events, blobs, ids


def shown(history: History, head: CommitId) -> dict[CommitId, Priority]:
    """Return which commits' texts a history shows, by folding the whole of it."""
    return {slot.commit: slot.priority for slot in fold(EMPTY, history.line(head)).slots if slot.live}


async def check(history: History) -> None:
    """Compare what is found at each commit with what a fold of the whole history shows there."""
    async with AsyncTract.open() as t:
        events, blobs, ids = recorded(t, history)
        await t.record(events[0].body.commit.operation_id, lambda _: events, blobs=blobs)  # type: ignore[union-attr]
        for head in list(history.steps)[-12:]:
            hits = await t.search("shared", at=ids[head], limit=MANY)
            expected = {ids[commit]: priority for commit, priority in shown(history, head).items()}
            assert {hit.commit_id: hit.priority for hit in hits} == expected
            assert len(hits) == len(expected)


@settings(max_examples=60)
@given(histories())
async def test_at_every_commit_of_any_history_what_it_shows_is_found(history: History) -> None:
    await check(history)


@settings(max_examples=60)
@given(histories())
async def test_what_is_remembered_of_one_commit_is_right_for_all_others(history: History) -> None:
    async with AsyncTract.open() as t:
        events, blobs, ids = recorded(t, history)
        await t.record(events[0].body.commit.operation_id, lambda _: events, blobs=blobs)  # type: ignore[union-attr]
        await t.search("shared")

        def brought(query: Query, name: CommitId) -> Brought:
            step, at = history.steps[name], node(query, numbers(query, ids[name])[0])
            slot = step.targets[0] if step.operation is CommitOperation.EDIT else name
            number = numbers(query, ids[slot])[0] if slot in ids else at.number
            return Brought(at.number, at.run, at.id, number)

        def remembering(query: Query) -> list[dict[CommitId, Priority | None]]:
            visibility, heads = Visibility(query), [node(query, numbers(query, ids[name])[0]) for name in history.steps]
            texts = {name: brought(query, name) for name, step in history.steps.items() if step.content is not None}
            return [
                {name: visibility.find_priority(lineage, text) for name, text in texts.items()}
                for lineage in (Lineage(query, (head.run, head.number)) for head in heads)
            ]

        for head, found in zip(history.steps, await t.read(remembering), strict=True):
            assert {name: priority for name, priority in found.items() if priority is not None} == shown(history, head)


def line(*steps: Any, **parents: tuple[str, ...]) -> History:
    """Return steps one after another, but for those whose parents are given."""
    names = [step.id for step in steps]
    by_default = {names[0]: (), **{later: (earlier,) for earlier, later in pairwise(names)}}
    given = {CommitId(name): tuple(map(CommitId, named)) for name, named in parents.items()}
    return History({step.id: step for step in steps}, {**by_default, **given})


async def test_a_summary_replaces_its_sources_until_it_is_reverted() -> None:
    await check(line(append("a"), append("b"), compress("s", "a", "b"), edit("e", "s"), revert("r", "s")))


async def test_of_two_summaries_of_the_same_slots_the_one_that_is_folded_first_is_shown() -> None:
    await check(line(append("a"), compress("s1", "a"), compress("s2", "a"), merge("m"), s2=("a",), m=("s2", "s1")))


async def test_summaries_of_summaries_are_followed() -> None:
    steps = [
        append("a"),
        append("b"),
        compress("s", "a"),
        compress("t", "s", "b"),
        append("c"),
        compress("u", "t", "c"),
        revert("r", "u"),
    ]
    await check(line(*steps))


async def test_of_edits_on_two_branches_the_one_that_is_folded_last_is_shown() -> None:
    await check(line(append("a"), edit("ours", "a"), edit("theirs", "a"), merge("m"), theirs=("a",), m=("ours", "theirs")))
    await check(line(append("a"), edit("ours", "a"), edit("theirs", "a"), merge("m"), theirs=("a",), m=("theirs", "ours")))


@settings(max_examples=40)
@given(programs)
async def test_after_any_program_what_the_branches_show_is_found_by_its_words_and_nothing_else(program: list[Call]) -> None:
    played = 0

    async def look(t: AsyncTract) -> None:
        nonlocal played
        played += 1
        if played not in (len(program) // 2, len(program)):
            return
        texts = await t.read(lambda query: visible(query, t))
        for word in sorted({word for text in texts.values() for word in parts(text)})[:8]:
            hits = {hit.commit_id for hit in await t.search(word, limit=MANY)}
            assert hits <= set(texts)
            assert {id for id in hits if texts[id].isascii()} == {id for id, text in texts.items() if word in parts(text)}

    await play(program, look)


def parts(text: str) -> set[str]:
    """Return the words of a text in ASCII, where every reader sees the same ones; none of another text."""
    return set(re.findall("[a-z0-9]+", text.lower())) if text.isascii() else set()


def visible(query: Query, t: AsyncTract) -> dict[CommitId, str]:
    """Return what the branches show, by folding the whole of each, with the commits that brought it."""
    found: dict[CommitId, str] = {}
    for _, _, number in query("search.heads", t.place.tract):
        context = t.collaborators.shared.contexts.context(query, node(query, number))
        found.update((CommitId(slot.commit), searchable(slot.message)) for slot in context.slots if slot.live)
    return found


Rows: TypeAlias = dict[str, list[Row]]


def rows(connection: sqlite3.Connection, statements: Mapping[str, str]) -> Rows:
    """Every row of the index, by the statements that `verify` reads it with."""
    return {table: connection.execute(statements[name]).fetchall() for table, name in SEARCH.tables}


def refolded(connection: sqlite3.Connection, statements: Mapping[str, str], sizes: Iterator[int]) -> Rows:
    """Make the index anew, from chunks of the log of the sizes given."""
    create_all(connection, statements, (SEARCH,))
    log = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    events = [event for row in log if isinstance((event := decode_event(row)).body, CommitRecorded)]
    while events:
        size = next(sizes)
        chunk, events = events[:size], events[size:]
        ids = {id for event in chunk for id in SEARCH.words(event)}
        found = {id: connection.execute(statements["log.blob"], (bytes.fromhex(id),)).fetchone()[0] for id in ids}
        for each in SEARCH.apply(chunk, {id: data for id, data in found.items() if data is not None}):
            connection.execute(statements[each.name], each.parameters)
    return rows(connection, statements)


@contextmanager
def copied(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a file, in memory."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        add_functions(copy)
        yield copy


@pytest.mark.parametrize("seed", range(3))
async def test_however_the_log_is_cut_into_chunks_the_index_is_the_same(tmp_path: Path, seed: int) -> None:
    path, chance = tmp_path / "log.db", random.Random(seed)
    program = await write_program(str(path), seed, 120)
    await program.handles[0].search("word")
    with copied(path) as copy:
        live = rows(copy, STATEMENTS)
        for sizes in (repeat(1), repeat(10_000), iter(lambda: chance.randrange(1, 20), 0)):
            drop_all(copy, STATEMENTS, (SEARCH,))
            assert refolded(copy, STATEMENTS, sizes) == live
    await close_all(program)
    assert all(live.values())


async def test_an_edition_beside_the_one_in_use_is_filled_and_searched_like_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        first = await t.user("old word")
        await t.edit(first.id, "new word")
        live = await t.search("word")
    with copied(path) as copy:
        before, statements = rows(copy, STATEMENTS), Editions(STATEMENTS, (SEARCH,)).using({SEARCH.name: 3})
        assert refolded(copy, statements, repeat(2)) == before
        ((family,),) = copy.execute("SELECT number FROM tracts").fetchall()
        match = f'family : "{family}" AND text : ("word")'
        drop_all(copy, STATEMENTS, (SEARCH,))
        found = copy.execute(statements["search.ranked"], (match, 9, 0)).fetchall()
        assert found[0][2].hex() == live[0].commit_id
        assert copy.execute(statements["search.text"], (found[0][0], 6)).fetchall() == [(b"new wo",)]


async def test_texts_of_another_role_or_type_are_not_looked_at() -> None:
    async with AsyncTract.open() as t:
        await t.system("word")
        for _ in range(50):
            await t.user("word")
        await t.search("word")
        kinds = ("system", "user", type_word("dialogue"), type_word("other"), type_word("user"))

        def count(query: Query) -> list[int]:
            ((family,),) = query("search.family", uuid_bytes(t.id))
            matches = [f'family : "{family}" AND kind : "{kind}" AND text : ("word")' for kind in kinds]
            return [len(query("search.ranked", match, MANY, 0)) for match in matches]

        assert await t.read(count) == [1, 50, 50, 0, 0]


async def test_a_text_that_was_erased_is_not_found_and_is_gone_once_the_index_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("a secret word")
        await t.user("another word")
        assert len(await t.search("word")) == 2
        with closing(sqlite3.connect(path)) as connection:
            add_functions(connection)
            connection.execute(
                "UPDATE blobs SET salt = NULL, fingerprint = NULL, data = NULL WHERE instr(unpack(data), 'secret')"
            )
            connection.commit()
        assert [hit.snippet for hit in await t.search("word", superseded=True)] == ["another [word]"]
        with pytest.raises(ContentValidationError):
            await t.search("secret", cursor="HEAD")
    with copied(path) as copy:
        drop_all(copy, STATEMENTS, (SEARCH,))
        assert [text for *_, text in refolded(copy, STATEMENTS, repeat(9))["search_texts"]] == ["another word"]


@pytest.mark.parametrize(
    "damaged", [pack(b"\xff no text at all"), DEFLATED_1 + b"\xff" * 20, b"\x07"], ids=["text", "packing", "form"]
)
async def test_a_damaged_text_is_not_found_and_keeps_no_other_from_it(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path), name="one", search=False) as t:
        await t.user("a word")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE blobs SET data = ?", (damaged,))
            connection.commit()
    async with AsyncTract.open(str(path), name="other") as t:
        await t.user("another word")
        assert [hit.snippet for hit in await t.search("word")] == ["another [word]"]
        assert (await admin.rebuild(path)).is_clean
        assert [hit.snippet for hit in await t.search("word")] == ["another [word]"]
    assert "blob" in {finding.kind for finding in (await admin.verify(path)).findings}


async def test_a_content_that_this_version_cannot_read_stops_the_index_and_is_named(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        await t.user("word")
        blob = t.blob({"content_type": "later", "something": "else"})
        operation = t.operation()
        commit = Commit((), CommitOperation.APPEND, 0, operation, content=ContentRef("later", blob.id), rendering=1)
        (event,) = await t.record(operation, lambda _: [NewEvent(t.id, CommitRecorded(commit))], blobs=[blob])
        with pytest.raises(ProjectionError) as stopped:
            await t.search("word")
        assert (stopped.value.projection, stopped.value.position) == ("search", event.position)
        assert (await t.user("goes on")).parents


class Counting:
    """A query that counts what it is asked."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.facts: dict[Any, Any] = {}
        self.in_use = query.in_use
        self.asked = 0

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        self.asked += 1
        return self.query(name, *parameters)


async def test_whether_a_text_is_shown_costs_the_same_however_long_the_history(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:

        def asked(query: Query) -> int:
            counting = Counting(query)
            head = find_head(counting, t.place)
            assert head is not None
            lineage = Lineage(counting, (head.run, head.number))
            at = node(query, edited)
            text = Brought(at.number, at.run, at.id, slot)
            assert Visibility(counting).find_priority(lineage, text) is Priority.PINNED
            return counting.asked

        first = await t.user("first")
        edit = await t.edit(first.id, "changed")
        await t.pin(first.id)
        await t.search("changed")
        slot, edited = await t.read(lambda query: numbers(query, first.id, edit.id))
        before = await t.read(asked)
        for number in range(300):
            await t.user(f"hay {number}")
        await t.search("changed")
        assert await t.read(asked) == before < 20


async def test_of_a_slot_that_was_edited_often_all_texts_are_judged_on_all_branches_at_the_cost_of_one() -> None:
    async with AsyncTract.open() as t:
        first = await t.user("first")
        edits = [await t.edit(first.id, f"changed {number}") for number in range(20)]
        for number in range(10):
            await t.branch(f"branch{number}")
            await t.user("goes on")
        await t.search("changed")

        def asked(query: Query) -> list[int]:
            (slot,) = numbers(query, first.id)
            texts = [
                Brought(at.number, at.run, at.id, slot) for at in (node(query, numbers(query, edit.id)[0]) for edit in edits)
            ]
            lineages = [Lineage(query, (run, number)) for _, run, number in query("search.heads", t.place.tract)]
            counting = Counting(query)
            visibility, counts = Visibility(counting), []
            for lineage in lineages:
                found = [visibility.find_priority(lineage, text) for text in texts]
                assert found == [None] * 19 + [Priority.NORMAL]
                counts.append(counting.asked)
            return counts

        counts = await t.read(asked)
        assert set(counts) == {counts[0]}


def numbers(query: Query, *ids: str) -> list[int]:
    return [query("commits.by_id", bytes.fromhex(id))[0][0] for id in ids]


def test_the_index_leads_to_a_word_and_keys_lead_to_everything_else() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        add_functions(connection)
        for name in ("log.create_events", "log.create_blobs"):
            connection.execute(STATEMENTS[name])
        create_all(connection, STATEMENTS, (*INLINE, SEARCH))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {STATEMENTS['search.ranked']}", ("a", 1, 0))]
    assert [step for step in plan if step.startswith("SCAN") and step != "SCAN s"] == [
        "SCAN search_texts VIRTUAL TABLE INDEX 0:M3"
    ]
    assert len([step for step in plan if "USING INTEGER PRIMARY KEY" in step]) == 3
