"""Events to canonical JSON and back; damaged rows are named, never guessed at."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import canonical, operation_id, tract_id, uuid
from tract.domain.budgets import TokenBudget
from tract.domain.canonical import encode
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
    UnknownEvent,
    UsageFigures,
    UsageRecorded,
)
from tract.domain.ids import BlobId, CommitId, GenerationId, TractId, uuid_bytes
from tract.errors import CorruptLogError, NewerEventError
from tract.log.codec import decode_event, decode_one, decode_operation, encode_body
from tract.log.protocol import Row

OPERATION = operation_id(1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
commit_ids, blob_ids = hexes.map(CommitId), hexes.map(BlobId)
uuids = st.uuids(version=4).map(str)
generations, tracts = uuids.map(GenerationId), uuids.map(TractId)
commits = st.builds(
    Commit,
    parents=st.lists(commit_ids, max_size=2).map(tuple),
    operation=st.sampled_from(CommitOperation),
    time=numbers,
    operation_id=st.just(OPERATION),
    targets=st.lists(commit_ids, max_size=3).map(tuple),
    content=st.none() | st.builds(ContentRef, texts, blob_ids),
    priority=st.none() | st.sampled_from(Priority),
    details=st.none() | blob_ids,
    config=st.none() | blob_ids,
    actor=st.just("ann"),
    rendering=st.none() | numbers,
    index=numbers,
)
token_budgets = st.integers(1, 2**63 - 1).flatmap(
    lambda most: st.builds(TokenBudget, st.just(most), st.sampled_from(["warn", "reject"]), st.none() | st.integers(1, most))
)
ends = {
    "generation": generations,
    "question": st.none() | commit_ids,
    "answer": st.none() | commit_ids,
    "partial": st.none() | blob_ids,
    "finish_reason": st.none() | texts,
}
maybe_number, maybe_text, maybe_commit, maybe_blob = (st.none() | each for each in (numbers, texts, commit_ids, blob_ids))
bodies: st.SearchStrategy[EventBody] = st.one_of(
    st.builds(TractCreated, texts, st.none() | tracts, maybe_blob),
    st.builds(
        CommitRecorded,
        commit=commits,
        branch=maybe_text,
        before=maybe_commit,
        tokens=maybe_number,
        counter=maybe_text,
        slot_delta=numbers,
        token_delta=numbers,
    ),
    st.builds(BranchCreated, texts, maybe_commit),
    st.builds(HeadMoved, texts, maybe_text, maybe_commit),
    st.builds(
        OperationRecorded,
        kind=texts,
        branch=maybe_text,
        sources=st.lists(commit_ids, max_size=3).map(tuple),
        results=st.lists(commit_ids, max_size=3).map(tuple),
        tokens_before=maybe_number,
        tokens_after=maybe_number,
        parameters=maybe_blob,
    ),
    st.builds(
        GenerationStarted,
        generation=generations,
        branch=texts,
        base=maybe_commit,
        question=maybe_commit,
        head=maybe_commit,
        order=st.none() | st.lists(commit_ids, max_size=3).map(tuple),
        compiler=texts,
        rendering=numbers,
        format=texts,
        config=maybe_blob,
        tools=maybe_blob,
        owner=st.builds(Owner, maybe_text, maybe_text, maybe_number, maybe_number, maybe_number),
        verb=maybe_text,
        options=maybe_blob,
    ),
    *(st.builds(kind, **ends) for kind in (GenerationCompleted, GenerationFailed, GenerationCancelled, GenerationInterrupted)),
    st.builds(
        UsageRecorded,
        st.none() | generations,
        maybe_commit,
        numbers,
        st.none() | st.builds(UsageFigures, maybe_number, maybe_number, maybe_number, maybe_number),
    ),
    st.builds(ContextCompiled, generations, maybe_commit, blob_ids),
    st.builds(TractConfigured, maybe_blob, st.none() | token_budgets),
)

tags = st.from_regex(r"[a-z_]{1,12}\.[a-z_]{1,12}", fullmatch=True).filter(lambda tag: tag[0] != "_" and "._" not in tag)
objects = st.dictionaries(
    texts.filter(lambda key: key != "request"),
    st.recursive(st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts, st.lists),
    max_size=3,
)


def row(tag: str, data: str, schema: int = 1) -> Row:
    stream = uuid_bytes(tract_id(1))
    return (7, stream, 3, stream, tag, schema, data, uuid_bytes(OPERATION), "ann", 5, bytes(32))


@given(bodies, maybe_blob)
def test_what_was_stored_is_read_as_it_was(body: EventBody, request: BlobId | None) -> None:
    event = decode_event(row(body.tag, encode_body(body, request).decode(), body.schema))
    assert (event.body, event.request) == (body, request)


@given(bodies)
def test_what_is_stored_is_canonical(body: EventBody) -> None:
    stored = encode_body(body)
    assert stored == canonical(json.loads(stored))


@given(bodies)
def test_encoding_changes_nothing_of_the_event(body: EventBody) -> None:
    assert encode_body(body, BlobId("a" * 64)) != encode_body(body)
    assert encode_body(body) == encode_body(body)


def test_an_event_is_read_with_all_its_row_says() -> None:
    event = decode_event(row("branch.created", '{"branch":"main","head":null}'))
    assert (event.position, event.stream, event.version, event.tract) == (7, tract_id(1), 3, tract_id(1))
    assert (event.operation, event.actor, event.recorded_at, event.digest) == (OPERATION, "ann", 5, bytes(32))


COMMIT: dict[str, Any] = {
    "commit": {
        "parents": [],
        "operation": "append",
        "targets": [],
        "content": None,
        "priority": None,
        "details": None,
        "config": None,
        "time": 0,
        "rendering": None,
        "index": 0,
    },
    "branch": "main",
    "tokens": None,
    "counter": None,
    "slot_delta": 0,
    "token_delta": 0,
}
DAMAGED = {
    "a type that is no tag": row("secret plan", "{}"),
    "a type of one word": row("exploded", "{}"),
    "an unknown type without an object": row("tract.exploded", "[]"),
    "an unknown type in other bytes than its canonical ones": row("tract.exploded", '{"b":1, "a":2}'),
    "an unknown type with a number for a request": row("tract.exploded", '{"request":5}'),
    "an unknown type without a schema": row("tract.exploded", "{}", schema=0),
    "a schema that never was": row("branch.created", '{"branch":"main","head":null}', schema=0),
    "no JSON": row("branch.created", "nonsense"),
    "cut JSON": row("branch.created", '{"branch":"ma'),
    "nothing": row("branch.created", ""),
    "null": row("branch.created", "null"),
    "a list": row("branch.created", "[]"),
    "a number": row("branch.created", "5"),
    "a missing field": row("branch.created", '{"head":null}'),
    "a missing field that may be null": row("head.moved", '{"branch":"main","worktree":"main"}'),
    "an unknown field": row("branch.created", '{"branch":"main","head":null,"more":1}'),
    "a number for a name": row("branch.created", '{"branch":5,"head":null}'),
    "null for a name": row("branch.created", '{"branch":null,"head":null}'),
    "text for a number": row("usage.recorded", '{"attempt":"1","commit":null,"figures":null,"generation":null}'),
    "text for a list": row("commit.recorded", json.dumps({**COMMIT, "commit": {**COMMIT["commit"], "parents": "abc"}})),
    "an unknown operation": row("commit.recorded", json.dumps({**COMMIT, "commit": {**COMMIT["commit"], "operation": "x"}})),
    "no commit": row("commit.recorded", json.dumps({**COMMIT, "commit": None})),
    "a budget out of range": row(
        "tract.configured", '{"budget":{"action":"warn","compress_at":null,"max_tokens":0},"llm_config":null}'
    ),
    "an unknown action": row("tract.configured", '{"budget":{"action":"x","compress_at":null,"max_tokens":9},"llm_config":null}'),
    "a number for a request": row("branch.created", '{"branch":"main","head":null,"request":5}'),
}


@pytest.mark.parametrize("damage", list(DAMAGED))
def test_a_damaged_row_is_named_by_its_place(damage: str) -> None:
    with pytest.raises(CorruptLogError) as caught:
        decode_event(DAMAGED[damage], file="/x.db")
    assert (caught.value.file, caught.value.tract, caught.value.version) == ("/x.db", uuid(1), 3)


@pytest.mark.parametrize("tag", ["branch.created", "secret hush"])
def test_a_damaged_row_says_nothing_of_its_text(tag: str) -> None:
    with pytest.raises(CorruptLogError) as caught:
        decode_event(row(tag, '{"secret":"hush"}'))
    assert "hush" not in str(caught.value)
    assert "secret" not in str(caught.value)


UNKNOWN = row("tract.exploded", '{"pieces":3,"request":"' + "a" * 64 + '"}', schema=4)


def test_an_event_of_an_unknown_type_is_read_as_what_it_is() -> None:
    event = decode_event(UNKNOWN)
    assert event.body == UnknownEvent("tract.exploded", 4, UNKNOWN[6])
    assert (event.position, event.version, event.operation, event.request) == (7, 3, OPERATION, BlobId("a" * 64))


@given(tags, objects)
def test_whatever_a_later_version_stores_is_kept(tag: str, data: dict[str, Any]) -> None:
    stored = encode(data).decode()
    assert decode_event(row(tag, stored)).body == UnknownEvent(tag, 1, stored)


@pytest.mark.parametrize("tag", sorted(TYPES))
def test_a_known_type_of_a_later_schema_is_refused_by_its_name(tag: str) -> None:
    schema = TYPES[tag].schema + 1
    with pytest.raises(NewerEventError) as caught:
        decode_event(row(tag, "{}", schema), file="/x.db")
    error = caught.value
    assert (error.file, error.tract, error.version, error.event, error.schema) == ("/x.db", uuid(1), 3, tag, schema)


def test_what_is_known_of_an_operation_comes_with_its_request() -> None:
    known = row("branch.created", '{"branch":"main","head":null}')
    events, request = decode_operation([UNKNOWN, known])
    assert ([event.body for event in events], request) == ([BranchCreated("main", None)], BlobId("a" * 64))


def test_an_operation_of_which_nothing_is_known_is_a_later_versions() -> None:
    with pytest.raises(NewerEventError) as caught:
        decode_operation([UNKNOWN], file="/x.db")
    assert (caught.value.file, caught.value.event, caught.value.schema) == ("/x.db", "tract.exploded", 4)


def test_an_operation_without_events_has_no_request() -> None:
    assert decode_operation([]) == ((), None)


def test_one_event_is_read_as_the_class_that_it_has_to_be() -> None:
    event, body = decode_one(BranchCreated, row("branch.created", '{"branch":"main","head":null}'))
    assert (body, event.body) == (BranchCreated("main", None), body)


@pytest.mark.parametrize("found", [UNKNOWN, row("head.moved", '{"branch":"main","commit":null,"worktree":"main"}')])
def test_another_event_than_it_has_to_be_is_corruption(found: Row) -> None:
    with pytest.raises(CorruptLogError) as caught:
        decode_one(BranchCreated, found, file="/x.db")
    assert (caught.value.file, caught.value.tract, caught.value.version) == ("/x.db", uuid(1), 3)


@pytest.mark.parametrize("column", range(1, 8))
@pytest.mark.parametrize("value", [None, 0, b"\xff", "text"])
def test_a_column_that_holds_something_else_is_corruption_and_no_other_error(column: int, value: object) -> None:
    damaged = list(row("branch.created", '{"branch":"main","head":null}'))
    damaged[column] = value
    with suppress(CorruptLogError):
        decode_event(tuple(damaged))
