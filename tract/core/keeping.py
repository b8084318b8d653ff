"""Keeping contexts in the file, so that they are not computed again after a restart.

No event depends on the rows: whoever finds none compiles from the log. They
are written through the store's writer, and what two processes write at once is
whole whichever of them was first. Imports `domain` to `log`, `contexts`,
`graph` and `kept`; read `keep_contexts`.
"""

from collections.abc import Iterable, Iterator

from attrs import frozen

from tract.core.contexts import ContextCache, Known
from tract.core.graph import Node, ancestor, node, stretches
from tract.core.kept import about, find_kept_place
from tract.domain.canonical import encode_plain
from tract.domain.ids import CommitId
from tract.errors import ContentValidationError, CorruptLogError
from tract.log.protocol import EventStore, Query, Row, Statement
from tract.operations.compiling import content_chain
from tract.operations.freezing import Frozen, Memory, freeze
from tract.operations.frozen import VERSION, sealed

STRIDE = 512
"""Commits of first-parent history after which a context is kept again."""
ROOTS = 16
"""Contexts that are kept of one history with all its branches; the oldest go."""
CHUNK = 256
"""Leaves that are written in one transaction, so that no append waits for long."""
MOST_AT_CLOSING = 256
"""Leaves that are worth freezing while somebody waits for a store to close."""
PIECE = 4096
"""Commits that are folded at once, so that nobody waits long for a reader, or for the store to close."""
_ATTEMPTS = 2
_MEMORY = ":memory:"


@frozen(eq=False, repr=False)
class Keeping:
    """A context about to be written.

    Attributes:
        head: Its commit.
        origin: The first commit of its history.
        known: Where it comes from.
        frozen: Its bytes.
        has_grown: Whether it has every leaf that the one before had.
    """

    head: Node
    origin: int
    known: Known
    frozen: Frozen
    has_grown: bool

    def leaves(self) -> list[Statement]:
        """Return what writes the leaves that are not there yet."""
        return [Statement("contexts.put_leaf", (key, self.origin, data)) for key, data in self.frozen.leaves.items()]

    def root(self) -> list[Statement]:
        """Return what writes the root, where the tables in use still are those it comes from, and removes what it replaces."""
        head, keys = self.head, encode_plain(list(self.frozen.keys))
        data = sealed(self.frozen.root, *about(head.run, bytes.fromhex(head.id), keys))
        return [
            Statement("contexts.put", (head.number, head.run, self.origin, VERSION, keys, data, self.known.edition)),
            Statement("contexts.remove_before", (head.run, head.number)),
            Statement("contexts.remove_oldest", (self.origin, ROOTS)),
        ]


async def keep_contexts(store: EventStore, contexts: ContextCache, *, stride: int = STRIDE) -> int:
    """Keep the contexts of branches that went far since theirs was kept; return how many that were.

    A branch that was looked at is looked at again when it has moved. What
    nobody compiled here is not in memory afterwards either. Leaving early
    leaves nothing half-done.

    Args:
        store: The store.
        contexts: What was compiled of it here.
        stride: How many commits are far.

    Raises:
        ClosedError: The store is closed.
        StoreError: It could not be read or written.
    """
    if store.where == _MEMORY:
        return 0
    known, heads = await store.read(lambda query: _moved(query, contexts))
    due = await store.read(lambda query: [head for head in heads if _is_due(query, head, stride)])
    kept = [await _keep_aside(store, contexts, head) for head in due]
    known.looked = max((head.number for head in heads), default=known.looked)
    return sum(kept)


async def keep_known_contexts(store: EventStore, contexts: ContextCache) -> int:
    """Do what `keep_contexts` does for contexts that were compiled here, where that takes little time.

    For when somebody waits for a store to close. Nothing is read where
    nothing large was compiled.

    Raises:
        ClosedError: The store is closed.
        StoreError: It could not be read or written.
    """
    grown = contexts.grown(STRIDE)
    if store.where == _MEMORY or not grown:
        return 0
    heads = await store.read(lambda query: _heads(query, min(grown) - 1))
    due = await store.read(
        lambda query: [
            head for head in heads if head.number in contexts.known(query).grown(STRIDE) and _is_due(query, head, STRIDE)
        ]
    )
    kept = [await _keep(store, contexts, head, most=MOST_AT_CLOSING) for head in due]
    return sum(kept)


def _moved(query: Query, contexts: ContextCache) -> tuple[Known, list[Node]]:
    known = contexts.known(query)
    return known, _heads(query, known.looked)


def _heads(query: Query, after: int) -> list[Node]:
    """Return where branches are that moved after a position."""
    return [node(query, number) for (number,) in query("contexts.heads", after)]


def _is_due(query: Query, head: Node, stride: int) -> bool:
    """Say whether a commit is far from the last context that was kept in its first-parent history."""
    if head.depth + 1 < stride:
        return False
    kept = _last_kept(query, head)
    return kept is None or head.depth - kept[1] >= stride


def _last_kept(query: Query, head: Node) -> tuple[int, int] | None:
    """Return number and depth of the last commit before *head* whose context is kept."""
    return next((kept for run, last in stretches(query, head) if (kept := find_kept_place(query, run, last))), None)


async def _keep_aside(store: EventStore, contexts: ContextCache, head: Node) -> bool:
    """Write the context of a commit piece by piece, and hold no more than before; say whether it was."""
    aside = contexts.aside()
    known, its, (origin, pieces) = await store.read(
        lambda query: (contexts.known(query), aside.known(query), _pieces(query, aside, head))
    )
    for piece in pieces:
        if not await _keep(store, aside, piece):
            return False
    if known.knows(head.number):
        known.memorise(origin, its.memory(origin))
    return True


def _pieces(query: Query, known: ContextCache, head: Node) -> tuple[int, list[Node]]:
    """Return the first commit of a history, and commits of it up to *head* that each are not far from the one before."""
    *_, (origin, _) = stretches(query, head)
    kept, nearest = _last_kept(query, head), known.find_known(query, head)
    low = max(-1 if kept is None else kept[1], -1 if nearest is None else node(query, nearest).depth)
    found = (ancestor(query, head, head.depth - depth) for depth in range(low + PIECE, head.depth, PIECE))
    return origin, [*filter(None, found), head]


async def _keep(store: EventStore, contexts: ContextCache, head: Node, most: int | None = None) -> bool:
    """Write the context of a commit; say whether it was.

    Args:
        store: The store.
        contexts: What is known.
        head: The commit.
        most: Leaves that may be new, if not any number.
    """
    for _ in range(_ATTEMPTS):
        try:
            keeping = await store.read(lambda query: _frozen(query, contexts, head, most))
        except (CorruptLogError, ContentValidationError):
            # Whoever compiles it is told; the branches behind it are kept.
            return False
        if keeping is None:
            return False
        leaves = keeping.leaves()
        for first in range(0, len(leaves), CHUNK):
            await store.scratch(leaves[first : first + CHUNK]).wait()
        is_there, _, were_oldest = await store.scratch(keeping.root()).wait()
        if were_oldest or not keeping.has_grown:
            # Not every time: at a million messages it holds the write lock for 10 ms.
            await store.scratch([Statement("contexts.sweep", (keeping.origin,))]).wait()
        if is_there:
            keeping.known.memorise(keeping.origin, keeping.frozen.memory)
            return True
        # Somebody removed leaves that are remembered here, or made the tables
        # anew: all are written, of what they say now.
        keeping.known.memorise(keeping.origin, Memory())
    return False


def _frozen(query: Query, contexts: ContextCache, head: Node, most: int | None) -> Keeping | None:
    context = contexts.context(query, head)
    *_, (origin, _) = stretches(query, head)
    known = contexts.known(query)
    memory = known.memory(origin)
    if most is not None and sum(id(leaf) not in memory.keys for leaf in context.slots.leaves) > most:
        return None
    try:
        frozen = freeze(context, content_chain(context), CommitNumbers(query, _numbers(query, head, memory)), memory)
    except LookupError:
        # The tables do not fit the context: what they say is not to be kept.
        return None
    keys = {key for _, key in memory.keys.values()}
    return Keeping(head, origin, known, frozen, has_grown=bool(keys) and keys.issubset(frozen.keys))


def _numbers(query: Query, head: Node, memory: Memory) -> Iterator[Row]:
    """Yield number, id and config of the commits that are most likely to be asked for."""
    kept = _last_kept(query, head) if memory.keys else None
    low = 0 if kept is None else kept[0]
    for run, last in stretches(query, head):
        if last > low:
            yield from query("contexts.numbers", run, low, last)


class CommitNumbers:
    """The numbers of commits, some of them known and the others read when they are asked for.

    Args:
        query: The snapshot.
        rows: Number, id and config of those that are known.
    """

    def __init__(self, query: Query, rows: Iterable[Row]) -> None:
        self._query = query
        self._known = {CommitId(id.hex()): (number, config) for number, id, config in rows}

    def commit(self, id: CommitId) -> int:
        """Return the number of a commit.

        Raises:
            LookupError: It is not in the file.
        """
        return self._find(id)[0]

    def config(self, id: CommitId) -> int | None:
        """Return the number of the blob with what a commit's content was made with.

        Raises:
            LookupError: The commit is not in the file.
        """
        return self._find(id)[1]

    def _find(self, id: CommitId) -> tuple[int, int | None]:
        found = self._known.get(id)
        if found is None:
            rows = self._query("contexts.number", bytes.fromhex(id))
            if not rows:
                raise LookupError(id)
            number, _, config = rows[0]
            found = self._known[id] = (number, config)
        return found
