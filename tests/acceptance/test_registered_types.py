"""Story: an application commits types of its own, and every process compiles them alike."""

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.acceptance.reading import texts
from tract import AsyncTract, Message, Priority, RegisteredContent, TextPart, ToolCall, register_content_type
from tract.errors import ContentValidationError
from tract.testing import ScriptedLLM


@frozen
class Ticket:
    title: str
    body: str = ""

    def to_message(self) -> Message:
        return Message("user", f"# {self.title}\n{self.body}")


@frozen
class LookUp:
    """A call of a tool and what it found, as an application sees them."""

    question: str
    found: str | None = None

    def to_message(self) -> Message:
        if self.found is None:
            return Message("assistant", None, tool_calls=(ToolCall(self.question, "look_up", "{}"),))
        return Message("tool", self.found, tool_call_id=self.question)


register_content_type("ticket", Ticket, priority=Priority.IMPORTANT)


@frozen
class Listing:
    """Calls with a text beside them, all in lists."""

    text: str

    def to_message(self) -> Any:
        return Message("assistant", [TextPart(self.text)], tool_calls=[ToolCall("a", "look_up", "{}")])  # type: ignore[arg-type]


register_content_type("look_up", LookUp)
register_content_type("listing", Listing)

TICKET = Ticket("Koffer", "weg")


async def test_an_instance_compiles_to_its_message(t: AsyncTract) -> None:
    info = await t.commit(TICKET)
    assert (info.content_type, info.priority, info.message) == ("ticket", Priority.IMPORTANT, "ticket: # Koffer weg")
    assert await texts(t) == ["# Koffer\nweg"]


async def test_a_mapping_of_its_fields_is_the_same(t: AsyncTract) -> None:
    await t.commit({"content_type": "ticket", "title": "Koffer", "body": "weg"})
    assert (await t.show("HEAD")).content == TICKET


async def test_show_gives_an_instance_back(t: AsyncTract) -> None:
    await t.commit(TICKET)
    shown = await t.show("HEAD")
    assert shown.content == TICKET
    assert shown.rendered == TICKET.to_message()


async def test_a_given_priority_goes_over_the_registered_one(t: AsyncTract) -> None:
    assert (await t.commit(TICKET, priority="skip")).priority is Priority.SKIP


async def test_it_costs_what_its_message_costs(t: AsyncTract) -> None:
    assert (await t.commit(TICKET)).tokens == (await t.user("# Koffer\nweg")).tokens


async def test_parts_in_a_list_cost_what_they_say(t: AsyncTract) -> None:
    short, long = await t.commit(Listing("word")), await t.commit(Listing("word " * 1000))
    assert (short.tokens or 0) + 900 < (long.tokens or 0)


async def test_a_question_may_be_a_type_of_ones_own() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["Found."]), model="tiny") as t:
        await t.chat(TICKET)
        assert await texts(t) == ["# Koffer\nweg", "Found."]


async def test_calls_and_results_of_ones_own_find_each_other(t: AsyncTract) -> None:
    await t.commit(LookUp("where"))
    await t.user("Well?")
    await t.commit(LookUp("where", "here"))
    assert await texts(t) == [None, "here", "Well?"]


async def test_a_call_of_ones_own_without_a_result_is_closed(t: AsyncTract) -> None:
    await t.commit(LookUp("where"))
    assert await texts(t) == [None, "[no result recorded]"]


async def test_an_edit_takes_a_value_and_mends_the_message(t: AsyncTract) -> None:
    slot = await t.commit(TICKET)
    await t.edit(slot.id, Ticket("Koffer", "da"))
    assert await texts(t) == ["# Koffer\nda"]


async def test_an_edit_by_a_string_is_refused_with_advice(t: AsyncTract) -> None:
    slot = await t.commit(TICKET)
    with pytest.raises(ContentValidationError, match="content: a ticket has no text of its own; pass a value or a mapping"):
        await t.edit(slot.id, "weg")
    assert await texts(t) == ["# Koffer\nweg"]


async def test_a_message_that_is_blank_is_refused(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError, match=r"^message: .*must not be blank"):
        await t.commit(RegisteredContent("ticket", {}, Message("user", " ")))


async def test_a_value_of_a_class_that_nobody_registered_is_refused_with_advice(t: AsyncTract) -> None:
    class Stranger(Ticket):
        pass

    with pytest.raises(ContentValidationError, match=r"register_content_type.* not Stranger"):
        await t.commit(Stranger("x"))


async def test_the_same_call_again_gives_the_first_commit(t: AsyncTract) -> None:
    operation = "00000000-0000-7000-8000-000000000001"
    first = await t.commit(TICKET, operation_id=operation)
    assert await t.commit(TICKET, operation_id=operation) == first


async def test_what_was_shown_without_its_class_can_be_committed_again(t: AsyncTract) -> None:
    stored = RegisteredContent("elsewhere.note", {"a": [1.5]}, Message("user", (TextPart("Hi"),)))
    await t.commit(stored)
    assert (await t.show("HEAD")).content == stored


ELSEWHERE = """
import asyncio, sys
from tract import AsyncTract, RegisteredContent

async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        content = (await t.show("HEAD")).content
        assert isinstance(content, RegisteredContent), content
        assert content.data == {"title": "Koffer", "body": "weg"}, content
        print((await t.compile()).payload_digest, (await t.log())[0].message)

asyncio.run(main())
"""


async def test_a_process_without_the_class_compiles_the_same_bytes(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.commit(TICKET)
        digest = (await t.compile()).payload_digest
    root = Path(__file__).parents[2]
    done = await anyio.run_process([sys.executable, "-c", ELSEWHERE, path], cwd=root)
    assert done.stdout.decode().strip() == f"{digest} ticket: # Koffer weg"


@frozen
class Changing:
    text: str

    def to_message(self) -> Message:
        return Message("user", self.text + SUFFIX)


SUFFIX = "!"
register_content_type("changing", Changing)


async def test_a_class_that_renders_otherwise_now_changes_no_commit(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncTract.open(path) as t:
        await t.commit(Changing("Hi"))
    monkeypatch.setattr(sys.modules[__name__], "SUFFIX", "?")
    async with AsyncTract.open(path) as t:
        assert await texts(t) == ["Hi!"]
        assert (await t.show("HEAD")).rendered == Message("user", "Hi!")
