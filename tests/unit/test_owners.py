"""Whether anybody still waits for an answer, decided from who asked and who looks."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.builders import uuid
from tract.core.owners import LEASE, begin_answering, is_gone, presence, stop_answering, this_process
from tract.domain.events import Owner
from tract.domain.ids import GenerationId

HERE = this_process()
CALL = GenerationId(uuid(1))
ALIVE, DEAD = HERE.process, 2**22 + 1
"""A process that runs, and one beyond what Linux and macOS count to."""

NOWHERE = Owner(None, None, None, None, None)
linux = pytest.mark.skipif(HERE.started is None, reason="the platform does not tell when a process started")


def gone(owner: Owner, *, until: int = 100, now: int = 100) -> bool:
    """Say whether an owner is gone for who looks a second time."""
    first = presence(now)
    is_gone(CALL, owner, until, first)
    return is_gone(CALL, owner, until, presence(now, frozenset(first.found)))


@pytest.mark.parametrize(
    "owner",
    [
        NOWHERE,
        evolve(HERE, host="elsewhere"),
        evolve(HERE, host="elsewhere", process=DEAD),
        evolve(HERE, boot=None, process=DEAD),
        evolve(HERE, namespace=1, process=DEAD),
        evolve(HERE, process=None),
    ],
    ids=["unknown", "elsewhere", "dead elsewhere", "unknown boot", "another namespace", "unknown process"],
)
@pytest.mark.parametrize(("until", "is_over"), [(100, False), (101, False), (99, True)])
def test_an_owner_that_cannot_be_looked_at_counts_as_alive_until_its_lease_runs_out(
    owner: Owner, until: int, is_over: object
) -> None:
    assert gone(owner, until=until, now=100) is is_over


@linux
def test_an_owner_of_an_earlier_boot_of_this_machine_is_gone_at_once() -> None:
    assert gone(evolve(HERE, boot="another"), until=10**18)


def test_a_process_that_is_not_there_is_gone_at_once() -> None:
    assert gone(evolve(HERE, process=DEAD), until=10**18)


def test_a_process_that_is_found_gone_while_somebody_looks_is_not_gone_for_them() -> None:
    # What it wrote last may be missing in what they read.
    seen = presence(100)
    assert not is_gone(CALL, evolve(HERE, process=DEAD), 0, seen)
    assert seen.found == {evolve(HERE, process=DEAD)}


@linux
def test_another_process_that_runs_is_not_gone_however_old_its_lease() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        is_over = gone(evolve(HERE, process=other.pid, started=None), until=0)
        other.communicate(b"\n")
    assert not is_over


@linux
def test_a_process_that_took_over_the_number_of_the_owner_is_another() -> None:
    assert gone(evolve(HERE, process=os.getppid(), started=1), until=10**18)


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The platform lists no processes, as macOS, or not those of others, as Linux with hidepid."""
    monkeypatch.setattr("tract.core.owners.PROC", str(tmp_path))


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize("process", [os.getppid(), 1], ids=["one's own", "that of the machine, mostly another user's"])
@pytest.mark.parametrize(("until", "is_over"), [(100, False), (99, True)])
def test_a_process_that_exists_but_is_not_listed_counts_as_the_owner_until_its_lease_runs_out(
    process: int, until: int, is_over: object
) -> None:
    assert gone(evolve(HERE, process=process), until=until, now=100) is is_over


@pytest.mark.usefixtures("unlisted")
def test_a_process_that_does_not_exist_is_gone_at_once_also_where_none_are_listed() -> None:
    assert gone(evolve(HERE, process=DEAD), until=10**18)


@linux
def test_a_zombie_waits_for_nothing() -> None:
    # Not waited for, so the kernel keeps its number.
    with subprocess.Popen([sys.executable, "-c", "print()"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.read()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert gone(evolve(HERE, process=other.pid, started=None), until=10**18)


def test_a_call_that_this_process_does_not_run_is_gone_at_once() -> None:
    assert gone(HERE, until=10**18)


async def test_a_call_that_this_process_runs_is_not_gone_however_old_its_lease() -> None:
    begin_answering(CALL)
    is_over = gone(HERE, until=0)
    stop_answering(CALL)
    assert not is_over


async def test_a_call_that_ended_after_somebody_began_to_look_is_not_gone_for_them() -> None:
    begin_answering(CALL)
    seen = presence(100)
    stop_answering(CALL)
    assert not is_gone(CALL, HERE, 0, seen)


async def test_a_call_that_began_after_somebody_began_to_look_is_not_gone_for_them() -> None:
    seen = presence(100)
    begin_answering(CALL)
    stop_answering(CALL)
    assert not is_gone(CALL, HERE, 0, seen)


async def test_a_call_that_ended_before_somebody_looks_is_gone_for_them() -> None:
    begin_answering(CALL)
    stop_answering(CALL)
    assert is_gone(CALL, HERE, 10**18, presence(100))


def test_a_call_of_an_event_loop_that_was_closed_in_its_midst_is_gone() -> None:
    async def begin() -> None:
        begin_answering(CALL)

    asyncio.run(begin())
    assert gone(HERE, until=10**18)


def test_a_lease_is_thirty_seconds() -> None:
    assert LEASE == 30_000_000


@linux
def test_an_owner_on_linux_is_known_in_every_respect() -> None:
    assert None not in (HERE.host, HERE.boot, HERE.namespace, HERE.process, HERE.started)
