"""Story: which of all these commits were made with that model, that hot, with such options?"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acceptance.scripting import opened
from tract import AsyncTract, CommitInfo, Condition, LLMConfig
from tract.core import histories, matching
from tract.errors import BranchNotFoundError, ContentValidationError, RefNotFoundError
from tract.verbs.querying import Order

ABSENT = object()


def resolved(config: LLMConfig, path: str) -> Any:
    """The setting at a path, or `ABSENT`; keys of the tests' own hold no dots."""
    value: Any = config.to_dict()
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return isinstance(one, str) == isinstance(other, str) and bool(one == other)


def ordered(one: Any, other: Any) -> bool:
    """Whether two values have an order: two numbers, or two texts."""
    numbers = [isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, other)]
    return all(numbers) or (isinstance(one, str) and isinstance(other, str))


COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": same,
    "!=": lambda one, other: not same(one, other),
    ">": lambda one, other: ordered(one, other) and one > other,
    "<": lambda one, other: ordered(one, other) and one < other,
    ">=": lambda one, other: ordered(one, other) and one >= other,
    "<=": lambda one, other: ordered(one, other) and one <= other,
    "in": lambda one, others: any(same(one, each) for each in others),
    "not in": lambda one, others: not any(same(one, each) for each in others),
    "between": lambda one, ends: ordered(one, ends[0]) and ends[0] <= one <= ends[1],
}


def fits(config: LLMConfig | None, conditions: Sequence[Any]) -> bool:
    """Whether a config fits, in plain words."""
    if config is None:
        return False
    for path, operator, value in conditions:
        setting = resolved(config, path)
        if operator == "exists":
            if (setting is not ABSENT) != value:
                return False
        elif setting is ABSENT or not COMPARED[operator](setting, value):
            return False
    return True


def said(commits: Sequence[CommitInfo]) -> str:
    """The words of the commits, which in these tests are letters."""
    return "".join(commit.message.removeprefix("dialogue: ") for commit in commits)


async def tell(t: AsyncTract, *configs: LLMConfig | None, letters: str = "abcdefghijklmnopqrstuvwxyz") -> None:
    for letter, config in zip(letters, configs, strict=False):
        await t.commit(letter, generation_config=config)


HOT, COLD = LLMConfig(model="m", temperature=1), LLMConfig(model="m", temperature=0)


async def test_one_field_is_compared(t: AsyncTract) -> None:
    await tell(t, HOT, COLD, None, LLMConfig(temperature=0.7))
    assert said(await t.query_by_config("temperature", ">", 0.5)) == "da"


async def test_what_is_found_are_the_commits_as_the_log_has_them(t: AsyncTract) -> None:
    await tell(t, HOT, COLD)
    assert await t.query_by_config("model", "=", "m") == await t.log()


async def test_several_conditions_must_all_hold(t: AsyncTract) -> None:
    await tell(t, HOT, COLD, LLMConfig(model="n", temperature=1))
    assert said(await t.query_by_config([("model", "=", "m"), Condition("temperature", ">", 0.5)])) == "a"


async def test_a_whole_config_asks_for_all_that_is_set_in_it(t: AsyncTract) -> None:
    whole = LLMConfig(model="m", temperature=0, stop_sequences=("x", "y"), extra={"effort": "low"})
    await tell(
        t,
        LLMConfig(model="m", temperature=0, seed=1, stop_sequences=("x", "y"), extra={"effort": "low", "other": 1}),
        LLMConfig(model="m", temperature=0, stop_sequences=("y", "x"), extra={"effort": "low"}),
        LLMConfig(model="m", temperature=0, stop_sequences=("x", "y"), extra={"effort": "high"}),
        LLMConfig(model="m", temperature=0, stop_sequences=("x", "y")),
    )
    assert said(await t.query_by_config(whole)) == "a"


async def test_an_option_is_found_by_its_dotted_path(t: AsyncTract) -> None:
    await tell(t, *(LLMConfig(extra={"reasoning": {"effort": effort}}) for effort in ("low", "high", None)), HOT)
    assert said(await t.query_by_config("extra.reasoning.effort", "in", ["low", "medium", None])) == "ca"


async def test_what_is_not_set_fits_only_that_it_does_not_exist(t: AsyncTract) -> None:
    await tell(t, HOT, None, LLMConfig(model="n"), LLMConfig(temperature=0.2))
    found = [
        said(await t.query_by_config("model", "!=", "x")),
        said(await t.query_by_config("model", "not in", ["n"])),
        said(await t.query_by_config("model", "exists")),
        said(await t.query_by_config("model", "exists", value=True)),
        said(await t.query_by_config("model", "exists", value=False)),
    ]
    assert found == ["ca", "a", "ca", "ca", "d"]


async def test_integers_that_no_float_can_tell_apart_are_told_apart(t: AsyncTract) -> None:
    big = 2**53
    await tell(t, *(LLMConfig(seed=big + more) for more in (-1, 0, 1, 2)))
    found = [
        said(await t.query_by_config("seed", "=", big + 1)),
        said(await t.query_by_config("seed", "=", float(big))),
        said(await t.query_by_config("seed", ">", float(big))),
        said(await t.query_by_config("seed", "<=", float(big))),
        said(await t.query_by_config("seed", "<", 1e300)),
    ]
    assert found == ["c", "b", "dc", "ba", "dcba"]


async def test_a_chat_is_found_by_what_was_sent() -> None:
    async with opened(["Yes.", "No."]) as t:
        await t.chat("One?", temperature=0.1)
        await t.chat("Two?", temperature=0.9)
        (found,) = await t.query_by_config("temperature", ">", 0.5)
        assert (found.message, found.generation_config) == ("dialogue: No.", LLMConfig(model="tiny", temperature=0.9))


async def test_the_oldest_come_first_where_that_is_asked_for(t: AsyncTract) -> None:
    await tell(t, HOT, COLD, HOT, COLD, HOT)
    assert said(await t.query_by_config(HOT, order="oldest")) == "ace"


async def test_no_more_are_returned_than_asked_for(t: AsyncTract) -> None:
    await tell(t, *[HOT] * 25)
    assert [len(await t.query_by_config(HOT)), said(await t.query_by_config(HOT, limit=2))] == [20, "yx"]


@pytest.mark.parametrize("order", get_args(Order))
async def test_pages_follow_one_another_without_gap_or_repeat(t: AsyncTract, order: Order) -> None:
    await tell(t, *([HOT, COLD, LLMConfig(model="n"), None] * 6))
    whole = await t.query_by_config("model", "=", "m", order=order)
    pages: list[CommitInfo] = []
    while page := await t.query_by_config("model", "=", "m", limit=5, order=order, cursor=pages[-1].id if pages else None):
        pages += page
    assert tuple(pages) == whole
    assert len(whole) == 12


async def test_a_branch_is_asked_with_all_of_its_history_and_nothing_else(t: AsyncTract) -> None:
    await tell(t, HOT, COLD, letters="ab")
    await t.branch("side")
    await tell(t, HOT, LLMConfig(model="m"), letters="cd")
    await t.switch("main")
    await tell(t, HOT, letters="e")
    found = [said(await t.query_by_config("model", "=", "m", branch=branch)) for branch in ("main", "side", None)]
    assert found == ["eba", "dcba", "edcba"]


async def test_a_branch_without_commits_has_none(t: AsyncTract) -> None:
    await t.branch("empty")
    await tell(t, HOT)
    await t.branch("bare", at="HEAD")
    assert said(await t.query_by_config(HOT, branch="main")) == ""
    assert said(await t.query_by_config(HOT, branch="bare", order="oldest")) == "a"


async def test_other_tracts_of_the_store_are_not_asked(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await tell(one, HOT, COLD, letters="ab")
        await tell(two, HOT, letters="c")
        assert [said(await t.query_by_config("model", "=", "m")) for t in (one, two)] == ["ba", "c"]


async def test_what_a_failed_call_left_beside_the_branch_is_found_only_without_one(t: AsyncTract) -> None:
    await tell(t, HOT, letters="a")
    await t.branch("gone")
    await tell(t, HOT, letters="b")
    await t.switch("main")
    assert said(await t.query_by_config(HOT, branch="main")) == "a"
    assert said(await t.query_by_config(HOT)) == "ba"


async def test_what_an_open_batch_holds_is_found_at_its_end(t: AsyncTract) -> None:
    await tell(t, HOT, letters="a")
    async with t.batch():
        await tell(t, HOT, letters="b")
        inside = said(await t.query_by_config(HOT, branch="main")), said(await t.query_by_config(HOT, order="oldest"))
    assert inside == ("a", "a")
    assert said(await t.query_by_config(HOT, branch="main")) == "ba"


async def test_a_commit_is_found_as_soon_as_it_was_made(t: AsyncTract) -> None:
    for number in range(20):
        await t.commit("x", generation_config=LLMConfig(seed=number))
        assert len(await t.query_by_config("seed", "=", number)) == 1


async def test_a_file_that_was_written_without_the_index_gets_it(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await tell(t, HOT, COLD)
        await t.query_by_config(HOT)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("config_sets", "config_uses", "config_values"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM projections WHERE name = 'configs'")
    async with AsyncTract.open(path) as t:
        assert said(await t.query_by_config(HOT)) == "a"


async def test_a_commit_whose_config_is_gone_fits_nothing(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await tell(t, HOT, COLD, HOT)
        await t.query_by_config(HOT)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (number,) = connection.execute("SELECT min(config) FROM commits").fetchone()
        connection.execute("UPDATE blobs SET data = NULL, salt = NULL, fingerprint = NULL WHERE number = ?", (number,))
    async with AsyncTract.open(path) as t:
        assert said(await t.query_by_config("model", "=", "m")) == "b"


WRONG: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("temprature", "=", 1), {}, "field"),
    (("seed",), {}, "operator"),
    (("seed", ">", "1"), {}, "value"),
    (([("seed", "=", 1), ("seed", "=", "1")],), {}, "what[1].value"),
    (([("seed",)],), {}, "what[0]"),
    (([3],), {}, "what[0]"),
    (([],), {}, "what"),
    ((LLMConfig(),), {}, "what"),
    ((3,), {}, "what"),
    ((HOT, "="), {}, "operator"),
    ((HOT, None, 1), {}, "value"),
    (([("seed", "=", 1)] * 101,), {}, "what"),
    ((HOT,), {"limit": 0}, "limit"),
    ((HOT,), {"limit": True}, "limit"),
    ((HOT,), {"limit": 2_000_000}, "limit"),
    ((HOT,), {"order": "up"}, "order"),
    ((HOT,), {"branch": 3}, "branch"),
]


@pytest.mark.parametrize(("arguments", "more", "field"), WRONG, ids=repr)
async def test_what_makes_no_sense_is_refused_naming_it(t: AsyncTract, arguments: Any, more: Any, field: str) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.query_by_config(*arguments, **more)
    assert caught.value.field == field


async def test_a_branch_or_a_cursor_that_is_not_there_is_named(t: AsyncTract) -> None:
    await tell(t, HOT)
    with pytest.raises(BranchNotFoundError):
        await t.query_by_config(HOT, branch="nowhere")
    with pytest.raises(RefNotFoundError):
        await t.query_by_config(HOT, cursor="abcd")


options: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 1.0, 1.5, -(2**63), 2**53, float(2**53), 2**53 + 1, "", "a", "b", "é", "😀"]
)
options |= st.sampled_from([True, False, None, [1], [1.0], ["a", [True]], {"b": 1}, {"b": 1.0, "c": "a"}, {"b": {"c": 2}}, {}])
configs = st.builds(
    LLMConfig,
    model=st.sampled_from([None, "m", "n"]),
    temperature=st.sampled_from([None, 0, 0.5, 1]),
    seed=st.none() | st.integers(0, 5),
    stop_sequences=st.sampled_from([None, (), ("x",), ("x", "y")]),
    extra=st.dictionaries(st.sampled_from(["a", "b"]), options, max_size=2),
)
paths = st.sampled_from(["extra", "extra.a", "extra.b", "extra.a.b", "extra.a.b.c"])
numeric = st.sampled_from(["seed", "temperature"])
scalars = st.sampled_from([0, 1.0, 1.5, 2**53, "", "a", "😀"])
pairs = st.tuples(st.integers(-1, 3), st.floats(0, 3)) | st.tuples(st.sampled_from(["", "a"]), st.sampled_from(["b", "é"]))
asked = st.one_of(
    st.tuples(paths, st.sampled_from(["=", "!="]), options),
    st.tuples(paths, st.sampled_from(["in", "not in"]), st.lists(options, max_size=6)),
    st.tuples(paths, st.sampled_from([">", "<", ">=", "<="]), scalars),
    st.tuples(paths, st.just("between"), pairs),
    st.tuples(st.sampled_from(["seed", "temperature"]), st.sampled_from(["=", "!=", ">", "<", ">=", "<="]), st.integers(-1, 4)),
    st.tuples(
        st.sampled_from(["seed", "temperature"]), st.sampled_from(["in", "not in"]), st.lists(st.integers(0, 5), max_size=5)
    ),
    st.tuples(st.just("model"), st.sampled_from(["=", "!=", ">", "<="]), st.sampled_from(["m", "n"])),
    st.tuples(st.just("stop_sequences"), st.sampled_from(["=", "!="]), st.lists(st.sampled_from(["x", "y"]), max_size=2)),
    st.tuples(paths | st.sampled_from(["seed", "model", "stop_sequences"]), st.just("exists"), st.booleans()),
)
queries = st.lists(asked, min_size=1, max_size=3)


Bounds = Mapping[tuple[Any, str], int]
SHORT: Bounds = {(histories, "SHARE"): 0}
"""Bounds under which a few commits are a short history, whatever there is beside them."""
PIECES: Bounds = {**SHORT, (matching, "FIRST"): 1, (matching, "MOST"): 2, (histories, "PORTION"): 2}
"""And under which what they take is read in several pieces."""
LONG: Bounds = {(histories, "SHORT"): 0}
"""And under which no history is short."""
SMALL: Bounds = {**PIECES, **LONG, (matching, "FEW"): 1, (matching, "GLANCE"): 1, (matching, "BLOCK"): 2}
"""And under which a few commits are as many as a hundred thousand are."""


@pytest.mark.parametrize("bounds", [SHORT, PIECES, LONG, SMALL], ids=["short", "pieces", "few", "many"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pool=st.lists(configs, min_size=1, max_size=4), data=st.data())
def test_the_answer_is_what_looking_at_each_commit_says(
    pool: list[LLMConfig], data: st.DataObject, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    for (module, name), size in bounds.items():
        monkeypatch.setattr(module, name, size)
    made = data.draw(st.lists(st.none() | st.sampled_from(pool) | configs, max_size=24))
    forked = data.draw(st.integers(0, len(made)))
    wanted = data.draw(st.lists(queries, min_size=1, max_size=6))
    order: Order = data.draw(st.sampled_from(get_args(Order)))
    page = data.draw(st.integers(1, 7))

    async def compare() -> None:
        async with AsyncTract.open() as t:
            recorded: list[CommitInfo] = []
            for place, config in enumerate(made):
                if place == forked:
                    await t.branch("side", switch=False)
                if place >= forked and place % 2:
                    await t.switch("side")
                elif place >= forked:
                    await t.switch("main")
                recorded.append(await t.commit("x", generation_config=config))
            if forked == len(made):
                await t.branch("side", switch=False)
            on_side = {commit.id for commit in await t.log(100, at="side")} if recorded[:forked] or len(made) > 1 else set()
            for conditions in wanted:
                expected = [commit for commit in recorded if fits(commit.generation_config, conditions)]
                expected = expected if order == "oldest" else expected[::-1]
                found = await t.query_by_config(conditions, order=order, limit=100)
                assert [each.id for each in found] == [each.id for each in expected]
                of_side = await t.query_by_config(conditions, order=order, limit=page, branch="side")
                whole = [each.id for each in expected if each.id in on_side]
                assert [each.id for each in of_side] == whole[:page]
                if of_side:
                    behind = await t.query_by_config(conditions, order=order, limit=page, branch="side", cursor=of_side[-1].id)
                    assert [each.id for each in behind] == whole[page : 2 * page]

    asyncio.run(compare())
