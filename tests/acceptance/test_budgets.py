"""Story: a context may cost so much and no more, or somebody is told in time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from tests.acceptance.counting import WordCounter, words
from tests.acceptance.reading import from_elsewhere, recorded, state, texts
from tests.acceptance.scripting import Held, Talk
from tract import (
    AsyncTract,
    BudgetReport,
    CommitInfo,
    DialogueContent,
    LLMConfig,
    TokenBudget,
    TokenUsage,
    ToolCall,
    ToolIOContent,
)
from tract.errors import BudgetExceededError, ConfigError, ModelConnectionError, TurnInProgressError
from tract.testing import ScriptedLLM

Write: TypeAlias = Callable[[AsyncTract, CommitInfo], Awaitable[object]]

REJECT = TokenBudget(13, "reject")
"""Room for ten words: a context costs 3 more."""


def limited(budget: TokenBudget | None = REJECT, where: str = ":memory:", **options: Any) -> Any:
    return AsyncTract.open(where, budget=budget, tokens=WordCounter(), **options)


def asking(replies: Any, budget: TokenBudget | None = REJECT, **options: Any) -> Any:
    return limited(budget, llm=ScriptedLLM(replies, reports_usage=False), model="tiny", **options)


class Listener:
    """Keeps what `on_budget` is told."""

    def __init__(self) -> None:
        self.reports: list[BudgetReport] = []

    async def __call__(self, report: BudgetReport) -> None:
        self.reports.append(report)

    @property
    def tokens(self) -> list[int]:
        return [report.tokens for report in self.reports]


async def test_a_context_may_reach_its_budget() -> None:
    async with limited() as t:
        await t.user(words(10))
        assert (await t.status()).token_count == 13


@pytest.mark.parametrize(
    "write",
    [
        lambda t, _: t.commit(words(6)),
        lambda t, _: t.system(words(6)),
        lambda t, _: t.user(words(6)),
        lambda t, _: t.assistant(words(6)),
        lambda t, _: t.commit(DialogueContent("assistant", words(6), tool_calls=(ToolCall("1", "look_up", "{}"),))),
        lambda t, slot: t.edit(slot.id, words(11)),
        lambda t, slot: t.commit(words(11), operation="edit", target=slot.id),
    ],
    ids=["commit", "system", "user", "assistant", "calls", "edit", "commit as edit"],
)
async def test_a_write_that_would_grow_beyond_the_budget_is_refused(write: Write) -> None:
    async with limited() as t:
        slot = await t.user(words(5))
        before = await state(t)
        with pytest.raises(BudgetExceededError) as refused:
            await write(t, slot)
        assert ((refused.value.tokens, refused.value.limit), await state(t)) == ((14, 13), before)


@pytest.mark.parametrize("show", ["normal", "pinned"])
async def test_a_skipped_slot_is_not_shown_again_beyond_the_budget(show: str) -> None:
    async with limited() as t:
        hidden = await t.user(words(6), priority="skip")
        await t.user(words(5))
        before = await state(t)
        with pytest.raises(BudgetExceededError):
            await t.annotate(hidden.id, show)
        assert await state(t) == before


async def test_what_a_revert_brings_back_must_be_within_the_budget() -> None:
    async with limited() as t:
        slot = await t.user(words(8))
        edit = await t.edit(slot.id, words(1))
        await t.user(words(5))
        before = await state(t)
        with pytest.raises(BudgetExceededError):
            await t.revert(edit.id)
        assert await state(t) == before


async def test_what_was_refused_leaves_no_event(path: str) -> None:
    async with limited(where=path) as t:
        before = recorded(path)
        with pytest.raises(BudgetExceededError):
            await t.user(words(11))
        assert recorded(path) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda t, slot: t.skip(slot.id),
        lambda t, slot: t.pin(slot.id),
        lambda t, slot: t.edit(slot.id, words(19)),
        lambda t, slot: t.edit(slot.id, words(20)),
        lambda t, _: t.user(words(50), priority="skip"),
        lambda t, _: t.tool_result("1", words(50)),
        lambda t, _: t.commit(ToolIOContent(None, "result", text=words(50), call_id="1")),
    ],
    ids=["skip", "pin", "shorter edit", "equal edit", "hidden slot", "tool result", "committed tool result"],
)
async def test_beyond_the_budget_whatever_does_not_grow_or_was_paid_for_is_written(write: Write, path: str) -> None:
    async with limited(None, path) as t:
        slot = await t.user(words(20))
    async with limited(where=path) as t:
        written = await write(t, slot)
        assert (await t.log(1))[0] == written


async def test_a_call_that_comes_again_is_not_refused() -> None:
    operation = "01928c5e-0000-7000-8000-000000000001"
    async with limited() as t:
        first = await t.user(words(10), operation_id=operation)
        assert await t.user(words(10), operation_id=operation) == first


async def test_each_branch_has_the_whole_budget() -> None:
    async with limited() as t:
        root = await t.user(words(4))
        await t.user(words(6))
        await t.branch("other", at=root.id)
        await t.user(words(6))
        assert [len(await texts(t, branch)) for branch in ("main", "other")] == [2, 2]


async def test_another_handle_on_the_tract_has_the_budget_too() -> None:
    async with limited() as t, await t.worktree("main", name="second") as second:
        assert second.budget == REJECT
        with pytest.raises(BudgetExceededError):
            await second.user(words(11))


@pytest.mark.parametrize("talk", [lambda t: t.chat(words(6)), lambda t: _enter(t.stream(words(6)))], ids=["chat", "stream"])
async def test_a_question_beyond_the_budget_is_neither_recorded_nor_sent(talk: Talk, path: str) -> None:
    llm = ScriptedLLM(["Hello."])
    async with limited(where=path, llm=llm, model="tiny") as t:
        await t.user(words(5))
        before = await state(t), recorded(path)
        with pytest.raises(BudgetExceededError):
            await talk(t)
        assert ((await state(t), recorded(path)), llm.requests) == (before, [])


async def _enter(turn: Any) -> None:
    async with turn:
        pass


async def test_a_branch_is_free_again_after_a_refused_turn() -> None:
    async with asking(["Hello."]) as t:
        with pytest.raises(BudgetExceededError):
            await t.chat(words(11))
        async with asyncio.timeout(5):
            assert (await t.chat(words(5))).text == "Hello."


async def test_an_answer_beyond_the_budget_is_recorded_and_the_next_turn_refused() -> None:
    async with asking([words(50), "Never."]) as t:
        await t.chat(words(5))
        assert (await t.status()).token_count == 58
        with pytest.raises(BudgetExceededError) as refused:
            await t.generate()
        assert (refused.value.tokens, len(await texts(t))) == (58, 2)


async def test_a_turn_goes_on_once_the_context_was_made_smaller() -> None:
    async with asking([words(50), "Good."]) as t:
        answer = (await t.chat(words(5))).commit_info
        await t.edit(answer.id, words(2))
        assert (await t.generate()).text == "Good."


async def test_a_budget_that_warns_writes_and_sends_all_the_same() -> None:
    async with asking(["Hello."], TokenBudget(4)) as t:
        await t.user(words(5))
        await t.chat(words(5))
        assert await texts(t) == [words(5), words(5), "Hello."]


async def test_on_budget_is_told_what_grew_beyond() -> None:
    listener, budget = Listener(), TokenBudget(13)
    async with limited(budget, on_budget=listener) as t:
        await t.user(words(10))
        assert listener.reports == []
        info = await t.user(words(1))
        assert listener.reports == [BudgetReport(t.id, "main", info.id, 14, budget)]
        assert (listener.reports[0].is_over, str(listener.reports[0])) == (True, f"14 of 13 tokens on main at {info.id[:8]}")


async def test_on_budget_is_told_again_with_each_growth_and_of_nothing_else() -> None:
    listener = Listener()
    async with limited(TokenBudget(13), on_budget=listener) as t:
        slot = await t.user(words(20))
        await t.edit(slot.id, words(21))
        await t.edit(slot.id, words(19))
        await t.skip(slot.id)
        await t.pin(slot.id)
        await t.tool_result("1", words(2))
        assert listener.tokens == [23, 24, 22, 24]


async def test_on_budget_is_told_early_where_compressing_is_due() -> None:
    listener = Listener()
    async with limited(TokenBudget(13, "reject", compress_at=8), on_budget=listener) as t:
        await t.user(words(4))
        await t.user(words(1))
        await t.user(words(1))
        assert [(report.tokens, report.is_over) for report in listener.reports] == [(8, False), (9, False)]


async def test_what_was_refused_is_told_by_the_error_alone() -> None:
    listener = Listener()
    async with limited(on_budget=listener) as t:
        with pytest.raises(BudgetExceededError):
            await t.user(words(11))
        assert listener.reports == []


async def test_on_budget_is_told_of_a_tool_result_that_a_rejecting_budget_let_through() -> None:
    listener = Listener()
    async with limited(on_budget=listener) as t:
        await t.tool_result("1", words(20))
        assert listener.tokens == [23]


async def test_on_budget_finds_written_what_it_is_told_of() -> None:
    heads: list[tuple[str | None, str]] = []

    async def on_budget(report: BudgetReport) -> None:
        heads.append((await t.head(), report.commit))

    async with limited(TokenBudget(1), on_budget=on_budget) as t:
        info = await t.user("Hello.")
        assert heads == [(info.id, info.id)]


async def test_on_budget_may_make_room() -> None:
    async def on_budget(report: BudgetReport) -> None:
        await t.skip(first.id, reason="room")

    async with limited(TokenBudget(13), on_budget=on_budget) as t, asyncio.timeout(5):
        first = await t.user(words(10))
        await t.user(words(2))
        assert (await t.status()).token_count == 5


async def test_an_exception_of_on_budget_loses_nothing_and_goes_to_the_loop() -> None:
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

    async def on_budget(report: BudgetReport) -> None:
        raise ZeroDivisionError

    async with limited(TokenBudget(1), on_budget=on_budget) as t:
        info = await t.user("Hello.")
        assert await t.head() == info.id
    assert [type(context["exception"]) for context in seen] == [ZeroDivisionError]


async def test_a_cancellation_within_on_budget_is_not_swallowed() -> None:
    async def on_budget(report: BudgetReport) -> None:
        raise asyncio.CancelledError

    async with limited(TokenBudget(1), on_budget=on_budget) as t:
        with pytest.raises(asyncio.CancelledError):
            await t.user("Hello.")
        assert await texts(t) == ["Hello."]


async def test_on_budget_is_told_of_a_question_before_it_is_sent_and_of_the_answer_after() -> None:
    told: list[object] = []

    async def on_budget(report: BudgetReport) -> None:
        told.append(report.tokens)

    def reply(request: object) -> str:
        told.append("sent")
        return words(7)

    async with asking(reply, TokenBudget(4), on_budget=on_budget) as t:
        await t.chat(words(5))
        assert told == [8, "sent", 15]


async def test_on_budget_of_an_answer_may_write_to_the_branch() -> None:
    async def on_budget(report: BudgetReport) -> None:
        if report.tokens < 20:
            await t.user(words(10))

    async with asking([words(7)], TokenBudget(10), on_budget=on_budget) as t, asyncio.timeout(5):
        await t.chat(words(5))
        assert (await t.status()).slots == 3


async def test_on_budget_of_a_question_is_inside_the_turn() -> None:
    refused: list[Exception] = []

    async def on_budget(report: BudgetReport) -> None:
        if report.tokens == 8:
            try:
                await t.user("more")
            except TurnInProgressError as exc:
                refused.append(exc)

    async with asking(["Hello."], TokenBudget(4), on_budget=on_budget) as t, asyncio.timeout(5):
        await t.chat(words(5))
        assert (len(refused), await texts(t)) == (1, [words(5), "Hello."])


async def test_on_budget_may_shorten_the_branch_during_the_turn() -> None:
    async def on_budget(report: BudgetReport) -> None:
        if report.tokens == 14:
            await t.skip(first.id)

    async with asking(["Hello."], TokenBudget(13), on_budget=on_budget) as t, asyncio.timeout(5):
        first = await t.user(words(10))
        await t.chat(words(1))
        assert (await texts(t), (await t.status()).token_count) == (["word", "Hello."], 5)


async def test_on_budget_hears_of_generate_without_a_question() -> None:
    listener = Listener()
    async with asking([words(2)], TokenBudget(13), on_budget=listener) as t:
        asked = await t.user(words(20))
        await t.generate()
        assert [(report.tokens, report.commit == asked.id) for report in listener.reports] == [
            (23, True),
            (23, True),
            (25, False),
        ]


async def test_on_budget_hears_of_an_answer_that_was_left_early() -> None:
    listener = Listener()
    async with asking([words(9)], TokenBudget(9), on_budget=listener) as t:
        async with t.stream(words(5)) as stream:
            async for _ in stream:
                if len(stream.text.split()) == 4:
                    break
        assert listener.tokens == [12]


async def test_an_answer_on_a_branch_that_gained_an_edit_is_told_with_what_stands_there() -> None:
    listener, held = Listener(), Held((words(4),), ())
    async with asking(held, TokenBudget(10), on_budget=listener) as t:
        slot = await t.user(words(3))
        turn = asyncio.create_task(t.chat(words(2)))
        await held.has_begun.wait()
        await t.edit(slot.id, words(6))
        held.go_on.set()
        await turn
        assert listener.tokens == [(await t.status()).token_count] == [15]


async def test_a_turn_that_failed_tells_of_no_answer() -> None:
    listener = Listener()
    async with asking([ModelConnectionError()], TokenBudget(4), on_budget=listener) as t:
        with pytest.raises(ModelConnectionError):
            await t.chat(words(5))
        assert listener.tokens == [8]


async def test_the_decision_goes_by_recorded_counts_and_not_by_reports() -> None:
    async with limited() as t:
        await t.user(words(5))
        await t.record_usage(TokenUsage(prompt=5000))
        await t.user(words(5))
        assert (await t.status()).token_count == 5005


async def test_the_status_shows_the_budget() -> None:
    async with limited(TokenBudget(8000)) as t:
        await t.user(words(1231))
        status = await t.status()
        assert (status.budget, "1,234 of 8,000 tokens" in str(status)) == (TokenBudget(8000), True)


async def test_the_status_without_a_budget_shows_tokens_alone() -> None:
    async with limited(None) as t:
        assert ((await t.status()).budget, str(await t.status())) == (
            None,
            "main on main at no commit yet: 0 slots, 3 tokens (counted:words)",
        )


async def test_a_compiled_context_beyond_the_budget_says_so() -> None:
    async with limited(TokenBudget(13)) as t:
        await t.user(words(10))
        assert (await t.compile()).warnings == ()
        await t.user(words(1))
        context = await t.compile()
        assert context.warnings == ("The context has 14 tokens and its budget is 13.",)
        assert "  warning: The context has 14 tokens and its budget is 13." in str(context)


async def test_the_budget_changes_nothing_of_what_is_compiled() -> None:
    async with limited(TokenBudget(1)) as t:
        await t.user(words(5))
        over = await t.compile()
        await t.configure(budget=None)
        free = await t.compile()
        assert (over.to_dicts(), over.digest, over.payload_digest) == (free.to_dicts(), free.digest, free.payload_digest)


@pytest.mark.parametrize(("budget", "level"), [(TokenBudget(4), "WARNING"), (TokenBudget(9, compress_at=4), "INFO")])
async def test_a_log_line_says_where_and_how_much_and_no_words(
    budget: TokenBudget, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(budget) as t:
        with caplog.at_level(logging.INFO, "tract"):
            await t.user("secret secret")
        (line,) = [(record.levelname, record.getMessage()) for record in caplog.records if "budget" in record.getMessage()]
    assert (line[0], "tokens=5" in line[1], "secret" in line[1]) == (level, True, False)


async def test_the_log_says_so_once_for_each_time_that_a_mark_is_passed(caplog: pytest.LogCaptureFixture) -> None:
    async with limited(TokenBudget(20, compress_at=10)) as t:
        with caplog.at_level(logging.INFO, "tract"):
            slots = [await t.user(words(4)) for _ in range(7)]
            for slot in slots:
                await t.skip(slot.id)
            await t.user(words(9))
    names = [record.getMessage().split("'")[1] for record in caplog.records]
    assert names == ["budget.near", "budget.exceeded", "budget.near"]


async def test_another_process_is_bound_by_what_was_configured(path: str) -> None:
    async with AsyncTract.open(path, tokens=WordCounter()) as t:
        await t.configure(budget=REJECT)

        async def write(other: AsyncTract) -> None:
            with pytest.raises(BudgetExceededError):
                await other.user(words(50))

        await from_elsewhere(path, write)


async def test_an_open_handle_is_bound_by_what_another_process_configures(path: str) -> None:
    async with AsyncTract.open(path, tokens=WordCounter()) as t:
        await from_elsewhere(path, lambda other: other.configure(budget=REJECT))
        with pytest.raises(BudgetExceededError):
            await t.user(words(11))
        assert (await t.status()).budget == REJECT


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": True}),
        ("max_tokens", {"max_tokens": 2**63}),
        ("max_tokens", {"max_tokens": "9"}),
        ("action", {"max_tokens": 9, "action": "refuse"}),
        ("action", {"max_tokens": 9, "action": ["warn"]}),
        ("compress_at", {"max_tokens": 9, "compress_at": 0}),
        ("compress_at", {"max_tokens": 9, "compress_at": 10}),
        ("compress_at", {"max_tokens": 9, "compress_at": 0.8}),
    ],
)
def test_a_budget_out_of_range_is_refused_by_its_field(field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        TokenBudget(**arguments)
    assert refused.value.field == field


@pytest.mark.parametrize(("field", "options"), [("budget", {"budget": 8000}), ("on_budget", {"on_budget": "me"})])
async def test_open_refuses_what_is_no_budget_or_listener(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        await AsyncTract.open(**options)
    assert refused.value.field == field


async def test_a_model_config_and_a_budget_go_together() -> None:
    async with limited(llm=ScriptedLLM(["Hello."]), llm_config=LLMConfig(model="tiny", max_tokens=5)) as t:
        assert (await t.chat("Hi")).generation_config == LLMConfig(model="tiny", max_tokens=5)
