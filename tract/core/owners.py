"""Who runs a model call, and whether they still do.

An owner on this machine is looked at: the process exists and began when it
says. One that cannot be looked at, there or elsewhere, counts as alive while
it renews its lease.
The only place that asks the platform about processes. Imports `domain`.
"""

import asyncio
import os
import socket
from functools import cache
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from attrs import field, frozen

from tract.domain.events import Owner
from tract.domain.ids import GenerationId

LEASE = 30_000_000
"""Microseconds for which a call counts as alive after a sign of life."""

PROC = "/proc"
"""Where Linux tells of processes."""

_answering: dict[GenerationId, asyncio.AbstractEventLoop] = {}


@frozen(eq=False, repr=False)
class Presence:
    """Who was there while something was read.

    A call that ends meanwhile, or begins, must not count as abandoned. So it
    is made before the snapshot is taken, and goes on to take in every call
    that begins. An owner elsewhere may write its last words after the
    snapshot and die before it is looked at, so that it is gone counts only
    for a later snapshot.

    Attributes:
        now: The time, microseconds since 1970.
        answering: The calls that ran in this process at any time since.
        gone: The owners that were found gone before it was made.
        found: Those that were found gone since, in processes of their own;
            where there are any, read again with these among the gone.
    """

    now: int
    answering: set[GenerationId]
    gone: frozenset[Owner] = frozenset()
    found: set[Owner] = field(factory=set)


_looking: WeakSet[Presence] = WeakSet()
# Several event loops of one process may each have a thread of their own.
_lock = Lock()


def presence(now: int, gone: frozenset[Owner] = frozenset()) -> Presence:
    """Return who is there from now on; to be called before the snapshot is taken.

    Args:
        now: The time, microseconds since 1970.
        gone: The owners that are known to be gone.
    """
    with _lock:
        # An event loop that was closed in the midst of a call takes it along.
        for generation in [each for each, loop in _answering.items() if loop.is_closed()]:
            del _answering[generation]
        seen = Presence(now, set(_answering), gone)
        _looking.add(seen)
    return seen


def begin_answering(generation: GenerationId) -> None:
    """Count a call as one that this process runs, in whatever store, in the running event loop."""
    with _lock:
        _answering[generation] = asyncio.get_running_loop()
        for seen in _looking:
            seen.answering.add(generation)


def stop_answering(generation: GenerationId) -> None:
    """Count a call as over, once its end is written."""
    with _lock:
        _answering.pop(generation, None)


def this_process() -> Owner:
    """Return who is running here, as far as the platform tells."""
    return _owner(os.getpid())


def is_gone(generation: GenerationId, owner: Owner, until: int, seen: Presence) -> bool:
    """Say whether nobody waits for the answer of a call any more, and the snapshot has all that it brought.

    An owner that is first found gone here counts as there, and is `found`.

    Args:
        generation: The call.
        owner: Who ran it.
        until: When its lease runs out, microseconds since 1970.
        seen: Who was there.
    """
    now = seen.now
    here = this_process()
    if owner.host is None or owner.host != here.host:
        return until < now
    if owner.boot != here.boot:
        # The same machine was started again since, unless it cannot be told.
        return until < now if owner.boot is None or here.boot is None else True
    if owner.namespace != here.namespace or owner.process is None or os.name != "posix":
        return until < now
    if owner == here:
        return generation not in seen.answering
    if owner in seen.gone:
        return True
    is_alive = _is_alive(owner.process, owner.started)
    if is_alive is None:
        return until < now
    if not is_alive:
        seen.found.add(owner)
    return False


def _is_alive(process: int, started: int | None) -> bool | None:
    """Say whether the process runs; None where its number is in use, but not by whom."""
    stat = _stat(PROC, str(process))
    if stat is not None:
        state, since = stat
        # A zombie waits for nothing but its parent.
        return state not in ("Z", "X") and started in (None, since)
    # Only Linux has the folder, and with `hidepid` not for processes of others.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It exists, and is another user's.
    return None


@cache
def _owner(process: int) -> Owner:
    stat = _stat("/proc", "self")
    return Owner(
        host=socket.gethostname() or None,
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_namespace(),
        process=process,
        started=None if stat is None else stat[1],
    )


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError:
        return None


def _namespace() -> int | None:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return None


def _stat(*folder: str) -> tuple[str, int] | None:
    """Return state and start time of a process; None where the platform tells neither."""
    text = _read("/".join((*folder, "stat")))
    if text is None:
        return None
    # Fields 3 and 22 of proc(5)'s stat, counted behind the command's last
    # bracket, since a command may hold spaces and brackets itself.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
