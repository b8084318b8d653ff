"""Story: somebody leaves an answer that a real server sends; its connection is closed, and what was seen is kept."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.acceptance.reading import texts
from tests.acceptance.scripting import Dictated, opened
from tests.children import started
from tract import AsyncTract, OpenAIClient
from tract.errors import ModelConnectionError, ModelTimeoutError, TurnStateError
from tract.testing import Cut
from tract.testing.server import CutAfter, Hold, Reply, Server, serve

Leave = Callable[[AsyncTract], Awaitable[object]]


@asynccontextmanager
async def talking(*deltas: str, where: str = ":memory:") -> AsyncIterator[tuple[AsyncTract, Server]]:
    """A tract and a server that sends the deltas, and then nothing more."""
    held = Hold(asyncio.Event(), deltas)
    async with serve([held]) as server, AsyncTract.open(where, base_url=server.base_url, model="tiny") as t:
        yield t, server


async def hung_up(server: Server, count: int = 1) -> None:
    async with asyncio.timeout(10):
        await server.disconnected(count)


async def by_break(t: AsyncTract) -> None:
    async with t.stream("Count") as stream:
        async for _ in stream:
            break


async def by_exception(t: AsyncTract) -> None:
    with pytest.raises(ZeroDivisionError):
        async with t.stream("Count") as stream:
            async for _ in stream:
                raise ZeroDivisionError


async def by_time_out(t: AsyncTract) -> None:
    with pytest.raises(TimeoutError):
        async with t.stream("Count") as stream:
            await anext(stream)
            async with asyncio.timeout(0.02):
                await anext(stream)


async def by_cancel(t: AsyncTract) -> None:
    has_begun = asyncio.Event()

    async def read() -> None:
        async with t.stream("Count") as stream:
            async for _ in stream:
                has_begun.set()

    task = asyncio.create_task(read())
    await has_begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def by_closing(t: AsyncTract) -> None:
    async with t.stream("Count") as stream:
        async for _ in stream:
            await t.aclose()
            break


@pytest.mark.parametrize(
    ("leave", "kept"),
    [(by_break, ["Count", "One "]), (by_exception, []), (by_time_out, []), (by_cancel, [])],
    ids=["break", "exception", "time-out", "cancel"],
)
async def test_leaving_closes_the_connection_and_keeps_what_it_should(leave: Leave, kept: list[str]) -> None:
    async with talking("One ") as (t, server):
        await leave(t)
        await hung_up(server)
        (info,) = await t.generations()
        assert (info.status, info.text, await texts(t)) == ("cancelled", "One ", kept)


async def test_closing_the_tract_closes_the_connection(path: str) -> None:
    async with talking("One ", where=path) as (t, server):
        await by_closing(t)
        await hung_up(server)
    async with AsyncTract.open(path) as t:
        assert [(info.status, info.text) for info in await t.generations()] == [("cancelled", "One ")]


async def test_a_chat_that_is_cancelled_before_the_first_byte_closes_the_connection() -> None:
    async with talking() as (t, server):
        chat = asyncio.create_task(t.chat("Count"))
        await server.received()
        chat.cancel()
        await asyncio.wait([chat])
        await hung_up(server)
        assert [info.status for info in await t.generations()] == ["cancelled"]


async def test_a_server_that_stalls_is_left_after_the_silence_that_is_allowed() -> None:
    async with talking("One ") as (t, server):
        with pytest.raises(ModelTimeoutError) as caught:
            async with t.stream("Count", timeout=0.05) as stream:
                async for _ in stream:
                    pass
        await hung_up(server)
        (info,) = await t.generations()
        assert (info.status, info.text, info.answer, await t.head()) == ("failed", "One ", caught.value.partial, None)


async def test_a_connection_that_is_cut_in_the_midst_fails_the_call_and_keeps_what_came() -> None:
    async with serve([CutAfter(["One ", "two "])]) as server:
        client = OpenAIClient(base_url=server.base_url, max_retries=0)
        async with AsyncTract.open(llm=client, model="tiny") as t:
            with pytest.raises(ModelConnectionError):
                async with t.stream("Count") as stream:
                    async for _ in stream:
                        pass
            assert [(info.status, info.text) for info in await t.generations()] == [("failed", "One two ")]
        await client.aclose()


LEAVING = """
import asyncio, os, sys
from tract import AsyncTract
path, url, way = sys.argv[1:4]
async def main():
    async with AsyncTract.open(path, base_url=url, model="tiny") as t:
        async with t.stream("Count") as stream:
            async for delta in stream:
                print(delta, flush=True)
                if way == "sys.exit":
                    sys.exit(3)
                if way == "os._exit":
                    os._exit(3)
                if way == "raise":
                    raise KeyboardInterrupt
asyncio.run(main())
"""


async def left_by_a_process(path: str, server: Server, way: str) -> None:
    """Let a process read one delta and end, however."""
    with started(LEAVING, path, server.base_url, way) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "One \n"
        if way == "SIGINT":
            process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait)


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no SIGINT to send")
@pytest.mark.parametrize(
    ("way", "status"),
    [("sys.exit", "cancelled"), ("SIGINT", "cancelled"), ("raise", "cancelled"), ("os._exit", "interrupted")],
)
async def test_the_end_of_the_process_closes_the_connection_and_loses_nothing(path: str, way: str, status: str) -> None:
    async with serve([Hold(asyncio.Event(), ["One "])]) as server:
        await left_by_a_process(path, server, way)
        await hung_up(server)
    async with AsyncTract.open(path) as t:
        (info,) = await t.generations()
        assert (info.status, info.text, await t.head()) == (status, "One ", None)


async def test_leaving_one_of_two_streams_closes_its_connection_alone() -> None:
    go_on = asyncio.Event()
    script = [Hold(go_on, ["One "], Reply("two."))] * 2
    async with serve(script) as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, other.stream("Count") as stays:
            assert await anext(stays) == "One "
            await by_break(t)
            await hung_up(server)
            go_on.set()
            assert [delta async for delta in stays] == ["two."]
            assert server.disconnects == 1


async def test_a_consumer_that_times_out_on_each_delta_loses_none() -> None:
    model = Dictated()
    words = [f"{number} " for number in range(30)]
    async with opened(model) as t:
        seen: list[str] = []
        async with t.stream("Count") as stream:
            waiting = list(words)
            while True:
                try:
                    seen.append(await asyncio.wait_for(anext(stream), 0.003))
                except TimeoutError:
                    model.say(*waiting[:1]) if waiting else model.end()
                    del waiting[:1]
                except StopAsyncIteration:
                    break
            assert (seen, stream.response.text) == (words, "".join(words))
        assert await texts(t) == ["Count", "".join(words)]


@pytest.mark.parametrize("steps", range(12))
async def test_a_consumer_that_is_interrupted_at_any_step_loses_neither_delta_nor_response(steps: int) -> None:
    async with opened([["One ", "two ", "three."]]) as t, t.stream("Count") as stream:
        seen: list[str] = []
        while True:
            reading = asyncio.ensure_future(anext(stream, ""))
            for _ in range(steps):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            if reading.cancelled():
                # Steps alone might never let it come through.
                delta = await asyncio.wait_for(anext(stream, ""), 10)
            else:
                delta = reading.result()
            if not delta:
                break
            seen.append(delta)
        assert (seen, stream.response.text) == (["One ", "two ", "three."], "One two three.")


@pytest.mark.parametrize("steps", range(12))
async def test_a_failure_that_a_time_out_struck_is_told_again(steps: int) -> None:
    async with opened([Cut(["One "], ModelConnectionError())]) as t:
        with pytest.raises(ModelConnectionError):
            async with t.stream("Count") as stream:
                assert await anext(stream) == "One "
                for _ in range(3):
                    reading = asyncio.ensure_future(anext(stream))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    reading.cancel()
                    await asyncio.wait([reading])
                    if not reading.cancelled():
                        reading.result()
                await anext(stream)
        assert [info.status for info in await t.generations()] == ["failed"]


async def test_two_readers_of_one_stream_share_its_deltas() -> None:
    words = [f"{number} " for number in range(50)]
    async with opened([words]) as t, t.stream("Count") as stream:

        async def read() -> list[str]:
            return [delta async for delta in stream]

        found = await asyncio.gather(read(), read())
        assert sorted([*found[0], *found[1]]) == sorted(words)


async def test_a_consumer_that_is_slow_gets_all_and_holds_the_provider_back() -> None:
    words = [f"{number:099} " for number in range(5_000)]
    sent = 0

    async def deltas() -> AsyncIterator[str]:
        nonlocal sent
        for word in words:
            sent += 1
            yield word

    async with opened(lambda _: deltas()) as t, t.stream("Count") as stream:
        seen = [await anext(stream)]
        for _ in range(20):
            await t.status()
        ahead = sent
        seen += [delta async for delta in stream]
        assert (seen, ahead < 1_000) == (words, True)


async def test_a_client_that_raises_in_the_midst_of_a_stream_fails_the_call_and_frees_the_branch() -> None:
    async with opened([Cut(["One "], RuntimeError("broken"))]) as t:
        with pytest.raises(RuntimeError, match="broken"):
            async with t.stream("Count") as stream:
                async for _ in stream:
                    pass
        (info,) = await t.generations()
        assert (info.status, info.text, info.finish_reason) == ("failed", "One ", "RuntimeError")
        await t.user("free")
        assert await texts(t) == ["free"]


async def test_a_stream_that_ended_has_no_more_deltas() -> None:
    async with opened(["Hello."]) as t, t.stream("Hi") as stream:
        assert [delta async for delta in stream] == ["Hello."]
        assert [delta async for delta in stream] == []


async def test_a_response_before_the_end_is_refused() -> None:
    async with opened([["One ", "two."]]) as t, t.stream("Count") as stream:
        await anext(stream)
        with pytest.raises(TurnStateError):
            _ = stream.response
