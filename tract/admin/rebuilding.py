"""`rebuild`: the tables of the projections, made anew from the log.

Imports `core.edges`, `log`, `projections` and the other modules of `admin`.
"""

import time
from os import PathLike

from tract.admin.reporting import Reports, Tell
from tract.admin.results import Halted, Rebuilt
from tract.admin.snapshots import require_store
from tract.admin.threads import on_thread, place_of
from tract.core.edges import system_clock
from tract.domain.ids import uuid_text
from tract.errors import ConfigError
from tract.log.statements import load
from tract.projections import FOLLOWING, INLINE, SQL, with_what_it_reads


async def rebuild(path: str | PathLike[str], projection: str | None = None, *, progress: Tell | None = None) -> Rebuilt:
    """Make the projections anew from the log, beside everybody who reads and writes.

    Tables are filled beside those in use, in portions of a few milliseconds;
    then they are put in use at once, and the old ones are removed. Where this
    is killed or cancelled, the next call goes on there. Until the end the file
    is larger by as much as the tables take up.

    An event that cannot be folded stops its family, and only that: the result
    names it, and until a rebuild gets over it nothing can be added to that
    family and none of its tracts be opened.

    An old table that is too damaged to be removed stays, and the result names
    it; a store that is exported and imported into a new file is without it.

    Who has the store open reads the tables in use from its next read on, and
    uses nothing any more that it computed from those before.

    Args:
        path: The store.
        projection: One of them only. Those whose tables it reads while it is
            replayed are made anew with it, so that it comes out right whatever
            became of them; the result names them. By default every one that
            has tables.
        progress: Is told how far it has come.

    Raises:
        ConfigError: There is no such projection, or *path* is no path.
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        RebuildRunningError: It is being rebuilt already.
        StoreLockedError: Somebody else kept on writing for too long.
        CorruptLogError: The log is damaged; nothing was changed.
        StoreError: It cannot be opened or written; the tables in use are as
            they were.
    """
    names = tuple(each.name for each in (*INLINE, *FOLLOWING))
    if projection is not None and projection not in names:
        raise ConfigError("projection", f"it must be one of {', '.join(names)}")
    # The store brings a database driver, which reading does not need.
    from tract.log.store import SqliteStore

    place, reports = place_of(path), Reports(progress)
    # Opening to write would make a store of an empty file.
    await on_thread(require_store, place)
    store = await SqliteStore.open(
        place,
        create=False,
        durability="full",
        clock=system_clock,
        statements=load(*SQL),
        projections=(*INLINE, *FOLLOWING),
    )
    try:
        started = time.perf_counter()
        asked = None if projection is None else with_what_it_reads(projection)
        reports.begin(0, "events")
        done = await store.rebuild(asked, reports.reached)
        reports.close()
        halted = tuple(
            Halted(one.projection, uuid_text(one.stream) if one.stream else None, one.position, one.finding) for one in done.halts
        )
    finally:
        await store.aclose()
    return Rebuilt(
        path=place,
        projections=done.projections,
        events=done.events,
        resumed=done.resumed,
        seconds=time.perf_counter() - started,
        holds=done.holds,
        swap=done.swap,
        halted=halted,
        leftovers=done.leftovers,
    )
