"""What model calls cost. Imports `core`, `domain`, `errors`, `log` and `projections`."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, get_args

from tract.core import TractCore
from tract.core.contexts import decode_config
from tract.domain.accounts import Scope, UsageKey, UsageReport, UsageSum
from tract.domain.events import UsageFigures
from tract.domain.ids import uuid_bytes, uuid_text
from tract.errors import ContentValidationError
from tract.log.protocol import Query, Row
from tract.projections.usage import UsageSums

KEYS: tuple[UsageKey, ...] = get_args(UsageKey)
_epoch = date(1970, 1, 1)
_EVER = (-(2**62), 2**62)
"""Days."""


async def usage(
    t: TractCore,
    *,
    by: UsageKey | Sequence[UsageKey] = (),
    since: date | None = None,
    until: date | None = None,
    scope: Scope = "tract",
) -> UsageReport:
    """Return what model calls cost, as their providers reported it, added up.

    Everything that was recorded before is counted, `record_usage` too; a call
    that still runs is not. Each attempt counts as a call; one without figures -
    the provider told none, or the process died - is counted as `unreported`
    and in no sum. Figures that `record_usage` adds to a recorded call count as
    one more call of the same verb; those of a call that was made elsewhere
    belong to the verb `record_usage`, and to branch and model of its answer.
    The model is the one that was asked for.

    Args:
        t: The tract.
        by: What the sums are told apart by, one or several of: family, tract,
            branch, model, verb and day.
        since: The first day that counts. Days are UTC.
        until: The last one, not before *since*.
        scope: Whose calls: tract, family or store.

    Raises:
        ContentValidationError: An argument makes no sense.
        ProjectionError: An event cannot be counted; the error says what to run.
        ProjectionLagError: The counting is too far behind; try again.
        StoreError: The file could not be read or written.
    """
    keys = _keys(by)
    _check(keys, since, until, scope)
    t.require_open()
    place, runner = t.place, t.collaborators.shared.runner
    await runner.caught_up(UsageSums.name)
    days = (_EVER[0] if since is None else (since - _epoch).days, _EVER[1] if until is None else (until - _epoch).days)
    stream = uuid_bytes(place.stream)

    def load(query: Query) -> list[tuple[tuple[str | date | None, ...], Row]]:
        if scope == "tract":
            rows = query("usage_sums.of_tract", stream, place.tract, *days)
        elif scope == "family":
            rows = query("usage_sums.of_family", stream, *days)
        else:
            rows = query("usage_sums.of_store", *days)
        models = {row[4]: _model(query, row[4]) for row in rows} if "model" in keys else {}
        return [(_group(keys, row, models), row[6:]) for row in rows]

    found = await t.read(load)
    groups: dict[tuple[str | date | None, ...], list[Row]] = {}
    for group, row in found:
        groups.setdefault(group, []).append(row)
    # Groups differ in kind nowhere but between None and something.
    ordered = sorted(groups, key=lambda group: [(each is None, "" if each is None else f"{each}") for each in group])
    sums = tuple(_sum(group, groups[group]) for group in ordered) if keys else ()
    return UsageReport(keys, since, until, _sum((), [row for _, row in found]), sums)


def _keys(by: object) -> tuple[Any, ...]:
    return tuple(by) if isinstance(by, Sequence) and not isinstance(by, str) else (by,)


def _check(keys: Sequence[object], since: object, until: object, scope: object) -> None:
    if any(key not in KEYS for key in keys) or any(keys.count(key) > 1 for key in keys):
        raise ContentValidationError("by", f"it must name some of {', '.join(KEYS)}, each once")
    for field, day in (("since", since), ("until", until)):
        if day is not None and (not isinstance(day, date) or isinstance(day, datetime)):
            raise ContentValidationError(field, "it must be a datetime.date, a day of UTC")
    if isinstance(since, date) and isinstance(until, date) and since > until:
        raise ContentValidationError("until", "it must not be before since")
    check_scope(scope)


def check_scope(scope: object) -> None:
    """Refuse what is no scope.

    Raises:
        ContentValidationError: It is none.
    """
    if scope not in get_args(Scope):
        raise ContentValidationError("scope", f"it must be one of {', '.join(get_args(Scope))}")


def _group(keys: Sequence[UsageKey], row: Row, models: dict[str, str | None]) -> tuple[str | date | None, ...]:
    family, tract, day, branch, config, verb, *_ = row
    values: dict[UsageKey, str | date | None] = {
        "family": uuid_text(family),
        "tract": uuid_text(tract),
        "branch": branch or None,
        "model": models.get(config),
        "verb": verb or None,
        "day": _epoch + timedelta(days=day),
    }
    return tuple(values[key] for key in keys)


def _model(query: Query, config: str) -> str | None:
    rows = query("log.blob", bytes.fromhex(config)) if config else []
    return decode_config(rows[0][0]).model if rows and rows[0][0] is not None else None


def _sum(group: tuple[str | date | None, ...], rows: Sequence[Row]) -> UsageSum:
    calls, unreported, *figures = zip(*rows, strict=True) if rows else ((),) * 6
    return UsageSum(group, sum(calls), sum(unreported), UsageFigures(*map(_total, figures)))


def _total(figures: Sequence[int | None]) -> int | None:
    told = [figure for figure in figures if figure is not None]
    return sum(told) if told else None
