"""What all handles of one open store share: contexts, gates, deltas, settings and what works in the background.

Imports `contexts`, `gates`, `deltas`, `keeping`, `resting`, `settings`, `log`
and `projections`.
"""

from functools import partial
from weakref import WeakValueDictionary

from anyio import move_on_after
from attrs import Factory, field, frozen

from tract.core.contexts import ContextCache
from tract.core.deltas import Deltas
from tract.core.gates import Gates
from tract.core.keeping import keep_contexts, keep_known_contexts
from tract.core.resting import AtRest
from tract.core.settings import Configured
from tract.diagnostics import warn
from tract.log.protocol import EventStore
from tract.projections.running import Runner

CLOSING_SECONDS = 0.8
"""How long a store that closes is used to keep what was compiled; it waits a second for others itself."""


@frozen(eq=False, repr=False)
class Shared:
    """One store, and what is derived from it in this process.

    Attributes:
        store: The store.
        contexts: What was compiled.
        gates: Who may add to a branch.
        runs: Which run of the tool loop works on a branch, its steps being
            turns at *gates*.
        configured: What tracts were configured with, by number.
        runner: Keeps up what follows the log.
        at_rest: Keeps the contexts of long histories in the file.
    """

    store: EventStore
    contexts: ContextCache = Factory(lambda self: ContextCache(self.store.where), takes_self=True)
    gates: Gates = field(factory=Gates)
    runs: Gates = field(factory=Gates)
    deltas: Deltas = Factory(lambda self: Deltas(self.store), takes_self=True)
    configured: dict[int, Configured] = field(factory=dict)
    runner: Runner = Factory(lambda self: Runner(self.store), takes_self=True)
    at_rest: AtRest = Factory(lambda self: _at_rest(self.store, self.contexts), takes_self=True)

    async def aclose(self) -> None:
        """Give up one use of the store; the last one keeps what was compiled if that is quickly done."""
        await self.store.aclose()


def _at_rest(store: EventStore, contexts: ContextCache) -> AtRest:
    return AtRest(store, partial(keep_contexts, store, contexts), partial(_keep_at_the_end, store, contexts))


async def _keep_at_the_end(store: EventStore, contexts: ContextCache) -> None:
    try:
        with move_on_after(CLOSING_SECONDS):
            await keep_known_contexts(store, contexts)
    except Exception as exc:  # noqa: BLE001 - nothing of it keeps the store from closing
        # They are computed again. What ails the store is said by closing it, or by opening it again.
        warn("contexts.not_kept", store=store.where, error=type(exc).__name__)


def shared(store: EventStore) -> Shared:
    """Return what goes with *store*, the same for each of its handles."""
    found = _shared.get(store)
    if found is None:
        found = _shared[store] = Shared(store)
    return found


# By value, since what is shared holds its store: both go with the last handle.
_shared: "WeakValueDictionary[EventStore, Shared]" = WeakValueDictionary()
