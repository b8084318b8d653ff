"""Story: what did the models cost, by what asked for it and by day, and how much of that is not known?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.acceptance.scripting import opened
from tests.children import started, streaming
from tract import AsyncTract, Attempt, LLMConfig, ModelReply, ModelRequest, TokenUsage, UsageReport, UsageSum
from tract.errors import ContentValidationError, ModelConnectionError
from tract.testing import Cut, FixedClock, ScriptedLLM

NEW_YEAR = 1_767_225_600_000_000
SECONDS_A_DAY = 86_400


def reply(prompt: int | None = None, completion: int | None = None, **more: int) -> ModelReply:
    return ModelReply("Yes.", usage=TokenUsage(prompt, completion, **more))


def sums(report: UsageReport) -> dict[tuple[Any, ...], tuple[int, int | None, int | None]]:
    """Calls, prompt and completion of each group."""
    return {each.group: (each.calls, each.tokens.prompt, each.tokens.completion) for each in report.sums}


async def test_without_a_call_nothing_was_spent(t: AsyncTract) -> None:
    await t.user("Hi")
    nothing = UsageSum((), 0, 0, TokenUsage())
    assert await t.usage(by="model") == UsageReport(("model",), None, None, nothing, ())


async def test_what_calls_cost_is_added_up() -> None:
    async with opened([reply(10, 2), reply(20, 3, cached=5), reply(30, 4, reasoning=1)]) as t:
        for number in range(3):
            await t.chat(f"{number}?")
        assert (await t.usage()).total == UsageSum((), 3, 0, TokenUsage(60, 9, cached=5, reasoning=1))


class Plain:
    """A client of somebody's own that says nothing of its attempts but that there was one."""

    attempts = (Attempt(1),)

    def __init__(self, reply: ModelReply) -> None:
        self.reply = reply

    async def complete(self, request: ModelRequest) -> ModelReply:
        return self.reply

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator["Plain"]:
        yield self

    async def __aiter__(self) -> AsyncIterator[str]:
        yield self.reply.text or ""

    async def aclose(self) -> None:
        """Has nothing to close."""


async def test_what_a_call_cost_is_counted_as_soon_as_it_returned() -> None:
    async with opened([reply(1, 1)] * 20) as t:
        for number in range(20):
            await t.chat("Again?")
            assert (await t.usage()).total.calls == number + 1


async def test_figures_that_nobody_told_are_not_taken_for_nothing() -> None:
    llm = ScriptedLLM(["Yes.", reply(10), "No."], reports_usage=False)
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        for _ in range(3):
            await t.chat("Well?")
        assert (await t.usage()).total == UsageSum((), 3, 2, TokenUsage(prompt=10))


async def test_figures_that_a_client_tells_with_its_reply_alone_are_counted() -> None:
    usage = TokenUsage(prompt=100, completion=7)
    async with AsyncTract.open(llm=Plain(ModelReply("Yes.", usage=usage)), model="tiny") as t:
        assert (await t.chat("Well?")).usage == usage
        assert (await t.usage()).total == UsageSum((), 1, 0, usage)
        assert (await t.status()).token_count == 107


async def test_sums_are_told_apart_by_branch_model_and_verb() -> None:
    async with opened([reply(1), reply(2), reply(4), reply(8)]) as t:
        await t.chat("One?")
        await t.generate()
        await t.branch("side")
        await t.chat("Two?", llm_config=LLMConfig(model="large"))
        async with t.stream("Three?") as stream:
            await stream.finish()
        assert sums(await t.usage(by=("branch", "model", "verb"))) == {
            ("main", "tiny", "chat"): (1, 1, None),
            ("main", "tiny", "generate"): (1, 2, None),
            ("side", "large", "chat"): (1, 4, None),
            ("side", "tiny", "stream"): (1, 8, None),
        }


async def test_one_key_needs_no_tuple() -> None:
    async with opened([reply(1)]) as t:
        await t.chat("One?")
        assert await t.usage(by="verb") == await t.usage(by=("verb",))


async def test_days_are_those_of_utc_and_in_order() -> None:
    clock = FixedClock(NEW_YEAR + SECONDS_A_DAY * 10**6 - 10_000)
    async with opened([reply(1), reply(2), reply(4)], clock=clock) as t:
        await t.chat("Before midnight?")
        clock.advance(1)
        await t.chat("After it?")
        clock.advance(30 * SECONDS_A_DAY)
        await t.chat("Later?")
        assert [each.group for each in (await t.usage(by="day")).sums] == [
            (date(2026, 1, 1),),
            (date(2026, 1, 2),),
            (date(2026, 2, 1),),
        ]


async def test_days_before_and_after_can_be_left_out() -> None:
    clock = FixedClock(NEW_YEAR)
    async with opened([reply(1), reply(2), reply(4), reply(8)], clock=clock) as t:
        for _ in range(4):
            await t.chat("And today?")
            clock.advance(SECONDS_A_DAY)
        second, third = date(2026, 1, 2), date(2026, 1, 3)
        found = [
            (await t.usage(since=since, until=until)).total.tokens.prompt
            for since, until in ((None, None), (second, None), (None, third), (second, third), (third, third))
        ]
        assert found == [15, 14, 7, 6, 4]


async def test_a_call_that_failed_half_way_counts_as_one_without_figures() -> None:
    async with opened([Cut(["Half "], ModelConnectionError()), reply(5, 1)]) as t:
        with pytest.raises(ModelConnectionError):
            await t.chat("Well?")
        await t.chat("Well?")
        assert (await t.usage()).total == UsageSum((), 2, 1, TokenUsage(5, 1))


async def test_figures_of_a_call_made_elsewhere_count_for_its_answer(t: AsyncTract) -> None:
    await t.user("Asked elsewhere")
    await t.assistant("Answered elsewhere", generation_config=LLMConfig(model="theirs"))
    await t.record_usage({"prompt_tokens": 7, "completion_tokens": 2})
    assert sums(await t.usage(by=("verb", "model", "branch"))) == {("record_usage", "theirs", "main"): (1, 7, 2)}


async def test_figures_of_a_provider_that_counts_its_cache_apart_measure_the_whole_context(t: AsyncTract) -> None:
    await t.user("Asked elsewhere")
    await t.assistant("Answered elsewhere")
    told = {"input_tokens": 5, "cache_creation_input_tokens": 15, "cache_read_input_tokens": 80, "output_tokens": 7}
    await t.record_usage(told)
    assert (await t.usage()).total.tokens == TokenUsage(100, 7, cached=80)
    assert (await t.status()).token_count == 107


async def test_a_figure_that_nobody_knows_is_refused_and_nothing_is_counted(t: AsyncTract) -> None:
    await t.user("Asked elsewhere")
    with pytest.raises(ContentValidationError) as caught:
        await t.record_usage({"prompt_tokens": 5, "promt_tokens": 7})
    assert (caught.value.field, (await t.usage()).total.calls) == ("usage.promt_tokens", 0)


async def test_figures_of_an_answer_of_no_model_that_is_known_have_none(t: AsyncTract) -> None:
    await t.assistant("Answered elsewhere")
    await t.record_usage(TokenUsage(prompt=7))
    assert sums(await t.usage(by=("model",))) == {(None,): (1, 7, None)}


async def test_figures_that_are_told_later_belong_to_the_verb_of_their_call() -> None:
    llm = ScriptedLLM(["Yes."], reports_usage=False)
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.chat("Well?")
        (info,) = await t.generations()
        await t.record_usage(TokenUsage(9, 1), generation=info.id)
        (only,) = (await t.usage(by=("verb", "model"))).sums
        assert only == UsageSum(("chat", "tiny"), 2, 1, TokenUsage(9, 1))


async def test_each_tract_of_a_store_has_its_own_and_the_store_all(path: str) -> None:
    async with opened([reply(1)], path, name="one") as one, opened([reply(2), reply(4)], path, name="two") as two:
        await one.chat("One?")
        await two.chat("Two?")
        await two.chat("Three?")
        assert (await one.usage()).total.tokens.prompt == 1
        assert (await two.usage(scope="family")).total.tokens.prompt == 6
        found = sums(await one.usage(by=("family", "tract"), scope="store"))
        assert found == {(one.id, one.id): (1, 1, None), (two.id, two.id): (2, 6, None)}


async def test_what_tasks_spend_at_once_is_all_counted(path: str) -> None:
    async with opened(lambda _: reply(1, 1), path) as t:
        await t.user("Base")
        handles = [await t.worktree("main", name=f"w{number}") for number in range(8)]
        for number, handle in enumerate(handles):
            await handle.branch(f"b{number}")
        await asyncio.gather(*(handle.chat("Go") for handle in handles for _ in range(5)))
        report = await t.usage(by="branch")
        assert (report.total.calls, {each.calls for each in report.sums}) == (40, {5})
        for handle in handles:
            await handle.aclose()


SPENDING = """
import asyncio, sys
from tract import AsyncTract, TokenUsage
async def main():
    async with AsyncTract.open(sys.argv[1]) as t:
        for _ in range(7):
            await t.record_usage(TokenUsage(prompt=3))
asyncio.run(main())
"""


async def test_what_another_process_spent_counts_at_once(path: str) -> None:
    async with AsyncTract.open(path) as t:
        await t.user("Base")
        assert (await t.usage()).total.calls == 0
        with started(SPENDING, path) as process:
            assert await asyncio.to_thread(process.wait, 60) == 0
        assert (await t.usage()).total.tokens.prompt == 21


async def test_a_call_whose_process_died_counts_as_one_without_figures_once_that_is_recorded(path: str) -> None:
    with streaming(path) as child:
        child.stream("one")
        child.kill()
    async with AsyncTract.open(path) as t:
        report = await t.usage(by=("verb", "model"))
        assert report.sums == (UsageSum(("stream", "tiny"), 1, 1, TokenUsage()),)


async def test_figures_of_an_owner_that_comes_back_late_take_the_place_of_the_unknown(path: str) -> None:
    now = FixedClock(int(datetime.now(UTC).timestamp()) * 10**6)
    now.advance(40)
    with streaming(path, host="elsewhere") as child:
        child.stream("One")
        async with AsyncTract.open(path, clock=now) as t:
            before = await t.usage()
            assert before.total == UsageSum((), 1, 1, TokenUsage())
            child.tell("end")
            assert child.told()[0] == "GenerationLostError"
            after = await t.usage(by=("verb", "day"))
            assert (after.total.calls, after.total.unreported, len(after.sums)) == (1, 0, 1)
            assert after.total.tokens.completion is not None


async def test_what_was_spent_is_there_after_reopening(path: str) -> None:
    async with opened([reply(11, 1)], path) as t:
        await t.chat("Well?")
    async with AsyncTract.open(path) as t:
        assert (await t.usage()).total.tokens == TokenUsage(11, 1)


async def test_figures_beyond_all_measure_keep_no_others_from_being_counted(t: AsyncTract) -> None:
    await t.user("Base")
    for _ in range(3):
        await t.record_usage(TokenUsage(prompt=2**63 - 1, completion=1))
    total = (await t.usage()).total
    assert (total.calls, total.tokens) == (3, TokenUsage(2**63 - 1, 3))


async def test_what_is_in_a_batch_that_is_open_does_not_hide_what_was_spent() -> None:
    async with opened([reply(3)]) as t:
        await t.chat("Well?")
        async with t.batch():
            await t.user("Not recorded yet")
            assert (await t.usage()).total.calls == 1


async def test_a_report_reads_well() -> None:
    clock = FixedClock(int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 10**6)
    llm = ScriptedLLM([reply(1000, 20, cached=5), "Yes."], reports_usage=False)
    async with AsyncTract.open(llm=llm, model="tiny", clock=clock) as t:
        await t.chat("One?")
        await t.generate()
        await t.record_usage(TokenUsage(prompt=1))
        assert f"{await t.usage()}" == "1,001 prompt, 20 completion, 5 cached tokens in 3 calls, 1 of them without figures"
        assert f"{await t.usage(by=('day', 'verb'))}".splitlines()[1:] == [
            "  2026-03-01 chat: 1,000 prompt, 20 completion, 5 cached tokens in 1 call",
            "  2026-03-01 generate: no tokens in 1 call, 1 of them without figures",
            "  2026-03-01 record_usage: 1 prompt tokens in 1 call",
        ]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("by", {"by": ("colour",)}),
        ("by", {"by": "colour"}),
        ("by", {"by": ("day", "day")}),
        ("by", {"by": 7}),
        ("since", {"since": "2026-01-01"}),
        ("since", {"since": datetime(2026, 1, 1, tzinfo=UTC)}),
        ("until", {"until": 7}),
        ("until", {"since": date(2026, 1, 3), "until": date(2026, 1, 2)}),
        ("scope", {"scope": "world"}),
        ("scope", {"scope": []}),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(t: AsyncTract, field: str, options: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.usage(**options)
    assert caught.value.field == field
