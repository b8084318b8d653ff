"""How far work has come: figures, and who is told of them."""

import asyncio
import threading

import pytest

from tract.admin.reporting import Reports, on_thread_telling
from tract.admin.results import Progress


def count(_place: str, _stop: threading.Event, reports: Reports) -> int:
    reports.begin(1_000, "events")
    for done in range(1, 1_001):
        reports.reached(done)
    return 1_000


def test_progress_tells_rate_and_remaining_time() -> None:
    half = Progress(500, 1_000, "events", 2.0)
    assert (half.rate, half.remaining) == (250.0, 2.0)
    assert str(half) == "500 of 1,000 events, 250/s, 2 s left"


@pytest.mark.parametrize(
    ("progress", "remaining", "said"),
    [
        (Progress(0, 1_000, "events", 0.0), None, "0 of 1,000 events, 0/s"),
        (Progress(1_000, 1_000, "events", 2.0), 0.0, "1,000 of 1,000 events, 500/s"),
        (Progress(500, 0, "lines", 2.0), None, "500 lines, 250/s"),
        (Progress(0, 0, "lines", 0.0), None, "0 lines, 0/s"),
    ],
)
def test_progress_says_no_more_than_it_knows(progress: Progress, remaining: float | None, said: str) -> None:
    assert (progress.remaining, str(progress)) == (remaining, said)


async def test_the_caller_hears_both_ends_on_its_own_loop_before_the_result() -> None:
    heard: list[tuple[int, bool]] = []
    here = threading.get_ident()
    assert await on_thread_telling(count, "any", lambda one: heard.append((one.done, threading.get_ident() == here))) == 1_000
    assert (heard[0], heard[-1]) == ((0, True), (1_000, True))
    assert heard == sorted(heard)


async def test_the_caller_is_not_called_for_every_unit() -> None:
    heard: list[Progress] = []
    await on_thread_telling(count, "any", heard.append)
    assert len(heard) < 100


async def test_what_the_callers_function_raises_ends_the_work_and_comes_out() -> None:
    def refuse(_: Progress) -> None:
        raise LookupError("enough")

    is_told = threading.Event()

    def work(_place: str, _stop: threading.Event, reports: Reports) -> None:
        reports.begin(2, "events")
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
        is_told.set()
        reports.reached(1)
        pytest.fail("it went on")

    loop = asyncio.get_running_loop()
    with pytest.raises(LookupError):
        await on_thread_telling(work, "any", refuse)
    assert is_told.is_set()


async def test_what_it_raises_at_the_very_end_comes_out_too() -> None:
    def refuse(progress: Progress) -> None:
        if progress.done:
            raise LookupError("enough")

    def work(_place: str, _stop: threading.Event, reports: Reports) -> None:
        reports.begin(1, "events")
        reports.reached(1)

    with pytest.raises(LookupError):
        await on_thread_telling(work, "any", refuse)


async def test_work_that_nobody_listens_to_runs_all_the_same() -> None:
    assert await on_thread_telling(count, "any", None) == 1_000
