"""Figures of the store, for its operators.

Imports `core`.
"""

from attrs import evolve

from tract.core import TractCore
from tract.domain.statistics import StoreStatistics


def statistics(t: TractCore) -> StoreStatistics:
    """Return what goes on in the store: its queue, its batches, its lock, its caches.

    Of the whole store: all tracts and handles of it in this process and
    event loop. No coroutine, for nothing is read but the size of one file.

    Raises:
        ClosedError: The tract is closed.
        WrongLoopError: Another event loop or process than the handle's.
    """
    t.require_open()
    shared = t.collaborators.shared
    return evolve(shared.store.statistics(), contexts=shared.contexts.statistics())
