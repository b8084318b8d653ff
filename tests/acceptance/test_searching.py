"""Story: somebody looks for what was said."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from attrs import frozen

from tests.acceptance.reading import recorded
from tract import (
    AsyncTract,
    DialogueContent,
    FreeformContent,
    Message,
    Priority,
    ReasoningContent,
    RegisteredContent,
    SearchHit,
    SessionContent,
    TextPart,
    ToolCall,
    register_content_type,
)
from tract.errors import ContentValidationError, ModelConnectionError, RefNotFoundError, SearchUnavailableError
from tract.testing import FixedClock, ScriptedLLM

ROOT = Path(__file__).parents[2]


@frozen
class NeverStored:
    """A content of a caller's."""

    text: str

    def to_message(self) -> Message:
        return Message("user", (TextPart(self.text),))


async def found(t: AsyncTract, text: str, **options: object) -> list[str]:
    """Return the snippets of what is found, without marks."""
    return [hit.snippet for hit in await t.search(text, marks=("", ""), **options)]  # type: ignore[arg-type]


ELSEWHERE = """
import asyncio, sys
from tract import AsyncTract

async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        print(WHAT)

asyncio.run(main())
"""


async def elsewhere(path: str, what: str) -> str:
    """Return what an expression gives in another process that has the file open as `t`."""
    command = [sys.executable, "-c", ELSEWHERE.replace("WHAT", what), path]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=True, timeout=60, capture_output=True, text=True)
    return str(done.stdout.strip())


async def test_a_text_is_found_by_each_of_its_words_as_soon_as_it_was_committed(t: AsyncTract) -> None:
    for word in ["The", "bag", "never", "arrived"]:
        said = f"The bag never arrived {word}"
        await t.user(said)
        assert said in await found(t, word)


async def test_a_hit_tells_where_it_is_and_shows_the_words(t: AsyncTract) -> None:
    await t.system("Be kind.")
    info = await t.user("Please refund my ticket to Zürich.")
    (hit,) = await t.search("zurich refund")
    assert hit == SearchHit(
        commit_id=info.id,
        slot_id=info.id,
        branch="main",
        role="user",
        content_type="dialogue",
        snippet="Please [refund] my ticket to [Zürich].",
        score=hit.score,
        priority=Priority.NORMAL,
        time=info.time,
    )
    assert hit.score > 0
    assert str(hit) == f"{info.id[:8]} user      Please [refund] my ticket to [Zürich]."


async def test_all_words_must_occur_and_a_quoted_phrase_stays_together(t: AsyncTract) -> None:
    for said in ("red apple", "apple red", "red pear"):
        await t.user(said)
    assert sorted(await found(t, "apple red")) == ["apple red", "red apple"]
    assert await found(t, '"red apple"') == ["red apple"]
    assert sorted(await found(t, "pe*")) == ["red pear"]


async def test_what_fits_best_comes_first_and_of_equals_the_newest(t: AsyncTract) -> None:
    for said in (
        "a cat",
        "cat cat cat",
        "a dog and a cat and a long tale about both of them",
        "a cat",
        "fish",
        "bird",
        "cow",
        "hen",
    ):
        await t.user(said)
    hits = await t.search("cat")
    assert hits[0].snippet == "[cat] [cat] [cat]"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.time for hit in hits[1:3]] == sorted((hit.time for hit in hits[1:3]), reverse=True)
    assert hits[1].snippet == hits[2].snippet == "a [cat]"


async def test_pages_follow_one_another_without_gap_or_repeat(t: AsyncTract) -> None:
    for number in range(30):
        await t.user(f"word {number} " + "word " * (number % 3))
    whole = [hit.commit_id for hit in await t.search("word", limit=100)]
    pages: list[str] = []
    while page := await t.search("word", limit=7, cursor=pages[-1] if pages else None):
        assert len(page) <= 7
        pages += [hit.commit_id for hit in page]
    assert len(whole) == 30
    assert pages == whole


async def test_a_page_is_what_stands_behind_the_cursor_in_the_order_of_its_moment(t: AsyncTract) -> None:
    for number in range(40):
        await t.user("word " * (number % 6 + 1) + "fill " * (number * 7 % 60))
    before = await t.search("word", limit=100)
    cursor = before[9].commit_id
    await t.user("nothing " * 20_000)
    await t.edit(cursor, "edited away")
    now = [hit.commit_id for hit in await t.search("word", limit=100, superseded=True)]
    assert now != [hit.commit_id for hit in before]
    page = await t.search("word", limit=7, cursor=cursor)
    assert [hit.commit_id for hit in page] == now[now.index(cursor) + 1 :][:7]


async def test_what_was_edited_away_is_found_by_its_new_words_alone(t: AsyncTract) -> None:
    first = await t.user("old words")
    edit = await t.edit(first.id, "new words")
    assert await found(t, "old") == []
    (hit,) = await t.search("new")
    assert (hit.commit_id, hit.slot_id) == (edit.id, first.id)


async def test_what_was_edited_is_found_on_the_branch_that_still_shows_it(t: AsyncTract) -> None:
    first = await t.user("old words")
    await t.branch("side")
    await t.edit(first.id, "new words")
    assert [(hit.snippet, hit.branch) for hit in await t.search("old")] == [("[old] words", "main")]
    assert [(hit.snippet, hit.branch) for hit in await t.search("new")] == [("[new] words", "side")]
    await t.switch("main")
    await t.edit(first.id, "newer words")
    assert await found(t, "old") == []


async def test_of_branches_the_current_one_is_named(t: AsyncTract) -> None:
    await t.user("hello")
    await t.branch("apart")
    assert [hit.branch for hit in await t.search("hello")] == ["apart"]
    await t.switch("main")
    assert [hit.branch for hit in await t.search("hello")] == ["main"]


async def test_a_reverted_edit_leaves_and_what_it_replaced_is_back(t: AsyncTract) -> None:
    first = await t.user("old words")
    edit = await t.edit(first.id, "new words")
    await t.revert(edit.id)
    assert (await found(t, "old"), await found(t, "new")) == (["old words"], [])


async def test_what_no_branch_shows_is_found_when_asked_for(t: AsyncTract) -> None:
    first = await t.user("old words")
    await t.edit(first.id, "new words")
    hits = await t.search("words", superseded=True)
    assert {(hit.snippet, hit.branch, hit.priority) for hit in hits} == {
        ("old [words]", None, None),
        ("new [words]", "main", Priority.NORMAL),
    }


async def test_the_past_is_searched_as_it_was(t: AsyncTract) -> None:
    first = await t.user("old words")
    await t.edit(first.id, "new words")
    await t.user("later words")
    assert await found(t, "words", at=first.id) == ["old words"]
    assert sorted(await found(t, "words", at="HEAD~1")) == ["new words"]
    assert sorted(await found(t, "words", at="main")) == ["later words", "new words"]


async def test_a_skipped_text_is_found_and_says_that_it_is_skipped(t: AsyncTract) -> None:
    info = await t.user("secret plan")
    await t.commit(ReasoningContent("another plan"))
    await t.skip(info.id)
    assert [hit.priority for hit in await t.search("plan")] == [Priority.SKIP, Priority.SKIP]


async def test_the_question_of_a_call_that_failed_is_not_found_unless_asked_for(path: str) -> None:
    async with AsyncTract.open(path, llm=ScriptedLLM([ModelConnectionError()]), model="tiny") as t:
        with pytest.raises(ModelConnectionError):
            await t.chat("Where is my bag?")
        assert await found(t, "bag") == []
        assert await found(t, "bag", superseded=True) == ["Where is my bag?"]


async def test_questions_and_answers_are_found(path: str) -> None:
    async with AsyncTract.open(path, llm=ScriptedLLM(["It arrived."]), model="tiny") as t:
        await t.chat("Where is my bag?")
        assert (await found(t, "bag"), await found(t, "arrived")) == (["Where is my bag?"], ["It arrived."])


async def test_whatever_a_model_reads_is_searched(t: AsyncTract) -> None:
    call = ToolCall("c1", "find_order", '{"order": "EHGLP3"}')
    await t.commit(DialogueContent("assistant", None, tool_calls=(call,)))
    await t.tool_result("c1", {"status": "delivered"})
    await t.commit(SessionContent("handoff", "So far", decisions=("No voucher",)))
    await t.commit(FreeformContent({"colour": ["green"]}))
    for word in ("find_order", "EHGLP3", "delivered", "voucher", "green", "colour"):
        assert len(await t.search(word)) == 1, word


async def test_hits_are_narrowed_by_role_and_type(t: AsyncTract) -> None:
    await t.system("a word")
    await t.user("a word")
    await t.commit(ReasoningContent("a word"))
    assert [hit.role for hit in await t.search("word", role="user")] == ["user"]
    assert [hit.content_type for hit in await t.search("word", content_type="reasoning")] == ["reasoning"]
    assert await t.search("word", role="user", content_type="reasoning") == ()
    for nothing in ("user", "dialog", '" OR "'):
        with pytest.raises(ContentValidationError):
            await t.search("word", content_type=nothing)


async def test_a_snippet_is_cut_at_words_and_marked_as_asked(t: AsyncTract) -> None:
    said = " ".join(["filler"] * 200 + ["needle"] + ["filler"] * 200)
    await t.user(said)
    (hit,) = await t.search("needle", marks=("<b>", "</b>"))
    words = hit.snippet.strip("…").split()
    assert set(words) == {"filler", "<b>needle</b>"}
    assert words.count("<b>needle</b>") == 1
    assert hit.snippet[0] == hit.snippet[-1] == "…"
    assert len(hit.snippet) < 200


async def test_japanese_and_chinese_are_found_within_a_sentence(t: AsyncTract) -> None:
    await t.user("明日、東京タワーへ行きます")
    assert [hit.snippet for hit in await t.search("東京タワー")] == ["明日、[東京タワー]へ行きます"]
    assert await t.search("京東") == ()


async def test_texts_of_another_tract_in_the_same_file_are_not_found(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.user("shared word")
        assert await found(one, "shared") == ["shared word"]
        assert await found(two, "shared", superseded=True) == []


async def test_what_an_open_batch_holds_is_found_when_it_is_recorded(t: AsyncTract) -> None:
    first = await t.user("one word")
    async with t.batch():
        await t.user("another word")
        await t.edit(first.id, "changed")
        assert await found(t, "word") == ["one word"]
    assert await found(t, "word") == ["another word"]


async def test_a_text_that_another_process_committed_is_found(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("mine")
        await elsewhere(path, "await t.user('from elsewhere')")
        assert await found(t, "elsewhere") == ["from elsewhere"]
        assert await elsewhere(path, "len(await t.search('mine'))") == "1"


async def test_searching_goes_on_beside_writers(path: str) -> None:
    async with AsyncTract.open(path) as t:

        async def write(name: str) -> None:
            for number in range(20):
                said = f"{name}{number}"
                await t.user(said)
                assert await found(t, said) == [said]

        await asyncio.gather(*(write(name) for name in ("ann", "bob", "cid")))
        assert len(await t.search("ann* ", limit=100)) == 20


async def test_a_store_that_is_opened_without_search_says_so_and_one_that_is_opened_with_it_catches_up(path: str) -> None:
    async with AsyncTract.open(path, search=False) as t:
        await t.user("hello")
        with pytest.raises(SearchUnavailableError, match="search=False"):
            await t.search("hello")
    async with AsyncTract.open(path) as t:
        assert await found(t, "hello") == ["hello"]


async def test_without_fts5_searching_says_so_and_everything_else_works(path: str) -> None:
    async with AsyncTract.open(path, search=False):
        pass
    with closing(sqlite3.connect(path)) as connection:
        # It hides SQLite's own list, which then names no module.
        connection.execute("CREATE TABLE pragma_module_list (name)")
    async with AsyncTract.open(path) as t:
        await t.user("hello")
        with pytest.raises(SearchUnavailableError, match="without FTS5"):
            await t.search("hello")
        assert [message.content for message in (await t.compile()).messages] == ["hello"]


@pytest.mark.parametrize("text", ["", "  ", "*", '""', "—", "🎉", "\x00"])
async def test_a_search_for_no_word_is_refused(t: AsyncTract, text: str) -> None:
    with pytest.raises(ContentValidationError, match="text: it must hold a word"):
        await t.search(text)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("text", {"text": "x" * 1001}),
        ("text", {"text": "\ud800"}),
        ("text", {"text": 7}),
        ("limit", {"limit": 0}),
        ("limit", {"limit": True}),
        ("limit", {"limit": 1001}),
        ("role", {"role": "robot"}),
        ("content_type", {"content_type": 7}),
        ("content_type", {"content_type": "nope"}),
        ("content_type", {"content_type": "Dialogue"}),
        ("marks", {"marks": "ab"}),
        ("marks", {"marks": ("a",)}),
        ("marks[1]", {"marks": ("a", None)}),
        ("superseded", {"superseded": True, "at": "HEAD"}),
    ],
)
async def test_an_argument_that_makes_no_sense_is_refused_by_name(
    t: AsyncTract, field: str, arguments: dict[str, object]
) -> None:
    await t.user("word")
    with pytest.raises(ContentValidationError) as refused:
        await t.search(**{"text": "word", **arguments})  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_a_type_that_is_stored_can_be_searched_where_it_is_not_registered(t: AsyncTract) -> None:
    await t.commit(RegisteredContent("elsewhere.note", {}, Message("user", (TextPart("a word"),))))
    assert [hit.content_type for hit in await t.search("word", content_type="elsewhere.note")] == ["elsewhere.note"]


async def test_a_type_that_is_registered_is_found_nowhere_until_it_is_stored(t: AsyncTract) -> None:
    await t.user("a word")
    register_content_type("never_stored", NeverStored)
    assert await t.search("word", content_type="never_stored") == ()


async def test_the_longest_text_can_be_searched_for(t: AsyncTract) -> None:
    await t.user("a b " * 3_000)
    assert len(await t.search("a " * 500)) == 1


async def test_a_long_text_that_is_full_of_a_word_gives_a_snippet_at_once(t: AsyncTract) -> None:
    await t.user("the cat " * 100_000)
    (hit,) = await t.search("the")
    assert hit.snippet.startswith("[the] cat [the] cat")
    assert len(hit.snippet) < 400


async def test_a_search_in_long_texts_leaves_the_reader_to_others(path: str) -> None:
    line = "2026-11-22 12:00:00 error in module foo at line 17 code 5\n"
    async with AsyncTract.open(path) as t:
        for _ in range(2):
            await t.user(line * 20_000)
        await t.search("nothing")
        async with asyncio.timeout(5):
            hits = await t.search("error module line code")
            assert [hit.snippet.count("[error]") for hit in hits] == [2, 2]


async def test_what_stands_far_behind_in_a_long_text_is_shown(t: AsyncTract) -> None:
    await t.user("filler " * 50_000 + "zürich needle")
    assert (await found(t, "zurich"))[0].endswith("filler zürich needle")


async def test_a_phrase_that_is_longer_than_a_snippet_is_cut(t: AsyncTract) -> None:
    await t.user("漢" * 20_000)
    (hit,) = await t.search("漢" * 500)
    assert hit.snippet == "[" + "漢" * 160 + "]…"


@pytest.mark.parametrize(
    ("said", "word", "snippet"),
    [
        ("abc\x00def secret tail", "secret", "abc\x00def [secret] tail"),
        ("secret\x00tail", "secret", "[secret]\x00tail"),
        ("one secret two\x00three secret four", "three", "one secret two\x00[three] secret four"),
        ("漢\x00字", "字", "漢\x00[字]"),
        ("a\x02b\x03 secret\x1f z", "secret", "a\x02b\x03 [secret]  z"),
    ],
)
async def test_a_snippet_holds_control_characters_as_they_are(t: AsyncTract, said: str, word: str, snippet: str) -> None:
    await t.user(said)
    assert [hit.snippet for hit in await t.search(word)] == [snippet]


async def test_a_cursor_must_be_a_hit(t: AsyncTract) -> None:
    await t.user("word")
    other = await t.user("another")
    with pytest.raises(ContentValidationError, match="cursor"):
        await t.search("word", cursor=other.id)
    with pytest.raises(RefNotFoundError):
        await t.search("word", cursor="nowhere")
    with pytest.raises(RefNotFoundError):
        await t.search("word", at="nowhere")


async def test_an_empty_tract_is_searched_in_vain(t: AsyncTract) -> None:
    assert await t.search("anything") == ()


async def test_a_search_records_nothing(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("word")
        before = recorded(path)
        await t.search("word")
        assert recorded(path) == before


async def test_hits_of_one_moment_have_its_time(path: str) -> None:
    clock = FixedClock()
    async with AsyncTract.open(path, clock=clock) as t:
        info = await t.user("word")
        clock.advance(1)
        assert [hit.time for hit in await t.search("word")] == [info.time]
