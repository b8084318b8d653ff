"""`chat` beside the bare client of the provider.

Imports `answering`, `measuring`, `table` and `workload`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import process_time
from typing import Any

import msgspec
from openai import AsyncOpenAI, AsyncStream

from benchmarks.answering import answering
from benchmarks.measuring import both_times, collected, timed
from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop, text
from tract import AsyncTract
from tract.testing import ScriptedLLM

MESSAGES = 1_000
LONG = 10_000
WARMING = 3
"""The first turns import, connect and compile from nothing; they do not count."""
SETTINGS: dict[str, Any] = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}


async def chat(workshop: Workshop) -> list[Result]:
    """`chat` at a thousand and at ten thousand messages, against the openai client streaming the same payload.

    All talk to one server in another process, in turns. The client spends
    0.2 s on looking at every message it is given, which `extra_body` avoids,
    and so do we, by encoding the body ourselves: what we are held to is the
    client with `extra_body`, so that most of this gain does not hide our own
    cost. The overhead is time computed, which leaves out fsyncs, and the 40 ms
    that TCP sometimes waits with a window.

    At ten thousand the client would spend most of its time on the payload, so
    there it is given the body as bytes. All that `chat` computes beyond that
    is held against building the payload: a list of mappings made of roles and
    texts, and encoded by the fastest encoder there is. Beside that stand two
    others: what was compiled, as mappings and encoded, and the list as the
    client encodes it. With a model that answers at once there is no client to
    subtract, and all time counts.
    """
    return [*await _at_a_thousand(workshop), *await _at_ten_thousand(workshop), *await _scripted(workshop)]


async def _at_a_thousand(workshop: Workshop) -> list[Result]:
    ours, fast, plain = await _served(workshop, MESSAGES, 40, [_in_extra_body, _as_arguments])
    what = f"chat at {MESSAGES:,} messages"
    return [
        Row(what, ours[0], "s", plain[0], "bare openai client, payload ready"),
        Row(what, ours[0], "s", fast[0], "the same, payload in extra_body"),
        Row("  time computed", ours[1], "s", fast[1], "the same, payload in extra_body"),
        Row("  overhead computed", ours[1] - fast[1], "s", target=Target(2e-3, of="ours")),
    ]


async def _at_ten_thousand(workshop: Workshop) -> list[Result]:
    ours, fast, ready = await _served(workshop, LONG, 30, [_in_extra_body, _as_bytes])
    build, own = await _building(workshop)
    what, overhead = f"chat at {LONG:,} messages", ours[1] - ready[1]
    return [
        Row(f"{what}, time computed", ours[1], "s", fast[1], "bare openai client, payload in extra_body"),
        Row("  overhead computed, beyond ready bytes", overhead, "s", build, "build the payload", Target(1.2)),
        Row("  the same", overhead, "s", own, "to_openai() of what was compiled, encoded"),
        Row("  the same", overhead, "s", fast[1] - ready[1], "what the openai client takes to encode it"),
    ]


_Send = Callable[[AsyncOpenAI, list[dict[str, Any]]], Any]


async def _served(workshop: Workshop, size: int, rounds: int, sides: Sequence[_Send]) -> list[tuple[float, float]]:
    """Return what `chat` takes, and what each of the sides does: time that passes, time computed."""
    path = await workshop.history(size)
    times: list[list[tuple[float, float]]] = [[] for _ in range(len(sides) + 1)]
    async with (
        answering() as base_url,
        AsyncTract.open(str(path), model="m", api_key="k", base_url=base_url) as t,
        AsyncOpenAI(api_key="k", base_url=base_url, max_retries=0) as bare,
    ):
        for number in range(workshop.rounds(rounds) + WARMING):
            question = text(-number - 1)
            payload = [*(await t.compile()).to_openai(), {"role": "user", "content": question}]
            works = [partial(t.chat, question), *(side(bare, payload) for side in sides)]
            for found, work in zip(times, works, strict=True):
                collected()
                found.append(await both_times(work))
    return [_medians(found) for found in times]


async def _building(workshop: Workshop) -> tuple[float, float]:
    """Return the seconds of building a payload out of roles and texts, and out of what was compiled."""
    build: list[float] = []
    own: list[float] = []
    async with await workshop.opened(LONG) as t:
        compiled = await t.compile()
        said = [(message.role, message.text) for message in compiled.messages]
        for _ in range(workshop.rounds(30)):
            collected()
            start = process_time()
            messages = [{"role": role, "content": content} for role, content in said]
            msgspec.json.encode({**SETTINGS, "messages": messages})
            build.append(process_time() - start)
            del messages
            collected()
            start = process_time()
            msgspec.json.encode({**SETTINGS, "messages": compiled.to_openai()})
            own.append(process_time() - start)
    return median(build), median(own)


def _medians(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    walls, computed = zip(*times[WARMING:], strict=True)
    return median(walls), median(computed)


async def _scripted(workshop: Workshop) -> list[Result]:
    path = await workshop.history(MESSAGES)
    model = ScriptedLLM(lambda _: "Yes.", reports_usage=False)
    async with AsyncTract.open(str(path), model="m", llm=model, durability="normal") as t:
        numbers = range(workshop.rounds(100) + WARMING)
        seconds = [await timed(partial(t.chat, text(-number - 1))) for number in numbers]
    what = "a turn with a scripted model, durability normal"
    return [Row(what, median(seconds[WARMING:]), "s", target=Target(2e-3, of="ours"))]


def _as_arguments(client: AsyncOpenAI, messages: list[dict[str, Any]]) -> Any:
    return partial(_read, client.chat.completions.create, messages=messages, timeout=600.0, **SETTINGS)


def _in_extra_body(client: AsyncOpenAI, messages: list[dict[str, Any]]) -> Any:
    extra = {"messages": messages}
    return partial(_read, client.chat.completions.create, messages=[], extra_body=extra, timeout=600.0, **SETTINGS)


def _as_bytes(client: AsyncOpenAI, messages: list[dict[str, Any]]) -> Any:
    kinds = {"cast_to": dict[str, Any], "stream": True, "stream_cls": AsyncStream[dict[str, Any]]}
    content = msgspec.json.encode({**SETTINGS, "messages": messages})
    return partial(_read, client.post, "/chat/completions", options={"timeout": 600.0}, content=content, **kinds)


async def _read(send: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    async for _ in await send(*args, **kwargs):
        pass
