"""What is sent of a context: the JSON of its messages, pieces of it shared."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, append, calls, compress, edit, histories
from tract.domain.messages import Message
from tract.operations.compilers import XMLCompiler
from tract.operations.compiling import CompiledContext
from tract.operations.context import Context
from tract.operations.folding import EMPTY, Step, fold
from tract.operations.overlaying import overlay
from tract.operations.sending import payload_of


def compiled(context: Context) -> CompiledContext:
    return CompiledContext(context, None, 0, "counted:none")


def encoded(context: Context) -> bytes:
    """Return the JSON that a caller makes of the whole."""
    return msgspec.json.encode(compiled(context).to_openai())


@given(histories())
@settings(max_examples=100, deadline=None)
def test_what_is_sent_along_a_history_is_what_a_caller_would_encode_each_time(history: History) -> None:
    context = EMPTY
    for step in history.line(list(history.steps)[-1]):
        context = fold(context, [step])
        assert payload_of(compiled(context)).find_json() == encoded(context)


@given(st.lists(st.text(min_size=1), min_size=60, max_size=140))
def test_any_text_is_sent_as_it_is(texts: list[str]) -> None:
    context = fold(EMPTY, [append(f"a{number}", Message("user", text)) for number, text in enumerate(texts)])
    assert [message["content"] for message in payload_of(compiled(context)).messages] == texts


def test_what_was_sent_before_an_edit_in_the_middle_is_not_sent_after_it() -> None:
    steps: list[Step] = [append(f"a{number}") for number in range(200)]
    sent = fold(EMPTY, steps)
    assert payload_of(compiled(sent)).find_json() == encoded(sent)
    more = [append("b"), edit("e", "a70", Message("user", "otherwise")), compress("s", "a3", "a4"), append("c")]
    for end in range(1, len(more) + 1):
        context = fold(sent, more[:end])
        assert payload_of(compiled(context)).find_json() == encoded(fold(EMPTY, steps + more[:end]))
    assert payload_of(compiled(sent)).find_json() == encoded(fold(EMPTY, steps))


def test_contexts_that_go_on_from_one_that_was_sent_share_what_was_encoded() -> None:
    sent = fold(EMPTY, [append(f"a{number}") for number in range(200)])
    payload_of(compiled(sent))
    later = fold(sent, [append("b"), edit("e", "a70", Message("user", "otherwise"))])
    payload_of(compiled(later))
    same = [one is other for one, other in zip(sent.chains.encoded.pieces, later.chains.encoded.pieces, strict=True)]
    assert same == [True, False, True]


def test_nothing_is_kept_of_a_context_that_was_only_compiled() -> None:
    context = fold(EMPTY, [append(f"a{number}") for number in range(200)])
    assert (compiled(context).to_openai()[0], context.chains.encoded.size) == ({"role": "user", "content": "a0"}, 0)


def test_a_call_is_sent_by_its_name_first() -> None:
    context = fold(EMPTY, [calls("call", "1")])
    json = payload_of(compiled(context)).find_json()
    assert json is not None
    assert b'"function":{"name":"look","arguments":"{}"}' in json


def test_what_another_compiler_made_is_sent() -> None:
    context = fold(EMPTY, [append(f"a{number}") for number in range(70)])
    shown = CompiledContext(context, None, 0, "counted:none", overlay=overlay(context.lines, XMLCompiler(), edit_marks=False))
    assert payload_of(shown).find_json() == msgspec.json.encode(shown.to_openai())


def test_nothing_is_sent_of_nothing() -> None:
    assert payload_of(compiled(EMPTY)).find_json() == b"[]"
