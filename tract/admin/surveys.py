"""What `status` sees: frozen values with a readable `__str__`.

Imports `domain.results` and `results`.
"""

from attrs import frozen

from tract.admin.results import Halted
from tract.domain.results import moment


@frozen
class TableStatus:
    """A table of a projection.

    Attributes:
        projection: Whose it is.
        table: Its name.
        rows: How many it has; None where it is missing.
    """

    projection: str
    table: str
    rows: int | None


@frozen
class FollowingStatus:
    """A projection that follows the log a little behind it.

    Attributes:
        projection: Its name.
        position: Up to where it has read; None where it was never followed in this store.
        lag: How many events it has not read yet; below 0 where the log has lost some that it had read.
        halted: The position of an event that it could not fold; it stands
            still there until it is rebuilt. None where it goes on.
    """

    projection: str
    position: int | None
    lag: int
    halted: int | None

    def __str__(self) -> str:
        if self.halted is not None:
            return f"stands still at position {self.halted:,}; rebuild it"
        if self.position is None:
            return "not followed yet"
        if not self.lag:
            return "in step"
        events = f"{abs(self.lag):,} event{'' if abs(self.lag) == 1 else 's'}"
        return f"{events} behind" if self.lag > 0 else f"{events} ahead of the log, which has lost them; run verify"


@frozen
class StoreStatus:
    """What `status` saw, all in one snapshot.

    Attributes:
        path: The store.
        schema: The number of its schema.
        size: Bytes of the file.
        wal_size: Bytes of the write-ahead log beside it, 0 where there is none.
        events: How many the log holds.
        blobs: How many rows; what was collected or erased keeps its row.
        families: How many streams.
        tracts: How many tracts; None where their table is missing.
        newest: When the last event was recorded, in microseconds since 1970,
            UTC; None in an empty log.
        running: Model calls without an end; None where their table is missing.
        tables: Those of the projections that are kept in step with every append.
        following: The other projections.
        halted: What stands still, as one of its events cannot be folded.
    """

    path: str
    schema: int
    size: int
    wal_size: int
    events: int
    blobs: int
    families: int
    tracts: int | None
    newest: int | None
    running: int | None
    tables: tuple[TableStatus, ...]
    following: tuple[FollowingStatus, ...]
    halted: tuple[Halted, ...]

    def __str__(self) -> str:
        newest = "none" if self.newest is None else moment(self.newest).isoformat(sep=" ", timespec="seconds")
        facts = [
            ("schema", f"{self.schema}"),
            ("file", f"{self.size:,} bytes"),
            ("write-ahead log", f"{self.wal_size:,} bytes"),
            ("events", f"{self.events:,}"),
            ("newest event", newest),
            ("blobs", f"{self.blobs:,}"),
            ("families", f"{self.families:,}"),
            ("tracts", _count(self.tracts)),
            ("running calls", _count(self.running)),
            *((f"table {one.table}", _count(one.rows, " rows") + f" ({one.projection})") for one in self.tables),
            *((f"following {one.projection}", f"{one}") for one in self.following),
        ]
        return "\n".join([self.path, *(f"  {one}" for one in self.halted), *(f"  {name:<24}{fact}" for name, fact in facts)])


def _count(number: int | None, unit: str = "") -> str:
    return "missing" if number is None else f"{number:,}{unit}"
