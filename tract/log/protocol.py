"""What a store and a projection promise each other.

The values are Structs of msgspec, since every append makes a handful of them.

Imports `domain` and `halts`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import MsgspecError, Struct

from tract.domain.events import Event, NewEvent
from tract.domain.ids import BlobId, OperationId, TractId
from tract.domain.statistics import StoreStatistics
from tract.log.companions import Companion
from tract.log.halts import Halt, InUse, Rebuilding

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Row: TypeAlias = tuple[Any, ...]
MISSHAPEN = (MsgspecError, LookupError, TypeError, RecursionError)
"""Raised by who reads a row that has not the shape of what is stored there, or whose text is gone."""


class Statement(Struct, frozen=True, gc=False):
    """A named SQL statement of the package, with its parameters."""

    name: str
    parameters: Row = ()


class BlobDraft(Struct, frozen=True, gc=False):
    """Bytes to be stored under an id that is already known.

    Attributes:
        id: SHA-256 of salt and data.
        salt: 16 random bytes, or those of equal data stored before.
        fingerprint: SHA-256 of the data alone, by which equal data are found.
        data: The bytes.
    """

    id: BlobId
    salt: bytes
    fingerprint: bytes
    data: bytes


Decide: TypeAlias = Callable[[Sequence[Sequence[Row]]], Sequence[NewEvent]]
"""Pure; gets the rows of the request's reads and returns what to append. It
runs inside the write transaction, on the connection's thread, so it must be
quick; an exception from it fails its own request and no other."""


class Request(Struct, frozen=True, eq=False):
    """One append, decided inside the transaction that writes it.

    Attributes:
        stream: The family.
        operation: The verb call it belongs to.
        reads: What `decide` needs to see.
        decide: Turns their rows into events.
        blobs: What the events name; stored only if there are events.
        digest: SHA-256 of verb and arguments where the caller gave the
            operation's id: the operation's earlier events are returned
            instead of deciding again. None otherwise.
        scratch: Statements on scratch tables, run in the same transaction
            if the decision did not raise.
    """

    stream: TractId
    operation: OperationId
    reads: tuple[Statement, ...]
    decide: Decide
    blobs: tuple[BlobDraft, ...] = ()
    digest: bytes | None = None
    scratch: tuple[Statement, ...] = ()


class Scratch(Struct, frozen=True, eq=False):
    """Statements on scratch tables alone, which no event depends on.

    They survive the death of the process. When the machine loses power, they
    may be gone, so that nobody waits for the disk.

    Attributes:
        statements: What to write.
        is_durable: Whether they survive power loss as appends do, and with
            them every scratch before.
    """

    statements: tuple[Statement, ...]
    is_durable: bool = False


Work: TypeAlias = Request | Scratch
"""What the writer is handed."""


class Query(Protocol):
    """Runs a named statement on a snapshot and returns its rows."""

    @property
    def facts(self) -> dict[Any, Any]:
        """A place to remember what the log can never change again; the store's own."""
        ...

    @property
    def in_use(self) -> InUse:
        """Which tables the snapshot shows."""
        ...

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        """Return every row."""
        ...


class Projection(Protocol):
    """Tables derived from events: a fold that can be dropped and replayed."""

    @property
    def name(self) -> str:
        """Of the projection; also the prefix of its statements."""
        ...

    @property
    def version(self) -> int:
        """Of what it makes of events: tables that an older one made are made anew when a store is opened.

        One that is kept in step with every append raises the schema of the store with it.
        """
        ...

    @property
    def is_inline(self) -> bool:
        """Whether it is kept in step with every append, or follows the log a little behind it."""
        ...

    @property
    def folds(self) -> tuple[type[Any], ...]:
        """The event bodies that change it; it is not shown others."""
        ...

    @property
    def create(self) -> tuple[str, ...]:
        """Names of the statements that make its tables, in order."""
        ...

    @property
    def drop(self) -> tuple[str, ...]:
        """Names of the statements that remove them."""
        ...

    @property
    def tables(self) -> tuple[tuple[str, str], ...]:
        """Its tables, each with the statement that returns all its rows, in the order of their key."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the projections whose tables its own statements read, all of them earlier ones."""
        ...

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Return what the events change; pure, and the same rows however they are chunked.

        A projection that is kept in step is shown one event after another,
        and in a rebuild all of one type that stand together, before any later
        projection is: so its statements read of an earlier one's tables only
        what no other event of that type changes.

        Args:
            events: In the order of the log.
            blobs: Bytes of the ids that the events name, where they are known.
        """
        ...


class FollowingProjection(Projection, Protocol):
    """A projection that follows the log a little behind it."""

    def words(self, event: Event) -> Iterable[BlobId]:
        """Return the blobs that `apply` needs to see for an event that it folds."""
        ...


class Checkpoint(Struct, frozen=True):
    """What a projection that follows the log is taken for.

    Attributes:
        name: Its name.
        version: Of what it makes of events.
        edition: Of its tables.
    """

    name: str
    version: int
    edition: int


class Chunk(Struct, frozen=True, eq=False):
    """What a stretch of the log means to projections that follow it.

    Attributes:
        projections: Which ones.
        before: The position up to which all of them have read.
        after: The position that they have read up to with this.
        digest: Of the event there.
        statements: What changes.
    """

    projections: tuple[Checkpoint, ...]
    before: int
    after: int
    digest: bytes
    statements: tuple[Statement, ...]


class UnfitStatementError(Exception):
    """A statement of a chunk cannot be applied, and that is not the file's fault or the disk's."""


class EventStore(Protocol):
    """One log with its blobs and projections."""

    @property
    def where(self) -> str:
        """The path, for people."""
        ...

    async def append(self, request: Request, then: Callable[[], None] | None = None) -> tuple[Event, ...]:
        """Append what the request decides and return it, durable.

        A caller that is cancelled while the request waits in the queue
        withdraws it; after that it is written all the same.

        Args:
            request: What to append.
            then: Called as soon as it was written, also where the caller was
                cancelled meanwhile.

        Raises:
            ClosedError: The store is closed.
            OperationMismatchError: The operation id belongs to another call.
            ProjectionError: A projection could not take an event; nothing was written.
            StoreError: Nothing was written.
        """
        ...

    def submit(self, request: Request) -> "Submission[tuple[Event, ...]]":
        """Hand a request over without waiting, even where the queue is full.

        For ends that must be recorded although their caller is leaving.
        """
        ...

    def scratch(self, statements: Sequence[Statement], *, is_durable: bool = False) -> "Submission[tuple[int, ...]]":
        """Hand statements on scratch tables to the writer, behind what waits there.

        Args:
            statements: What to write.
            is_durable: Whether they, and every scratch before, shall survive power loss as appends do.

        Returns:
            A submission that tells how many rows each statement changed.

        Raises:
            ClosedError: The store is closed.
        """
        ...

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run a function over one snapshot, on a reader's thread.

        Raises:
            ClosedError: The store is closed.
            StoreError: The file could not be read.
        """
        ...

    def mark(self) -> int:
        """Return how many changes were noticed so far; one may count twice.

        Take it, read, then wait with `changed`: nothing is missed between.
        """
        ...

    async def changed(self, mark: int, *, is_patient: bool = False) -> None:
        """Wait until something was written after *mark*, in this process or another.

        It may return early, so read again and look. What this process writes
        wakes at once, what another one writes within some 20 ms, or a second
        for who is patient: to look so often is the cost of waiting.

        Raises:
            ClosedError: The store is closed, or was meanwhile.
            StoreError: The file could not be read.
        """
        ...

    def draft(self, data: bytes) -> BlobDraft:
        """Return a blob to go with a request, sharing the salt of equal data that is remembered."""
        ...

    async def remember(self, data: bytes) -> None:
        """Look up whether *data* is stored already, so that `draft` shares it."""
        ...

    def statistics(self) -> StoreStatistics:
        """Return what was counted since the store was opened, and what waits now; nothing of contexts.

        Raises:
            ClosedError: The store is closed.
        """
        ...

    def check_here(self) -> None:
        """Refuse another process or event loop than those that opened the store.

        Raises:
            WrongLoopError: This is another.
        """
        ...

    async def adopt(self, projection: Projection) -> int:
        """Return up to which position a projection that follows the log has read; its tables are there from now on.

        They are made, empty, where one is missing, where an older version of the
        projection made them, and where the log was rolled back behind them.

        Raises:
            NewerSchemaError: A later version of the projection made them.
            StoreError: Nothing was changed.
        """
        ...

    async def advance(self, chunk: Chunk) -> bool:
        """Apply a chunk, if its projections still are what it takes them for and where it begins; say whether they were.

        Nobody waits for the disk: what is lost there is made again.

        Raises:
            UnfitStatementError: One of its statements cannot be applied; nothing was changed.
            StoreError: Nothing was changed.
        """
        ...

    async def halt(self, checkpoint: Checkpoint, before: int, halt: Halt) -> bool:
        """Note where a projection met an event that it cannot fold, if it still is before that; say whether it was.

        Raises:
            StoreError: Nothing was changed.
        """
        ...

    def accompany(self, companion: Companion) -> None:
        """Close something when the store closes, before it."""
        ...

    def share(self) -> None:
        """Count one more use, to be given up by `aclose`."""
        ...

    async def aclose(self) -> None:
        """Give up one use; the last one writes what waits and closes the store."""
        ...

    async def rebuild(
        self, projections: Collection[str] | None = None, tell: Callable[[int, int], None] = lambda _, __: None
    ) -> Rebuilding:
        """Make projections anew from the log, beside everybody who reads and writes.

        An event that cannot be folded stops its family, or a projection that
        follows the log, and nothing else. A caller that is cancelled leaves
        what is filled so far, and the next rebuild goes on there.

        Args:
            projections: Names of those to rebuild, together with all that
                they read; by default every one that has tables.
            tell: Is told how many events are folded, of how many.

        Raises:
            RebuildRunningError: They are being rebuilt already.
            CorruptLogError: The log cannot be read to its end; nothing was changed.
            NewerSchemaError: A later version made tables of one of them.
            StoreError: They were not rebuilt.
        """
        ...


class Submission(Protocol[T_co]):
    """Something to write that the writer owns."""

    async def wait(self) -> T_co:
        """Return what was written; leaving early does not withdraw it."""
        ...
