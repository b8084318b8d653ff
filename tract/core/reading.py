"""What stands between a handle's queries and the store's snapshots.

Imports `batches`, `collaborators`, `settings` and `log`.
"""

from collections.abc import Callable
from typing import TypeVar

from tract.core.batches import OpenBatch
from tract.core.collaborators import Identity
from tract.core.settings import Settings
from tract.log.protocol import Query

T = TypeVar("T")


def own(
    query: Callable[[Query], T], batch: OpenBatch | None, identity: Identity, settings: Settings, file: str
) -> Callable[[Query], T]:
    """Return a function as a handle asks it of a snapshot.

    Args:
        query: The function.
        batch: That the caller is in, whose commits it sees on top while that is open.
        identity: The tract, whose family must not stand still.
        settings: The handle's, which are learned again where their tables were made anew.
        file: The store, for people.
    """
    sight = batch.seen_from_inside() if batch is not None and batch.is_open else None

    def read(snapshot: Query) -> T:
        identity.require_sound(snapshot, file)
        settings.look(snapshot)
        return query(snapshot if sight is None else sight.of(snapshot))

    return read
