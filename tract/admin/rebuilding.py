"""`rebuild`: the tables of the projections, made anew from the log.

Imports `core.edges`, `log`, `projections` and the other modules of `admin`.
"""

import time
from os import PathLike

from tract.admin.results import Rebuilt
from tract.admin.snapshots import require_store
from tract.admin.threads import on_thread, place_of
from tract.core.edges import system_clock
from tract.errors import ConfigError
from tract.log.statements import load
from tract.projections import FOLLOWING, INLINE, SQL, with_what_it_reads


async def rebuild(path: str | PathLike[str], projection: str | None = None) -> Rebuilt:
    """Make the projections anew from the log, all or nothing.

    Writers of other processes wait meanwhile. A caller that is cancelled while
    it runs sees its end, and then everything is made anew.

    Args:
        path: The store.
        projection: One of them only. Those whose tables it reads while it is
            replayed are made anew with it, so that it comes out right whatever
            became of them; the result names them.

    Raises:
        ConfigError: There is no such projection, or *path* is no path.
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        StoreLockedError: Somebody else kept on writing for too long.
        CorruptLogError: The log cannot be replayed; nothing was changed.
        StoreError: It cannot be opened or written; nothing was changed.
    """
    names = tuple(each.name for each in INLINE)
    if projection is not None:
        if projection not in names:
            raise ConfigError("projection", f"it must be one of {', '.join(names)}")
        names = with_what_it_reads(projection)
    # The store brings a database driver, which reading does not need.
    from tract.log.store import SqliteStore

    place = place_of(path)
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
        events = await store.replay(names)
        return Rebuilt(place, names, events, time.perf_counter() - started)
    finally:
        await store.aclose()
