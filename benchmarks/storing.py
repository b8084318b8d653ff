"""Bytes on disk beside the bytes of the text.

Imports `table` and `workload`.
"""

from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop, text


async def disk(workshop: Workshop) -> list[Result]:
    """The file of a long history after a checkpoint, against its raw text, for short and long messages."""
    rows: list[Result] = []
    for length, limit in ((300, 3.5), (3_000, 1.5)):
        path = await workshop.history(workshop.long, length, search=False)
        raw = sum(len(text(number, length).encode()) for number in range(workshop.long))
        what = f"disk, {workshop.long:,} messages of {length:,}"
        rows.append(Row(what, path.stat().st_size, "B", raw, "the raw text", Target(limit)))
    return rows
