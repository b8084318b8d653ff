"""Story: transcripts of a real agent are imported, and come back as they were."""

import asyncio
import json
from typing import Any

import pytest

from tract import AsyncTract, from_openai
from tract.domain import canonical

Trajectory = list[dict[str, Any]]


def as_canonical(messages: object) -> bytes:
    return canonical.encode(json.loads(json.dumps(messages)))


async def record(path: str, name: str, messages: Trajectory) -> str:
    async with AsyncTract.open(path, name=name, durability="normal") as t:
        for content in from_openai(messages):
            await t.commit(content)
        return (await t.compile()).digest


async def record_all(path: str, trajectories: list[Trajectory]) -> dict[str, str]:
    names = [f"conversation-{number}" for number in range(len(trajectories))]
    digests = await asyncio.gather(*map(record, [path] * len(names), names, trajectories))
    return dict(zip(names, digests, strict=True))


async def test_every_conversation_comes_back_as_it_was_after_reopening(path: str, trajectories: list[Trajectory]) -> None:
    names = await record_all(path, trajectories)
    found = []
    for name in names:
        async with AsyncTract.open(path, name=name, create=False) as t:
            found.append((await t.compile()).to_openai())
    assert list(map(as_canonical, found)) == list(map(as_canonical, trajectories))


async def test_digests_are_the_same_after_reopening(path: str, trajectories: list[Trajectory]) -> None:
    before = await record_all(path, trajectories)
    after = {}
    for name in before:
        async with AsyncTract.open(path, name=name, create=False) as t:
            after[name] = (await t.compile()).digest
    assert after == before


async def test_a_complete_conversation_needs_no_repair(path: str, trajectories: list[Trajectory]) -> None:
    await record_all(path, trajectories)
    repairs: list[object] = []
    for number in range(len(trajectories)):
        async with AsyncTract.open(path, name=f"conversation-{number}") as t:
            repairs += (await t.compile()).repairs
    assert repairs == []


async def test_status_says_what_compiling_every_conversation_says(path: str, trajectories: list[Trajectory]) -> None:
    names = await record_all(path, trajectories)
    told, compiled = [], []
    for name in names:
        async with AsyncTract.open(path, name=name) as t:
            status, context = await t.status(), await t.compile()
            told.append((status.slots, status.token_count, status.token_source))
            compiled.append((len(context), context.token_count, context.token_source))
    assert told == compiled


async def test_conversations_of_one_file_are_apart(path: str, trajectories: list[Trajectory]) -> None:
    await record_all(path, trajectories)
    lengths = []
    for number in range(len(trajectories)):
        async with AsyncTract.open(path, name=f"conversation-{number}") as t:
            lengths.append(len(await t.log(10_000)))
    assert lengths == [len(messages) for messages in trajectories]


ODD: list[Trajectory] = [
    [{"role": "user", "content": "é vs e\u0301, \u2028 and \x7f and \U0001f6eb"}],
    [
        {"role": "user", "content": "look", "name": "anna"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "same", "type": "function", "function": {"name": "a", "arguments": ""}},
                {"id": "same", "type": "function", "function": {"name": "b", "arguments": ' { "x":1.0e3,\n"x":2 } '}},
            ],
        },
        {"role": "tool", "tool_call_id": "same", "content": ""},
        {"role": "tool", "tool_call_id": "same", "content": "\n \r\n"},
    ],
    [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "a", "arguments": "null"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "\x00\x01"},
    ],
]


@pytest.mark.parametrize("messages", ODD, ids=["unicode", "one-id-twice", "absent-content"])
async def test_what_is_odd_comes_back_byte_for_byte(path: str, messages: Trajectory) -> None:
    await record(path, "odd", messages)
    async with AsyncTract.open(path, name="odd") as t:
        assert as_canonical((await t.compile()).to_openai()) == as_canonical(messages)
