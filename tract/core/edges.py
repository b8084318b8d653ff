"""Clock and randomness: the only place where the library reads them.

Imports `domain` and `log.entropy`.
"""

import time
from collections.abc import Callable
from typing import TypeAlias

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
