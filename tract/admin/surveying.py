"""`status`: what a store holds, at a glance.

Reads only, in one snapshot. Imports `domain`, `log`, `projections` and the other modules of
`admin`.
"""

from os import PathLike
from pathlib import Path

from tract.admin.following import checkpoints
from tract.admin.results import Halted
from tract.admin.snapshots import Snapshot, read_snapshot
from tract.admin.surveys import FollowingStatus, StoreStatus, TableStatus
from tract.admin.threads import on_thread
from tract.domain.ids import uuid_text
from tract.log.editions import in_edition, without_edition
from tract.projections import FOLLOWING, INLINE


async def status(path: str | PathLike[str]) -> StoreStatus:
    """Return what a store holds, and how large it is.

    Reads one snapshot and changes nothing, also beside processes that write.

    Raises:
        ConfigError: *path* is no path.
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        CorruptLogError: SQLite finds the file damaged; `verify` says more.
        StoreUnreadableError: It may not be read.
        StoreError: It cannot be read.
    """
    return await on_thread(lambda place, stop: read_snapshot(place, stop, _survey), path)


def _survey(snapshot: Snapshot) -> StoreStatus:
    tables = {name for kind, name, *_ in snapshot("admin.things") if kind == "table"}
    editions = dict(snapshot("log.editions")) if snapshot("log.has_editions").fetchone() else {}
    events, families = snapshot("admin.count_events").fetchone()
    newest = snapshot("admin.newest").fetchone()
    rows = {
        (projection.name, table): sum(1 for _ in snapshot(statement))
        if in_edition(table, editions.get(projection.name, 0)) in tables
        else None
        for projection in INLINE
        for table, statement in projection.tables
    }
    wal = Path(f"{snapshot.path}-wal")
    return StoreStatus(
        path=snapshot.path,
        schema=snapshot("admin.schema").fetchone()[0],
        size=Path(snapshot.path).stat().st_size,
        wal_size=wal.stat().st_size if wal.exists() else 0,
        events=events,
        blobs=snapshot("admin.count_blobs").fetchone()[0],
        families=families,
        tracts=rows["tracts", "tracts"],
        newest=None if newest is None else newest[0],
        running=snapshot("admin.count_running").fetchone()[0] if rows["generations", "generations"] is not None else None,
        tables=tuple(TableStatus(*names, count) for names, count in rows.items()),
        following=_following(snapshot, 0 if newest is None else newest[1]),
        halted=_halted(snapshot),
    )


def _halted(snapshot: Snapshot) -> tuple[Halted, ...]:
    if not snapshot("log.has_editions").fetchone():
        return ()
    # Those of an edition that is being filled bear its number, and stop nobody yet.
    return tuple(
        Halted(projection, uuid_text(stream) if stream else None, position, finding)
        for projection, stream, position, finding in snapshot("log.halts")
        if not without_edition(projection)[1]
    )


def _following(snapshot: Snapshot, last: int) -> tuple[FollowingStatus, ...]:
    found = checkpoints(snapshot)
    halts = {name: position for name, _, position, _ in snapshot("log.halts")} if found else {}
    statuses = []
    for projection in FOLLOWING:
        position = found[projection.name].position if projection.name in found else None
        statuses.append(FollowingStatus(projection.name, position, last - (position or 0), halts.get(projection.name)))
    return tuple(statuses)
