"""Story: anything an agent says, reads or makes is committed, or refused with the reason."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import asdict

from tests.acceptance.reading import from_elsewhere, state, texts
from tract import (
    ABSENT,
    ArtifactContent,
    AsyncTract,
    CommitOperation,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    LLMConfig,
    Message,
    OutputContent,
    Priority,
    ReasoningContent,
    SessionContent,
    ToolCall,
    ToolIOContent,
)
from tract.errors import ContentValidationError, OperationMismatchError
from tract.testing import FixedClock

CALL = ToolCall("call-1", "look_up", '{"at":  1.0}')
SESSION = SessionContent("handoff", "We sorted seats.", ("12A",), ("phone",), ["mail", "wait"])
EVERY_TYPE: list[Any] = [
    (InstructionContent("Be kind."), {"role": "system", "content": "Be kind."}, Priority.PINNED),
    (DialogueContent("user", "Hi", "anna"), {"role": "user", "content": "Hi", "name": "anna"}, Priority.NORMAL),
    (
        DialogueContent("assistant", None, tool_calls=(CALL,)),
        {"role": "assistant", "content": None, "tool_calls": [asdict(CALL)]},
        Priority.NORMAL,
    ),
    (
        ToolIOContent("look_up", "call", payload={"b": 1, "a": [1.0]}, call_id="call-1"),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call-1", "name": "look_up", "arguments": '{"a":[1.0],"b":1}'}],
        },
        Priority.NORMAL,
    ),
    (ReasoningContent("Hm."), {"role": "assistant", "content": "Hm."}, Priority.SKIP),
    (ArtifactContent("code", "x = 1\n", "python"), {"role": "assistant", "content": "x = 1\n"}, Priority.NORMAL),
    (OutputContent("# Done", "markdown"), {"role": "assistant", "content": "# Done"}, Priority.NORMAL),
    (FreeformContent({"z": None, "a": "é"}), {"role": "assistant", "content": '{"a":"é","z":null}'}, Priority.NORMAL),
    (
        SESSION,
        {
            "role": "system",
            "content": (
                "Session handoff\nWe sorted seats.\nDecisions:\n- 12A\nFailed approaches:\n- phone\nNext steps:\n- mail\n- wait"
            ),
        },
        Priority.PINNED,
    ),
]
NAMES = [f"{content.content_type}-{number}" for number, (content, *_) in enumerate(EVERY_TYPE)]
every_type = pytest.mark.parametrize(("content", "message", "priority"), EVERY_TYPE, ids=NAMES)


def as_mapping(content: Any) -> dict[str, Any]:
    given = {name: value for name, value in asdict(content).items() if value is not ABSENT}
    return {"content_type": content.content_type, **given}


@every_type
async def test_a_content_of_every_type_is_committed_and_shown(
    t: AsyncTract, content: Any, message: dict[str, Any], priority: Priority
) -> None:
    info = await t.commit(content)
    detail = await t.show(info.id)
    assert (detail.info, detail.content) == (info, content)


@every_type
async def test_a_mapping_is_the_content_it_describes(
    t: AsyncTract, content: Any, message: dict[str, Any], priority: Priority
) -> None:
    info = await t.commit(as_mapping(content))
    assert (await t.show(info.id)).content == content


@every_type
async def test_a_mapping_may_have_come_through_json(
    t: AsyncTract, content: Any, message: dict[str, Any], priority: Priority
) -> None:
    info = await t.commit(json.loads(json.dumps(as_mapping(content))))
    assert (await t.show(info.id)).content == content


@every_type
async def test_every_type_has_its_own_priority_unless_another_is_given(
    t: AsyncTract, content: Any, message: dict[str, Any], priority: Priority
) -> None:
    own = await t.commit(content)
    given = await t.commit(content, priority="important")
    assert (own.priority, given.priority) == (priority, Priority.IMPORTANT)


@every_type
async def test_every_type_compiles_as_it_is_rendered(
    t: AsyncTract, content: Any, message: dict[str, Any], priority: Priority
) -> None:
    await t.commit(content, priority="normal")
    assert (await t.compile()).to_dicts()[0] == message


class CharacterCounter:
    """Counts characters, so that a test can count by hand."""

    name = "characters"

    def count(self, text: str) -> int:
        return len(text)

    def count_message(self, message: Message) -> int:
        calls = sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        return (len(message.content) if isinstance(message.content, str) else 0) + calls


@every_type
async def test_what_is_counted_is_what_is_rendered(content: Any, message: dict[str, Any], priority: Priority) -> None:
    async with AsyncTract.open(tokens=CharacterCounter()) as t:
        info = await t.commit(content)
    calls = sum(len(call["name"]) + len(call["arguments"]) for call in message.get("tool_calls", ()))
    assert info.tokens == len(message["content"] or "") + calls


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("user", DialogueContent("user", "Hi")),
        ("assistant", DialogueContent("assistant", "Hi")),
        ("system", InstructionContent("Hi")),
    ],
)
async def test_a_string_is_what_its_role_says(t: AsyncTract, role: str, content: Any) -> None:
    info = await t.commit("Hi", role=role)
    assert (await t.show(info.id)).content == content


async def test_the_short_forms_commit_what_they_are_called(t: AsyncTract) -> None:
    infos = [
        await t.system("a"),
        await t.user("b", name="anna"),
        await t.assistant("c"),
        await t.tool_result("id", "d", tool_name="look", status="ok"),
        await t.tool_result("id", {"e": [1]}),
    ]
    assert [(await t.show(info.id)).content for info in infos] == [
        InstructionContent("a"),
        DialogueContent("user", "b", "anna"),
        DialogueContent("assistant", "c"),
        ToolIOContent("look", text="d", call_id="id", status="ok"),
        ToolIOContent(payload={"e": [1]}, call_id="id"),
    ]


async def test_a_commit_says_everything_about_itself() -> None:
    clock = FixedClock(step=0)
    async with AsyncTract.open(clock=clock, actor="tester", tokens=CharacterCounter()) as t:
        first = await t.system("abc")
        config = LLMConfig(model="tiny", temperature=1, stop_sequences="x", extra={"a": [1, {"b": None}]})
        operation = str(uuid.UUID(int=7))
        info = await t.commit(
            "hello",
            message="why",
            metadata={"k": [1.5, None, "é"]},
            generation_config=config,
            priority="pinned",
            operation_id=operation,
        )
        assert asdict(info, recurse=False) == {
            "id": await t.head(),
            "tract_id": t.id,
            "parents": (first.id,),
            "operation": CommitOperation.APPEND,
            "targets": (),
            "content_type": "dialogue",
            "priority": Priority.PINNED,
            "message": "why",
            "metadata": {"k": [1.5, None, "é"]},
            "generation_config": config,
            "tokens": 5,
            "actor": "tester",
            "time": datetime(2026, 1, 1, tzinfo=UTC),
            "operation_id": operation,
        }


async def test_a_verb_returns_metadata_as_the_log_tells_it(t: AsyncTract) -> None:
    metadata: dict[str, Any] = {"pair": (1, 2), "list": [1]}
    info = await t.user("hello", metadata=metadata)
    metadata["list"].append(2)
    assert (info.metadata, (await t.log())[0]) == ({"pair": [1, 2], "list": [1]}, info)


async def test_message_metadata_and_config_come_back_after_reopening(path: str) -> None:
    config = LLMConfig(model="tiny", top_k=3, seed=-1, extra={"deep": {"x": [True]}})
    async with AsyncTract.open(path) as t:
        written = await t.commit("hello", message="why", metadata={"n": {"m": 1}}, generation_config=config)
    async with AsyncTract.open(path) as t:
        assert (await t.log(), (await t.show("HEAD")).info) == ((written,), written)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (DialogueContent("user", "Hi there"), "dialogue: Hi there"),
        (DialogueContent("user", " several\n\n lines\tand   spaces "), "dialogue: several lines and spaces"),
        (DialogueContent("user", "x" * 62), f"dialogue: {'x' * 62}"),
        (DialogueContent("user", "x" * 63), f"dialogue: {'x' * 59}..."),
        (DialogueContent("user", "word " * 100), f"dialogue: {'word ' * 10}word..."),
        (DialogueContent("assistant", None, tool_calls=(CALL,)), "dialogue: look_up()"),
        (DialogueContent("assistant", "Wait.", tool_calls=(CALL, CALL)), "dialogue: Wait. look_up(), look_up()"),
        (ToolIOContent(text="", call_id="c"), "tool_io:"),
        (ArtifactContent("code", "x = 1"), "artifact: x = 1"),
        (FreeformContent({"b": 1, "a": 2}), 'freeform: {"a":2,"b":1}'),
        (InstructionContent("Be\u2028kind"), "instruction: Be kind"),
        (DialogueContent("user", "first" + " " * 300 + "last"), "dialogue: first last"),
    ],
)
async def test_without_a_message_a_preview_of_one_line_is_shown(t: AsyncTract, content: Any, shown: str) -> None:
    info = await t.commit(content)
    assert (info.message, (await t.log())[0].message, (await t.show("HEAD")).info.message) == (shown, shown, shown)


async def test_no_preview_is_longer_than_72_characters(t: AsyncTract) -> None:
    infos = [await t.user(text * 100) for text in ("a", "ab ", "a long word ", "\U0001f6eb", "é\n")]
    assert [info.message for info in infos if len(info.message) > 72 or not info.message.endswith("...")] == []


async def test_an_empty_message_stays_empty(t: AsyncTract) -> None:
    info = await t.user("Hi", message="")
    assert (info.message, (await t.log())[0].message) == ("", "")


async def test_an_empty_tool_result_is_legal(t: AsyncTract) -> None:
    await t.commit(DialogueContent("assistant", tool_calls=(CALL,)))
    await t.tool_result("call-1", "")
    assert (await t.compile()).to_dicts() == [
        {"role": "assistant", "tool_calls": [asdict(CALL)]},
        {"role": "tool", "content": "", "tool_call_id": "call-1"},
    ]


async def test_text_null_and_absent_stay_distinct(t: AsyncTract) -> None:
    for text in ("", None, ABSENT):
        await t.commit(DialogueContent("assistant", text, tool_calls=(CALL,)))
        await t.tool_result("call-1", "x")
    spoken = [message for message in (await t.compile()).to_openai() if message["role"] == "assistant"]
    assert [message.get("content", "absent") for message in spoken] == ["", None, "absent"]


async def test_a_payload_that_the_caller_changes_later_is_not_changed(t: AsyncTract) -> None:
    payload = {"list": [1]}
    content = FreeformContent(payload)
    payload["list"].append(2)
    await t.commit(content)
    assert await texts(t) == ['{"list":[1]}']


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


MALFORMED: list[tuple[Any, str]] = [
    (None, "content"),
    (5, "content"),
    (b"bytes", "content"),
    (["list"], "content"),
    ({}, "content_type"),
    ({"content_type": "novel", "text": "x"}, "content_type"),
    ({"content_type": None, "text": "x"}, "content_type"),
    ({"content_type": ["dialogue"], "text": "x"}, "content_type"),
    ({"content_type": "instruction"}, "text"),
    ({"content_type": "instruction", "text": "x", "mood": "y"}, "mood"),
    ({"content_type": "instruction", "text": 5}, "text"),
    ({"content_type": "instruction", "text": None}, "text"),
    ({"content_type": "instruction", "text": ["x"]}, "text"),
    ({"content_type": "instruction", "text": "lone \ud800"}, "text"),
    ({"content_type": "instruction", "text": ""}, "text"),
    ({"content_type": "instruction", "text": " \n\t\u2003"}, "text"),
    ("", "text"),
    ("   ", "text"),
    ({"content_type": "dialogue", "role": "user", "text": None}, "text"),
    ({"content_type": "dialogue", "role": "user"}, "text"),
    ({"content_type": "dialogue", "role": "assistant", "text": ""}, "text"),
    ({"content_type": "dialogue", "role": "robot", "text": "x"}, "role"),
    ({"content_type": "dialogue", "role": ["user"], "text": "x"}, "role"),
    ({"content_type": "dialogue", "text": "x"}, "role"),
    ({"content_type": "dialogue", "role": "user", "text": "x", "name": ""}, "name"),
    ({"content_type": "dialogue", "role": "user", "text": "x", "name": 1}, "name"),
    ({"content_type": "dialogue", "role": "user", "text": "x", "tool_calls": [asdict(CALL)]}, "tool_calls"),
    ({"content_type": "dialogue", "role": "assistant", "text": "x", "tool_calls": "call"}, "tool_calls"),
    ({"content_type": "dialogue", "role": "assistant", "tool_calls": [{"id": "a", "name": "b"}]}, "tool_calls[0].arguments"),
    (
        {"content_type": "dialogue", "role": "assistant", "tool_calls": [asdict(CALL), {**asdict(CALL), "name": "no good"}]},
        "tool_calls[1].name",
    ),
    ({"content_type": "dialogue", "role": "assistant", "tool_calls": [{**asdict(CALL), "name": "x" * 65}]}, "tool_calls[0].name"),
    (
        {"content_type": "dialogue", "role": "assistant", "tool_calls": [{**asdict(CALL), "arguments": {}}]},
        "tool_calls[0].arguments",
    ),
    ({"content_type": "dialogue", "role": "assistant", "tool_calls": [{**asdict(CALL), "id": ""}]}, "tool_calls[0].id"),
    ({"content_type": "tool_io", "text": "x"}, "call_id"),
    ({"content_type": "tool_io", "text": "x", "call_id": ""}, "call_id"),
    ({"content_type": "tool_io", "text": "x", "call_id": 5}, "call_id"),
    ({"content_type": "tool_io", "text": "x", "payload": 1, "call_id": "c"}, "payload"),
    ({"content_type": "tool_io", "call_id": "c"}, "payload"),
    ({"content_type": "tool_io", "call_id": "c", "text": None}, "text"),
    ({"content_type": "tool_io", "call_id": "c", "text": "x", "direction": "up"}, "direction"),
    ({"content_type": "tool_io", "call_id": "c", "text": "x", "direction": "call"}, "tool_name"),
    ({"content_type": "tool_io", "call_id": "c", "text": "x", "tool_name": "a b"}, "tool_name"),
    ({"content_type": "tool_io", "call_id": "c", "text": "x", "tool_name": ""}, "tool_name"),
    ({"content_type": "tool_io", "call_id": "c", "payload": float("nan")}, "payload"),
    ({"content_type": "artifact", "artifact_type": "code", "content": " "}, "content"),
    ({"content_type": "artifact", "artifact_type": "", "content": "x"}, "artifact_type"),
    ({"content_type": "output", "text": "x", "format": "html"}, "format"),
    ({"content_type": "freeform"}, "payload"),
    ({"content_type": "freeform", "payload": float("inf")}, "payload"),
    ({"content_type": "freeform", "payload": {"a": [2**63]}}, "payload"),
    ({"content_type": "freeform", "payload": nested(500)}, "payload"),
    ({"content_type": "freeform", "payload": {1: 2}}, "payload"),
    ({"content_type": "freeform", "payload": {"a": "\udfff"}}, "payload"),
    ({"content_type": "freeform", "payload": {"a": {1, 2}}}, "payload"),
    ({"content_type": "session", "session_type": "pause", "summary": "x"}, "session_type"),
    ({"content_type": "session", "session_type": "end"}, "summary"),
    ({"content_type": "session", "session_type": "end", "summary": "x", "decisions": "one"}, "decisions"),
    ({"content_type": "session", "session_type": "end", "summary": "x", "next_steps": ["a", 2]}, "next_steps[1]"),
]


@pytest.mark.parametrize(("content", "field"), MALFORMED, ids=[f"{n}-{field}" for n, (_, field) in enumerate(MALFORMED)])
async def test_a_malformed_content_is_refused_by_its_field_and_leaves_nothing(t: AsyncTract, content: Any, field: str) -> None:
    await t.user("before")
    before = await state(t)
    with pytest.raises(ContentValidationError) as caught:
        await t.commit(content)
    assert (caught.value.field, await state(t)) == (field, before)


Call = Callable[[AsyncTract], Awaitable[object]]
BAD_ARGUMENTS: list[tuple[Call, str]] = [
    (lambda t: t.commit("x", role="robot"), "role"),
    (lambda t: t.commit("x", role="tool"), "role"),
    (lambda t: t.commit("x", message=5), "message"),  # type: ignore[arg-type]
    (lambda t: t.commit("x", message="\ud800"), "message"),
    (lambda t: t.commit("x", metadata={"a": float("nan")}), "metadata"),
    (lambda t: t.commit("x", metadata={"a": nested(500)}), "metadata"),
    (lambda t: t.commit("x", metadata={1: 2}), "metadata"),  # type: ignore[dict-item]
    (lambda t: t.commit("x", metadata="text"), "metadata"),  # type: ignore[arg-type]
    (lambda t: t.commit("x", metadata=5), "metadata"),  # type: ignore[arg-type]
    (lambda t: t.commit("x", priority="urgent"), "priority"),
    (lambda t: t.commit("x", priority=[]), "priority"),  # type: ignore[arg-type]
    (lambda t: t.commit("x", generation_config={"model": "m"}), "generation_config"),  # type: ignore[arg-type]
    (lambda t: t.commit("x", operation="replace"), "operation"),
    (lambda t: t.commit("x", operation="append", target="HEAD"), "target"),
    (lambda t: t.commit("x", operation="edit"), "target"),
    (lambda t: t.commit("x", operation="edit", target="HEAD", priority="pinned"), "priority"),
    (lambda t: t.commit("x", operation_id="mine"), "operation_id"),
    (lambda t: t.commit("x", operation_id=5), "operation_id"),  # type: ignore[arg-type]
    (lambda t: t.user(5), "text"),  # type: ignore[arg-type]
    (lambda t: t.system(""), "text"),
    (lambda t: t.assistant("a", name=""), "name"),
    (lambda t: t.tool_result("", "a"), "call_id"),
    (lambda t: t.tool_result("c", {"a": float("inf")}), "payload"),
    (lambda t: t.tool_result("c", "a", tool_name="a b"), "tool_name"),
    (lambda t: t.tool_result("c", "a", status=5), "status"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "field"), BAD_ARGUMENTS, ids=[f"{n}-{field}" for n, (_, field) in enumerate(BAD_ARGUMENTS)])
async def test_a_malformed_argument_is_refused_by_its_name_and_leaves_nothing(t: AsyncTract, call: Call, field: str) -> None:
    await t.user("before")
    before = await state(t)
    with pytest.raises(ContentValidationError) as caught:
        await call(t)
    assert (caught.value.field, await state(t)) == (field, before)


async def test_a_refusal_never_repeats_the_text(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.commit({"content_type": "dialogue", "role": "user", "text": "secret \ud800"})
    assert "secret" not in str(caught.value)


OPERATION = str(uuid.UUID(int=1))
TWICE: list[Call] = [
    lambda t: t.user("once", message="m", metadata={"a": 1}, operation_id=OPERATION),
    lambda t: t.commit({"content_type": "output", "text": "x"}, generation_config=LLMConfig(seed=1), operation_id=OPERATION),
    lambda t: t.commit("other", operation="edit", target="HEAD~0", operation_id=OPERATION),
    lambda t: t.edit("main", "other", operation_id=OPERATION),
    lambda t: t.pin("main", reason="r", operation_id=OPERATION),
    lambda t: t.annotate("main", "skip", retain={"a": 1}, operation_id=OPERATION),
    lambda t: t.skip("main", operation_id=OPERATION),
    lambda t: t.system("once", operation_id=OPERATION),
    lambda t: t.assistant("once", operation_id=OPERATION),
    lambda t: t.tool_result("c1", {"a": 1}, status="ok", operation_id=OPERATION),
    lambda t: t.branch("b", operation_id=OPERATION, switch=False),
    lambda t: t.switch("main", operation_id=OPERATION),
    lambda t: t.record_usage({"prompt": 10}, operation_id=OPERATION),
]


@pytest.mark.parametrize("call", TWICE)
async def test_an_operation_id_given_twice_returns_the_first_result(t: AsyncTract, call: Call) -> None:
    await t.user("before")
    first = await call(t)
    before = await state(t)
    assert (await call(t), await state(t)) == (first, before)


@pytest.mark.parametrize("call", TWICE)
async def test_an_operation_id_given_to_another_call_is_refused(t: AsyncTract, call: Call) -> None:
    await t.user("before")
    await call(t)
    before = await state(t)
    with pytest.raises(OperationMismatchError):
        await t.user("something else", operation_id=OPERATION)
    assert await state(t) == before


async def recorded(t: AsyncTract) -> int:
    """Return how many events the store holds."""
    rows = await t.read(lambda query: query("log.events_after", 0, 1000))
    return len(rows)


@pytest.mark.parametrize("call", TWICE)
async def test_an_operation_id_given_by_many_tasks_at_once_writes_once(t: AsyncTract, call: Call) -> None:
    await t.user("before")
    before = await recorded(t)
    found = await asyncio.gather(*(call(t) for _ in range(10)))
    assert [each == found[0] for each in found] == [True] * 10
    assert await recorded(t) == before + 1


@pytest.mark.parametrize("call", TWICE)
async def test_an_operation_id_given_again_by_another_process_writes_once(path: str, call: Call) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("before")
        found = [await call(t)]
        before = await state(t), await recorded(t)

        async def again(other: AsyncTract) -> None:
            found.append(await call(other))

        await from_elsewhere(path, again)
        assert (await state(t), await recorded(t)) == before
        assert found[0] == found[1]


async def test_a_worktree_opened_twice_under_one_operation_id_is_two_handles_and_one_event(t: AsyncTract) -> None:
    await t.branch("side", switch=False)
    async with await t.worktree("side", operation_id=OPERATION) as first:
        await t.branch("further", switch=False)
        await first.switch("further")
        before = await recorded(t)
        async with await t.worktree("side", operation_id=OPERATION) as second:
            assert (first.current_branch, second.current_branch) == ("further", "further")
            assert await recorded(t) == before
            await second.switch("side")
            assert first.current_branch == "further"


async def test_an_operation_id_of_a_worktree_is_not_that_of_a_switch(t: AsyncTract) -> None:
    async with await t.worktree("main", name="second", operation_id=OPERATION) as second:
        with pytest.raises(OperationMismatchError):
            await second.switch("main", operation_id=OPERATION)


async def test_an_operation_id_of_another_tract_of_the_file_is_refused(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.user("once", operation_id=OPERATION)
        with pytest.raises(OperationMismatchError):
            await two.user("once", operation_id=OPERATION)
        assert await texts(two) == []


async def test_an_operation_id_still_returns_the_first_commit_after_more_commits_and_reopening(path: str) -> None:
    async with AsyncTract.open(path) as t:
        first = await t.user("once", operation_id=OPERATION)
        await t.user("more")
    async with AsyncTract.open(path) as t:
        again = await t.user("once", operation_id=OPERATION)
        assert (again, len(await t.log())) == (first, 2)


async def test_an_edit_given_twice_returns_the_first_one_although_the_slot_has_changed(t: AsyncTract) -> None:
    slot = await t.user("one")
    first = await t.edit(slot.id, "two", operation_id=OPERATION)
    await t.edit(slot.id, OutputContent("three"))
    assert await t.edit(slot.id, "two", operation_id=OPERATION) == first


async def test_a_revert_given_twice_returns_the_first_one_although_there_is_nothing_to_undo_any_more(t: AsyncTract) -> None:
    await t.user("one")
    pinned = await t.pin("HEAD")
    first = await t.revert(pinned.id, operation_id=OPERATION)
    assert await t.revert(pinned.id, operation_id=OPERATION) == first
    assert len(await t.log()) == 3


async def test_usage_recorded_twice_under_one_operation_id_must_be_the_same(t: AsyncTract) -> None:
    await t.user("before")
    await t.record_usage({"prompt": 10, "completion": 2}, operation_id=OPERATION)
    with pytest.raises(OperationMismatchError):
        await t.record_usage({"prompt": 99, "completion": 2}, operation_id=OPERATION)


async def test_a_commit_with_operation_edit_is_an_edit(t: AsyncTract) -> None:
    slot = await t.user("before", name="anna")
    info = await t.commit("after", operation="edit", target=slot.id, message="why")
    assert (info.operation, info.targets, info.message) == (CommitOperation.EDIT, (slot.id,), "why")
    assert (await t.compile()).to_dicts() == [{"role": "user", "content": "after", "name": "anna"}]


async def test_a_commit_with_a_content_and_operation_edit_replaces_the_role_too(t: AsyncTract) -> None:
    slot = await t.user("before", name="anna")
    await t.commit(DialogueContent("assistant", "after"), operation="edit", target=slot.id)
    assert (await t.compile()).to_dicts() == [{"role": "assistant", "content": "after"}]


async def test_a_long_text_comes_back_as_it_was(path: str) -> None:
    text = "0123456789 é\n" * 20_000
    async with AsyncTract.open(path) as t:
        await t.user(text)
        await t.user(text)
    async with AsyncTract.open(path) as t:
        assert await texts(t) == [text, text]


async def test_a_payload_that_holds_itself_twice_is_refused(t: AsyncTract) -> None:
    payload: list[Any] = []
    payload += [payload, payload]
    before = await state(t)
    with pytest.raises(ContentValidationError):
        await t.commit(FreeformContent(payload))
    assert await state(t) == before


SHORT_WITH_ROLE: list[Callable[[AsyncTract], Awaitable[object]]] = [
    lambda t: t.user("x", role="assistant"),  # type: ignore[call-arg]
    lambda t: t.assistant("x", role="user"),  # type: ignore[call-arg]
    lambda t: t.system("x", role="user"),  # type: ignore[call-arg]
    lambda t: t.tool_result("c", "x", role="user"),  # type: ignore[call-arg]
]


@pytest.mark.parametrize("call", SHORT_WITH_ROLE, ids=["user", "assistant", "system", "tool_result"])
async def test_a_short_form_has_its_role_and_takes_no_other(
    t: AsyncTract, call: Callable[[AsyncTract], Awaitable[object]]
) -> None:
    before = await state(t)
    with pytest.raises(TypeError, match="role"):
        await call(t)
    assert await state(t) == before


async def test_a_message_of_openai_s_is_refused_with_the_name_of_its_reader(t: AsyncTract) -> None:
    before = await state(t)
    with pytest.raises(ContentValidationError, match="from_openai"):
        await t.commit({"role": "user", "content": "x"})
    assert await state(t) == before
