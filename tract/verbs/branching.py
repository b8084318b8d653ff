"""Branches and where handles stand: branch, branches, switch, worktree.

Imports `core` and `repeating`.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from tract.core import TractCore
from tract.core.graph import (
    LONGEST_REF,
    Head,
    Node,
    Place,
    ancestors,
    compare,
    find_head,
    is_written,
    near_branches,
    node,
    resolve,
    worktree_head,
)
from tract.domain.events import BranchCreated, EventBody, HeadMoved, NewEvent
from tract.domain.ids import CommitId
from tract.domain.names import MAIN, check_name
from tract.domain.results import BranchInfo, moment
from tract.errors import BranchExistsError, BranchNotFoundError, InvalidNameError
from tract.log.protocol import Query, Row, Statement
from tract.verbs.repeating import find_recorded, request_digest

C = TypeVar("C", bound=TractCore)


async def branch(
    t: TractCore, name: str, *, at: str | None = None, switch: bool = True, operation_id: str | None = None
) -> BranchInfo:
    """Create a branch, at HEAD by default, and switch this handle to it.

    Nothing is copied, however long the history is. A call that comes again
    takes this handle there and records nothing.

    Args:
        t: The tract.
        name: Of the branch; stands in the log in the clear.
        at: Where it begins, any ref.
        switch: Whether this handle goes there.
        operation_id: As for `commit`.

    Raises:
        BranchExistsError: The name is taken.
        InvalidNameError: The name could not be told from a ref.
        RefNotFoundError: Nothing answers to *at*.
    """
    check_name("branch", name)
    place, operation = t.place, t.operation(operation_id)
    digest = None if operation_id is None else request_digest(t, "branch", name=name, at=at, switch=switch)
    if await find_recorded(t, operation, digest) is not None:
        if switch:
            t.move_head(Head(name))
        return await _branch_info(t, name)
    if at is None:
        start = await t.read(lambda query: find_head(query, place))
    else:
        start = await t.read(lambda query: resolve(query, place, at))
    bodies: list[EventBody] = [BranchCreated(name, None if start is None else start.id)]
    if switch:
        bodies.append(HeadMoved(t.worktree_name, name))

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if rows[0]:
            raise BranchExistsError(name)
        return [NewEvent(t.id, body, t.collaborators.actor) for body in bodies]

    await t.record(
        operation,
        decide,
        reads=(Statement("refs.branch", (place.tract, name)),),
        digest=digest,
        then=(lambda: t.move_head(Head(name))) if switch else None,
    )
    return await _branch_info(t, name)


async def branches(t: TractCore) -> tuple[BranchInfo, ...]:
    """Return every branch by name, compared with this handle's HEAD."""
    place = t.place
    return await t.read(lambda query: _infos(query, place, query("refs.branches", place.tract)))


async def switch(t: TractCore, name: str, *, operation_id: str | None = None) -> BranchInfo:
    """Stand on another branch with this handle, and no other.

    A later `open()` of this worktree starts there. A call that comes again
    takes this handle there and records nothing, so that a later `open()`
    starts where the worktree went since.

    Raises:
        BranchNotFoundError: There is no such branch.
    """
    await _stand_on(t, name, operation_id, "switch")
    return await _branch_info(t, name)


async def _stand_on(t: TractCore, name: str, operation_id: str | None, verb: str) -> bool:
    """Move the handle to a branch; say whether it had not been done before under that id."""
    if not is_written(name) or len(name) > LONGEST_REF:
        raise BranchNotFoundError(f"<{type(name).__name__}>")
    tract = t.place.tract

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if not rows[0]:
            raise BranchNotFoundError(name)
        return [NewEvent(t.id, HeadMoved(t.worktree_name, name), t.collaborators.actor)]

    operation = t.operation(operation_id)
    digest = None if operation_id is None else request_digest(t, verb, worktree=t.worktree_name, name=name)
    if await find_recorded(t, operation, digest) is not None:
        t.move_head(Head(name))
        return False
    try:
        await t.record(
            operation,
            decide,
            reads=(Statement("refs.branch", (tract, name)),),
            digest=digest,
            then=lambda: t.move_head(Head(name)),
        )
    except BranchNotFoundError:
        near = await t.read(lambda query: near_branches(query, tract, name))
        raise BranchNotFoundError(name, near) from None
    return True


async def worktree(t: C, branch: str, *, name: str | None = None, operation_id: str | None = None) -> C:
    """Open a second handle, with a HEAD of its own, on a branch.

    Close it as any other; the store stays open for the rest. A repeated call
    gives one more handle, where the worktree stands by now.

    Args:
        t: The tract.
        branch: Where it stands.
        name: Of the worktree; the branch's by default, and `main-worktree`
            on the branch `main`, whose name is the plain handle's.
        operation_id: As for `commit`.

    Raises:
        BranchNotFoundError: There is no such branch.
        InvalidNameError: *name* could not be told from a ref, or is `main`.
        BatchError: Called from inside a batch of this handle.
    """
    called = (f"{MAIN}-worktree" if branch == MAIN else branch) if name is None else name
    check_name("worktree", called)
    if called == MAIN:
        raise InvalidNameError("worktree", called, "it is that of the handle that open() gives")
    other = t.sibling(called, Head(branch))
    try:
        if not await _stand_on(other, branch, operation_id, "worktree"):
            other.move_head(await other.read(lambda query: worktree_head(query, other.place.tract, called)))
    except BaseException:
        await other.aclose()
        raise
    return other


async def _branch_info(t: TractCore, name: str) -> BranchInfo:
    place = t.place
    (info,) = await t.read(lambda query: _infos(query, place, query("refs.one_branch", place.tract, name)))
    return info


def _infos(query: Query, place: Place, rows: Sequence[Row]) -> tuple[BranchInfo, ...]:
    here = find_head(query, place)
    # A switch asks for the branch that it is on, which needs no walk.
    is_apart = here is not None and any(row[2] != here.number for row in rows)
    bounds = ancestors(query, here) if here is not None and is_apart else {}
    return tuple(_info(query, place, (here, bounds), row) for row in rows)


def _info(query: Query, place: Place, ours: tuple[Node | None, Mapping[int, int]], row: Row) -> BranchInfo:
    name, id, number, moved = row
    here, bounds = ours
    ahead = behind = 0
    if number != (None if here is None else here.number):
        ahead, behind = compare(query, None if number is None else node(query, number), here, bounds)
    return BranchInfo(
        name=name,
        head=None if id is None else CommitId(id.hex()),
        is_current=name == place.head.branch,
        ahead=ahead,
        behind=behind,
        last_activity=moment(moved),
    )
