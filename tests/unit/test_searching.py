"""What somebody searches for becomes an expression that FTS5 can read, whatever it is."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract import ImagePart, Message, TextPart, ToolCall
from tract.operations.searching import Finder, expression, parted, searchable, snippet, unparted


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE texts USING fts5 (family, text, tokenize = 'unicode61 remove_diacritics 2')")
        yield connection


def finds(index: sqlite3.Connection, words: str, text: str) -> bool:
    """Say whether a text is found by words, and by nothing that stands beside it."""
    index.execute("DELETE FROM texts")
    index.execute("INSERT INTO texts VALUES ('7', ?)", (parted(text),))
    wanted = f'family : "7" AND text : ({expression(words)})'
    return bool(index.execute("SELECT 1 FROM texts WHERE texts MATCH ?", (wanted,)).fetchall())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("refund", "A REFUND, please"),
        ("please refund", "Refund it, please."),
        ("grusse zurich", "Grüsse aus Zürich"),
        ("Zu\u0308rich", "Zürich"),
        ('"two words"', "these two words"),
        ("refun*", "refunded"),
        ('"two wor"*', "these two words"),
        ("refund_policy", "see refund_policy.md"),
        ("ann@example.com", "Write to ann@example.com!"),
        ("can't", "I can't"),
        ("東京", "明日、東京タワーへ"),
        ("タワー 東", "明日、東京タワーへ"),
        ("東*", "東京"),
        ("hello — world", "hello world"),
        ("hello 🎉", "hello"),
        ("hello\x00world", "world and hello"),
        ('hello "world', "hello, world"),
        ("OR", "this or that"),
        ("NEAR(this that)", "near: this, that"),
        ("text:this", "text: this"),
        ("this AND NOT that", "this and not that"),
        ("^this", "so this"),
        ("это", "Это слово"),
        ("단어", "한국어 단어"),
    ],
)
def test_words_find_a_text(index: sqlite3.Connection, words: str, text: str) -> None:
    assert finds(index, words, text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("refund", "refunded"),
        ("refund please", "refund"),
        ('"two words"', "words, two"),
        ("京東", "東京"),
        ("this OR that", "this"),
        ("text:this", "this"),
        ("7", "seven"),
        ("refund_policy", "policy of refund"),
    ],
)
def test_other_words_do_not(index: sqlite3.Connection, words: str, text: str) -> None:
    assert not finds(index, words, text)


@pytest.mark.parametrize("words", ["", " ", "*", '"', '""', '"*"', "—", "🎉", "\x00", "()", "'", "\x1f", '"" *'])
def test_what_holds_no_word_is_no_expression(words: str) -> None:
    assert expression(words) is None


@given(st.text() | st.text('"*()^:+-{}\x00ab東 '))
def test_whatever_is_searched_for_fts5_reads_it(index: sqlite3.Connection, words: str) -> None:
    if expression(words) is not None:
        finds(index, words, "text")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x1f")))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert unparted(parted(text)) == text


@given(st.text("ab東京た -", min_size=1), st.text("ab東京た -"), st.text("ab東京た -"))
def test_whatever_stands_between_spaces_is_found(index: sqlite3.Connection, word: str, before: str, after: str) -> None:
    if expression(word) is not None:
        assert finds(index, word, f"{before} {word} {after}")


def test_of_a_message_the_texts_and_calls_are_searched_and_no_images() -> None:
    call = ToolCall("c1", "find_order", '{"id": 7}')
    shown = (TextPart("Look at"), ImagePart("https://example.com/a.png"), TextPart("this"))
    assert searchable(Message("assistant", "One moment.", "ann", (call,))) == 'One moment.\nfind_order {"id": 7}'
    assert searchable(Message("user", shown)) == "Look at\nthis"
    assert searchable(Message("assistant", None, tool_calls=(call,))) == 'find_order {"id": 7}'
    assert searchable(Message("tool", "", "find_order", (), "c1")) == ""


def shown(text: str) -> str:
    """Return the snippet of a text in which what was found stands in brackets."""
    pieces = re.split(r"[\[\]]", text)
    ends = list(accumulate(map(len, pieces)))
    return snippet("".join(pieces), list(zip(ends[::2], ends[1::2], strict=False)), ("<", ">"))


def marked(words: str, text: str) -> str:
    """Return a text with what is searched for in brackets."""
    ends = [0, *(end for span in Finder(words).spans(text) for end in span), len(text)]
    pieces = [text[start:end] for start, end in pairwise(ends)]
    return "".join(f"[{piece}]" if number % 2 else piece for number, piece in enumerate(pieces))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("refund", "A [REFUND], please, refunded"),
        ("refun*", "A [REFUND], please, [refunded]"),
        ("zurich", "[Zürich] [Zu\u0308rich] zurichs"),
        ("это", "[Это] этот"),
        ('"two words"', "two, [two words] words"),
        ("two words", "[two] [words]"),
        ('"two wor"*', "[two words] words"),
        ("one one_two", "[one_two] [one two] [one]"),
        ("refund_policy", "policy [refund_policy].md"),
        ("東京 た", "明日[東京][た]ワー京"),
        ("a* a", "[abc] [a]"),
        ("\ue000", "[\ue000]"),
        ('"a b c"', "a b a b"),
    ],
)
def test_what_is_searched_for_is_found_in_a_text(words: str, expected: str) -> None:
    text = re.sub(r"[\[\]]", "", expected)
    assert marked(words, text) == expected


@given(st.text("ab東た é-_", min_size=1), st.text("ab東た é-_"))
def test_whatever_the_index_finds_is_found_in_the_text(index: sqlite3.Connection, words: str, text: str) -> None:
    if expression(words) is not None:
        assert not finds(index, words, text) or Finder(words).spans(text)


def test_what_stands_across_the_blocks_of_a_text_is_found() -> None:
    for count in range(4_090, 4_100):
        assert marked('"two words"', "a " * count + "two words") == "a " * count + "[two words]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [cat]", "a <cat>"),
        ("[cat]", "<cat>"),
        ("[cat] [dog]", "<cat> <dog>"),
        ("[東]" + "京" * 300, "<東>" + "京" * 159 + "…"),
        ("", ""),
        ("word " * 99, "word " * 31 + "word…"),
        ("word " * 99 + "[cat]", "…" + "word " * 8 + "<cat>"),
        ("[cat]" + " word" * 99, "<cat>" + " word" * 31 + "…"),
        ("[cat] " + "word " * 99 + "[cat] [dog]", "…" + "word " * 8 + "<cat> <dog>"),
        ("[" + "x" * 300 + "] y", "<" + "x" * 160 + ">…"),
        ("a" * 300 + "-[cat]", "…-<cat>"),
        ("[cat] " + "a" * 300, "<cat>…"),
        ("[cat]" + " word" * 30 + " [" + "dog " * 20 + "]", "<cat>" + " word" * 30 + "…"),
    ],
)
def test_a_snippet_shows_where_the_most_was_found(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(st.lists(st.tuples(st.text("ab ", max_size=90), st.text("cd", min_size=1, max_size=30)), min_size=1, max_size=12))
def test_a_snippet_is_a_part_of_the_text_with_whole_words_and_finds(parts: list[tuple[str, str]]) -> None:
    text = "".join(f"{before} [{find}] " for before, find in parts)
    found = shown(text)
    plain, whole = found.strip("…").replace("<", "").replace(">", ""), text.replace("[", "").replace("]", "")
    assert plain in whole
    assert f" {plain} " in f" {whole} "
    assert found.count("<") == found.count(">") > 0
