"""What marks and compilers make, held in place: contexts that were sent must come out the same for ever."""

import json
from pathlib import Path
from typing import Any

import pytest

from tract import ABSENT, CompiledSlot, Message, Priority, ToolCall, XMLCompiler
from tract.domain.ids import CommitId
from tract.formats.marking import mark_edited
from tract.formats.openai import message_to_dict

SAMPLES: dict[str, Any] = json.loads(Path(__file__).with_name("compilers.json").read_text(encoding="utf-8"))


def each(rows: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=row["about"]) for row in rows]


def message_of(fields: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in fields.get("tool_calls", ()))
    return Message(fields["role"], fields.get("content", ABSENT), fields.get("name"), calls, fields.get("tool_call_id"))


@pytest.mark.parametrize("sample", each(SAMPLES["marks"]))
def test_an_edited_message_has_its_frozen_mark(sample: dict[str, Any]) -> None:
    assert message_to_dict(mark_edited(message_of(sample["message"]), sample["rendering"])) == sample["marked"]


@pytest.mark.parametrize("sample", each(SAMPLES["xml/1"]))
def test_xml_1_makes_its_frozen_message(sample: dict[str, Any]) -> None:
    id = CommitId("a" * 64)
    slot = CompiledSlot(id, id, sample["type"], Priority.NORMAL, None, message_of(sample["message"]))
    assert [message_to_dict(message) for message in XMLCompiler().compile([slot])] == [sample["compiled"]]


def test_the_xml_compiler_is_the_one_of_the_samples() -> None:
    assert f"{XMLCompiler().name}/{XMLCompiler().version}" == "xml/1"
