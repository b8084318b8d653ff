"""Hypothesis strategies: JSON values, tool calls and contents."""

from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from tract.domain.canonical import INT64_MAX, INT64_MIN
from tract.domain.config import LLMConfig
from tract.domain.content import (
    ArtifactContent,
    Content,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    OutputContent,
    ReasoningContent,
    RegisteredContent,
    SessionContent,
    ToolIOContent,
)
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.parts import DETAILS, MEDIA_TYPES, ImagePart, TextPart
from tract.domain.texts import is_blank

texts = st.text(max_size=40)
names = st.text(min_size=1, max_size=12)
tool_names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
lines = st.lists(texts, max_size=3).map(tuple)


def json_values(*, floats: bool = True) -> st.SearchStrategy[Any]:
    """Values that have a canonical form; without *floats*, ones `encode_plain` may be given."""
    leaves: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(INT64_MIN, INT64_MAX) | texts
    if floats:
        leaves |= st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
    )


tool_calls = st.builds(ToolCall, id=names, name=tool_names, arguments=texts)

instructions = st.builds(InstructionContent, texts)
spoken = st.builds(
    DialogueContent,
    role=st.sampled_from(["system", "user", "assistant"]),
    text=texts | st.none() | st.just(ABSENT),
    name=st.none() | names,
)
calling = st.builds(
    DialogueContent,
    role=st.just("assistant"),
    text=texts | st.none() | st.just(ABSENT),
    name=st.none() | names,
    tool_calls=st.lists(tool_calls, min_size=1, max_size=3).map(tuple),
)
text_parts = texts.filter(lambda text: not is_blank(text)).map(TextPart)
details = st.none() | st.sampled_from(DETAILS)
image_parts = st.one_of(
    st.builds(ImagePart, st.sampled_from(["http://a.b", "https://example.com/a.png?b=c#d", "HTTPS://a/\u00e4"]), detail=details),
    st.builds(
        ImagePart,
        data=st.binary(min_size=1, max_size=40).map(lambda data: b64encode(data).decode()),
        media_type=st.sampled_from(MEDIA_TYPES),
        detail=details,
    ),
)
in_parts = st.one_of(
    st.builds(
        DialogueContent,
        role=st.just("user"),
        name=st.none() | names,
        text=st.lists(text_parts | image_parts, min_size=1, max_size=4),
    ),
    st.builds(
        DialogueContent,
        role=st.just("assistant"),
        tool_calls=st.lists(tool_calls, max_size=2),
        text=st.lists(text_parts, min_size=1, max_size=3),
    ),
    st.builds(DialogueContent, role=st.just("system"), text=st.lists(text_parts, min_size=1, max_size=3)),
)
dialogues = spoken | calling | in_parts
tool_texts = st.builds(
    ToolIOContent,
    tool_name=tool_names,
    direction=st.sampled_from(["call", "result"]),
    text=texts,
    call_id=names,
    status=st.none() | names,
)
tool_payloads = st.builds(
    ToolIOContent,
    tool_name=st.none() | tool_names,
    direction=st.just("result"),
    payload=json_values(),
    call_id=names,
)
sessions = st.builds(
    SessionContent,
    session_type=st.sampled_from(["start", "end", "handoff", "checkpoint"]),
    summary=texts,
    decisions=lines,
    failed_approaches=lines,
    next_steps=lines,
)

contents: st.SearchStrategy[Content] = st.one_of(
    instructions,
    dialogues,
    tool_texts,
    tool_payloads,
    st.builds(ReasoningContent, texts),
    st.builds(ArtifactContent, artifact_type=names, content=texts, language=st.none() | names),
    st.builds(OutputContent, texts, st.sampled_from(["text", "markdown", "json"])),
    st.builds(FreeformContent, json_values()),
    sessions,
)
"""One of any of the eight types."""

registered = st.builds(
    RegisteredContent,
    st.from_regex(r"x-[a-z0-9_.-]{0,20}", fullmatch=True),
    st.dictionaries(texts, json_values(), max_size=3),
    dialogues.map(lambda said: Message(said.role, said.text, said.name, said.tool_calls))
    | st.builds(Message, st.just("tool"), texts, tool_call_id=names),
)
"""A content of a type whose class is not there."""

_OPTIONS = ["reasoning_effort", "logit_bias", "stop", "max_completion_tokens", "messages", "stream", "a", "b"]


def llm_configs() -> st.SearchStrategy[LLMConfig]:
    """Configs with any field set or not, among their options names that providers have for fields and for plumbing."""
    leaves: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | texts
    keys = st.sampled_from(_OPTIONS)
    options = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
    return st.builds(
        LLMConfig,
        model=st.none() | names.filter(str.strip),
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        max_tokens=st.none() | st.integers(1, INT64_MAX),
        stop_sequences=st.none() | st.lists(names, max_size=3),
        frequency_penalty=st.none() | st.floats(-2, 2),
        presence_penalty=st.none() | st.floats(-2, 2),
        top_k=st.none() | st.integers(1, INT64_MAX),
        seed=st.none() | st.integers(INT64_MIN, INT64_MAX),
        extra=st.dictionaries(keys, options, max_size=4),
    )
