"""Figures for operators: percentiles, means, what is remembered, how they read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import request
from tract.domain.events import BranchCreated
from tract.domain.statistics import ContextStatistics, Percentiles, StoreStatistics
from tract.log.metering import LATEST, Meter
from tract.log.protocol import Scratch

DURATIONS = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(DURATIONS, st.sampled_from([("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)]))
def test_a_percentile_is_the_least_duration_that_so_many_do_not_exceed(seconds: list[float], which: tuple[str, int]) -> None:
    name, percent = which
    found = getattr(Percentiles.of(seconds), name)
    assert found in seconds
    assert 100 * sum(each <= found for each in seconds) >= percent * len(seconds)
    assert 100 * sum(each < found for each in seconds) < percent * len(seconds)


@given(DURATIONS)
def test_percentiles_do_not_depend_on_the_order(seconds: list[float]) -> None:
    assert Percentiles.of(seconds) == Percentiles.of(reversed(seconds))


def test_percentiles_of_a_hundred_are_those_of_their_places() -> None:
    assert Percentiles.of(range(1, 101)) == Percentiles(100, 50, 90, 99, 100)


def test_percentiles_of_one_duration_are_that() -> None:
    assert Percentiles.of([0.5]) == Percentiles(1, 0.5, 0.5, 0.5, 0.5)


def test_percentiles_of_nothing_are_zero() -> None:
    assert Percentiles.of([]) == Percentiles(0, 0.0, 0.0, 0.0, 0.0)


def test_percentiles_read_in_milliseconds() -> None:
    assert str(Percentiles.of([0.001, 0.0025])) == "p50 1.00 ms, p90 2.50 ms, p99 2.50 ms, max 2.50 ms"


def test_the_mean_of_a_batch_counts_whatever_was_in_it() -> None:
    assert StoreStatistics("log.db", appends=5, scratch=2, failed=1, batches=4).batch_mean == 2.0


def test_the_mean_of_no_batch_is_zero() -> None:
    assert StoreStatistics("log.db").batch_mean == 0.0


def test_a_batch_counts_by_what_became_of_each_request() -> None:
    append, scratch = request(BranchCreated("a", None)), Scratch(())
    meter = Meter()
    meter.note([append, scratch, append, append], [(), (1, 0), ValueError(), ()], 0.5)
    meter.note([scratch], [ValueError()], 0.25)
    counted = (meter.appends, meter.scratch, meter.failed, meter.batches, meter.largest, list(meter.seconds))
    assert counted == (2, 1, 2, 2, 4, [0.5, 0.25])


def test_only_the_durations_of_the_last_batches_are_remembered() -> None:
    meter = Meter()
    for number in range(LATEST + 3):
        meter.note([Scratch(())], [()], number)
    assert list(meter.seconds) == list(range(3, LATEST + 3))


def test_statistics_read_as_a_table() -> None:
    found = StoreStatistics(
        "log.db",
        waiting=3,
        appends=1200,
        scratch=30,
        failed=2,
        batches=100,
        batch_max=64,
        commit=Percentiles(100, 0.001, 0.002, 0.003, 0.0205),
        lock_waits=7,
        lock_seconds=1.5,
        wal_size=4152,
        checkpoints=1,
        readers_busy=2,
        reads_waiting=5,
        contexts=ContextStatistics(9, 8, 1, 10),
    )
    assert str(found).splitlines() == [
        "log.db",
        "  requests waiting    3",
        "  requests written    1,200 appends, 30 of answers on their way; 2 failed",
        "  batches             100 of 12.3 requests on average, 64 at the most",
        "  time of a batch     p50 1.00 ms, p90 2.00 ms, p99 3.00 ms, max 20.50 ms",
        "  waits for the lock  7, 1.50 s in all",
        "  write-ahead log     4,152 bytes, 1 checkpoints",
        "  reads               2 under way, 5 waiting",
        "  contexts            9 found, 8 grown, 1 folded; 10 kept",
    ]


@pytest.mark.parametrize("value", [Percentiles(), ContextStatistics(), StoreStatistics("log.db")])
def test_statistics_are_frozen(value: object) -> None:
    with pytest.raises(AttributeError):
        value.count = 1  # type: ignore[attr-defined]
