"""What OpenAI and Anthropic refuse, written from their rules and not from our code.

Each rule is a function that yields the places at which a payload breaks it,
with its source. `check_openai` and `check_anthropic` raise `RejectedError`
for the first rule that is broken, as the provider would answer 400.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

Payload: TypeAlias = Any
Rule: TypeAlias = Callable[[Payload], Iterator[str]]

OPENAI_RULES: dict[str, Rule] = {}
ANTHROPIC_RULES: dict[str, Rule] = {}
SOURCES: dict[str, str] = {}

CHAT = "Chat Completions reference, messages"
OPENAI_ERROR = "answer of the Chat Completions API"
MESSAGES = "Messages API reference, messages"
TOOLS = "Anthropic guide, tool use"
VISION = "Anthropic guide, vision"
ANTHROPIC_ERROR = "answer of the Messages API"

MEDIA_TYPES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class RejectedError(AssertionError):
    """A provider would not take the payload."""

    def __init__(self, rule: str, where: str) -> None:
        super().__init__(f"{rule} ({SOURCES[rule]}): {where}")
        self.rule = rule


def check_openai(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise `RejectedError` if Chat Completions would refuse *messages*."""
    _check(OPENAI_RULES, messages)


def check_anthropic(payload: Mapping[str, Any]) -> None:
    """Raise `RejectedError` if the Messages API would refuse *payload*."""
    _check(ANTHROPIC_RULES, payload)


def _check(rules: Mapping[str, Rule], payload: Payload) -> None:
    for name, rule in rules.items():
        for where in rule(payload):
            raise RejectedError(name, where)


def openai(source: str) -> Callable[[Rule], Rule]:
    return lambda rule: _add(OPENAI_RULES, rule, source)


def anthropic(source: str) -> Callable[[Rule], Rule]:
    return lambda rule: _add(ANTHROPIC_RULES, rule, source)


def _add(rules: dict[str, Rule], rule: Rule, source: str) -> Rule:
    rules[rule.__name__] = rule
    SOURCES[rule.__name__] = source
    return rule


def is_sendable(value: Any) -> bool:
    """Say whether a value is JSON that can be written as UTF-8: nothing cyclic, no NaN, no lone surrogates."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


SPOKEN = {"role", "content", "name"}
KEYS = {
    "system": SPOKEN,
    "user": SPOKEN,
    "assistant": SPOKEN | {"tool_calls", "refusal", "audio"},
    "tool": {"role", "content", "tool_call_id", "name"},
}


@openai(CHAT)
def openai_takes_json(messages: Payload) -> Iterator[str]:
    if not isinstance(messages, list) or not is_sendable(messages):
        yield "messages"


@openai(CHAT)
def openai_takes_known_roles(messages: Payload) -> Iterator[str]:
    yield from (f"messages[{at}].role" for at, message in enumerate(messages) if message.get("role") not in KEYS)


@openai(CHAT)
def openai_takes_known_keys(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        yield from (f"messages[{at}].{key}" for key in message.keys() - KEYS[message["role"]])


@openai(CHAT)
def openai_needs_content_where_nothing_is_called(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        if message.get("content") is None and not message.get("tool_calls"):
            yield f"messages[{at}].content"


@openai(CHAT)
def openai_takes_content_as_text_or_parts(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        content = message.get("content")
        if not (content is None or isinstance(content, str) or (isinstance(content, list) and content)):
            yield f"messages[{at}].content"


@openai(OPENAI_ERROR)
def openai_refuses_blank_words(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        content = message.get("content")
        if message["role"] != "tool" and not message.get("tool_calls") and isinstance(content, str) and not content.strip():
            yield f"messages[{at}].content"


@openai(CHAT)
def openai_takes_images_of_users_and_texts_of_all(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        for place, part in _parts(message):
            allowed = ("text", "image_url") if message["role"] == "user" else ("text",)
            if part.get("type") not in allowed:
                yield f"messages[{at}].content[{place}].type"


@openai(CHAT)
def openai_takes_parts_of_their_shape(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        for place, part in _parts(message):
            where = f"messages[{at}].content[{place}]"
            if part["type"] == "text":
                if part.keys() != {"type", "text"} or not isinstance(part["text"], str) or not part["text"].strip():
                    yield where
            elif part.keys() != {"type", "image_url"} or not _is_openai_image(part["image_url"]):
                yield where


def _parts(message: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    if isinstance(message.get("content"), list):
        yield from enumerate(message["content"])


def _is_openai_image(image: Any) -> bool:
    if not image.keys() <= {"url", "detail"} or image.get("detail", "auto") not in ("auto", "low", "high", "original"):
        return False
    found = re.fullmatch(r"data:(image/\w+);base64,(.+)", image["url"])
    if found is not None:
        return found[1] in MEDIA_TYPES and _is_base64(found[2])
    return re.fullmatch(r"https?://\S+", image["url"], re.IGNORECASE) is not None


def _is_base64(text: Any) -> bool:
    try:
        return isinstance(text, str) and bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


@openai(OPENAI_ERROR)
def openai_takes_names_of_one_word(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        if "name" in message and not re.fullmatch(r"[^\s<|\\/>]{1,64}", message["name"]):
            yield f"messages[{at}].name"


@openai(CHAT)
def openai_takes_calls_of_functions(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        for place, call in enumerate(message.get("tool_calls", ())):
            function = call.get("function", {})
            is_whole = call.keys() == {"id", "type", "function"} and call["type"] == "function" and call["id"]
            if not is_whole or function.keys() != {"name", "arguments"} or not isinstance(function["arguments"], str):
                yield f"messages[{at}].tool_calls[{place}]"


@openai(CHAT)
def openai_takes_names_of_functions(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        for place, call in enumerate(message.get("tool_calls", ())):
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"]):
                yield f"messages[{at}].tool_calls[{place}].function.name"


@openai(CHAT)
def openai_takes_a_list_of_calls_that_is_not_empty(messages: Payload) -> Iterator[str]:
    yield from (f"messages[{at}].tool_calls" for at, message in enumerate(messages) if message.get("tool_calls") == [])


@openai(OPENAI_ERROR)
def openai_takes_results_of_calls_right_before(messages: Payload) -> Iterator[str]:
    open_calls: Counter[str] = Counter()
    for at, message in enumerate(messages):
        if message["role"] != "tool":
            open_calls = Counter(call["id"] for call in message.get("tool_calls", ()))
        elif not open_calls[message.get("tool_call_id")]:
            yield f"messages[{at}].tool_call_id"
        else:
            open_calls[message["tool_call_id"]] -= 1


@openai(OPENAI_ERROR)
def openai_needs_a_result_for_each_call(messages: Payload) -> Iterator[str]:
    for at, message in enumerate(messages):
        missing = Counter(call["id"] for call in message.get("tool_calls", ()))
        for later in messages[at + 1 :]:
            if later["role"] != "tool":
                break
            missing[later["tool_call_id"]] -= 1
        yield from (f"messages[{at}].tool_calls" for count in missing.values() if count > 0)


@anthropic(MESSAGES)
def anthropic_takes_json(payload: Payload) -> Iterator[str]:
    if not is_sendable(payload):
        yield "payload"


@anthropic(MESSAGES)
def anthropic_takes_system_and_messages(payload: Payload) -> Iterator[str]:
    yield from payload.keys() - {"system", "messages"}


@anthropic(ANTHROPIC_ERROR)
def anthropic_refuses_a_blank_system(payload: Payload) -> Iterator[str]:
    if "system" in payload and not (isinstance(payload["system"], str) and payload["system"].strip()):
        yield "system"


@anthropic(ANTHROPIC_ERROR)
def anthropic_needs_a_message(payload: Payload) -> Iterator[str]:
    if not isinstance(payload.get("messages"), list) or not payload["messages"]:
        yield "messages"


@anthropic(MESSAGES)
def anthropic_takes_role_and_content_only(payload: Payload) -> Iterator[str]:
    for at, message in enumerate(payload["messages"]):
        if message.keys() != {"role", "content"} or message["role"] not in ("user", "assistant"):
            yield f"messages[{at}]"


@anthropic(MESSAGES)
def anthropic_needs_the_user_first(payload: Payload) -> Iterator[str]:
    if payload["messages"][0]["role"] != "user":
        yield "messages[0].role"


@anthropic(MESSAGES)
def anthropic_needs_roles_to_alternate(payload: Payload) -> Iterator[str]:
    for at, (one, other) in enumerate(pairwise(payload["messages"])):
        if one["role"] == other["role"]:
            yield f"messages[{at + 1}].role"


@anthropic(ANTHROPIC_ERROR)
def anthropic_refuses_empty_content(payload: Payload) -> Iterator[str]:
    for at, message in enumerate(payload["messages"]):
        if not isinstance(message["content"], (str, list)) or not message["content"]:
            yield f"messages[{at}].content"


SHAPES = {
    "text": ({"type", "text"}, set[str](), {"user", "assistant"}),
    "image": ({"type", "source"}, set[str](), {"user"}),
    "tool_use": ({"type", "id", "name", "input"}, set[str](), {"assistant"}),
    "tool_result": ({"type", "tool_use_id"}, {"content", "is_error"}, {"user"}),
}


@anthropic(MESSAGES)
def anthropic_takes_blocks_of_their_shape_and_role(payload: Payload) -> Iterator[str]:
    for where, role, block in _blocks(payload):
        required, optional, roles = SHAPES.get(block.get("type"), (set(), set(), set()))
        if role not in roles or not required <= block.keys() <= required | optional:
            yield where


@anthropic(ANTHROPIC_ERROR)
def anthropic_refuses_blank_texts(payload: Payload) -> Iterator[str]:
    for where, _, block in _blocks(payload):
        if block["type"] == "text" and not (isinstance(block["text"], str) and block["text"].strip()):
            yield where


@anthropic(ANTHROPIC_ERROR)
def anthropic_refuses_blank_results(payload: Payload) -> Iterator[str]:
    for where, _, block in _blocks(payload):
        if block["type"] == "tool_result" and "content" in block:
            content = block["content"]
            texts = [content] if isinstance(content, str) else [each["text"] for each in content]
            if not all(text.strip() for text in texts):
                yield where


@anthropic(ANTHROPIC_ERROR)
def anthropic_refuses_blanks_at_the_end_of_a_last_answer(payload: Payload) -> Iterator[str]:
    *_, (where, role, block) = _blocks(payload)
    if role == "assistant" and block["type"] == "text" and block["text"] != block["text"].rstrip():
        yield where


@anthropic(VISION)
def anthropic_takes_images_of_four_types_or_by_https(payload: Payload) -> Iterator[str]:
    for where, _, block in _blocks(payload):
        if block["type"] == "image" and not _is_anthropic_image(block["source"]):
            yield where


def _is_anthropic_image(source: Any) -> bool:
    if source.get("type") == "url":
        return source.keys() == {"type", "url"} and bool(re.fullmatch(r"https://\S+", source["url"], re.IGNORECASE))
    is_whole = source.keys() == {"type", "media_type", "data"} and source["type"] == "base64"
    return is_whole and source["media_type"] in MEDIA_TYPES and _is_base64(source["data"])


@anthropic(ANTHROPIC_ERROR)
def anthropic_takes_ids_of_letters_digits_and_dashes(payload: Payload) -> Iterator[str]:
    for where, _, block in _blocks(payload):
        id = block.get("id", block.get("tool_use_id", "none"))
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", id):
            yield where


@anthropic(ANTHROPIC_ERROR)
def anthropic_needs_ids_to_be_unique(payload: Payload) -> Iterator[str]:
    used = Counter(block["id"] for _, _, block in _blocks(payload) if block["type"] == "tool_use")
    yield from (id for id, count in used.items() if count > 1)


@anthropic(TOOLS)
def anthropic_takes_names_of_tools_and_objects_as_input(payload: Payload) -> Iterator[str]:
    for where, _, block in _blocks(payload):
        if block["type"] == "tool_use" and not (
            re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block["name"]) and isinstance(block["input"], dict)
        ):
            yield where


@anthropic(TOOLS)
def anthropic_needs_results_in_the_next_message(payload: Payload) -> Iterator[str]:
    for at, message in enumerate(payload["messages"]):
        called = [block["id"] for block in _list(message) if block["type"] == "tool_use"]
        following = payload["messages"][at + 1 : at + 2]
        answered = [block["tool_use_id"] for later in following for block in _list(later) if block["type"] == "tool_result"]
        if called and sorted(called) != sorted(answered):
            yield f"messages[{at}]"


@anthropic(ANTHROPIC_ERROR)
def anthropic_takes_results_of_calls_right_before(payload: Payload) -> Iterator[str]:
    called: set[str] = set()
    for at, message in enumerate(payload["messages"]):
        answered = {block["tool_use_id"] for block in _list(message) if block["type"] == "tool_result"}
        if not answered <= called:
            yield f"messages[{at}]"
        called = {block["id"] for block in _list(message) if block["type"] == "tool_use"}


@anthropic(TOOLS)
def anthropic_needs_results_before_other_blocks(payload: Payload) -> Iterator[str]:
    for at, message in enumerate(payload["messages"]):
        for one, other in pairwise(_list(message)):
            if one["type"] != "tool_result" and other["type"] == "tool_result":
                yield f"messages[{at}]"


@anthropic(TOOLS)
def anthropic_needs_calls_at_the_end_of_an_answer(payload: Payload) -> Iterator[str]:
    for at, message in enumerate(payload["messages"]):
        for one, other in pairwise(_list(message)):
            if one["type"] == "tool_use" and other["type"] != "tool_use":
                yield f"messages[{at}]"


def _list(message: Mapping[str, Any]) -> list[Any]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _blocks(payload: Payload) -> Iterator[tuple[str, str, Any]]:
    for at, message in enumerate(payload["messages"]):
        for place, block in enumerate(_list(message)):
            yield f"messages[{at}].content[{place}]", message["role"], block
