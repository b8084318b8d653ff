"""Commits that are not in the log yet, and a query that sees them there.

Whoever is inside a batch reads through a `PendingQuery`, in which the batch's
commits stand at numbers that no log reaches, in a run of their own. So refs,
log and compile know nothing of batches, and what they derive stays right.
Imports `domain`, `graph` and `log`; read `PendingCommits` first.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

from attrs import frozen

from tract.core.graph import PER_CONTEXT, Node
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.codec import encode_body
from tract.log.halts import InUse
from tract.log.protocol import BlobDraft, Query, Row

SPAN = 1 << 32
"""Numbers that each batch has to itself, so that nothing that was derived
under one of them is ever taken for another's."""

START = 2
"""Bytes that the shortest prefix of an id has, by which commits are found."""

_starts = count(1 << 62, SPAN)


class PendingCommits:
    """Commits on top of one another, and what they bring; only ever added to.

    Args:
        base: What the first one stands on, or None.
    """

    def __init__(self, base: Node | None) -> None:
        self.base = base
        self.run = next(_starts)
        self.events: list[Event] = []
        self.nodes: list[Node] = []
        self.places: dict[bytes, int] = {}
        self.starting: dict[bytes, list[int]] = {}
        self.drafts: dict[BlobId, BlobDraft] = {}
        self.numbered: dict[BlobId, int] = {}
        self.by_number: dict[int, bytes] = {}
        # Not the store's own: a run of ours is not for ever.
        self.facts: dict[Any, Any] = {}

    @property
    def next_number(self) -> int:
        """The number of the commit that is added next."""
        return self.run + len(self.events)

    @property
    def tip(self) -> Node | None:
        """The last commit, or what the first one will stand on."""
        return self.nodes[-1] if self.nodes else self.base

    def add(self, event: Event, blobs: Sequence[BlobDraft]) -> None:
        """Put a commit on top of the tip, at the next number."""
        body, tip = event.body, self.tip
        assert isinstance(body, CommitRecorded)
        self.drafts.update((blob.id, blob) for blob in blobs)
        config = body.commit.config
        if config is not None and config not in self.numbered:
            number = self.run + SPAN // 2 + len(self.numbered)
            self.by_number[number] = self.drafts[config].data
            self.numbered[config] = number
        id = bytes.fromhex(body.commit.id)
        self.places[id] = len(self.events)
        self.starting.setdefault(id[:START], []).append(len(self.events))
        self.nodes.append(
            Node(
                number=event.position,
                id=body.commit.id,
                parent=None if tip is None else tip.number,
                run=self.run,
                depth=0 if tip is None else tip.depth + 1,
                slots=(0 if tip is None else tip.slots) + body.slot_delta,
                tokens=(PER_CONTEXT if tip is None else tip.tokens) + body.token_delta,
            )
        )
        self.events.append(event)


@frozen(eq=False, repr=False)
class Moved:
    """A branch as it is seen from inside a batch.

    Attributes:
        tract: The tract's number.
        branch: The branch.
        tip: Where it is, or None.
        time: When it moved there last; None where the log says so.
        until: The position behind which the log's own movements of it are not seen.
    """

    tract: int
    branch: str
    tip: Node | None
    time: int | None
    until: int


class PendingQuery:
    """A `Query` over a snapshot of the store with some commits on top.

    Args:
        query: The snapshot.
        pending: The commits.
        moved: The branch that they move.
    """

    def __init__(self, query: Query, pending: PendingCommits, moved: Moved) -> None:
        self._query = query
        self._pending = pending
        self._moved = moved
        self._count = 0 if moved.tip is None else max(moved.tip.number - pending.run + 1, 0)

    @property
    def facts(self) -> dict[Any, Any]:
        """A place to remember what the log, with these commits, can never change again."""
        return self._pending.facts

    @property
    def in_use(self) -> InUse:
        """Which tables the snapshot shows."""
        return self._query.in_use

    @classmethod
    def answered(cls) -> frozenset[str]:
        """Return the names of the statements whose rows the commits change."""
        return frozenset(cls._answers)

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        """Return every row."""
        answer = self._answers.get(name)
        found = None if answer is None else answer(self, *parameters)
        return self._query(name, *parameters) if found is None else found

    def _has(self, number: int) -> bool:
        return 0 <= number - self._pending.run < self._count

    def _place(self, id: bytes) -> int | None:
        place = self._pending.places.get(id)
        return None if place is None or place >= self._count else place

    def _branch(self, tract: int, name: str) -> list[Row] | None:
        moved = self._moved
        if (tract, name) != (moved.tract, moved.branch):
            return None
        if moved.tip is None:
            return [(None,) * 7]
        number, id, *rest = _node_row(moved.tip)
        return [(id, number, *rest)]

    def _branches(self, tract: int, *name: str) -> list[Row]:
        statement = "refs.one_branch" if name else "refs.branches"
        return [self._branch_row(tract, row) for row in self._query(statement, tract, *name)]

    def _branch_row(self, tract: int, row: Row) -> Row:
        moved = self._moved
        if (tract, row[0]) != (moved.tract, moved.branch):
            return row
        tip = moved.tip
        at = (None, None) if tip is None else (bytes.fromhex(tip.id), tip.number)
        return (row[0], *at, row[3] if moved.time is None else moved.time)

    def _newest_movement(self, ref: int, position: int) -> list[Row] | None:
        moved = self._moved
        if self._query("refs.branch_number", moved.tract, moved.branch) != [(ref,)]:
            return None
        rows = self._query("movements.newest", ref, min(position, moved.until))
        place = min(position - self._pending.run, self._count - 1)
        if place < 0:
            return rows
        event = self._pending.events[place]
        # Times never go back along a branch, whatever the clock does.
        return [(event.position, max(event.recorded_at, rows[0][1]), event.position)]

    def _by_id(self, id: bytes) -> list[Row] | None:
        place = self._place(id)
        return None if place is None else [_node_row(self._pending.nodes[place])]

    def _by_number(self, number: int) -> list[Row] | None:
        return [_node_row(self._pending.nodes[number - self._pending.run])] if self._has(number) else None

    def _by_prefix(self, low: bytes, high: bytes, stream: bytes) -> list[Row]:
        rows = self._query("commits.by_prefix", low, high, stream)
        if low == high:
            return rows or self._by_id(low) or []
        places = self._pending.starting.get(low[:START], ())
        found = (_node_row(self._pending.nodes[place]) for place in places if place < self._count)
        return rows + [row for row in found if low <= row[1] <= high]

    def _back_in_run(self, run: int, last: int, steps: int) -> list[Row] | None:
        return [(last - steps,)] if self._is_ours(run) else None

    def _run_start(self, run: int) -> list[Row] | None:
        if not self._is_ours(run):
            return None
        base = self._pending.base
        return [(0, None, None) if base is None else (base.depth + 1, base.run, base.number)]

    def _steps(self, run: int, low: int, last: int) -> list[Row] | None:
        if not self._is_ours(run):
            return None
        pending, first = self._pending, max(low + 1 - self._pending.run, 0)
        return [self._step_row(pending.nodes[place], pending.events[place]) for place in range(first, last - pending.run + 1)]

    def _step_row(self, node: Node, event: Event) -> Row:
        body = event.body
        assert isinstance(body, CommitRecorded)
        content, config = body.commit.content, body.commit.config
        stored = None if content is None else self._data(content.blob)
        number = None if config is None else self._pending.numbered[config]
        return (node.number, bytes.fromhex(node.id), node.parent, None, encode_body(body), stored, number)

    def _blob_by_number(self, number: int) -> list[Row] | None:
        data = self._pending.by_number.get(number)
        return None if data is None else [(data,)]

    def _blob(self, id: bytes) -> list[Row] | None:
        found = self._pending.drafts.get(BlobId(id.hex()))
        return None if found is None else [(found.data,)]

    def _log(self, run: int, last: int, operation: str | None, limit: int) -> list[Row] | None:
        if not self._is_ours(run):
            return None
        rows: list[Row] = []
        for place in range(last - self._pending.run, -1, -1):
            event = self._pending.events[place]
            assert isinstance(event.body, CommitRecorded)
            if operation is None or event.body.commit.operation.value == operation:
                rows.append(self._log_row(event))
                if len(rows) == limit:
                    break
        return rows

    def _log_entry(self, number: int) -> list[Row] | None:
        return [self._log_row(self._pending.events[number - self._pending.run])] if self._has(number) else None

    def _log_row(self, event: Event) -> Row:
        body = event.body
        assert isinstance(body, CommitRecorded)
        commit = body.commit
        return (
            event.position,
            uuid_bytes(event.stream),
            event.version,
            uuid_bytes(event.tract),
            body.tag,
            body.schema,
            encode_body(body).decode(),
            uuid_bytes(event.operation),
            event.actor,
            event.recorded_at,
            event.digest,
            None if commit.content is None else self._data(commit.content.blob),
            None if commit.details is None else self._data(commit.details),
            None if commit.config is None else self._data(commit.config),
        )

    def _data(self, blob: BlobId) -> bytes:
        return self._pending.drafts[blob].data

    def _is_ours(self, run: int) -> bool:
        return run == self._pending.run

    _answers: ClassVar[Mapping[str, Callable[..., list[Row] | None]]] = {
        "refs.branch": _branch,
        "refs.branches": _branches,
        "refs.one_branch": _branches,
        "commits.by_id": _by_id,
        "commits.by_number": _by_number,
        "commits.by_prefix": _by_prefix,
        "commits.back_in_run": _back_in_run,
        "commits.run_start": _run_start,
        "commits.steps": _steps,
        "commits.log": _log,
        "commits.log_entry": _log_entry,
        "commits.blob_by_number": _blob_by_number,
        "log.blob": _blob,
        "movements.newest": _newest_movement,
    }
    """What the store cannot know; None from one of these means that it does."""


def _node_row(of: Node) -> Row:
    return (of.number, hex_bytes(of.id), of.parent, of.run, of.depth, of.slots, of.tokens)
