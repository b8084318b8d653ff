"""The `request` of an operation whose id the caller gave: stored, so its form is for ever."""

import hashlib
import json
from typing import Any

import pytest

from tract import AsyncTract, LLMConfig, OperationConfigs, TokenBudget
from tract.log.codec import decode_event

OPERATION = "00000000-0000-7000-8000-000000000001"


def digest(verb: str, tract: str, **arguments: Any) -> bytes:
    """Return what design and code agree on, without a line of the code."""
    call = {"verb": verb, "tract": tract, "arguments": arguments}
    return hashlib.sha256(json.dumps(call, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()).digest()


async def stored(t: AsyncTract) -> bytes:
    """Return the blob that the operation's first event names."""
    rows = await t.read(lambda query: query("log.operation_events", bytes.fromhex(OPERATION.replace("-", ""))))
    request = decode_event(rows[0]).request
    assert request is not None
    found: bytes = (await t.read(lambda query: query("log.blob", bytes.fromhex(request))))[0][0]
    return found


CONTENT = '{"content_type":"dialogue","name":null,"role":"user","text":"Grüß dich","tool_calls":[]}'
CASES: dict[str, dict[str, Any]] = {
    "commit": {
        "branch": "main",
        "content": CONTENT,
        "priority": None,
        "details": {"message": "why"},
        "config": {"model": "m", "temperature": 1.0},
    },
    "edit": {"branch": "main", "target": "HEAD", "content": "other", "details": {}, "config": None},
    "annotate": {"branch": "main", "target": "HEAD", "priority": "pinned", "details": {"reason": "so"}, "config": None},
    "branch": {"name": "side", "at": None, "switch": False},
    "switch": {"worktree": "main", "name": "main"},
    "worktree": {"worktree": "second", "name": "main"},
    "record_usage": {
        "branch": "main",
        "usage": {"prompt": 7, "completion": None, "cached": None, "reasoning": None},
        "generation": None,
    },
    "configure": {
        "llm_config": {"model": "m"},
        "budget": {"max_tokens": 9, "action": "warn", "compress_at": None},
        "operations": {"chat": {"temperature": 1.0}},
    },
    "configure_operations": {"operations": {"chat": {"temperature": 1.0}, "merge": None}},
}


async def call(t: AsyncTract, verb: str) -> None:
    """Make the call that the case of *verb* describes."""
    match verb:
        case "commit":
            config = LLMConfig(model="m", temperature=1)
            await t.user("Grüß dich", message="why", generation_config=config, operation_id=OPERATION)
        case "edit":
            await t.edit("HEAD", "other", operation_id=OPERATION)
        case "annotate":
            await t.pin("HEAD", reason="so", operation_id=OPERATION)
        case "branch":
            await t.branch("side", switch=False, operation_id=OPERATION)
        case "switch":
            await t.switch("main", operation_id=OPERATION)
        case "worktree":
            await (await t.worktree("main", name="second", operation_id=OPERATION)).aclose()
        case "configure":
            config, operations = LLMConfig(model="m"), OperationConfigs(chat=LLMConfig(temperature=1))
            await t.configure(llm_config=config, budget=TokenBudget(9), operations=operations, operation_id=OPERATION)
        case "configure_operations":
            await t.configure_operations(chat=LLMConfig(temperature=1), merge=None, operation_id=OPERATION)
        case _:
            await t.record_usage({"prompt": 7}, operation_id=OPERATION)


@pytest.mark.parametrize("verb", CASES)
async def test_a_request_is_the_digest_of_its_verb_and_arguments(verb: str) -> None:
    async with AsyncTract.open() as t:
        await t.user("first")
        await call(t, verb)
        assert await stored(t) == digest(verb, t.id, **CASES[verb])


async def test_what_configure_is_not_given_is_no_part_of_its_request() -> None:
    async with AsyncTract.open() as t:
        await t.configure(budget=None, operation_id=OPERATION)
        assert await stored(t) == digest("configure", t.id, budget=None)


async def test_what_is_expected_is_no_part_of_a_request() -> None:
    async with AsyncTract.open() as t:
        await t.user("first")
        await t.edit("HEAD", "other", operation_id=OPERATION, expect="HEAD")
        assert await stored(t) == digest("edit", t.id, **CASES["edit"])


async def test_the_request_of_a_batch_is_its_own_digest_and_those_of_its_calls() -> None:
    async with AsyncTract.open() as t:
        await t.user("first")
        async with t.batch(operation_id=OPERATION, expect="HEAD"):
            await t.edit("HEAD", "other")
            await t.pin("HEAD", reason="so")
        parts = [("batch", {"branch": "main"}), ("edit", CASES["edit"]), ("annotate", CASES["annotate"])]
        assert await stored(t) == b"".join(digest(verb, t.id, **arguments) for verb, arguments in parts)
