"""Comparing the tables of projections with a replay of the log, beside whoever goes on writing.

Imports `core`, `log`, `projections` and the other modules of `admin`. Read
`Comparison.run`.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import Any

from attrs import define, field

from tract.admin.chaining import ChainCheck
from tract.admin.checking import EventCheck
from tract.admin.findings import Findings
from tract.admin.following import Checkpoint, FollowedReplay, checkpoints
from tract.admin.indexing import PARTS, WORDS, about, reading
from tract.admin.replaying import Replay, UnfoldedError
from tract.admin.reporting import Reports
from tract.admin.snapshots import Slices, Snapshot
from tract.core.checking import check_contexts
from tract.domain.ids import uuid_text
from tract.errors import CorruptLogError
from tract.log.editions import in_edition, without_edition
from tract.log.halts import InUse
from tract.log.protocol import Projection, Row
from tract.projections import INLINE

_FEW = 100
"""So few events are read at once with whatever comes next."""
_CHASES = 100
"""How often to go on reading behind writers before a snapshot lasts as long as the rest of the log."""
_ROWS = 500
"""Of a table that are compared at once."""


_LATER = "a later version of Tract made it, which can verify it"


@define(eq=False, repr=False)
class Comparison:
    """Each table of each projection beside its replay.

    One table is compared in one snapshot, up to whose end the log was checked
    and replayed: writers never stop, and no row may be seen at another moment
    than its replay.

    Attributes:
        slices: The store.
        chain: The check of its log, which goes on.
        events: The check of its events, which goes on.
        replay: Of what was checked.
        findings: Is added to.
        rows: How many rows were compared.
    """

    slices: Slices
    chain: ChainCheck
    events: EventCheck
    replay: Replay
    findings: Findings
    rows: int = 0

    def run(self, reports: Reports) -> None:
        """Compare whatever can be compared.

        Raises:
            sqlite3.Error: It tells nothing of the store.
        """
        reports.begin(0, "rows")
        for projection in INLINE:
            for place in range(len(projection.tables)):
                self._beside(partial(self._check_kept_in_step, projection, place), f"projection {projection.name}")
                reports.reached(self.rows)
        for followed in self.events.followed:
            self._beside(partial(self._check_followed, followed), f"projection {followed.projection.name}")
            reports.reached(self.rows)
        self._beside(lambda _: self.events.finish(), "the events")
        self._beside(self._name_halts, "table halts")
        self._beside(self._check_contexts, "table contexts")

    def _beside(self, check: Callable[[Snapshot], None], where: str) -> None:
        """Run a check in a snapshot whose whole log was checked and replayed."""

        def run() -> None:
            with self._caught_up() as snapshot:
                if self.events.is_replayed:
                    check(snapshot)

        self.findings.attempt(run, where)

    @contextmanager
    def _caught_up(self) -> Iterator[Snapshot]:
        """Yield a snapshot to whose end the log was read."""
        for _ in range(_CHASES):
            if self._read_on() <= _FEW:
                break
        with self.slices.snapshot() as snapshot:
            while self._read_on():
                pass
            yield snapshot

    def _read_on(self) -> int:
        """Check and replay what was appended meanwhile; return about how much it was."""
        count = self.chain.read()
        while self.events.read(self.chain.read_up_to):
            pass
        return count

    def _check_kept_in_step(self, projection: Projection, place: int, snapshot: Snapshot) -> None:
        """Compare a table; not that of an older version, which the next open makes anew."""
        checkpoint = checkpoints(snapshot).get(projection.name)
        if checkpoint is None and snapshot("log.has_editions").fetchone():
            self._add_once(projection, "it is not noted which version made it", place)
        elif checkpoint is None or checkpoint.version == projection.version:
            self._compare(snapshot, projection, place)
        elif checkpoint.version > projection.version:
            self._add_once(projection, _LATER, place)

    def _add_once(self, projection: Projection, what: str, place: int) -> None:
        """Add what is wrong with a projection as a whole, and not again for each of its tables."""
        if place == 0:
            self.findings.add("projection", f"projection {projection.name}", what)

    def _check_followed(self, followed: FollowedReplay, snapshot: Snapshot) -> None:
        name = followed.projection.name
        checkpoint = checkpoints(snapshot).get(name)
        if checkpoint is None or checkpoint.version < followed.projection.version:
            # Nobody uses it here, or whoever uses it next makes it anew.
            return
        if checkpoint.version > followed.projection.version:
            self._add_once(followed.projection, _LATER, 0)
            return
        where, position = f"projection {name}", checkpoint.position
        if position is None or not self._is_in_log(snapshot, checkpoint):
            self.findings.add("projection", where, f"it has read up to an event that the log has not at position {position}")
            return
        try:
            followed.go_to(snapshot, position)
        except UnfoldedError as exc:
            self.findings.add("projection", where, f"it cannot have read what is up to position {exc.event.position}")
        except CorruptLogError as exc:
            self.findings.add("projection", where, f"{exc.finding}, which it cannot have read")
        else:
            for place in range(len(followed.projection.tables)):
                self._compare(snapshot, followed.projection, place)

    def _is_in_log(self, snapshot: Snapshot, checkpoint: Checkpoint) -> bool:
        if checkpoint.position == 0:
            return checkpoint.digest is None
        row = snapshot("log.digest_at", checkpoint.position).fetchone()
        return row is not None and row[0] == checkpoint.digest

    def _name_halts(self, snapshot: Snapshot) -> None:
        if not snapshot("log.has_editions").fetchone():
            return
        for projection, stream, position, finding in snapshot("log.halts"):
            if without_edition(projection)[1]:
                # Of an edition that is being filled, which nobody uses yet.
                continue
            family = f", family {uuid_text(stream)}" if stream else ""
            self.findings.add(
                "projection", f"projection {projection}{family}", f"it stands still at position {position}: {finding}"
            )

    def _check_contexts(self, snapshot: Snapshot) -> None:
        """Compare the contexts that are kept with those compiled from nothing.

        Only in a store that is sound else, for it is compiled from its tables and blobs.
        """
        if self.findings.kept or not snapshot("admin.has_table", "contexts").fetchone():
            return
        try:
            for found in check_contexts(_Query(snapshot), self.slices.path):
                commit = f", commit {found.commit[:12]}" if found.commit else ""
                self.findings.add("context", f"table contexts, number {found.number}{commit}", found.finding)
        except CorruptLogError as exc:
            # Such as a content that is none, in a blob that is what its id says.
            self.findings.add("context", "table contexts", f"it cannot be checked, for {exc.finding}")

    def _compare(self, snapshot: Snapshot, projection: Projection, place: int) -> None:
        """Add the first row of a table that differs from the replay."""
        table, statement = projection.tables[place]
        checkpoint = checkpoints(snapshot).get(projection.name)
        name = in_edition(table, checkpoint.edition if checkpoint else 0)
        if not snapshot("admin.has_table", name).fetchone():
            # It was told of as part of the schema.
            return
        ours, theirs = snapshot(statement), self.replay.rows(statement)
        self.rows += self._add_difference(ours, theirs, f"table {name}")
        if snapshot("admin.is_index", name).fetchone():
            self._compare_index(snapshot, table, name)

    def _compare_index(self, snapshot: Snapshot, table: str, name: str) -> None:
        """Compare what is found in a full-text table, of which its rows tell nothing."""
        known = snapshot.statements
        with reading(snapshot.connection, known, name), reading(self.replay.connection, known, table):
            words = known[WORDS]
            self._add_difference(snapshot.connection.execute(words), self.replay.connection.execute(words), f"index {name}")
        for part in PARTS:
            ours = snapshot.connection.execute(about(known[part], name))
            theirs = self.replay.connection.execute(about(known[part], table))
            self._add_difference(ours, theirs, f"index {name}, {part.rpartition('_')[2]}")

    def _add_difference(self, ours: sqlite3.Cursor, theirs: sqlite3.Cursor, where: str) -> int:
        """Add the first row that differs; return how many there are."""
        there, difference = _compare_rows(ours, theirs, where)
        if difference is not None:
            self.findings.add("projection", *difference)
        return there


@define(eq=False, repr=False)
class _Query:
    """A snapshot as compiling takes it."""

    snapshot: Snapshot
    facts: dict[Any, Any] = field(factory=dict)
    in_use: InUse = field(factory=InUse)

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        return self.snapshot(name, *parameters).fetchall()


def _compare_rows(ours: sqlite3.Cursor, theirs: sqlite3.Cursor, thing: str) -> tuple[int, tuple[str, str] | None]:
    """Return how many rows a table has, and the first one that differs with what is wrong there."""
    names = [column[0] for column in theirs.description]
    there, made = 0, 0
    where, difference = "", ""
    while True:
        # Whole lists are compared in C.
        mine, right = ours.fetchmany(_ROWS), theirs.fetchmany(_ROWS)
        if mine != right and not difference:
            place, difference = _first_difference(names, mine, right)
            where = f"{thing}, row {made + place}"
        there += len(mine)
        made += len(right)
        if not mine and not right:
            break
    if not difference:
        return there, None
    total = "" if there == made else f"; the table has {there:,} rows, a replay makes {made:,}"
    return there, (where, difference + total)


def _first_difference(names: Sequence[str], mine: Sequence[Row], right: Sequence[Row]) -> tuple[int, str]:
    pairs = enumerate(zip_longest(mine, right), 1)
    return next((place, _difference(names, one, other)) for place, (one, other) in pairs if one != other)


def _difference(names: Sequence[str], mine: Row | None, right: Row | None) -> str:
    if mine is None or right is None:
        return "it is missing" if mine is None else "no event makes it"
    differing = [name for name, one, other in zip(names, mine, right, strict=False) if one != other]
    return f"a replay makes another {', '.join(differing)}" if differing else "it has other columns"
