"""What all handles of one open store share: contexts, gates and deltas.

Imports `contexts`, `gates`, `deltas` and `log`.
"""

from weakref import WeakKeyDictionary

from attrs import Factory, field, frozen

from tract.core.contexts import ContextCache
from tract.core.deltas import Deltas
from tract.core.gates import Gates
from tract.log.protocol import EventStore


@frozen(eq=False, repr=False)
class Shared:
    """One store, and what is derived from it in this process."""

    store: EventStore
    contexts: ContextCache = field(factory=ContextCache)
    gates: Gates = field(factory=Gates)
    deltas: Deltas = Factory(lambda self: Deltas(self.store), takes_self=True)


def shared(store: EventStore) -> Shared:
    """Return what goes with *store*, the same for each of its handles."""
    found = _shared.get(store)
    if found is None:
        found = _shared[store] = Shared(store)
    return found


_shared: "WeakKeyDictionary[EventStore, Shared]" = WeakKeyDictionary()
