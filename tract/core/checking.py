"""Checking what is kept: each context against one that is compiled from nothing.

Imports `contexts`, `graph`, `kept` and `operations`.
"""

from collections.abc import Iterator

from attrs import frozen

from tract.core.contexts import ContextCache
from tract.core.graph import node
from tract.core.kept import thawed
from tract.domain.ids import CommitId
from tract.log.protocol import Query
from tract.operations.comparing import find_difference
from tract.operations.frozen import VERSION


@frozen
class ContextFinding:
    """A context that is kept and is not what its commit compiles to.

    Attributes:
        number: Under which number it is kept.
        commit: The commit; None where none has that number and run.
        finding: What is wrong.
    """

    number: int
    commit: CommitId | None
    finding: str


def check_contexts(query: Query, where: str) -> Iterator[ContextFinding]:
    """Yield what is wrong with the contexts that are kept; all of them may be deleted without loss.

    Those of another version are passed over, for they are not read. Takes as
    long as compiling every commit that one is kept of.

    Args:
        query: The snapshot.
        where: The store, for people.

    Raises:
        CorruptLogError: The log itself cannot be compiled.
    """
    fresh, after = ContextCache(where, reads_kept=False), 0
    while rows := query("contexts.next", after, VERSION):
        row = rows[0]
        after, id = row[0], row[4]
        if id is None:
            yield ContextFinding(after, None, "it is of no commit")
            continue
        kept = thawed(query, where, row)
        if kept is None:
            yield ContextFinding(after, CommitId(id.hex()), "it is damaged or not whole")
            continue
        difference = find_difference(kept[0], fresh.context(query, node(query, after)))
        if difference is not None:
            yield ContextFinding(after, CommitId(id.hex()), f"it differs from its commit in {difference}")
