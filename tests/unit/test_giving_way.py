"""A reader lets writers empty a write-ahead log that has become long."""

from pathlib import Path
from threading import Event

import pytest

from tract.admin.giving_way import WayGiver


class Looks(Event):
    """Counts how often somebody would have waited; before the third time, the log begins anew."""

    def __init__(self, wal: Path, *, begins_anew: bool) -> None:
        super().__init__()
        self.count = 0
        self._wal = wal
        self._begins_anew = begins_anew

    def wait(self, timeout: float | None = None) -> bool:
        self.count += 1
        if self._begins_anew and self.count == 3:
            with self._wal.open("r+b") as opened:
                opened.write(b"another salt")
        return super().wait(timeout)


@pytest.fixture
def wal(tmp_path: Path) -> Path:
    return tmp_path / "log.db-wal"


def lengthen(wal: Path, size: int) -> None:
    with wal.open("ab") as opened:
        opened.truncate(size)


def test_there_need_be_no_write_ahead_log(tmp_path: Path, wal: Path) -> None:
    looks = Looks(wal, begins_anew=False)
    WayGiver(str(tmp_path / "log.db"), looks).give_way()
    assert looks.count == 0


def test_a_short_one_is_not_waited_for(tmp_path: Path, wal: Path) -> None:
    lengthen(wal, 1_000_000)
    looks = Looks(wal, begins_anew=False)
    WayGiver(str(tmp_path / "log.db"), looks).give_way()
    assert looks.count == 0


def test_a_long_one_is_waited_for_until_it_begins_anew(tmp_path: Path, wal: Path) -> None:
    lengthen(wal, 100_000_000)
    looks = Looks(wal, begins_anew=True)
    giving = WayGiver(str(tmp_path / "log.db"), looks)
    giving.give_way()
    assert looks.count == 3
    # The file has kept its length, and there is room in it.
    giving.give_way()
    assert looks.count == 3


def test_one_that_nobody_empties_is_waited_for_once(tmp_path: Path, wal: Path) -> None:
    lengthen(wal, 100_000_000)
    looks = Looks(wal, begins_anew=False)
    giving = WayGiver(str(tmp_path / "log.db"), looks)
    giving.give_way()
    before = looks.count
    giving.give_way()
    assert looks.count == before > 0


def test_who_is_stopped_does_not_wait(tmp_path: Path, wal: Path) -> None:
    lengthen(wal, 100_000_000)
    looks = Looks(wal, begins_anew=False)
    looks.set()
    WayGiver(str(tmp_path / "log.db"), looks).give_way()
    assert looks.count == 1
