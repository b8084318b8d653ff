"""Walking the commits table: refs, ancestors and ranges.

Everything here is a function over a `Query` and runs on a reader's thread.
The ancestors of a commit are a mapping from run to the last commit in it, so
that ancestry costs a few range scans. Imports `domain`, `errors`, `log`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TypeAlias

from attrs import frozen

from tract.domain.ids import CommitId, TractId, uuid_bytes
from tract.domain.results import moment
from tract.errors import AmbiguousRefError, BranchNotFoundError, BranchTooYoungError, DetachedHeadError, RefNotFoundError
from tract.log.protocol import Query, Row

LONGEST_REF = 300
"""Characters; a name has 255 at most."""
LAST_POSITION = 2**63 - 1
"""No position is greater: SQLite's integers end there."""
HEX = frozenset("0123456789abcdef")
PER_CONTEXT = 3
"""Tokens that a context costs beside its messages; totals beside a commit hold them."""


@frozen(eq=False, repr=False)
class Head:
    """Where a handle is: on a branch, or detached at a commit."""

    branch: str | None
    commit: CommitId | None = None


@frozen(eq=False, repr=False)
class Place:
    """Whose refs are meant: a tract, in its family, seen from a HEAD."""

    tract: int
    stream: TractId
    head: Head


@frozen(eq=False, repr=False)
class Node:
    """A commit's row in the graph.

    Attributes:
        number: Its position in the log.
        parent: The number of its first parent.
        run: The stretch of first-parent history that it belongs to.
        depth: How many commits are before it.
        slots: How many slots compile there.
        tokens: What they cost at recorded counts, plus 3.
    """

    number: int
    id: CommitId
    parent: int | None
    run: int
    depth: int
    slots: int
    tokens: int


Spot: TypeAlias = tuple[int, int]
"""A commit by its run and number."""


@frozen(eq=False, repr=False)
class RunStart:
    """Where a run begins; it never changes.

    Attributes:
        depth: Of its first commit.
        before: That commit's first parent, None in the first run.
    """

    depth: int
    before: Spot | None


def find_node(query: Query, id: bytes) -> Node | None:
    """Return the commit of an id, or None."""
    rows = query("commits.by_id", id)
    return _node(rows[0]) if rows else None


def node(query: Query, number: int) -> Node:
    """Return the commit of a number that is known to exist."""
    return _node(query("commits.by_number", number)[0])


def _node(row: Row) -> Node:
    number, id, parent, run, depth, slots, tokens = row
    return Node(number, CommitId(id.hex()), parent, run, depth, slots, tokens)


def branch_node(row: Row) -> Node | None:
    """Return the commit of a row of `refs.branch`, None where the branch has none."""
    id, number, *rest = row
    return None if number is None else _node((number, id, *rest))


def parent(query: Query, of: Node) -> Node | None:
    """Return the first parent of a commit, None for the first one."""
    return None if of.parent is None else node(query, of.parent)


def run_start(query: Query, run: int) -> RunStart:
    """Return where a run begins, remembered from the first time on."""
    start: RunStart | None = query.facts.get(("run", run))
    if start is None:
        depth, before_run, before = query("commits.run_start", run)[0]
        start = RunStart(depth, None if before is None else (before_run, before))
        query.facts["run", run] = start
    return start


def stretches(query: Query, at: Node | None) -> Iterator[Spot]:
    """Yield the first-parent history of a commit as runs, each up to a number, newest first."""
    spot = None if at is None else (at.run, at.number)
    while spot is not None:
        yield spot
        spot = run_start(query, spot[0]).before


def branch_head(query: Query, place: Place, branch: str) -> Node | None:
    """Return where a branch is; None while it has no commit.

    Raises:
        BranchNotFoundError: There is no such branch.
    """
    rows = query("refs.branch", place.tract, branch)
    if not rows:
        raise BranchNotFoundError(branch, near_branches(query, place.tract, branch))
    return branch_node(rows[0])


def near_branches(query: Query, tract: int, name: str) -> tuple[str, ...]:
    """Return the branch names that look like *name*, best first."""
    return tuple(get_close_matches(name, [row[0] for row in query("refs.branch_names", tract)], 2))


def find_head(query: Query, place: Place) -> Node | None:
    """Return the commit at HEAD; None where nothing was committed yet."""
    if place.head.branch is not None:
        return branch_head(query, place, place.head.branch)
    if place.head.commit is None:
        raise DetachedHeadError(None)
    return find_node(query, bytes.fromhex(place.head.commit))


def worktree_head(query: Query, tract: int, worktree: str) -> Head:
    """Return where a worktree that is known to exist stands."""
    branch, commit = query("refs.worktree", tract, worktree)[0]
    return Head(branch, None if commit is None else CommitId(commit.hex()))


def head_at(query: Query, place: Place, branch: str, time: int) -> Node | None:
    """Return where a branch was at a time; None between its creation and its first commit.

    By when movements were recorded, which never goes back along a branch. A
    bisection: some 20 look-ups, however often the branch moved.

    Raises:
        BranchNotFoundError: There is no such branch.
        BranchTooYoungError: It was created later.
    """
    rows = query("refs.branch_number", place.tract, branch)
    if not rows:
        raise BranchNotFoundError(branch, near_branches(query, place.tract, branch))
    # A branch bears the position of the event that created it, its first movement.
    ref = rows[0][0]

    def newest(position: int) -> Row:
        return query("movements.newest", ref, position)[0]

    positions = range(ref, newest(LAST_POSITION)[0] + 1)
    until = bisect_right(positions, time, key=lambda position: newest(position)[1])
    if until == 0:
        raise BranchTooYoungError(branch, moment(newest(ref)[1]))
    _, _, number = newest(positions[until - 1])
    return None if number is None else node(query, number)


def is_written(name: object) -> bool:
    """Say whether *name* is a string that UTF-8 can write, as every name is."""
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _kind_of(ref: object) -> str:
    """Return what stands for a ref that can be none, and may be somebody's words."""
    return f"<a text of {len(ref)} characters>" if isinstance(ref, str) else f"<{type(ref).__name__}>"


def resolve(query: Query, place: Place, ref: str) -> Node:
    """Return the commit that a ref names.

    `HEAD`, then branch, then tag, then full id, then a prefix of at least
    four digits; `~n` after any of them goes to the nth first parent.

    Raises:
        RefNotFoundError: Nothing answers to it.
        AmbiguousRefError: The prefix fits several commits.
    """
    if not is_written(ref) or len(ref) > LONGEST_REF or any(map(str.isspace, ref)):
        raise RefNotFoundError(_kind_of(ref))
    name, tilde, steps = ref.partition("~")
    if tilde and steps and not (steps.isascii() and steps.isdigit() and len(steps) <= 18):
        raise RefNotFoundError(ref)
    found = _find(query, place, name)
    if found is None:
        raise RefNotFoundError(ref, near_branches(query, place.tract, name))
    back = int(steps or "1") if tilde else 0
    reached = ancestor(query, found, back)
    if reached is None:
        raise RefNotFoundError(ref)
    return reached


def _find(query: Query, place: Place, name: str) -> Node | None:
    if name == "HEAD":
        return find_head(query, place)
    rows = query("refs.branch", place.tract, name)
    if rows:
        return branch_node(rows[0])
    rows = query("refs.tag", place.tract, name)
    if rows:
        return node(query, rows[0][1])
    return _by_prefix(query, place, name) if 4 <= len(name) <= 64 and HEX.issuperset(name) else None


def _by_prefix(query: Query, place: Place, prefix: str) -> Node | None:
    low = bytes.fromhex(prefix.ljust(64, "0"))
    high = bytes.fromhex(prefix.ljust(64, "f"))
    rows = query("commits.by_prefix", low, high, uuid_bytes(place.stream))
    if len(rows) > 1:
        raise AmbiguousRefError(prefix, tuple(row[1].hex() for row in rows))
    return _node(rows[0]) if rows else None


def ancestor(query: Query, start: Node, steps: int) -> Node | None:
    """Return the commit *steps* first parents before *start*, or None."""
    if not steps:
        return start
    depth = start.depth - steps
    if depth < 0:
        return None
    above = start.depth
    for run, last in stretches(query, start):
        first = run_start(query, run).depth
        if depth >= first:
            return node(query, query("commits.back_in_run", run, last, above - depth)[0][0])
        above = first - 1
    return None


def ancestors(query: Query, start: Node, known: Mapping[int, int] | None = None) -> dict[int, int]:
    """Return, by run, the number of the last ancestor of *start* in it.

    Args:
        query: The snapshot.
        start: Counts as its own ancestor.
        known: Such a mapping of a commit that is an ancestor of *start*; what
            is in it is not walked again, and is part of the result.
    """
    bounds = dict(known or {})
    merges = has_merges(query)
    work = [(start.run, start.number)]
    while work:
        run, last = work.pop()
        low = bounds.get(run, 0)
        if last <= low:
            continue
        bounds[run] = last
        if merges:
            work += [(merged_run, merged) for merged, merged_run in query("commits.merged_in_run", run, low, last)]
        before = run_start(query, run).before
        if not low and before is not None:
            work.append(before)
    return bounds


def is_ancestor(query: Query, of: Node, start: Node) -> bool:
    """Tell whether a commit is in the history of *start*; *start* itself is."""
    return ancestors(query, start).get(of.run, 0) >= of.number


def has_merges(query: Query) -> bool:
    """Say whether anything was ever merged in the store."""
    return bool(query("commits.any_merge"))


def compare(query: Query, theirs: Node | None, ours: Node | None, our_bounds: Mapping[int, int]) -> tuple[int, int]:
    """Return how many commits one commit has that another has not, and the reverse.

    Args:
        query: The snapshot.
        theirs: The one commit.
        ours: The other.
        our_bounds: The ancestors of *ours*.
    """
    if theirs is None or ours is None:
        return _count(query, theirs), _count(query, ours)
    if has_merges(query):
        their_bounds = ancestors(query, theirs)
        return _count_missing(query, their_bounds, our_bounds), _count_missing(query, our_bounds, their_bounds)
    # Without merges the first run that both have holds where they parted.
    for run, last in stretches(query, theirs):
        if run in our_bounds:
            parted = node(query, min(last, our_bounds[run])).depth
            return theirs.depth - parted, ours.depth - parted
    return theirs.depth + 1, ours.depth + 1


def _count(query: Query, of: Node | None) -> int:
    return 0 if of is None else _count_missing(query, ancestors(query, of), {})


def _count_missing(query: Query, of: Mapping[int, int], within: Mapping[int, int]) -> int:
    total = 0
    for run, last in of.items():
        low = within.get(run, 0)
        if last > low:
            first = node(query, low).depth if low else run_start(query, run).depth - 1
            total += node(query, last).depth - first
    return total
