"""The figures of a store, gathered from its writer and its connections.

Imports `domain`, `writer`, `write_connection` and `readers`.
"""

from tract.domain.statistics import Percentiles, StoreStatistics
from tract.log.readers import Readers
from tract.log.write_connection import WriteConnection
from tract.log.writer import Writer


def measured(path: str, writer: Writer, connection: WriteConnection, readers: Readers) -> StoreStatistics:
    """Return what was counted, and what waits now; no I/O but a look at the size of the write-ahead log."""
    meter = writer.meter
    return StoreStatistics(
        path,
        waiting=writer.waiting,
        appends=meter.appends,
        scratch=meter.scratch,
        failed=meter.failed,
        batches=meter.batches,
        batch_max=meter.largest,
        commit=Percentiles.of(meter.seconds),
        lock_waits=connection.lock_waits,
        lock_seconds=connection.lock_seconds,
        wal_size=connection.wal_size(),
        checkpoints=connection.checkpoints,
        readers_busy=readers.busy,
        reads_waiting=readers.waiting,
    )
