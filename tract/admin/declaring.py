"""Whether the tables, indexes and triggers of a store are those that Tract makes, and nothing meddles with them.

Imports `log`, `projections` and the other modules of `admin`; read
`SchemaCheck.run` first.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from attrs import define

from tract.admin.findings import Findings
from tract.admin.following import Checkpoint
from tract.admin.replaying import declarations
from tract.admin.snapshots import Slices, Snapshot
from tract.log.editions import Editions, create_all, without_edition
from tract.log.protocol import Projection, Row
from tract.log.sqlite_files import LOG_TABLES
from tract.projections import INLINE

_part_of_index = re.compile(r"^(\w+)_(?:config|content|data|docsize|idx)$")
"""The tables that FTS5 keeps an index in (https://sqlite.org/fts5.html, section 9)."""


@define(eq=False, repr=False)
class SchemaCheck:
    """What a store is made of beside what is declared.

    Attributes:
        slices: The store.
        findings: Is added to.
        following: The projections that can be made here.
        left_over: Tables of editions that nobody uses or fills.
    """

    slices: Slices
    findings: Findings
    following: Sequence[Projection]
    left_over: tuple[str, ...] = ()

    def run(self, known: Mapping[str, Checkpoint]) -> None:
        """Name what is missing, what is otherwise, and what nothing of ours declares.

        Raises:
            sqlite3.Error: The store cannot be read.
        """
        with self.slices.snapshot() as snapshot:
            rows = snapshot("admin.things").fetchall()
            things = declarations(rows)
            declared = _declared(snapshot, (*INLINE, *self.following), known)
            whole = {name for kind, name in declared if kind == "table" and things.get((kind, name)) == declared[kind, name]}
            is_noted = {"projections", "rebuilds"} <= whole
            used = dict(snapshot("log.editions")) if is_noted else {}
            claims = snapshot("log.rebuilds").fetchall() if is_noted else []
        for (kind, name), sql in sorted(declared.items()):
            found = things.get((kind, name))
            if found != sql:
                self.findings.add("schema", f"{kind} {name}", "it is missing" if found is None else "it is declared otherwise")
        strange = [row for row in rows if (row[0], row[1]) not in declared]
        whose = self._whose()
        for kind, name, table, _ in strange:
            if _meddles(kind, name, table, declared, whose):
                self.findings.add("schema", f"{kind} {name}", "it is nothing that Tract makes")
        self.left_over = tuple(_left_over(strange, whose, used, claims)) if is_noted else ()

    def _whose(self) -> dict[str, str]:
        """Return whose each table and index is, by what statements call it."""
        projections = (*INLINE, *self.slices.known.following)
        editions = Editions(self.slices.known.statements, projections)
        return {name: each.name for each in projections for name in editions.names(each.name)}


def _declared(
    snapshot: Snapshot, projections: Sequence[Projection], known: Mapping[str, Checkpoint]
) -> dict[tuple[str, str], str]:
    """Return how the tables that are in use are declared where they were just made."""
    made = [each for each in projections if each.is_inline or each.name in known]
    made = [each for each in made if each.name not in known or known[each.name].version == each.version]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        for name in LOG_TABLES:
            empty.execute(snapshot.statements[name])
        create_all(empty, snapshot.statements, made)
        return declarations(empty.execute(snapshot.statements["admin.things"]))


def _meddles(kind: str, name: str, table: str, declared: Mapping[tuple[str, str], str], whose: Mapping[str, str]) -> bool:
    """Say whether something that is not declared stands in the way of what is; a table of another name does not."""
    if kind == "view":
        plain = without_edition(name.lower())[0]
        return plain in whose or ("table", plain) in declared
    # A trigger is filed under its table as whoever made it spelled that.
    return kind in ("index", "trigger") and ("table", table.lower()) in declared


def _left_over(strange: Iterable[Row], whose: Mapping[str, str], used: Mapping[str, int], claims: Iterable[Row]) -> Iterable[str]:
    filled = {(each.partition(":")[0], edition) for edition, asked, *_ in claims for each in asked.split(",")}
    for kind, name, *_ in strange:
        plain, edition = without_edition(name)
        owner = whose.get(plain)
        if kind != "table" or owner is None or _part_of_index.match(name):
            continue
        # Nobody notes what is made at first until somebody follows it.
        if used.get(owner, 0) != edition and (owner, edition) not in filled:
            yield name
