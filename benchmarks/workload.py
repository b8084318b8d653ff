"""What the benchmarks work on: texts, and stores with a history of some length.

Imports `tract`. Read `Workshop` first.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

from attrs import define, field

from tract import AsyncTract
from tract.errors import ProjectionLagError
from tract.llm.counting import ApproximateCounter

_PROSE = (
    "the agent opens ticket reads order changes address checks refund policy asks customer confirms date calls tool "
    "returns empty list retries later writes summary keeps invoice number compares price books window seat cancels "
    "flight explains fee offers voucher waits reply"
)
_WORDS = _PROSE.split()
LARGEST = 1_000_000
"""Messages of a store that is made only where it is asked for: to fill it takes many minutes."""
CHUNK = 2_000
"""Commits that are under way at once while a history is made."""


def text(number: int, length: int = 300) -> str:
    """Return the text of a message, the same for a number and different for any other."""
    words = [f"Message {number}:"]
    size, state = len(words[0]), number * 2654435761 + 1
    while size < length:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        # Ids and numbers are what agents talk about, and what no compressor shrinks.
        words.append(f"{state >> 40:06x}" if state >> 62 == 0 else _WORDS[(state >> 33) % len(_WORDS)])
        size += 1 + len(words[-1])
    return " ".join(words)[:length]


@define
class Workshop:
    """A directory, the sizes to measure at, and the histories made so far.

    Attributes:
        folder: On a real disk.
        is_quick: Whether to be content with small sizes and few rounds.
        is_large: Whether to measure memory with `LARGEST` messages too.
    """

    folder: Path
    is_quick: bool = False
    is_large: bool = False
    _histories: dict[tuple[int, int, bool], Path] = field(factory=dict)
    _numbers: "count[int]" = field(factory=count)

    @property
    def sizes(self) -> Sequence[int]:
        """Lengths of history at which growth is measured."""
        return (100, 1_000, 10_000) if self.is_quick else (100, 1_000, 10_000, 100_000)

    @property
    def lengths(self) -> Sequence[int]:
        """Lengths of history at which memory is measured."""
        return (*self.sizes[-2:], *((LARGEST,) if self.is_large else ()))

    @property
    def long(self) -> int:
        """Messages of what is called a long context."""
        return 2_000 if self.is_quick else 10_000

    def rounds(self, many: int) -> int:
        """Return how often to measure what is measured *many* times at leisure."""
        return max(3, many // 4) if self.is_quick else many

    def file(self) -> Path:
        """Return a path that nobody used yet."""
        return self.folder / f"{next(self._numbers)}.db"

    def copied(self, path: Path) -> Path:
        """Return a copy of a store that nobody has open."""
        return Path(shutil.copy(path, self.file()))

    async def history(self, size: int, length: int = 300, *, search: bool = True) -> Path:
        """Return a store of one's own with *size* messages on one branch, and all of them in the search index or none."""
        key = (size, length, search)
        if key not in self._histories:
            self._histories[key] = self.file()
            await fill(self._histories[key], size, length)
            if search:
                await index(self._histories[key])
        return self.copied(self._histories[key])

    async def opened(self, size: int, durability: str = "full") -> AsyncTract:
        """Return a tract with *size* messages, open, as a user would open it."""
        return await AsyncTract.open(str(await self.history(size)), durability=durability)


def forget(path: Path) -> None:
    """Remove the contexts that a closed store keeps, so that the next compile is one from nothing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM contexts")
        connection.execute("DELETE FROM context_leaves")


async def fill(path: Path, size: int, length: int = 300) -> None:
    """Write *size* messages to one branch, many at once so that it is quick, and no search index."""
    async with AsyncTract.open(str(path), tokens=ApproximateCounter(), search=False) as t:
        for first in range(0, size, CHUNK):
            await asyncio.gather(*(t.user(text(number, length)) for number in range(first, min(first + CHUNK, size))))


async def index(path: Path) -> None:
    """Bring the search index of a store up."""
    async with AsyncTract.open(str(path)) as t:
        while not await _has_caught_up(t):
            pass


async def _has_caught_up(t: AsyncTract) -> bool:
    try:
        await t.search("nothing")
    except ProjectionLagError:
        return False
    return True
