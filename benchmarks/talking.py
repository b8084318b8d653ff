"""`chat` beside the bare client of the provider.

Imports `measuring`, `table` and `workload`.
"""

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

from openai import AsyncOpenAI

from benchmarks.measuring import both_times, collected, timed
from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop, text
from tract import AsyncTract
from tract.domain.events import UsageFigures
from tract.testing import ScriptedLLM
from tract.testing.server import Received, Reply, serve

MESSAGES = 1_000
WARMING = 3
"""The first turns import, connect and compile from nothing; they do not count."""


def _answer(_: Received) -> Reply:
    return Reply("Yes.", usage=UsageFigures(prompt=100_000, completion=2))


async def chat(workshop: Workshop) -> list[Result]:
    """`chat` at a thousand messages, against the openai client streaming the ready-made payload.

    All talk to one server in this process, in turns. The client spends 0.2 s on
    looking at every message it is given, which `extra_body` avoids, and so do
    we, by encoding the body ourselves: what we are held to is the client with
    `extra_body`, so that most of this gain does not hide our own cost. The overhead is time computed, which leaves out
    fsyncs, and the 40 ms that TCP sometimes waits with a window. With a model
    that answers at once there is no client to subtract, and all time counts.
    """
    return [*await _served(workshop), *await _scripted(workshop)]


async def _served(workshop: Workshop) -> list[Result]:
    path = await workshop.history(MESSAGES)
    ours: list[tuple[float, float]] = []
    fast: list[tuple[float, float]] = []
    plain: list[tuple[float, float]] = []
    async with (
        serve(_answer) as server,
        AsyncTract.open(str(path), model="m", api_key="k", base_url=server.base_url) as t,
        AsyncOpenAI(api_key="k", base_url=server.base_url, max_retries=0) as bare,
    ):
        for number in range(workshop.rounds(40) + WARMING):
            question = text(-number - 1)
            payload = [*(await t.compile()).to_openai(), {"role": "user", "content": question}]
            collected()
            plain.append(await both_times(partial(_stream, bare, {"messages": payload})))
            collected()
            fast.append(await both_times(partial(_stream, bare, {"messages": [], "extra_body": {"messages": payload}})))
            collected()
            ours.append(await both_times(partial(t.chat, question)))
    (wall, computed), (fast_wall, fast_computed), (plain_wall, _) = (_medians(each) for each in (ours, fast, plain))
    what = f"chat at {MESSAGES:,} messages"
    return [
        Row(what, wall, "s", plain_wall, "bare openai client, payload ready"),
        Row(what, wall, "s", fast_wall, "the same, payload in extra_body"),
        Row("  time computed", computed, "s", fast_computed, "the same, payload in extra_body"),
        Row("  overhead computed", computed - fast_computed, "s", target=Target(2e-3, of="ours")),
    ]


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


async def _stream(client: AsyncOpenAI, payload: Any) -> None:
    answer = await client.chat.completions.create(
        model="m", stream=True, stream_options={"include_usage": True}, timeout=600.0, **payload
    )
    async for _ in answer:
        pass
