"""Story: a tract is configured once, and every later handle begins with that."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, recorded
from tests.acceptance.scripting import opened
from tract import AsyncTract, LLMConfig, TokenBudget
from tract.errors import ConfigError, ContentValidationError, OperationMismatchError, RefusedError
from tract.testing import ScriptedLLM
from tract.testing.server import serve

TINY = LLMConfig(model="tiny", temperature=0.5)
BUDGET = TokenBudget(8000, "reject", compress_at=6000)
OPERATION = "01928c5e-0000-7000-8000-000000000001"


async def settings(path: str, **options: Any) -> tuple[LLMConfig, TokenBudget | None]:
    """What a handle begins with."""
    async with AsyncTract.open(path, **options) as t:
        return t.config, t.budget


async def test_a_tract_that_was_not_configured_says_nothing(t: AsyncTract) -> None:
    assert (t.config, t.budget) == (LLMConfig(), None)


async def test_what_was_configured_holds_at_once(t: AsyncTract) -> None:
    await t.configure(llm_config=TINY, budget=BUDGET)
    assert (t.config, t.budget) == (TINY, BUDGET)


async def test_what_was_configured_is_there_after_the_store_was_closed(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY, budget=BUDGET)
    assert await settings(path) == (TINY, BUDGET)


async def test_another_process_begins_with_it(path: str) -> None:
    found: list[object] = []

    async def look(other: AsyncTract) -> None:
        found.append((other.config, other.budget))

    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY, budget=BUDGET)
        await from_elsewhere(path, look)
    assert found == [(TINY, BUDGET)]


async def test_models_are_asked_with_it(path: str) -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY)
    async with AsyncTract.open(path, llm=llm) as t:
        await t.chat("Hi")
    assert [request.config for request in llm.requests] == [TINY]


async def test_what_is_not_given_stays(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY)
        await t.configure(budget=BUDGET)
    assert await settings(path) == (TINY, BUDGET)


@pytest.mark.parametrize(
    ("removed", "left"),
    [({"budget": None}, (TINY, None)), ({"llm_config": None}, (LLMConfig(), BUDGET))],
    ids=["budget", "llm_config"],
)
async def test_none_removes_what_was_stored(path: str, removed: dict[str, None], left: object) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY, budget=BUDGET)
        await t.configure(**removed)
        assert (t.config, t.budget) == left
    assert await settings(path) == left


async def test_a_config_replaces_the_one_before_as_a_whole(t: AsyncTract) -> None:
    await t.configure(llm_config=TINY)
    await t.configure(llm_config=LLMConfig(seed=1))
    assert t.config == LLMConfig(seed=1)


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({"model": "other"}, LLMConfig(model="other", temperature=0.5)),
        ({"llm_config": LLMConfig(seed=1)}, LLMConfig(model="tiny", temperature=0.5, seed=1)),
    ],
)
async def test_open_stands_field_by_field_over_the_stored_config(path: str, given: dict[str, Any], config: LLMConfig) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY)
    assert (await settings(path, **given))[0] == config


async def test_open_stands_over_the_stored_budget_for_its_handle_alone(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(budget=BUDGET)
        assert (await settings(path, budget=TokenBudget(5)))[1] == TokenBudget(5)
        assert (t.budget, (await t.status()).budget) == (BUDGET, BUDGET)


async def test_open_stores_nothing_of_what_it_was_given(path: str) -> None:
    await settings(path, model="tiny", budget=BUDGET)
    assert await settings(path) == (LLMConfig(), None)


async def test_a_call_stands_over_handle_and_tract() -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=llm, llm_config=LLMConfig(seed=1, top_p=0.5)) as t:
        await t.configure(llm_config=LLMConfig(model="tiny", max_tokens=9))
        await t.chat("Hi", llm_config=LLMConfig(seed=2, max_tokens=8))
    assert llm.requests[0].config == LLMConfig(model="tiny", top_p=0.5, seed=2, max_tokens=8)


async def test_configure_stands_over_what_this_handle_was_opened_with() -> None:
    async with AsyncTract.open(model="tiny", llm_config=None, budget=TokenBudget(5)) as t:
        await t.configure(llm_config=LLMConfig(model="large"), budget=BUDGET)
        assert (t.config.model, t.budget) == ("large", BUDGET)


async def test_what_configure_does_not_set_stays_as_the_handle_was_opened() -> None:
    own = LLMConfig(model="tiny", extra={"a": 1, "b": 1})
    async with AsyncTract.open(llm_config=own) as t:
        await t.configure(llm_config=LLMConfig(seed=1, extra={"b": 2}))
        assert t.config == LLMConfig(model="tiny", seed=1, extra={"a": 1, "b": 2})


async def test_a_budget_that_is_removed_is_removed_from_this_handle_too() -> None:
    async with AsyncTract.open(budget=TokenBudget(5)) as t:
        await t.configure(budget=None)
        assert t.budget is None


async def test_configure_llm_stands_over_what_is_stored(t: AsyncTract) -> None:
    await t.configure(llm_config=TINY)
    await t.configure_llm(ScriptedLLM([]), config=LLMConfig(model="mine"))
    assert t.config == LLMConfig(model="mine", temperature=0.5)


async def test_other_handles_of_the_process_see_it_at_once(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as again, await t.worktree("main", name="second") as second:
        await t.configure(llm_config=TINY, budget=BUDGET)
        assert [(each.config, each.budget) for each in (again, second)] == [(TINY, BUDGET)] * 2


async def test_what_other_handles_were_opened_with_stays_above_it(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path, model="mine", budget=TokenBudget(5)) as other:
        await t.configure(llm_config=TINY, budget=BUDGET)
        assert (other.config, other.budget) == (LLMConfig(model="mine", temperature=0.5), TokenBudget(5))


async def test_an_open_handle_learns_of_another_process_when_somebody_opens_the_tract_again(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await from_elsewhere(path, lambda other: other.configure(llm_config=TINY))
        before = t.config
        await settings(path)
        assert (before, t.config) == (LLMConfig(), TINY)


async def test_each_tract_of_a_store_has_its_own(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.configure(llm_config=TINY, budget=BUDGET)
        assert (two.config, two.budget) == (LLMConfig(), None)


async def test_two_tasks_that_configure_different_things_lose_neither(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as other:
        for _ in range(10):
            await t.configure(llm_config=None, budget=None)
            await asyncio.gather(t.configure(llm_config=TINY), other.configure(budget=BUDGET))
            assert (t.config, t.budget) == (other.config, other.budget) == (TINY, BUDGET)


async def test_what_is_stored_is_what_was_configured_last(path: str) -> None:
    budgets = [TokenBudget(number + 1) for number in range(50)]
    async with AsyncTract.open(path) as t:
        await asyncio.gather(*(t.configure(budget=budget) for budget in budgets))
        known = t.budget
    assert (await settings(path))[1] == known


@pytest.mark.parametrize("durable", [{"llm_config": TINY}, {"budget": BUDGET}], ids=["llm_config", "budget"])
async def test_the_same_operation_id_configures_once(path: str, durable: dict[str, Any]) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(**durable, operation_id=OPERATION)
        once = recorded(path)
        await t.configure(**durable, operation_id=OPERATION)
        assert recorded(path) == once


async def test_a_call_that_comes_again_brings_back_nothing_that_was_changed_since(t: AsyncTract) -> None:
    await t.configure(budget=TokenBudget(5), operation_id=OPERATION)
    await t.configure(budget=BUDGET)
    await t.configure(budget=TokenBudget(5), operation_id=OPERATION)
    assert t.budget == BUDGET


async def test_a_call_that_another_process_made_before_holds_on_this_handle_at_once(path: str) -> None:
    async with AsyncTract.open(path, model="mine", budget=TokenBudget(7)) as t:
        await t.user("one")
        await from_elsewhere(path, lambda other: other.configure(llm_config=TINY, budget=BUDGET, operation_id=OPERATION))
        await t.configure(llm_config=TINY, budget=BUDGET, operation_id=OPERATION)
        assert (t.config, t.budget) == (TINY, BUDGET)


async def test_a_call_that_is_made_twice_at_once_holds_on_both_handles(path: str) -> None:
    async with AsyncTract.open(path, model="mine") as t, AsyncTract.open(path, model="yours") as other:
        await asyncio.gather(*(each.configure(llm_config=TINY, budget=BUDGET, operation_id=OPERATION) for each in (t, other)))
        assert (t.config, t.budget) == (other.config, other.budget) == (TINY, BUDGET)


@pytest.mark.parametrize("other", [{"budget": None}, {"budget": TokenBudget(5)}, {"budget": BUDGET, "llm_config": TINY}])
async def test_an_operation_id_of_another_call_is_refused(t: AsyncTract, other: dict[str, Any]) -> None:
    await t.configure(budget=BUDGET, operation_id=OPERATION)
    with pytest.raises(OperationMismatchError):
        await t.configure(**other, operation_id=OPERATION)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("configure", {}),
        ("llm_config", {"llm_config": {"model": "tiny"}}),
        ("llm_config", {"llm_config": "tiny"}),
        ("budget", {"budget": 8000}),
        ("budget", {"budget": {"max_tokens": 8000}}),
        ("budget", {"budget": "8000", "llm_config": TINY}),
    ],
)
async def test_what_is_no_setting_is_refused_and_nothing_is_stored(t: AsyncTract, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        await t.configure(**given)
    assert (refused.value.field, t.config, t.budget) == (field, LLMConfig(), None)


async def test_an_operation_id_that_is_none_is_refused(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError) as refused:
        await t.configure(budget=BUDGET, operation_id="once")
    assert (refused.value.field, t.budget) == ("operation_id", None)


async def test_words_of_a_config_stand_in_no_event(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=LLMConfig(model="tiny", stop_sequences="my-stop", extra={"note": "my-words"}))
    with closing(sqlite3.connect(path)) as connection:
        events = "".join(data for (data,) in connection.execute("SELECT data FROM events"))
    assert ("my-stop" in events, "my-words" in events, "tiny" in events) == (False, False, False)


async def test_the_actor_of_a_configuration_is_recorded(path: str) -> None:
    async with AsyncTract.open(path, actor="admin") as t:
        await t.configure(budget=BUDGET)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT actor FROM events WHERE type = 'tract.configured'").fetchall()
    assert rows == [("admin",)]


async def test_configuring_waits_for_no_turn() -> None:
    async with opened(["Hello."]) as t, asyncio.timeout(5):
        async with t.stream("Hi") as stream:
            await t.configure(llm_config=LLMConfig(model="next"))
            async for _ in stream:
                pass
        assert (stream.response.generation_config.model, t.config.model) == ("tiny", "next")


async def test_a_closed_tract_cannot_be_configured() -> None:
    t = await AsyncTract.open()
    await t.aclose()
    with pytest.raises(RefusedError):
        await t.configure(budget=BUDGET)


async def test_an_option_that_a_field_goes_before_is_neither_sent_nor_recorded() -> None:
    given = LLMConfig(max_tokens=9, stop_sequences="x", extra={"max_completion_tokens": 5, "stop": "y", "stream": False, "a": 1})
    async with serve() as server, AsyncTract.open(model="m", base_url=server.base_url) as t:
        response = await t.chat("Hi", llm_config=given)
        sent = server.requests[0].body
    assert response.generation_config == LLMConfig(model="m", max_tokens=9, stop_sequences="x", extra={"a": 1})
    assert {key: sent[key] for key in ("max_tokens", "stop", "stream", "a")} == {
        "max_tokens": 9,
        "stop": ["x"],
        "stream": True,
        "a": 1,
    }
    assert "max_completion_tokens" not in sent
