"""Finding commits by what they were made with: query_by_config. Imports `core`, `describing`, `operations` and `projections`."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal, TypeAlias, get_args

from tract.core import TractCore
from tract.core.graph import Place, ancestors, branch_head, resolve
from tract.core.histories import is_short, looked_at
from tract.core.matching import NEWEST, OLDEST, Matches, Reach
from tract.domain.conditions import Condition, Operator, conditions_of
from tract.domain.config import LLMConfig
from tract.domain.ids import uuid_bytes
from tract.domain.results import CommitInfo
from tract.domain.texts import require_text
from tract.errors import ContentValidationError
from tract.log.protocol import Query, Row
from tract.operations.querying import joined, sought
from tract.projections.configs import Configs
from tract.verbs.describing import commit_info, decode_commit

MOST = 1_000_000
"""Commits that one call returns at the most."""
MOST_CONDITIONS = 100
"""That one call combines at the most."""
Asked: TypeAlias = Condition | tuple[str, Operator] | tuple[str, Operator, Any]
"""A condition, or what makes one."""
Order: TypeAlias = Literal["newest", "oldest"]
"""Which commits come first."""


async def query_by_config(
    t: TractCore,
    what: str | Asked | Sequence[Asked] | LLMConfig,
    operator: Operator | None = None,
    value: Any = None,
    *,
    branch: str | None = None,
    limit: int = 20,
    order: Order = "newest",
    cursor: str | None = None,
) -> tuple[CommitInfo, ...]:
    """Return the commits that were made with a config that fits.

        await t.query_by_config("temperature", ">", 0.5)
        await t.query_by_config([("model", "=", "m"), ("extra.reasoning_effort", "in", ["low", "high"])])
        await t.query_by_config(LLMConfig(model="m", temperature=0))

    A commit without a config fits nothing, and neither does one whose config
    was erased. `Condition` says how settings are compared. All that was recorded
    before the call is found; what an open batch holds is recorded at its end.

    Args:
        t: The tract.
        what: A field of `LLMConfig` or a dotted path into `extra`, with
            *operator* and *value*; or a condition, which is a `Condition` or a
            tuple of field, operator and value; or a list of them, all of which
            must hold; or a config, all of whose set fields must be equal, options
            of `extra` one by one.
        operator: `=`, `!=`, `>`, `<`, `>=`, `<=`, `in`, `not in`, `between` or `exists`.
        value: What to compare with.
        branch: Only the history of this branch, what was merged into it
            included; by default whatever this tract recorded, on a branch or on none.
        limit: The most commits to return, at least 1.
        order: newest or oldest first, as they were recorded.
        cursor: Id of the last commit of the page before; goes on behind it.

    Raises:
        ContentValidationError: A field, operator or value makes no sense, or
            another argument; it names which.
        BranchNotFoundError: There is no such branch.
        RefNotFoundError: Nothing answers to *cursor*.
        ProjectionError: A config cannot be taken in; the error says what to run.
        ProjectionLagError: The index is too far behind; try again.
        StoreError: The file could not be read or written.
    """
    conditions = joined(sought(each) for each in _conditions(what, operator, value))
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise ContentValidationError("limit", f"it must be a whole number from 1 to {MOST}")
    if order not in get_args(Order):
        raise ContentValidationError("order", f"it must be one of {', '.join(get_args(Order))}")
    if branch is not None:
        require_text("branch", branch)
    t.require_open()
    place, shared = t.place, t.collaborators.shared
    await shared.runner.caught_up(Configs.name)
    way = NEWEST if order == "newest" else OLDEST

    def load(query: Query) -> list[CommitInfo]:
        reach, start = _reach(query, place, branch), way.start
        if reach.bounds is not None and way is NEWEST:
            # No commit is older than its ancestors.
            start = min(start, 1 + max(reach.bounds.values(), default=0))
        if cursor is not None:
            behind = resolve(query, place, cursor).number
            start = min(start, behind) if way is NEWEST else behind
        if is_short(query, reach):
            numbers = looked_at(query, way, reach, conditions, start)
        else:
            numbers = Matches(query, way, reach, conditions).numbers(start)
        found = _rows(query, numbers)
        return [commit_info(*decode_commit(row, shared.store.where)) for row in islice(found, limit)]

    return tuple(await t.read(load))


def _conditions(what: object, operator: Operator | None, value: Any) -> Sequence[Condition]:
    if isinstance(what, str):
        if operator is None:
            raise ContentValidationError("operator", "a field needs one, such as = or exists")
        return [Condition(what, operator, value)]
    if operator is not None or value is not None:
        raise ContentValidationError("operator" if operator is not None else "value", "it goes with a field alone")
    if isinstance(what, Condition) or (isinstance(what, tuple) and what and isinstance(what[0], str)):
        return [_condition("what", what)]
    if isinstance(what, LLMConfig):
        found: Sequence[Condition] = conditions_of(what)
    elif isinstance(what, Sequence):
        found = [_condition(f"what[{place}]", each) for place, each in enumerate(what)]
    else:
        raise ContentValidationError("what", "it must be a field, a condition, a list of conditions, or an LLMConfig")
    if not 1 <= len(found) <= MOST_CONDITIONS:
        raise ContentValidationError("what", f"it must have from 1 to {MOST_CONDITIONS} conditions, or fields that are set")
    return found


def _condition(where: str, asked: object) -> Condition:
    if isinstance(asked, Condition):
        return asked
    if not isinstance(asked, (tuple, list)) or len(asked) not in (2, 3):
        raise ContentValidationError(where, "it must be a Condition, or a tuple of field, operator and value")
    try:
        return Condition(*asked)
    except ContentValidationError as exc:
        raise ContentValidationError(f"{where}.{exc.field}", exc.reason) from exc


def _reach(query: Query, place: Place, branch: str | None) -> Reach:
    ((family,),) = query("configs.family", uuid_bytes(place.stream))
    if branch is None:
        return Reach(family, tract=place.tract)
    head = branch_head(query, place, branch)
    return Reach(family, bounds={} if head is None else ancestors(query, head))


def _rows(query: Query, numbers: Iterator[int]) -> Iterator[Row]:
    """Yield the commits that are still known to have a config."""
    for number in numbers:
        (row,) = query("commits.log_entry", number)
        if row[-1] is not None:
            yield row
