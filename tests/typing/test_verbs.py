"""What type checkers see of every public verb; mypy reads this, pytest runs it too."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, assert_type

from attrs import frozen

from tract import (
    ABSENT,
    AsyncTract,
    BranchInfo,
    BudgetReport,
    ChatResponse,
    CommitDetail,
    CommitInfo,
    CommitOperation,
    CompiledContext,
    CompiledSlot,
    Compiler,
    Condition,
    DialogueContent,
    ImagePart,
    LLMClient,
    LLMConfig,
    Message,
    OperationClients,
    OperationConfigs,
    OutputContent,
    ParsedResponse,
    Priority,
    RunResult,
    RunStep,
    SearchHit,
    StoreStatistics,
    TextPart,
    TimelineEntry,
    TokenBudget,
    TokenUsage,
    ToolCall,
    ToolOutcome,
    TractStatus,
    UsageReport,
    UsageSum,
    XMLCompiler,
    from_anthropic,
    from_openai,
    register_content_type,
)
from tract.domain.content import Content, Renderable
from tract.domain.ids import CommitId, OperationId, TractId
from tract.testing import ScriptedLLM


async def test_opening_and_attributes() -> None:
    async with AsyncTract.open() as t:
        assert_type(t, AsyncTract)
        assert_type(t.id, TractId)
        assert_type(t.name, str)
        assert_type(t.current_branch, str | None)
        assert_type(t.is_detached, bool)
        assert_type(t.config, LLMConfig)
        assert_type(t.operations, OperationConfigs)
        assert_type(t.operations.chat, LLMConfig | None)
        assert_type(t.clients, OperationClients)
        assert_type(t.clients.compress, LLMClient | None)
        assert_type(t.budget, TokenBudget | None)
        assert_type(await t.head(), str | None)
    awaited = await AsyncTract.open(":memory:", model="tiny")
    assert_type(awaited, AsyncTract)
    assert_type(await awaited.aclose(), None)


async def test_a_subclass_stays_itself() -> None:
    class Mine(AsyncTract):
        pass

    async with Mine.open() as t:
        assert_type(t, Mine)
        async with await t.worktree("main", name="second") as second:
            assert_type(second, Mine)


async def test_writing() -> None:
    async with AsyncTract.open() as t:
        assert_type(await t.commit("a", role="user", priority=Priority.PINNED, metadata={"a": 1}), CommitInfo)
        assert_type(await t.commit({"content_type": "output", "text": "a"}, priority="normal"), CommitInfo)
        assert_type(await t.commit(OutputContent("a")), CommitInfo)
        assert_type(await t.system("a", message="b"), CommitInfo)
        assert_type(await t.user("a", name="b", metadata={"a": 1}), CommitInfo)
        assert_type(await t.assistant("a", generation_config=LLMConfig(seed=1)), CommitInfo)
        assert_type(await t.tool_result("id", {"a": 1}, tool_name="b", priority="skip"), CommitInfo)


async def test_editing() -> None:
    async with AsyncTract.open() as t:
        slot = await t.user("a")
        assert_type(await t.edit(slot.id, "b", message="c"), CommitInfo)
        assert_type(await t.annotate(slot.id, "important", reason="d", retain=[1]), CommitInfo)
        assert_type(await t.pin(slot.id, reason="e"), CommitInfo)
        hidden = await t.skip(slot.id)
        assert_type(hidden, CommitInfo)
        assert_type(await t.revert(hidden.id, message="f", metadata={"g": 1}), CommitInfo)


async def test_expecting() -> None:
    async with AsyncTract.open() as t:
        slot = await t.user("a", expect=await t.head())
        assert_type(await t.commit("b", expect=slot.id), CommitInfo)
        assert_type(await t.edit(slot.id, "c", expect="HEAD"), CommitInfo)
        assert_type(await t.pin(slot.id, expect=ABSENT), CommitInfo)


async def test_batching() -> None:
    async with AsyncTract.open() as t:
        async with t.batch(expect=None) as batch:
            assert_type(await t.user("a"), CommitInfo)
            assert_type(batch.commit_ids, tuple[CommitId, ...])
        assert_type(batch.operation_id, OperationId | None)


async def test_reading() -> None:
    async with AsyncTract.open() as t:
        await t.user("a")
        context = await t.compile(at="HEAD")
        assert_type(context, CompiledContext)
        assert_type(await t.compile(at_time=datetime.now(UTC), include_edit_marks=True), CompiledContext)
        assert_type(await t.compile(include_reasoning=True), CompiledContext)
        assert_type(await t.compile(order=["HEAD"]), CompiledContext)
        assert_type(context.compiler, str)
        assert_type(context.cacheable_tokens, int)
        assert_type(context.cache_break, CommitId | None)
        assert_type(context.messages, Sequence[Message])
        assert_type(context.messages[0], Message)
        assert_type(context.commit_ids, Sequence[CommitId])
        assert_type(context.slot_ids, Sequence[CommitId])
        assert_type(context.priorities, Sequence[Priority])
        assert_type(context.generation_configs, Sequence[LLMConfig | None])
        assert_type(context.token_counts, Sequence[int | None])
        assert_type(context.token_count, int)
        assert_type(context.token_source, str)
        assert_type(context.head, CommitId | None)
        assert_type(context.digest, str)
        assert_type(context.warnings, tuple[str, ...])
        assert_type(context.to_dicts(), list[dict[str, Any]])
        assert_type(context.to_openai(), list[dict[str, Any]])
        assert_type(context.to_anthropic(), dict[str, Any])
        assert_type(await t.log(5, at="HEAD", operation=CommitOperation.APPEND), tuple[CommitInfo, ...])
        shown = await t.show("HEAD")
        assert_type(shown, CommitDetail)
        assert_type(shown.content, Content | Renderable | None)
        assert_type(await t.status(), TractStatus)
        assert_type(await t.search("a", limit=5, role="user", marks=("<", ">")), tuple[SearchHit, ...])
        assert_type(await t.search("a", at="HEAD", content_type="dialogue"), tuple[SearchHit, ...])
        assert_type(await t.query_by_config("seed", ">=", 1, branch="main", limit=5, order="oldest"), tuple[CommitInfo, ...])
        assert_type(await t.query_by_config("extra.a", "exists"), tuple[CommitInfo, ...])
        assert_type(await t.query_by_config([("seed", "exists"), Condition("seed", "in", [1])]), tuple[CommitInfo, ...])
        assert_type(await t.query_by_config(LLMConfig(model="m")), tuple[CommitInfo, ...])
        assert_type(t.statistics(), StoreStatistics)


async def test_a_commit_info() -> None:
    async with AsyncTract.open() as t:
        info = await t.user("a")
        assert_type(info.id, CommitId)
        assert_type(info.parents, tuple[CommitId, ...])
        assert_type(info.operation, CommitOperation)
        assert_type(info.priority, Priority | None)
        assert_type(info.metadata, Mapping[str, Any] | None)
        assert_type(info.generation_config, LLMConfig | None)
        assert_type(info.tokens, int | None)


async def test_moving() -> None:
    async with AsyncTract.open() as t:
        assert_type(await t.branch("a", at=None, switch=True), BranchInfo)
        assert_type(await t.branches(), tuple[BranchInfo, ...])
        assert_type(await t.switch("main"), BranchInfo)
        second = await t.worktree("main", name="second")
        assert_type(second, AsyncTract)
        await second.aclose()


@frozen
class Planned:
    steps: list[str]


def answer_to(question: str) -> str:
    """Answer."""
    return question


async def test_talking() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(lambda _: '{"steps": []}'), model="tiny") as t:
        response = await t.chat("a", llm_config=LLMConfig(seed=1), keep_partial=True, timeout=1.0)
        assert_type(response, ChatResponse)
        assert_type(response.text, str)
        assert_type(response.usage, TokenUsage | None)
        assert_type(response.commit_info, CommitInfo)
        assert_type(response.tool_calls, tuple[ToolCall, ...])
        assert_type(response.finish_reason, str | None)
        assert_type(await t.generate(message="a", metadata={"b": 1}), ChatResponse)
        assert_type(await t.chat("a", tools=[answer_to], tool_choice=answer_to), ChatResponse)
        assert_type(await t.chat("a", response_format={"type": "json_object"}), ChatResponse)
        assert_type(await t.chat("a", response_format=Planned), ParsedResponse[Planned])
        assert_type((await t.chat("a", response_format=Planned)).parsed, Planned)
        assert_type(await t.chat("a", response_format=Planned, tools=[answer_to]), ParsedResponse[Planned | None])
        assert_type(await t.generate(tools=(answer_to, {"name": "b"}), tool_choice="b", seed=1), ChatResponse)
        assert_type((await t.generate(response_format=Planned, temperature=0.5)).parsed, Planned)
        assert_type((await t.generate(response_format=Planned, tools=[answer_to])).parsed, Planned | None)
        async with t.stream("b", tools=[answer_to], response_format=Planned) as stream:
            async for delta in stream:
                assert_type(delta, str)
        assert_type(stream.response, ChatResponse)


async def test_running() -> None:
    async def weather(city: str) -> str:
        return city

    async with AsyncTract.open(llm=ScriptedLLM(["a", "b"]), model="tiny") as t:
        result = await t.run("a", tools=[weather], max_steps=2, max_concurrency=1, temperature=0.5)
        assert_type(result, RunResult)
        assert_type(result.response, ChatResponse)
        assert_type(result.usage, TokenUsage | None)
        async for step in t.run("b", on_step=lambda step: assert_type(step, RunStep)):
            assert_type(step, RunStep)
            assert_type(step.results, tuple[ToolOutcome, ...])
            assert_type([outcome.call for outcome in step.results], list[ToolCall])


async def test_configuring() -> None:
    async def on_budget(report: BudgetReport) -> None:
        assert_type(report.budget, TokenBudget)

    async with AsyncTract.open(budget=TokenBudget(9), on_budget=on_budget) as t:
        assert_type(await t.configure(budget=TokenBudget(9, "reject", compress_at=8), llm_config=None), None)
        assert_type((await t.status()).budget, TokenBudget | None)
        await t.configure(budget=None)
        assert_type(await t.configure_operations(chat=LLMConfig(seed=1), merge=None), None)
        assert_type(await t.configure(operations=OperationConfigs(chat=LLMConfig()), clients=None), None)
        await t.configure(operations=None, clients=OperationClients(compress=ScriptedLLM(["a"])))
        assert_type(await t.configure_llm(ScriptedLLM(["a"]), config=LLMConfig(model="tiny")), None)
        await t.user("Hi")
        assert_type(await t.record_usage(TokenUsage(prompt=1)), None)
        assert_type(await t.record_usage({"prompt_tokens": 1}), None)


async def test_compilers() -> None:
    class Mine:
        name = "mine"
        version = 1

        def compile(self, slots: Sequence[CompiledSlot]) -> list[Message]:
            assert_type(slots[0].message, Message)
            return [slot.message for slot in slots]

    compilers: list[Compiler] = [XMLCompiler(), Mine()]
    for compiler in compilers:
        async with AsyncTract.open(compiler=compiler) as t:
            await t.user("a")
            assert_type(await t.compile(), CompiledContext)


def test_configs() -> None:
    assert_type(LLMConfig.from_dict({"stop": "END"}), LLMConfig)
    assert_type(LLMConfig.from_obj(LLMConfig()), LLMConfig)
    assert_type(LLMConfig(stop_sequences="END").stop_sequences, tuple[str, ...] | None)
    assert_type(OperationConfigs.from_dict({"chat": {"seed": 1}}).to_dict(), dict[str, Any])


def test_reading_messages() -> None:
    assert_type(from_openai([{"role": "user", "content": "a"}]), tuple[Content, ...])
    assert_type(from_anthropic({"messages": [{"role": "user", "content": "a"}]}), tuple[Content, ...])


@frozen
class Ticket:
    title: str

    def to_message(self) -> Message:
        return Message("user", self.title)


async def test_types_of_a_callers_own() -> None:
    register_content_type("typing.ticket", Ticket, priority="important")
    async with AsyncTract.open() as t:
        assert_type(await t.commit(Ticket("a")), CommitInfo)
        assert_type(await t.edit("HEAD", Ticket("b")), CommitInfo)
        assert_type(await t.commit(DialogueContent("user", text=[TextPart("a"), ImagePart("https://a.b")])), CommitInfo)


async def test_looking_back() -> None:
    async with AsyncTract.open() as t:
        assert_type(await t.usage(by=("model", "day"), since=date(2026, 1, 1), scope="family"), UsageReport)
        assert_type((await t.usage(by="verb")).sums, tuple[UsageSum, ...])
        assert_type(await t.timeline(5, scope="store"), tuple[TimelineEntry, ...])
