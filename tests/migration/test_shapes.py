"""The fields of every class that is stored, with their types, held in place all the way down.

A class that changes here without a word would no longer read, or read
differently, what files of earlier versions hold.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal, NewType

import attrs
import msgspec
import pytest

from tests.builders import operation_id
from tests.shapes import Shape, shape_of
from tract.domain.budgets import TokenBudget
from tract.domain.commits import Commit, CommitOperation, Details
from tract.domain.config import LLMConfig
from tract.domain.content import CONTENT_TYPES, DialogueContent, RegisteredContent
from tract.domain.events import TYPES, BranchCreated, GenerationStarted, Owner, TractConfigured
from tract.domain.ids import BlobId, CommitId
from tract.domain.operation_configs import OperationConfigs
from tract.log.upcasting import PASTS

FROZEN: dict[str, dict[str, Shape]] = json.loads(Path(__file__).with_name("shapes.json").read_text(encoding="utf-8"))
BLOBS: dict[str, type[Any]] = {
    **CONTENT_TYPES,
    "a registered type": RegisteredContent,
    "details": Details,
    "config": LLMConfig,
    "operations": OperationConfigs,
}
IDS = re.compile(r"(Blob|Commit|Tract|Operation|Generation)Id")
PAST_SHAPES = {f"{tag}/{schema}": past.shape for tag, pasts in PASTS.items() for schema, past in enumerate(pasts, 1)}


def check_event(kind: Any) -> None:
    """Fail where an event class stores something else than its schema number says."""
    name = f"{kind.tag}/{kind.schema}"
    assert name in FROZEN["events"], f"{name} is new: add its shape to shapes.json and samples of it to events.json"
    assert shape_of(kind) == FROZEN["events"][name], (
        f"{kind.__name__} is no longer what {name} stores: give it a new schema number and an upcaster (tract/log/upcasting.py)"
    )


def check_blob(name: str, kind: type[Any]) -> None:
    """Fail where a class that is stored in blobs has other fields than were frozen."""
    assert shape_of(kind) == FROZEN["blobs"].get(name), (
        f"{kind.__name__} is no longer what blobs hold as {name}: files that have the old form must be read for ever, "
        "so a field may only be added, with a default, and with samples of both in tests/migration"
    )


@pytest.mark.parametrize("tag", sorted(TYPES))
def test_an_event_class_has_the_frozen_fields_of_its_schema(tag: str) -> None:
    check_event(TYPES[tag])


def with_ids_as_text(shape: Shape) -> Shape:
    """A shape in JSON's own types, which a description of what was stored once is made of."""
    if isinstance(shape, dict):
        return {name: with_ids_as_text(part) for name, part in shape.items()}
    if isinstance(shape, list):
        return [with_ids_as_text(part) for part in shape]
    return " | ".join(sorted(IDS.sub("text", part) for part in shape.split(" | ")))


@pytest.mark.parametrize("name", sorted(PAST_SHAPES))
def test_an_earlier_schema_is_described_as_it_was_frozen(name: str) -> None:
    assert shape_of(PAST_SHAPES[name]) == with_ids_as_text(FROZEN["events"][name])


def test_every_schema_that_was_ever_stored_is_frozen() -> None:
    ever = {f"{tag}/{schema}" for tag, kind in TYPES.items() for schema in range(1, kind.schema + 1)}
    assert set(FROZEN["events"]) == ever


@pytest.mark.parametrize("name", sorted(BLOBS))
def test_a_class_that_is_stored_in_blobs_has_its_frozen_fields(name: str) -> None:
    check_blob(name, BLOBS[name])


def test_whoever_changes_what_a_commit_stores_is_told_who_else_reads_it() -> None:
    assert TYPES["commit.recorded"].schema == 1, (
        "core/contexts.py, and two statements of projections/sql/inline.sql, read the bytes of commit.recorded "
        "themselves: teach them its new schema, then say here which ones they know"
    )


def test_every_frozen_blob_has_its_class() -> None:
    assert set(FROZEN["blobs"]) == set(BLOBS)


def test_a_commit_is_hashed_over_its_frozen_fields() -> None:
    hashed = Commit((), CommitOperation.APPEND, 0, operation_id(1)).to_json()
    assert sorted(hashed) == sorted(FROZEN["events"]["commit.recorded/1"]["commit"])


def changed(kind: Any, *, without: str | None = None, **fields: Any) -> type[Any]:
    """A copy of an attrs class with other fields, as an edit of its source would leave it."""
    hints = {field.name: field.type for field in attrs.fields(kind) if field.name != without} | fields
    copy = attrs.make_class(kind.__name__, {name: attrs.field(type=hint) for name, hint in hints.items()}, frozen=True)
    for name in ("tag", "schema"):
        if hasattr(kind, name):
            setattr(copy, name, getattr(kind, name))
    return copy


CHANGES = {
    "a field added": changed(BranchCreated, note=str | None),
    "a field removed": changed(BranchCreated, without="head"),
    "a field renamed": changed(BranchCreated, without="branch", name=str),
    "a field of another type": changed(BranchCreated, branch=int),
    "a field that may be null now": changed(BranchCreated, branch=str | None),
    "a field that names a blob and no commit": changed(BranchCreated, head=BlobId | None),
    "a list in place of one": changed(BranchCreated, head=tuple[CommitId, ...]),
    "a field added within": changed(GenerationStarted, owner=changed(Owner, thread=int)),
    "a field of another type within an optional one": changed(
        TractConfigured, budget=changed(TokenBudget, max_tokens=float) | None
    ),
    "one more word that is allowed": changed(
        TractConfigured, budget=changed(TokenBudget, action=Literal["warn", "reject", "ask"]) | None
    ),
}


def test_a_copy_without_a_change_is_the_same() -> None:
    check_event(changed(BranchCreated))


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_event_class_fails_with_what_to_do(what: str) -> None:
    with pytest.raises(AssertionError, match="give it a new schema number and an upcaster"):
        check_event(CHANGES[what])


def test_a_changed_event_class_with_a_new_number_fails_until_it_is_frozen() -> None:
    kind = changed(BranchCreated, note=str | None)
    kind.schema = 2
    with pytest.raises(AssertionError, match=r"branch\.created/2 is new: add its shape"):
        check_event(kind)


def test_a_changed_content_class_fails_with_what_to_do() -> None:
    with pytest.raises(AssertionError, match="files that have the old form must be read for ever"):
        check_blob("dialogue", changed(DialogueContent, mood=str))


def test_a_struct_that_leaves_out_its_defaults_is_another_shape() -> None:
    class Told(msgspec.Struct):
        text: str = ""

    class Short(msgspec.Struct, omit_defaults=True):
        text: str = ""

    assert (shape_of(Told), shape_of(Short)) == ({"text": "text"}, {"text?": "text"})


def test_an_id_is_told_from_another_kind_of_id() -> None:
    assert shape_of(NewType("OtherId", str)) != shape_of(CommitId)


def test_what_nobody_said_how_to_store_is_refused() -> None:
    with pytest.raises(AssertionError, match="nothing that is stored"):
        shape_of(set[str])
