"""What model calls cost and what happened, as people see it: frozen values with a readable `__str__`.

Imports `commits`, `events`, `generations`, `ids` and `results`.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, TypeAlias

from attrs import frozen

from tract.domain.commits import CommitOperation
from tract.domain.events import UsageFigures
from tract.domain.generations import GenerationStatus
from tract.domain.ids import CommitId, OperationId, TractId
from tract.domain.results import SHORT

Scope: TypeAlias = Literal["tract", "family", "store"]
"""Whose: this tract's; its root's and all tracts' spawned from that; or all tracts' of the store."""
UsageKey: TypeAlias = Literal["family", "tract", "branch", "model", "verb", "day"]
"""What usage is told apart by."""


@frozen
class UsageSum:
    """What some model calls cost together.

    Attributes:
        group: What they have in common, in the order of the report's `by`:
            the ids of root and tract, the names of branch, model and verb,
            and the day as a `date`, UTC; None where it is not known.
        calls: How often a model was called; each attempt counts, also one
            that never reached a server.
        unreported: Those of them that no figure is known of. They cost
            something, which is in no total.
        tokens: The sums of what was reported, each None where nobody
            reported it.
    """

    group: tuple[str | date | None, ...]
    calls: int
    unreported: int
    tokens: UsageFigures

    def __str__(self) -> str:
        what = " ".join("-" if each is None else f"{each}" for each in self.group)
        return f"{what}: {_cost(self)}" if what else _cost(self)


@frozen
class UsageReport:
    """What model calls cost, added up.

    Attributes:
        by: What the sums are told apart by; nothing for a total alone.
        since: The first day that counts, None from the beginning.
        until: The last one, None up to now.
        total: All of it.
        sums: Its parts, in the order of their groups, unknown ones last; none without *by*.
    """

    by: tuple[UsageKey, ...]
    since: date | None
    until: date | None
    total: UsageSum
    sums: tuple[UsageSum, ...]

    def __str__(self) -> str:
        return "\n".join([_cost(self.total), *(f"  {each}" for each in self.sums)])


def _cost(of: UsageSum) -> str:
    told = [
        f"{figure:,} {name}"
        for name, figure in (
            ("prompt", of.tokens.prompt),
            ("completion", of.tokens.completion),
            ("cached", of.tokens.cached),
            ("reasoning", of.tokens.reasoning),
        )
        if figure is not None
    ]
    calls = f"{of.calls:,} call{'' if of.calls == 1 else 's'}"
    unknown = f", {of.unreported:,} of them without figures" if of.unreported else ""
    return f"{', '.join(told) or 'no'} tokens in {calls}{unknown}"


@frozen
class TimelineEntry:
    """One operation, which is one call of a verb, with all that it recorded.

    Attributes:
        operation_id: Its id; the cursor behind it.
        tract_id: Where it happened.
        time: When it began to be recorded, aware, UTC.
        actor: Who did it, or None.
        did: How often it did what: commit operations such as `append` and
            `edit`, kinds of operations on many commits such as `gc`, and types
            of other events such as `branch.created`. What a model call
            consists of is not listed.
        branch: The branch it worked on, or None.
        commit: The last commit that it made, also where that is on no branch; None without one.
        tokens: What its commits brought, as they were counted; None without a commit.
        verb: Of a model call: chat, generate, stream or run; None for one that an
            earlier version recorded, and where no model was asked.
        status: Of a model call: running, completed, failed, cancelled or
            interrupted; None where no model was asked.
        is_beside: Whether *commit* is on no branch but beside the one that it
            was for, as after a call that did not complete.
    """

    operation_id: OperationId
    tract_id: TractId
    time: datetime
    actor: str | None
    did: Mapping[str, int]
    branch: str | None
    commit: CommitId | None
    tokens: int | None
    verb: str | None = None
    status: GenerationStatus | None = None
    is_beside: bool = False

    def __str__(self) -> str:
        turn = f"{self.verb or 'turn'} {self.status}:" if self.status else ""
        did = ", ".join(_counted(what, count) for what, count in self.did.items())
        words = [self.time.isoformat(sep=" ", timespec="seconds"), turn, did]
        words.append(f"{'beside' if self.is_beside else 'on'} {self.branch}" if self.branch else "")
        words.append(f"at {self.commit[:SHORT]}" if self.commit else "")
        words.append("" if self.tokens is None else f"({self.tokens:,} tokens)")
        words.append(f"by {self.actor}" if self.actor else "")
        return " ".join(word for word in words if word)


def _counted(what: str, count: int) -> str:
    if count == 1:
        return what
    # Types of events are no words that have a plural.
    ending = ("es" if what.endswith("s") else "s") if what in _OPERATIONS else ""
    return f"{count:,} {what}{ending}"


_OPERATIONS = frozenset(each.value for each in CommitOperation)
