"""Story: each thing that a model is asked for is configured on its own, once and for all."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, recorded
from tract import AsyncTract, LLMConfig, OperationClients, OperationConfigs, TokenBudget, admin
from tract.errors import (
    BatchError,
    ClosedError,
    ConfigError,
    ContentValidationError,
    ModelNotConfiguredError,
    OperationMismatchError,
)
from tract.testing import ScriptedLLM

TINY = LLMConfig(model="tiny", temperature=0.5)
CHEAP = LLMConfig(model="cheap", max_tokens=100)
CAREFUL = LLMConfig(model="careful", extra={"reasoning_effort": "high"})
OPERATION = "01928c5e-0000-7000-8000-000000000001"
NAMES = ("chat", "merge", "compress", "orchestrate", "collapse")


async def operations(path: str, **options: Any) -> OperationConfigs:
    """What a handle begins with."""
    async with AsyncTract.open(path, **options) as t:
        return t.operations


async def test_a_tract_that_was_not_configured_says_nothing_of_operations(t: AsyncTract) -> None:
    assert (t.operations, t.clients) == (OperationConfigs(), OperationClients())


@pytest.mark.parametrize("name", NAMES)
async def test_an_operation_that_was_configured_holds_at_once_and_after_reopening(path: str, name: str) -> None:
    given: dict[str, Any] = {name: CHEAP}
    async with AsyncTract.open(path) as t:
        await t.configure_operations(**given)
        assert t.operations == OperationConfigs(**given)
    assert await operations(path) == OperationConfigs(**given)


async def test_operations_that_are_not_given_keep_what_they_had(t: AsyncTract) -> None:
    await t.configure_operations(chat=TINY, compress=CHEAP)
    await t.configure_operations(compress=CAREFUL, merge=CHEAP)
    assert t.operations == OperationConfigs(chat=TINY, compress=CAREFUL, merge=CHEAP)


async def test_a_config_of_an_operation_is_replaced_as_a_whole(t: AsyncTract) -> None:
    await t.configure_operations(chat=TINY)
    await t.configure_operations(chat=LLMConfig(seed=1))
    assert t.operations == OperationConfigs(chat=LLMConfig(seed=1))


async def test_none_removes_the_config_of_one_operation(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(chat=TINY, compress=CHEAP)
        await t.configure_operations(chat=None)
        assert t.operations == OperationConfigs(compress=CHEAP)
    assert await operations(path) == OperationConfigs(compress=CHEAP)


async def test_configure_replaces_the_configs_of_all_operations(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(chat=TINY, compress=CHEAP)
        await t.configure(operations=OperationConfigs(merge=CAREFUL))
        assert t.operations == OperationConfigs(merge=CAREFUL)
    assert await operations(path) == OperationConfigs(merge=CAREFUL)


async def test_configure_with_none_removes_the_configs_of_all_operations(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(chat=TINY, compress=CHEAP)
        await t.configure(operations=None)
        assert t.operations == OperationConfigs()
    assert await operations(path) == OperationConfigs()


async def test_configuring_operations_leaves_default_and_budget(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure(llm_config=TINY, budget=TokenBudget(500))
        await t.configure_operations(compress=CHEAP)
    async with AsyncTract.open(path) as t:
        assert (t.config, t.budget, t.operations) == (TINY, TokenBudget(500), OperationConfigs(compress=CHEAP))


async def test_configuring_default_and_budget_leaves_operations(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(compress=CHEAP)
        await t.configure(llm_config=TINY, budget=TokenBudget(500))
        await t.configure(llm_config=None)
    assert await operations(path) == OperationConfigs(compress=CHEAP)


async def test_one_call_configures_everything(path: str) -> None:
    clients = OperationClients(chat=ScriptedLLM([]))
    async with AsyncTract.open(path) as t:
        given = OperationConfigs(chat=CHEAP)
        await t.configure(llm_config=TINY, budget=TokenBudget(500), operations=given, clients=clients)
        assert (t.config, t.budget, t.operations, t.clients) == (TINY, TokenBudget(500), given, clients)


async def test_open_puts_the_operations_it_is_given_over_the_stored_ones_and_stores_them(path: str) -> None:
    await operations(path, operations=OperationConfigs(chat=TINY, compress=CHEAP))
    given = OperationConfigs(compress=CAREFUL)
    assert await operations(path, operations=given) == OperationConfigs(chat=TINY, compress=CAREFUL)
    assert await operations(path) == OperationConfigs(chat=TINY, compress=CAREFUL)


@pytest.mark.parametrize("given", [OperationConfigs(chat=TINY), OperationConfigs(), None])
async def test_open_records_nothing_where_its_operations_are_stored_already(path: str, given: OperationConfigs | None) -> None:
    await operations(path, operations=OperationConfigs(chat=TINY, compress=CHEAP))
    before = recorded(path)
    assert await operations(path, operations=given) == OperationConfigs(chat=TINY, compress=CHEAP)
    assert recorded(path) == before


async def test_open_stores_an_option_that_only_equals_the_stored_one(path: str) -> None:
    await operations(path, operations=OperationConfigs(chat=LLMConfig(extra={"verbose": 1})))
    found = await operations(path, operations=OperationConfigs(chat=LLMConfig(extra={"verbose": True})))
    assert found.chat is not None
    assert found.chat.extra["verbose"] is True


async def test_other_handles_of_the_process_see_operations_at_once(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as again, await t.worktree("main", name="second") as second:
        await again.configure_operations(chat=TINY)
        assert [each.operations for each in (t, again, second)] == [OperationConfigs(chat=TINY)] * 3
        async with AsyncTract.open(path, operations=OperationConfigs(merge=CHEAP)):
            assert [each.operations for each in (t, again, second)] == [OperationConfigs(chat=TINY, merge=CHEAP)] * 3


async def test_an_open_handle_learns_of_another_processs_operations_when_it_configures(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await from_elsewhere(path, lambda other: other.configure_operations(chat=TINY))
        assert t.operations == OperationConfigs()
        await t.configure_operations(compress=CHEAP)
        assert t.operations == OperationConfigs(chat=TINY, compress=CHEAP)
    assert await operations(path) == OperationConfigs(chat=TINY, compress=CHEAP)


async def test_each_tract_of_a_store_has_operations_of_its_own(path: str) -> None:
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        await one.configure_operations(chat=TINY)
        assert two.operations == OperationConfigs()


async def test_tasks_that_configure_different_operations_at_once_lose_none(path: str) -> None:
    configs: dict[str, Any] = {name: LLMConfig(model=name) for name in NAMES}
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as other:
        for _ in range(5):
            await t.configure(operations=None)
            await asyncio.gather(
                *(each.configure_operations(**{name: configs[name]}) for each, name in zip([t, other] * 3, NAMES, strict=False)),
                t.configure(budget=TokenBudget(500)),
            )
            assert (t.operations, t.budget) == (OperationConfigs(**configs), TokenBudget(500))
    assert await operations(path) == OperationConfigs(**configs)


async def test_processes_that_configure_different_operations_at_once_lose_none(path: str) -> None:
    configs = {name: LLMConfig(model=name) for name in NAMES}
    await operations(path)

    async def configure(name: str) -> None:
        async with AsyncTract.open(path, operations=OperationConfigs(**{name: configs[name]})):
            pass

    def elsewhere(name: str) -> None:
        asyncio.run(configure(name))

    await asyncio.gather(*(asyncio.to_thread(elsewhere, name) for name in NAMES))
    assert await operations(path) == OperationConfigs(**configs)


async def test_the_same_operation_id_configures_operations_once(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(chat=TINY, operation_id=OPERATION)
        await t.configure_operations(chat=CHEAP)
        once = recorded(path)
        await t.configure_operations(chat=TINY, operation_id=OPERATION)
        assert (recorded(path), t.operations) == (once, OperationConfigs(chat=CHEAP))


async def test_a_call_made_twice_at_once_configures_operations_once(path: str) -> None:
    async with AsyncTract.open(path) as t, AsyncTract.open(path) as other:
        before = recorded(path)
        await asyncio.gather(*(each.configure_operations(chat=TINY, operation_id=OPERATION) for each in (t, other)))
        assert (recorded(path), t.operations) == (before + 1, OperationConfigs(chat=TINY))


@pytest.mark.parametrize("other", [{"chat": None}, {"chat": CHEAP}, {"merge": TINY}, {"chat": TINY, "merge": None}])
async def test_an_operation_id_of_another_configuration_is_refused(t: AsyncTract, other: dict[str, Any]) -> None:
    await t.configure_operations(chat=TINY, operation_id=OPERATION)
    with pytest.raises(OperationMismatchError):
        await t.configure_operations(**other, operation_id=OPERATION)


async def test_an_operation_id_with_other_operations_in_configure_is_refused(t: AsyncTract) -> None:
    await t.configure(operations=OperationConfigs(chat=TINY), operation_id=OPERATION)
    with pytest.raises(OperationMismatchError):
        await t.configure(operations=None, operation_id=OPERATION)


async def test_a_handle_takes_its_clients_again_when_a_call_comes_again(t: AsyncTract) -> None:
    one, two = OperationClients(chat=ScriptedLLM([])), OperationClients(chat=ScriptedLLM([]))
    await t.configure(operations=OperationConfigs(chat=TINY), clients=one, operation_id=OPERATION)
    await t.configure(operations=OperationConfigs(chat=TINY), clients=two, operation_id=OPERATION)
    assert t.clients == two


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("configure_operations", {}),
    ("operations.chat", {"chat": "tiny"}),
    ("operations.compress", {"compress": {"model": "tiny"}}),
    ("operations.merge", {"chat": TINY, "merge": OperationConfigs()}),
]


@pytest.mark.parametrize(("field", "given"), WRONG)
async def test_what_configures_no_operation_is_refused_by_name(t: AsyncTract, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        await t.configure_operations(**given)
    assert (refused.value.field, t.operations) == (field, OperationConfigs())


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("operations", {"operations": {"chat": TINY}}),
        ("operations", {"operations": TINY}),
        ("clients", {"clients": {"chat": ScriptedLLM([])}}),
        ("clients", {"clients": ScriptedLLM([])}),
    ],
)
async def test_what_are_no_operations_or_clients_is_refused_by_open_and_configure(
    t: AsyncTract, path: str, field: str, given: dict[str, Any]
) -> None:
    for call in (t.configure(**given), AsyncTract.open(path, **given)):
        with pytest.raises(ConfigError) as refused:
            await call
        assert refused.value.field == field


async def test_there_is_no_verb_argument_for_an_unknown_operation(t: AsyncTract) -> None:
    unknown: dict[str, Any] = {"chta": TINY}
    with pytest.raises(TypeError):
        await t.configure_operations(**unknown)


async def test_an_operation_id_that_is_none_configures_no_operation(t: AsyncTract) -> None:
    with pytest.raises(ContentValidationError) as refused:
        await t.configure_operations(chat=TINY, operation_id="once")
    assert (refused.value.field, t.operations) == ("operation_id", OperationConfigs())


async def test_operations_cannot_be_configured_inside_a_batch(t: AsyncTract) -> None:
    async with t.batch():
        await t.user("Hi")
        with pytest.raises(BatchError):
            await t.configure_operations(chat=TINY)
    assert t.operations == OperationConfigs()


@pytest.mark.parametrize("given", [{"operations": OperationConfigs(chat=TINY)}, {"clients": None}])
async def test_a_closed_tract_takes_neither_operations_nor_clients(given: dict[str, Any]) -> None:
    t = await AsyncTract.open()
    await t.aclose()
    with pytest.raises(ClosedError):
        await t.configure(**given)


async def test_operations_go_along_with_an_exported_family(path: str, tmp_path: Path) -> None:
    await operations(path, operations=OperationConfigs(compress=CAREFUL))
    file, other = tmp_path / "family.jsonl", str(tmp_path / "other.db")
    await admin.export(path, file)
    await admin.import_file(other, file)
    assert await operations(other) == OperationConfigs(compress=CAREFUL)


async def test_operations_stay_when_all_tables_are_made_anew(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(chat=TINY, compress=CHEAP)
    await admin.rebuild(path)
    assert await operations(path) == OperationConfigs(chat=TINY, compress=CHEAP)
    assert (await admin.verify(path)).findings == ()


async def test_words_of_operation_configs_stand_in_no_event(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.configure_operations(compress=LLMConfig(model="my-model", stop_sequences="my-stop", extra={"note": "my-words"}))
    with closing(sqlite3.connect(path)) as connection:
        events = "".join(data for (data,) in connection.execute("SELECT data FROM events"))
    assert [word for word in ("my-model", "my-stop", "my-words", "compress") if word in events] == []


async def test_a_turn_is_asked_of_the_client_for_chat() -> None:
    default, mine = ScriptedLLM([]), ScriptedLLM(["one", "two", "three"])
    async with AsyncTract.open(llm=default, model="tiny", clients=OperationClients(chat=mine)) as t:
        await t.chat("Hi")
        await t.generate()
        async with t.stream("more") as stream:
            await stream.finish()
    assert (len(default.requests), len(mine.requests)) == (0, 3)


async def test_a_client_for_another_operation_is_not_asked_for_turns() -> None:
    default, cheap = ScriptedLLM(["Hello."]), ScriptedLLM([])
    async with AsyncTract.open(llm=default, model="tiny", clients=OperationClients(compress=cheap)) as t:
        await t.chat("Hi")
    assert (len(default.requests), len(cheap.requests)) == (1, 0)


async def test_a_client_for_chat_needs_no_other_client() -> None:
    mine = ScriptedLLM(["Hello."])
    async with AsyncTract.open(clients=OperationClients(chat=mine), operations=OperationConfigs(chat=TINY)) as t:
        response = await t.chat("Hi")
    assert (response.text, response.generation_config) == ("Hello.", TINY)


async def test_without_a_model_a_client_for_chat_says_what_to_do() -> None:
    async with AsyncTract.open(clients=OperationClients(chat=ScriptedLLM([]))) as t:
        with pytest.raises(ModelNotConfiguredError, match="model="):
            await t.chat("Hi")
        assert await t.head() is None


async def test_configure_replaces_all_clients_and_none_removes_them() -> None:
    one, two = ScriptedLLM([]), ScriptedLLM([])
    async with AsyncTract.open(clients=OperationClients(chat=one, merge=one)) as t:
        await t.configure(clients=OperationClients(merge=two))
        assert t.clients == OperationClients(merge=two)
        await t.configure(clients=None)
        assert t.clients == OperationClients()


async def test_clients_alone_are_recorded_nowhere(path: str) -> None:
    async with AsyncTract.open(path) as t:
        before = recorded(path)
        await t.configure(clients=OperationClients(chat=ScriptedLLM([])))
        assert recorded(path) == before
    async with AsyncTract.open(path) as t:
        assert t.clients == OperationClients()


async def test_clients_are_of_one_handle_and_its_worktrees(path: str) -> None:
    mine = ScriptedLLM(["Hello."])
    async with AsyncTract.open(path, model="tiny") as other, AsyncTract.open(path, model="tiny") as t:
        await t.configure(clients=OperationClients(chat=mine))
        async with await t.worktree("main", name="second") as second:
            assert (other.clients, second.clients) == (OperationClients(), OperationClients(chat=mine))
            assert (await second.chat("Hi")).text == "Hello."


async def test_closing_a_tract_leaves_its_clients_open() -> None:
    mine = ScriptedLLM(["one", "two"])
    for _ in range(2):
        async with AsyncTract.open(clients=OperationClients(chat=mine), model="tiny") as t:
            await t.chat("Hi")
    assert len(mine.requests) == 2


async def test_operations_are_restored_with_no_client_and_no_key(path: str) -> None:
    key = "sk-test-0123456789abcdef"
    async with AsyncTract.open(path, api_key=key, operations=OperationConfigs(chat=TINY)) as t:
        assert t.operations.chat == TINY
    with closing(sqlite3.connect(path)) as connection:
        assert key not in "".join(connection.iterdump())
    async with AsyncTract.open(path, llm=ScriptedLLM(["Hello."])) as t:
        assert (await t.chat("Hi")).generation_config == TINY


async def test_a_handle_asks_with_what_was_configured_during_a_turn_from_the_next_one_on() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["one", "two"]), model="tiny") as t, asyncio.timeout(5):
        async with t.stream("Hi") as stream:
            await t.configure_operations(chat=CHEAP)
            await stream.finish()
        later = await t.chat("more")
    assert [each.generation_config.model for each in (stream.response, later)] == ["tiny", "cheap"]
