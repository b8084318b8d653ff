"""What the processes of the crash tests do until they are killed, or told to end.

Each says what it did only after the call returned. Only the public API.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from tests.crash.processes import Voice
from tract import AsyncTract, CommitInfo, LLMConfig
from tract.domain.events import CommitRecorded, GenerationStarted
from tract.llm.counting import ApproximateCounter
from tract.llm.protocol import LLMClient
from tract.testing import ScriptedLLM
from tract.testing.server import Reply, serve

AGENTS = 8
BRANCHES = 4
STREAMS = 6
WITNESS = "witness"
WORDS = ("Grüße ", "an\n", "alle ", "Welten ", "🙂 ", "日本 ", 'mit "Zeichen" ', "und ", "mehr ", "\t", "x" * 40 + " ")
COUNTER = ApproximateCounter()


def answer_of(random: Random) -> str:
    """A text of its own, so that no answer is the beginning of another."""
    return f"Answer {random.getrandbits(64):x}: " + "".join(random.choices(WORDS, k=random.randrange(20, 200)))


async def make_branches(path: str) -> None:
    """Make the file, with a branch for everybody; each begins with a commit."""
    async with AsyncTract.open(path, tokens=COUNTER) as t:
        await t.system("Be brief.")
        for number in range(BRANCHES):
            await t.branch(f"agent{number}", switch=False)
        for number in range(STREAMS):
            await t.branch(f"stream{number}", switch=False)
        await t.branch(WITNESS, switch=False)


def agents(voice: Voice, path: str, durability: str, seed: int) -> None:
    """Eight agents, two on each branch, who write, edit, fork and chat."""

    async def work() -> None:
        llm = ScriptedLLM(lambda _: answer_of(random) if random.random() < 0.9 else "Yes.")
        options: dict[str, Any] = {"durability": durability, "tokens": COUNTER, "llm": llm}
        async with AsyncTract.open(path, llm_config=LLMConfig(model="scripted"), **options) as t:
            await asyncio.gather(*(_agent(voice, t, number, Random(f"{seed} {number}"), seed) for number in range(AGENTS)))

    random = Random(seed)
    asyncio.run(work())


async def _agent(voice: Voice, t: AsyncTract, number: int, random: Random, life: int) -> None:
    async with await t.worktree(f"agent{number % BRANCHES}", name=f"worktree{number}") as mine:
        said: CommitInfo | None = None
        for step in count():
            action = random.choices(("write", "edit", "fork", "chat"), (5, 2, 1, 2))[0]
            if action == "fork":
                forked = await mine.branch(f"fork-{life}-{number}-{step}", switch=False)
                voice.say("branch", forked.name, forked.head)
                continue
            if action == "chat":
                info = (await mine.chat(f"Question {step} of agent {number}?")).commit_info
            elif action == "edit" and said is not None:
                info = await mine.edit(said.id, f"agent {number}, step {step}, better")
            else:
                info = said = await mine.user(f"agent {number}, step {step} " * random.choice((1, 3, 20)))
            voice.say("commit", f"agent{number % BRANCHES}", number, info.id)


def streams(voice: Voice, path: str, durability: str, seed: int, base_url: str | None) -> None:
    """Six answers at once, each on a branch of its own, told delta by delta.

    Some are left on purpose, some are given up; the most are read to the end.
    Asks the server at *base_url*, or a script.
    """

    async def work() -> None:
        llm: LLMClient | None = None if base_url else ScriptedLLM(lambda _: _paced(Random(random.getrandbits(64))))
        whom: dict[str, Any] = {"llm": llm} if llm else {"base_url": base_url, "api_key": "none"}
        config = LLMConfig(model="scripted")
        async with AsyncTract.open(path, durability=durability, tokens=COUNTER, llm_config=config, **whom) as t:
            await asyncio.gather(*(_stream(voice, t, number, Random(f"{seed} {number}")) for number in range(STREAMS)))

    random = Random(seed)
    asyncio.run(work())


async def _paced(random: Random) -> AsyncIterator[str]:
    """An answer as a model gives it: now and then it stalls."""
    for word in answer_of(random).split(" "):
        await asyncio.sleep(random.choice((0, 0, 0, 0.001, 0.005)))
        yield f"{word} "


async def _stream(voice: Voice, t: AsyncTract, number: int, random: Random) -> None:
    async with await t.worktree(f"stream{number}") as mine:
        for step in count():
            limit = random.randrange(1, 60) if random.random() < 0.3 else 1_000_000
            gives_up = limit < 30
            with suppress(TimeoutError):
                async with mine.stream(f"Question {step}?") as answer:
                    read = 0
                    async for delta in answer:
                        voice.say("delta", answer.generation, delta)
                        read += 1
                        if read == limit:
                            if gives_up:
                                raise TimeoutError
                            break
                voice.say("answer", f"stream{number}", answer.response.commit_info.id)


def server(voice: Voice, seed: int) -> None:
    """An OpenAI-compatible server, for streams that come over a socket."""

    async def work() -> None:
        async with serve(lambda _: Reply(answer_of(random))) as serving:
            voice.say("ready", serving.base_url)
            await _ending(voice)

    random = Random(seed)
    asyncio.run(work())


def witness(voice: Voice, path: str) -> None:
    """A second process: follows every answer and the log, and writes after every few commits of the others."""

    async def work() -> None:
        opening = AsyncTract.open(path, create=False, tokens=COUNTER, actor=WITNESS)
        async with opening as t, await t.worktree(WITNESS) as mine:
            voice.say("ready")
            followers: list[asyncio.Task[None]] = []
            watching = asyncio.create_task(_watch(voice, mine, followers))
            ending = asyncio.create_task(_ending(voice))
            await asyncio.wait((watching, ending), return_when=asyncio.FIRST_COMPLETED)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await asyncio.wait_for(asyncio.gather(*followers), 20)

    asyncio.run(work())


async def _ending(voice: Voice) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(voice.ending, over.set)
    await over.wait()
    asyncio.get_running_loop().remove_reader(voice.ending)


async def _watch(voice: Voice, t: AsyncTract, followers: list[asyncio.Task[None]]) -> None:
    version = others = 0
    async for event in t.events():
        assert event.version == version + 1, f"{event.version} follows {version}"
        version = event.version
        if isinstance(event.body, GenerationStarted):
            followers.append(asyncio.create_task(_follow(voice, t, event.body.generation)))
        if isinstance(event.body, CommitRecorded) and event.actor != WITNESS:
            others += 1
            if others % 5 == 0:
                voice.say("commit", WITNESS, WITNESS, (await t.user(f"There are {others}.")).id)


async def _follow(voice: Voice, t: AsyncTract, generation: str) -> None:
    following = t.follow(generation)
    seen = "".join([delta.text async for delta in following])
    voice.say("followed", generation, seen)
