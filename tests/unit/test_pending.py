"""What is asked of the store from inside a batch is answered with the batch's commits."""

import re
from pathlib import Path

from tract.core.pending import PendingQuery

PACKAGE = Path(__file__).parents[2] / "tract"
KNOWS_NO_COMMITS = {
    "commits.any_merge",
    "commits.merged_in_run",
    "configs.between",
    "configs.count",
    "configs.count_with",
    "configs.family",
    "configs.has_uses",
    "configs.last",
    "configs.newest_equal",
    "configs.newest_in_run",
    "configs.newest_used",
    "configs.newest_uses",
    "configs.newest_within",
    "configs.oldest_equal",
    "configs.oldest_in_run",
    "configs.oldest_used",
    "configs.oldest_uses",
    "configs.oldest_within",
    "configs.used",
    "configs.value",
    "configs.values",
    "configs.without",
    "contexts.heads",
    "contexts.leaves",
    "contexts.nearest",
    "contexts.next",
    "contexts.number",
    "contexts.numbers",
    "contexts.texts",
    "generations.begun_since",
    "generations.by_id",
    "generations.by_start",
    "generations.last_report",
    "generations.listed",
    "generations.newest",
    "generations.one",
    "generations.reported",
    "generations.running",
    "generations.sent",
    "log.halts_of",
    "log.halts_of_nobody",
    "log.last_position",
    "log.operation_events",
    "log.salt",
    "log.stream_events_after",
    "receipts.of_family",
    "receipts.of_store",
    "receipts.of_tract",
    "receipts.start",
    "receipts.steps",
    "refs.branch_names",
    "refs.branch_number",
    "refs.tag",
    "refs.worktree",
    "scratch.length",
    "scratch.pieces",
    "search.changes",
    "search.family",
    "search.has_type",
    "search.heads",
    "search.merges",
    "search.ranked",
    "search.step",
    "search.text",
    "search.time",
    "settings.budget",
    "settings.of_tract",
    "tracts.root_by_name",
    "tracts.roots",
    "usage_sums.of_family",
    "usage_sums.of_store",
    "usage_sums.of_tract",
}
"""Read by verbs, and the same whether a batch is open or not: a batch holds no merge, tag, report or kept context."""


def test_every_statement_that_verbs_read_is_answered_inside_a_batch_or_known_not_to_depend_on_it() -> None:
    asked = {
        name
        for package in ("core", "verbs", "agent")
        for path in (PACKAGE / package).glob("*.py")
        for name in re.findall(r'query\(\s*"([a-z_.]+)"', path.read_text(encoding="utf-8"))
    }
    assert asked - PendingQuery.answered() - KNOWS_NO_COMMITS == set()
