"""Story: a user shows images, and what the model is sent is what was shown."""

from collections.abc import Sequence
from typing import Any

import pytest

from tract import (
    AsyncTract,
    CompiledSlot,
    DialogueContent,
    ImagePart,
    Message,
    TextPart,
    XMLCompiler,
    from_anthropic,
    from_openai,
)
from tract.errors import CompilerError, ContentValidationError
from tract.llm.counting import ApproximateCounter
from tract.testing import ScriptedLLM
from tract.testing.server import serve

IMAGE = ImagePart("data:image/png;base64,iVBORw0KGgo=", detail="low")
QUESTION = DialogueContent("user", text=[TextPart("What is it?"), IMAGE, TextPart("And why?")])
SENT: dict[str, Any] = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "text", "text": "And why?"},
    ],
}


async def test_parts_compile_in_their_order(t: AsyncTract) -> None:
    await t.commit(QUESTION)
    assert (await t.compile()).to_openai() == [SENT]


async def test_a_server_gets_the_image_and_the_answer_is_recorded() -> None:
    async with serve(["A cat."]) as server, AsyncTract.open(base_url=server.base_url, model="tiny", api_key="none") as t:
        answer = await t.chat(QUESTION)
        assert answer.text == "A cat."
        assert server.requests[0].body["messages"] == [SENT]


async def test_a_scripted_model_prices_the_image() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["A cat."]), model="tiny") as t:
        usage = (await t.chat(QUESTION)).usage
    assert usage is not None
    assert usage.prompt == 3 + ApproximateCounter().count_message(Message("user", QUESTION.text))


async def test_they_are_there_after_reopening(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.commit(QUESTION)
    async with AsyncTract.open(path) as t:
        assert (await t.show("HEAD")).content == QUESTION
        assert (await t.compile()).to_openai() == [SENT]


async def test_previews_say_where_an_image_is_and_not_what_it_is_made_of(t: AsyncTract) -> None:
    info = await t.commit(QUESTION)
    assert info.message == "dialogue: What is it? [image] And why?"
    assert str(await t.show("HEAD")).endswith("    What is it?\n    [image]\n    And why?")


async def test_an_image_costs_what_the_counter_says(t: AsyncTract) -> None:
    await t.commit(QUESTION)
    texts = await t.user("What is it?And why?")
    assert (await t.compile()).token_counts[0] == (texts.tokens or 0) + 85


async def test_an_edit_by_a_string_replaces_the_texts_and_keeps_the_images(t: AsyncTract) -> None:
    slot = await t.commit(QUESTION)
    await t.edit(slot.id, "Who is it?")
    shown = (await t.show("HEAD")).content
    assert shown == DialogueContent("user", text=[TextPart("Who is it?"), IMAGE])


async def test_an_edit_by_a_content_replaces_all_parts(t: AsyncTract) -> None:
    slot = await t.commit(QUESTION)
    await t.edit(slot.id, DialogueContent("user", "Never mind."))
    assert (await t.compile()).to_openai() == [{"role": "user", "content": "Never mind."}]


async def test_a_blank_edit_of_parts_is_refused(t: AsyncTract) -> None:
    slot = await t.commit(QUESTION)
    with pytest.raises(ContentValidationError, match=r"^text: "):
        await t.edit(slot.id, " ")


async def test_a_mapping_may_hold_parts(t: AsyncTract) -> None:
    parts = [{"type": "text", "text": "Hi"}, {"type": "image", "url": "https://a.b/c.png"}]
    await t.commit({"content_type": "dialogue", "role": "user", "text": parts})
    assert (await t.show("HEAD")).content == DialogueContent("user", text=parts)


async def test_a_malformed_part_of_a_mapping_is_refused_by_its_place(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError, match=r"^text\[0\]\.url: "):
        await t.commit({"content_type": "dialogue", "role": "user", "text": [{"type": "image", "url": "a.png"}]})


async def test_what_both_providers_were_sent_comes_back(t: AsyncTract) -> None:
    for content in (*from_openai([SENT]), *from_anthropic((await t.compile()).to_anthropic())):
        await t.commit(content)
    compiled = await t.compile()
    assert compiled.to_openai() == [SENT, {"role": "user", "content": "(start)"}]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    words = [{"type": "text", "text": text} for text in ("What is it?", "And why?", "(start)")]
    assert compiled.to_anthropic() == {"messages": [{"role": "user", "content": [words[0], image, *words[1:]]}]}


async def test_a_compiler_of_tags_puts_each_text_into_one_and_leaves_the_images() -> None:
    async with AsyncTract.open(compiler=XMLCompiler()) as t:
        await t.commit(QUESTION)
        (message,) = (await t.compile()).messages
    assert message.content == (TextPart("<dialogue>What is it?</dialogue>"), IMAGE, TextPart("<dialogue>And why?</dialogue>"))


class Captions:
    """A compiler that says of each image that it is one."""

    name = "captions"
    version = 1

    def compile(self, slots: Sequence[CompiledSlot]) -> list[Message]:
        return [Message(slot.message.role, (TextPart("See:"), IMAGE)) for slot in slots]


async def test_a_compiler_may_make_parts() -> None:
    async with AsyncTract.open(compiler=Captions()) as t:
        await t.user("Hi")
        assert (await t.compile()).messages[0].content == (TextPart("See:"), IMAGE)


async def test_a_compiler_that_shows_an_image_of_the_assistants_is_refused() -> None:
    async with AsyncTract.open(compiler=Captions()) as t:
        await t.assistant("Hi")
        with pytest.raises(CompilerError, match="only a user shows images"):
            await t.compile()


async def test_an_edit_is_marked_behind_the_last_text(t: AsyncTract) -> None:
    slot = await t.user("Hi")
    await t.edit(slot.id, DialogueContent("user", [TextPart("Hello."), IMAGE]))
    alone = await t.user("Hi")
    await t.edit(alone.id, DialogueContent("user", [IMAGE]))
    compiled = await t.compile(include_edit_marks=True)
    assert [message.content for message in compiled.messages] == [
        (TextPart("Hello. [edited]"), IMAGE),
        (IMAGE, TextPart("[edited]")),
    ]
