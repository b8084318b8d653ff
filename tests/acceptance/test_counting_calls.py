"""Story: somebody counts what was asked at the server, and the log says the same: calls, sums, whatever became of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
import pytest

from tests.acceptance.failing import BEGUN, Gate
from tests.acceptance.reading import from_elsewhere, state
from tests.children import started
from tract import AsyncTract, OpenAIClient, TokenUsage, ToolCall, UsageSum
from tract.errors import HeadMovedError, ModelError
from tract.testing.server import Behaviour, CutAfter, Fail, Raw, Received, Reply, Server, Stall, serve


class Counting:
    """A server that does what it is told next, and adds up what its whole answers cost."""

    def __init__(self) -> None:
        self.told: list[Behaviour] = []
        self.calls = 0
        self.costs: list[TokenUsage] = []

    def tell(self, *behaviours: Behaviour) -> None:
        """Do this next."""
        self.told += behaviours

    def behave(self, _: Received) -> Behaviour:
        self.calls += 1
        behaviour = self.told.pop(0)
        if isinstance(behaviour, Reply):
            assert behaviour.usage is not None
            self.costs.append(behaviour.usage)
        return behaviour

    @property
    def spent(self) -> UsageSum:
        """What the log should say in all."""
        names = ("prompt", "completion", "cached", "reasoning")
        told = [[getattr(cost, name) for cost in self.costs if getattr(cost, name) is not None] for name in names]
        total = TokenUsage(*(sum(figures) if figures else None for figures in told))
        return UsageSum((), self.calls, self.calls - len(self.costs), total)


def reply(prompt: int, completion: int, cached: int = 0, reasoning: int = 0) -> Reply:
    return Reply("One two three.", usage=TokenUsage(prompt, completion, cached, reasoning))


async def nap(seconds: float) -> None:
    """Take no time between attempts."""


@asynccontextmanager
async def counting(path: str) -> AsyncIterator[tuple[AsyncTract, Server, Counting]]:
    books = Counting()
    async with serve(books.behave) as server:
        client = OpenAIClient(base_url=server.base_url, sleep=nap)
        try:
            async with AsyncTract.open(path, llm=client, model="tiny") as t:
                yield t, server, books
        finally:
            await client.aclose()


async def succeeds(t: AsyncTract, server: Server, books: Counting) -> None:
    books.tell(reply(100, 10, 64, 3), Reply(None, (ToolCall("a", "look", "{}"),), TokenUsage(150, 5)), reply(170, 8))
    await t.chat("Hi")
    await t.chat("Look")
    await t.tool_result("a", "found")
    await t.generate()


async def is_tried_again(t: AsyncTract, server: Server, books: Counting) -> None:
    books.tell(Fail(429), Fail(500), reply(90, 9))
    await t.chat("Try hard")


async def fails(t: AsyncTract, server: Server, books: Counting) -> None:
    for behaviours in ([Fail(401)], [Fail(500)] * 3, [CutAfter(["Half "])], [Raw([b"data: {broken\n\n"])]):
        books.tell(*behaviours)
        with pytest.raises(ModelError):
            await t.chat("Fail")


async def is_silent(t: AsyncTract, server: Server, books: Counting) -> None:
    books.tell(*[Stall()] * 3)
    with pytest.raises(ModelError):
        await t.chat("Wait", timeout=0.1)
    books.tell(Stall(["Half "]))
    with pytest.raises(ModelError):
        await t.chat("Wait", timeout=0.5)


async def refuses(t: AsyncTract, server: Server, books: Counting) -> None:
    books.tell(
        Reply(None, refusal="I will not.", usage=TokenUsage(70, 6)),
        Reply(None, reasoning="Hm.", usage=TokenUsage(71, 40, 0, 40), finish_reason="length"),
    )
    for _ in range(2):
        with pytest.raises(ModelError):
            await t.chat("Do harm")


async def is_cancelled(t: AsyncTract, server: Server, books: Counting) -> None:
    """Before the headers, and in the midst of the answer."""
    for pieces in ((), (BEGUN,)):
        gate = Gate()
        books.tell(Raw([*pieces, gate]))
        call = asyncio.ensure_future(t.chat("Never mind"))
        await gate.reached.wait()
        call.cancel()
        await asyncio.wait([call])
        gate.open()


async def is_left(t: AsyncTract, server: Server, books: Counting) -> None:
    gate = Gate()
    books.tell(Raw([BEGUN, gate]), Raw([BEGUN, gate]))
    for keep in (None, False):
        async with t.stream("Enough", keep_partial=keep) as stream:
            async for _ in stream:
                break
    gate.open()


async def goes_on_at_two_branches(t: AsyncTract, server: Server, books: Counting) -> None:
    books.tell(*[reply(200, 20)] * 4)
    name = f"other-{books.calls}"
    await t.branch(name, switch=False)
    async with await t.worktree(name) as other:
        await asyncio.gather(*(each.chat("At once") for each in (t, other, t, other)))


async def is_kept_off_the_branch(t: AsyncTract, server: Server, books: Counting) -> None:
    books.tell(reply(300, 30))
    with pytest.raises(HeadMovedError):
        async with t.stream("Too late") as stream:
            async for _ in stream:
                await from_elsewhere(t.collaborators.shared.store.where, lambda other: other.user("meanwhile"))


WORKLOADS = [
    succeeds,
    is_tried_again,
    fails,
    is_silent,
    refuses,
    is_cancelled,
    is_left,
    goes_on_at_two_branches,
    is_kept_off_the_branch,
]


@pytest.mark.parametrize("work", WORKLOADS)
async def test_the_log_has_the_calls_and_sums_of_the_server(path: str, work: object) -> None:
    assert callable(work)
    async with counting(path) as (t, server, books):
        await work(t, server, books)
        assert (len(server.requests), books.told) == (books.calls, [])
        assert (await t.usage()).total == books.spent


async def test_the_log_has_the_calls_and_sums_of_the_server_after_all_of_it_and_for_ever(path: str) -> None:
    async with counting(path) as (t, server, books):
        for work in [*WORKLOADS, *WORKLOADS]:
            await t.switch("main")
            await work(t, server, books)
            assert (await t.usage()).total == books.spent
        assert len(server.requests) == books.calls > 50
        by_branch = (await t.usage(by="branch")).sums
    async with AsyncTract.open(path) as t:
        report = await t.usage(by="branch")
        assert (report.total, report.sums) == (books.spent, by_branch)
        assert sum(each.calls for each in report.sums) == books.calls


async def test_a_call_that_is_left_before_anything_was_sent_is_none(path: str) -> None:
    threads = anyio.to_thread.current_default_thread_limiter()
    others = [object() for _ in range(int(threads.total_tokens))]
    async with counting(path) as (t, server, books):
        # The client waits for a thread to import what it sends with.
        for other in others:
            await threads.acquire_on_behalf_of(other)
        try:
            call = asyncio.ensure_future(t.chat("Never mind"))
            while not threads.statistics().tasks_waiting:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
        finally:
            for other in others:
                threads.release_on_behalf_of(other)
        assert ((await t.usage()).total.calls, len(server.requests)) == (0, 0)
        assert [info.status for info in await t.generations()] == ["cancelled"]
        await succeeds(t, server, books)
        assert (await t.usage()).total == books.spent


KILLED = """
import asyncio, sys
from tract import AsyncTract
async def main():
    async with AsyncTract.open(sys.argv[1], base_url=sys.argv[2], model="tiny") as t:
        async with t.stream("Count") as stream:
            async for delta in stream:
                print(delta, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("pieces", [(), (BEGUN,)], ids=["before the answer", "in its midst"])
async def test_a_call_whose_process_was_killed_is_counted_once_whoever_looks(path: str, pieces: tuple[bytes, ...]) -> None:
    gate = Gate()
    async with counting(path) as (t, server, books):
        books.tell(reply(100, 10), Raw([*pieces, gate]), reply(120, 12))
        await t.chat("Hi")
        before = await state(t)
        with started(KILLED, path, server.base_url) as child:
            await gate.reached.wait()
            if pieces:
                assert child.stdout is not None
                await asyncio.to_thread(child.stdout.readline)
            child.kill()
            await asyncio.to_thread(child.wait)
        gate.open()
        assert await state(t) == before
        await t.chat("And now?")
        assert (books.calls, (await t.usage()).total) == (3, books.spent)
    for _ in range(2):
        async with AsyncTract.open(path) as t:
            assert (await t.usage()).total == books.spent
            assert [info.status for info in await t.generations()] == ["completed", "interrupted", "completed"]
