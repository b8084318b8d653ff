"""What is sent of a context: the JSON of its messages, pieces of it shared."""

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, annotate, append, calls, compress, edit, histories
from tract.domain.commits import Priority
from tract.domain.messages import Message
from tract.operations.compilers import XMLCompiler
from tract.operations.compiling import CompiledContext
from tract.operations.context import Context
from tract.operations.folding import EMPTY, Step, fold
from tract.operations.hashing import Encoded
from tract.operations.overlaying import overlay
from tract.operations.sending import payload_of
from tract.operations.slots import Line


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
    sent = fold(EMPTY, [append(f"a{number}") for number in range(192)])
    payload_of(compiled(sent))
    before = sent.chains.encoded.size
    later = fold(sent, [append("b"), edit("e", "a70", Message("user", "a70"))])
    payload_of(compiled(later))
    assert later.chains.encoded is sent.chains.encoded
    assert before / 4 < later.chains.encoded.size - before < before / 2


def test_a_slot_skipped_early_before_each_request_does_not_keep_the_history_again_for_each() -> None:
    context = fold(EMPTY, [append(f"a{number}") for number in range(400)])
    for number in range(100):
        context = fold(context, [annotate(f"s{number}", Priority.SKIP, f"a{number}")])
        assert payload_of(compiled(context)).find_json() == encoded(context)
    assert context.chains.encoded.size <= 4 * len(encoded(context))


def test_branches_that_take_turns_are_not_encoded_anew_each_time() -> None:
    leaves = [[fold(EMPTY, [append(f"{name}{number}")]).lines.tail[0] for number in range(3)] for name in "abc"]
    times: list[int] = []
    pool = Encoded()

    def encode(leaf: Sequence[Line]) -> bytes:
        times.append(len(leaf))
        return b"-" * 10

    for _ in range(5):
        for leaf in leaves:
            assert pool.of((leaf,), encode) == (b"-" * 10,)
    assert (times, pool.size) == ([3, 3, 3], 30)


def test_histories_of_which_nothing_is_in_common_keep_what_they_sent_apart() -> None:
    one, other = (fold(EMPTY, [append(f"{name}{number}") for number in range(64)]) for name in "ab")
    for context in (one, other, EMPTY):
        payload_of(compiled(context))
    assert one.chains.encoded is not other.chains.encoded
    assert EMPTY.chains.encoded.size == 0


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
