"""The compiled context: views, digests, repairs and how it reads."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from tests.histories import annotate, append, calls, compress, edit, result
from tract.domain.commits import Priority
from tract.domain.config import LLMConfig
from tract.domain.ids import CommitId
from tract.domain.messages import Message
from tract.operations.compiling import CompiledContext, Repair
from tract.operations.folding import EMPTY, Context, Step, fold

SAMPLE = [
    append("system", Message("system", "Be brief."), priority=Priority.PINNED),
    append("hello", Message("user", "Grüße \N{WAVING HAND SIGN}")),
    calls("call", "1", "2"),
    result("found", "2"),
    append("secret", Message("assistant", "hmm"), priority=Priority.SKIP),
    edit("fixed", "hello", Message("user", "Hello")),
]


def compiled(context: Context, head: str | None = None) -> CompiledContext:
    return CompiledContext(context, CommitId(head) if head else None, 53, "counted:o200k_base")


def test_the_views_say_the_same_message_at_the_same_index() -> None:
    config = LLMConfig(model="m")
    said = compiled(fold(EMPTY, [*SAMPLE, append("end", config=config)]))
    assert said.slot_ids == ["system", "hello", "call", "found", "call", "end"]
    assert said.commit_ids == ["system", "fixed", "call", "found", "call", "end"]
    assert said.priorities == [Priority.PINNED, *[Priority.NORMAL] * 5]
    assert said.generation_configs == [None, None, None, None, None, config]
    assert said.token_counts == [10, 10, 10, 10, None, 10]
    assert said.messages[-1] == Message("user", "end")
    assert said.messages[1:2] == [Message("user", "Hello")]
    assert len(said) == len(said.messages) == 6


def test_to_openai_and_to_dicts_give_lists_of_the_callers_own() -> None:
    said = compiled(fold(EMPTY, SAMPLE))
    said.to_openai()[0]["role"] = said.to_dicts()[0]["role"] = "changed"
    assert said.to_openai()[1] == said.to_dicts()[1] == {"role": "user", "content": "Hello"}
    assert said.to_openai()[0]["role"] == "system"
    assert said.to_openai()[2]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert said.to_dicts()[2]["tool_calls"][0] == {"id": "1", "name": "look", "arguments": "{}"}


def test_the_digest_of_a_small_context_never_changes() -> None:
    said = compiled(fold(EMPTY, SAMPLE))
    entries = [
        b'[1,"system","dialogue","blob of system"]',
        b'[1,"user","dialogue","blob of fixed"]',
        b'[1,"assistant","dialogue","blob of call"]',
        b'[1,"tool","dialogue","blob of found"]',
        b'[1,"tool",null,null]',
    ]
    leaf = hashlib.sha256(b"\n".join(entries)).digest()
    assert said.digest == hashlib.sha256(bytes(32) + leaf).hexdigest()
    assert said.digest == "7a35041f188118bf923f0f0a594924fe38bf946f14bcb4792397b494bb7c369c"
    assert said.payload_digest == "1ed825a8c31dd1575a528f1648c7a0b860f2a7a3217ed1455f29799c814bd3ec"


def test_the_digest_of_nothing_is_32_zero_bytes() -> None:
    assert compiled(EMPTY).digest == compiled(EMPTY).payload_digest == "00" * 32


@given(st.sampled_from([1, 63, 64, 65, 128, 200]))
def test_leaves_are_chained_64_entries_each(size: int) -> None:
    said = compiled(fold(EMPTY, [append(f"a{n}") for n in range(size)]))
    entries = [f'[1,"user","dialogue","blob of a{n}"]'.encode() for n in range(size)]
    chain = bytes(32)
    for first in range(0, size, 64):
        leaf = hashlib.sha256(b"\n".join(entries[first : first + 64])).digest()
        chain = hashlib.sha256(chain + leaf).digest()
    assert said.digest == chain.hex()


def test_a_digest_that_goes_on_from_one_known_equals_one_from_nothing() -> None:
    steps: list[Step] = [append(f"a{n}") for n in range(200)]
    known = fold(EMPTY, steps)
    assert compiled(known).digest
    more = [append("b"), edit("e", "a70"), compress("s", "a3", "a4"), *(append(f"c{n}") for n in range(70))]
    for end in range(len(more) + 1):
        context = fold(known, more[:end])
        again = fold(EMPTY, steps + more[:end])
        assert compiled(context).digest == compiled(again).digest
        assert compiled(context).payload_digest == compiled(again).payload_digest


def test_the_text_is_in_the_payload_digest_and_not_in_the_digest() -> None:
    one, other = (fold(EMPTY, [append("a", Message("user", text))]) for text in ("one", "other"))
    assert compiled(one).digest == compiled(other).digest
    assert compiled(one).payload_digest != compiled(other).payload_digest


def test_repairs_name_what_was_closed_moved_and_left_out() -> None:
    steps = [
        result("early", "1"),
        calls("call", "1", "2"),
        append("between"),
        result("late", "1"),
        result("again", "1"),
        result("nameless", None),
    ]
    assert compiled(fold(EMPTY, steps)).repairs == (
        Repair("orphan", CommitId("early"), "1"),
        Repair("closed", CommitId("call"), "2"),
        Repair("moved", CommitId("late"), "1"),
        Repair("duplicate", CommitId("again"), "1"),
        Repair("orphan", CommitId("nameless"), None),
    )


def test_a_result_left_out_does_not_make_the_next_one_moved() -> None:
    steps = [calls("call", "1"), result("orphan", "9"), result("one", "1")]
    assert [repair.kind for repair in compiled(fold(EMPTY, steps)).repairs] == ["orphan"]


def test_it_reads_as_head_messages_tokens_and_repairs() -> None:
    said = compiled(fold(EMPTY, [calls("call", "1", "2"), annotate("p", Priority.PINNED, "call")]), "0123456789")
    assert str(said) == ("Compiled context at 01234567\n  3 messages, 53 tokens (counted:o200k_base)\n  repairs: 2 closed")
    assert repr(said) == "<CompiledContext 01234567: 3 messages, 53 tokens>"
    assert str(compiled(EMPTY)).splitlines()[0] == "Compiled context at no commit"
    warned = CompiledContext(EMPTY, None, 3, "counted:x", ("Something was erased.",))
    assert str(warned).splitlines()[-1] == "  warning: Something was erased."
