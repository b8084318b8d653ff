"""Clock, randomness and process: the only place where the library reads them.

Imports `domain` and `log.entropy`.
"""

import os
import socket
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

from tract.domain.events import Owner
from tract.domain.ids import uuid7
from tract.log.entropy import random_bytes

Clock: TypeAlias = Callable[[], int]
"""Microseconds since 1970, UTC."""


def system_clock() -> int:
    """Return the machine's time."""
    return time.time_ns() // 1000


def new_id(clock: Clock) -> str:
    """Return a UUIDv7."""
    return uuid7(clock(), random_bytes(8))


def this_process() -> Owner:
    """Return who is running here, as far as the platform tells."""
    return _owner(os.getpid())


@cache
def _owner(process: int) -> Owner:
    return Owner(
        host=socket.gethostname() or None,
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_namespace(),
        process=process,
        started=_started(),
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


def _started() -> int | None:
    # Field 22 of proc(5)'s stat, counted behind the command's last bracket,
    # since a command may hold spaces and brackets itself.
    text = _read("/proc/self/stat")
    return None if text is None else int(text.rpartition(")")[2].split()[19])
