"""What the log stores for ever: events, digests, blobs and the schema, held in place by samples.

The samples were written from the rules of design.md by `json` and `hashlib`
alone. A sample may be added; one that changes means that logs of earlier
versions would be read differently.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import attrs
import pytest

from tests.builders import canonical, linked, operation_id, request, tract_id, uuid
from tract.domain.budgets import TokenBudget
from tract.domain.commits import Commit, CommitOperation, ContentRef, Priority
from tract.domain.events import (
    TYPES,
    BranchCreated,
    CommitRecorded,
    ContextCompiled,
    EventBody,
    GenerationCancelled,
    GenerationCompleted,
    GenerationFailed,
    GenerationInterrupted,
    GenerationStarted,
    HeadMoved,
    OperationRecorded,
    Owner,
    TractConfigured,
    TractCreated,
    UsageFigures,
    UsageRecorded,
)
from tract.domain.ids import BlobId, CommitId, GenerationId, uuid_bytes
from tract.errors import CorruptLogError
from tract.log import chain
from tract.log.codec import decode_event, encode_body
from tract.log.protocol import Row
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import FixedClock

HERE = Path(__file__)
SAMPLES = json.loads(HERE.with_name("events.json").read_text(encoding="utf-8"))
CHAIN = json.loads(HERE.with_name("digest_chain.json").read_text(encoding="utf-8"))
SCHEMA = HERE.with_name("schema_3.sql")


def commit_id(digit: str) -> CommitId:
    return CommitId(digit * 64)


def blob_id(digit: str) -> BlobId:
    return BlobId(digit * 64)


GENERATION = GenerationId(uuid(9))
OPERATION = operation_id(11)
FULL_COMMIT = Commit(
    parents=(commit_id("a"), commit_id("b")),
    operation=CommitOperation.COMPRESS,
    time=1_767_225_600_000_000,
    operation_id=OPERATION,
    targets=(commit_id("c"), commit_id("d")),
    content=ContentRef("dialogue", blob_id("e")),
    priority=Priority.PINNED,
    details=blob_id("f"),
    config=blob_id("1"),
    actor="Ärzte",
    rendering=1,
    index=2,
)
BARE_COMMIT = Commit((), CommitOperation.APPEND, 0, OPERATION, actor="Ärzte")
FULL_END: dict[str, Any] = {
    "generation": GENERATION,
    "question": commit_id("2"),
    "answer": commit_id("3"),
    "partial": blob_id("4"),
    "finish_reason": "length",
}
BARE_END: dict[str, Any] = {
    "generation": GENERATION,
    "question": None,
    "answer": None,
    "partial": None,
    "finish_reason": None,
}

LEFT_OUT = {"request", "before"}
"""Keys that are stored only where there is something to say."""

VALUES: Mapping[tuple[str, str], EventBody] = MappingProxyType(
    {
        ("tract.created", "a child with metadata"): TractCreated("Prüfer 猫", tract_id(2), blob_id("5")),
        ("tract.created", "a root"): TractCreated("main"),
        ("tract.configured", "everything set"): TractConfigured(blob_id("a"), TokenBudget(8000, "reject", 6000), None),
        ("tract.configured", "a budget that only warns"): TractConfigured(None, TokenBudget(1), None),
        ("tract.configured", "everything null"): TractConfigured(None, None, None),
        ("tract.configured", "everything set, and operations"): TractConfigured(
            blob_id("a"), TokenBudget(8000, "reject", 6000), blob_id("b")
        ),
        ("tract.configured", "everything null, and operations"): TractConfigured(None, None, None),
        ("commit.recorded", "everything set"): CommitRecorded(
            FULL_COMMIT,
            branch="feature/ü",
            before=commit_id("6"),
            tokens=12,
            counter="o200k_base",
            slot_delta=-1,
            token_delta=-340,
        ),
        ("commit.recorded", "everything null"): CommitRecorded(BARE_COMMIT),
        ("branch.created", "at a commit"): BranchCreated("try", commit_id("7")),
        ("branch.created", "unborn"): BranchCreated("main", None),
        ("branch.created", "with the request of an operation whose id was given"): BranchCreated("try", commit_id("7")),
        ("head.moved", "to a branch"): HeadMoved("main", "try"),
        ("head.moved", "detached"): HeadMoved("review", None, commit_id("8")),
        ("operation.recorded", "everything set"): OperationRecorded(
            "compress", "main", (commit_id("a"), commit_id("b")), (commit_id("c"),), 900, 120, blob_id("9")
        ),
        ("operation.recorded", "everything null"): OperationRecorded("gc", None, (), ()),
        ("generation.started", "everything set"): GenerationStarted(
            generation=GENERATION,
            branch="main",
            base=commit_id("a"),
            question=commit_id("b"),
            head=commit_id("b"),
            order=(commit_id("a"), commit_id("b")),
            compiler="tract/1",
            rendering=1,
            format="openai/1",
            config=blob_id("c"),
            tools=blob_id("d"),
            owner=Owner("box", "5ba71a4c", 4_026_531_836, 4711, 123_456),
            verb=None,
            options=None,
        ),
        ("generation.started", "everything null"): GenerationStarted(
            generation=GENERATION,
            branch="main",
            base=None,
            question=None,
            head=None,
            order=None,
            compiler="tract/1",
            rendering=1,
            format="openai/1",
            config=None,
            tools=None,
            owner=Owner(None, None, None, None, None),
            verb=None,
            options=None,
        ),
        ("generation.started", "everything set, and the verb"): GenerationStarted(
            generation=GENERATION,
            branch="main",
            base=commit_id("a"),
            question=commit_id("b"),
            head=commit_id("b"),
            order=(commit_id("a"), commit_id("b")),
            compiler="tract/1",
            rendering=1,
            format="openai/1",
            config=blob_id("c"),
            tools=blob_id("d"),
            owner=Owner("box", "5ba71a4c", 4_026_531_836, 4711, 123_456),
            verb="chat",
            options=None,
        ),
        ("generation.started", "everything null, and the verb"): GenerationStarted(
            generation=GENERATION,
            branch="main",
            base=None,
            question=None,
            head=None,
            order=None,
            compiler="tract/1",
            rendering=1,
            format="openai/1",
            config=None,
            tools=None,
            owner=Owner(None, None, None, None, None),
            verb=None,
            options=None,
        ),
        ("generation.started", "everything set, and the options"): GenerationStarted(
            generation=GENERATION,
            branch="main",
            base=commit_id("a"),
            question=commit_id("b"),
            head=commit_id("b"),
            order=(commit_id("a"), commit_id("b")),
            compiler="tract/1",
            rendering=1,
            format="openai/1",
            config=blob_id("c"),
            tools=blob_id("d"),
            owner=Owner("box", "5ba71a4c", 4_026_531_836, 4711, 123_456),
            verb="chat",
            options=blob_id("e"),
        ),
        ("generation.started", "everything null, and the options"): GenerationStarted(
            generation=GENERATION,
            branch="main",
            base=None,
            question=None,
            head=None,
            order=None,
            compiler="tract/1",
            rendering=1,
            format="openai/1",
            config=None,
            tools=None,
            owner=Owner(None, None, None, None, None),
            verb=None,
            options=None,
        ),
        ("generation.completed", "everything set"): GenerationCompleted(**FULL_END),
        ("generation.completed", "everything null"): GenerationCompleted(**BARE_END),
        ("generation.failed", "everything set"): GenerationFailed(**FULL_END),
        ("generation.failed", "everything null"): GenerationFailed(**BARE_END),
        ("generation.cancelled", "everything set"): GenerationCancelled(**FULL_END),
        ("generation.cancelled", "everything null"): GenerationCancelled(**BARE_END),
        ("generation.interrupted", "everything set"): GenerationInterrupted(**FULL_END),
        ("generation.interrupted", "everything null"): GenerationInterrupted(**BARE_END),
        ("usage.recorded", "everything set"): UsageRecorded(GENERATION, commit_id("a"), 3, UsageFigures(100, 20, 64, 8)),
        ("usage.recorded", "figures that tell nothing"): UsageRecorded(GENERATION, None, 1, UsageFigures()),
        ("usage.recorded", "everything null"): UsageRecorded(None, None, 1, None),
        ("context.compiled", "everything set"): ContextCompiled(GENERATION, commit_id("a"), blob_id("b")),
        ("context.compiled", "everything null"): ContextCompiled(GENERATION, None, blob_id("b")),
    }
)


def each(samples: list[dict[str, Any]]) -> pytest.MarkDecorator:
    named = [pytest.param(sample, id=f"{sample['tag']}/{sample['schema']}: {sample['about']}") for sample in samples]
    return pytest.mark.parametrize("sample", named)


each_event = each(SAMPLES["events"])
each_of_today = each([sample for sample in SAMPLES["events"] if sample["schema"] == TYPES[sample["tag"]].schema])


def value_of(sample: dict[str, Any]) -> EventBody:
    return VALUES[sample["tag"], sample["about"]]


def row_of(sample: dict[str, Any]) -> Row:
    stream, operation = uuid_bytes(uuid(1)), uuid_bytes(OPERATION)
    return (7, stream, 3, stream, sample["tag"], sample["schema"], sample["stored"], operation, "Ärzte", 5, bytes(32))


@each_of_today
def test_an_event_is_stored_as_its_frozen_bytes(sample: dict[str, Any]) -> None:
    assert encode_body(value_of(sample), sample.get("request")).decode() == sample["stored"]


@each_event
def test_frozen_bytes_are_read_as_the_equal_event(sample: dict[str, Any]) -> None:
    event = decode_event(row_of(sample))
    assert (event.body, event.request) == (value_of(sample), sample.get("request"))


def refuses(sample: dict[str, Any], fields: dict[str, Any]) -> bool:
    with suppress(CorruptLogError):
        decode_event(row_of({**sample, "stored": canonical(fields).decode()}))
        return False
    return True


@each_event
def test_frozen_bytes_with_an_unknown_key_are_refused(sample: dict[str, Any]) -> None:
    assert refuses(sample, {**json.loads(sample["stored"]), "more": None})


@each_event
def test_frozen_bytes_without_one_of_their_keys_are_refused(sample: dict[str, Any]) -> None:
    fields = json.loads(sample["stored"])
    for gone in fields.keys() - LEFT_OUT:
        assert refuses(sample, {name: value for name, value in fields.items() if name != gone}), gone


def test_every_schema_of_every_event_type_has_samples() -> None:
    ever = {(tag, schema) for tag, kind in TYPES.items() for schema in range(1, kind.schema + 1)}
    assert {(sample["tag"], sample["schema"]) for sample in SAMPLES["events"]} == ever


def test_every_sample_has_its_value() -> None:
    assert {(sample["tag"], sample["about"]) for sample in SAMPLES["events"]} == set(VALUES)


def test_every_event_class_is_listed_by_its_tag() -> None:
    assert set(TYPES.values()) == set(get_args(EventBody))


@pytest.mark.parametrize("tag", sorted(TYPES))
def test_every_optional_field_has_a_sample_with_and_without_it(tag: str) -> None:
    schema = TYPES[tag].schema
    samples = [json.loads(one["stored"]) for one in SAMPLES["events"] if (one["tag"], one["schema"]) == (tag, schema)]
    for field in attrs.fields(TYPES[tag]):
        if "None" in str(field.type):
            told = {sample.get(field.name) is not None for sample in samples}
            assert told == {True, False}, field.name


def test_the_frozen_digests_follow_from_the_rules() -> None:
    previous = bytes(32)
    for link in CHAIN["chain"]:
        previous = linked(previous, link["head"].encode(), link["data"].encode())
        assert previous.hex() == link["digest"]


def test_three_chained_events_have_their_frozen_digests() -> None:
    previous = chain.START
    for link in CHAIN["chain"]:
        head = tuple(json.loads(link["head"]))
        previous = chain.link(previous, head, link["data"].encode())
        assert previous.hex() == link["digest"]


async def open_store(clock: FixedClock) -> SqliteStore:
    return await SqliteStore.open(
        ":memory:", create=True, durability="full", clock=clock, statements=load(*SQL), projections=INLINE
    )


async def test_a_store_gives_three_events_their_frozen_digests() -> None:
    clock = FixedClock(step=0)
    store = await open_store(clock)
    found = []
    for link in CHAIN["chain"]:
        stream, _, _, tag, schema, operation, actor, clock.now = json.loads(link["head"])
        stored = link["data"]
        row = (1, uuid_bytes(stream), 1, uuid_bytes(stream), tag, schema, stored, uuid_bytes(operation), actor, 0, bytes(32))
        body: Any = decode_event(row).body
        (event,) = await store.append(request(body, stream=stream, operation=operation, actor=actor))
        found.append(event.digest.hex())
    await store.aclose()
    assert found == [link["digest"] for link in CHAIN["chain"]]


def test_the_frozen_blob_follows_from_the_rules() -> None:
    sample = CHAIN["blob"]
    salt, data = bytes.fromhex(sample["salt"]), sample["data"].encode()
    assert (sha256(salt + data).hexdigest(), sha256(data).hexdigest()) == (sample["id"], sample["fingerprint"])


async def test_a_blob_is_named_by_the_digest_of_salt_and_bytes() -> None:
    store = await open_store(FixedClock())
    draft = store.draft(CHAIN["blob"]["data"].encode())
    await store.aclose()
    assert len(draft.salt) == 16
    assert draft.id == sha256(draft.salt + draft.data).hexdigest()
    assert draft.fingerprint.hex() == CHAIN["blob"]["fingerprint"]


def normalised(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name").fetchall()
    return "".join(" ".join(sql.split()) + ";\n" for (sql,) in rows)


@pytest.fixture
async def fresh(tmp_path: Path) -> Path:
    path = tmp_path / "fresh.db"
    store = await SqliteStore.open(
        str(path), create=True, durability="full", clock=FixedClock(), statements=load(*SQL), projections=INLINE
    )
    await store.aclose()
    return path


def test_a_fresh_store_has_the_frozen_schema(fresh: Path) -> None:
    assert normalised(fresh) == SCHEMA.read_text(encoding="utf-8")


@pytest.mark.parametrize(("pragma", "value"), [("application_id", 0x54524354), ("user_version", 3), ("journal_mode", "wal")])
def test_a_fresh_store_says_what_it_is(fresh: Path, pragma: str, value: int | str) -> None:
    with closing(sqlite3.connect(fresh)) as connection:
        assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_every_table_is_strict(fresh: Path) -> None:
    with closing(sqlite3.connect(fresh)) as connection:
        tables = connection.execute("PRAGMA table_list").fetchall()
    assert {name for _, name, *_, strict in tables if not strict} <= {"sqlite_schema", "sqlite_temp_schema"}
