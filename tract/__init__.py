"""Tract: version control for what an LLM is told.

    from tract import AsyncTract

    async with AsyncTract.open("agent.db", model="gpt-4o-mini") as t:
        await t.system("Answer in one sentence.")
        print(await t.chat("What is a log?"))

Only the names in `__all__` are public; errors are in `tract.errors`.
"""

from typing import TYPE_CHECKING, Any

from tract.domain.accounts import TimelineEntry, UsageReport, UsageSum
from tract.domain.budgets import BudgetReport, TokenBudget
from tract.domain.commits import CommitOperation, Priority
from tract.domain.conditions import Condition
from tract.domain.config import LLMConfig
from tract.domain.content import (
    ArtifactContent,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    OutputContent,
    ReasoningContent,
    RegisteredContent,
    SessionContent,
    ToolIOContent,
)
from tract.domain.events import Event
from tract.domain.exchange import Attempt, ModelReply, ModelRequest, TokenUsage
from tract.domain.generations import Delta, GenerationInfo
from tract.domain.hits import SearchHit
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.operation_configs import OperationConfigs
from tract.domain.parts import ImagePart, TextPart
from tract.domain.results import BranchInfo, ChatResponse, CommitDetail, CommitInfo, ParsedResponse, TractStatus
from tract.domain.runs import RunResult, RunStep, ToolOutcome
from tract.domain.statistics import StoreStatistics
from tract.errors import TractError
from tract.formats.anthropic_reading import from_anthropic
from tract.formats.openai import from_openai
from tract.formats.registry import register_content_type
from tract.llm.clients import OperationClients
from tract.llm.protocol import LLMClient, ModelStream, TokenCounter
from tract.operations.compilers import CompiledSlot, Compiler, XMLCompiler
from tract.operations.compiling import CompiledContext
from tract.tract import AsyncTract

if TYPE_CHECKING:
    from tract.llm.openai_client import OpenAIClient

__all__ = [
    "ABSENT",
    "ArtifactContent",
    "AsyncTract",
    "Attempt",
    "BranchInfo",
    "BudgetReport",
    "ChatResponse",
    "CommitDetail",
    "CommitInfo",
    "CommitOperation",
    "CompiledContext",
    "CompiledSlot",
    "Compiler",
    "Condition",
    "Delta",
    "DialogueContent",
    "Event",
    "FreeformContent",
    "GenerationInfo",
    "ImagePart",
    "InstructionContent",
    "LLMClient",
    "LLMConfig",
    "Message",
    "ModelReply",
    "ModelRequest",
    "ModelStream",
    "OpenAIClient",
    "OperationClients",
    "OperationConfigs",
    "OutputContent",
    "ParsedResponse",
    "Priority",
    "ReasoningContent",
    "RegisteredContent",
    "RunResult",
    "RunStep",
    "SearchHit",
    "SessionContent",
    "StoreStatistics",
    "TextPart",
    "TimelineEntry",
    "TokenBudget",
    "TokenCounter",
    "TokenUsage",
    "ToolCall",
    "ToolIOContent",
    "ToolOutcome",
    "TractError",
    "TractStatus",
    "UsageReport",
    "UsageSum",
    "XMLCompiler",
    "from_anthropic",
    "from_openai",
    "register_content_type",
]


def __getattr__(name: str) -> Any:
    # 15 ms of `import tract` that only those pay who make a client themselves.
    if name == "OpenAIClient":
        from tract.llm.openai_client import OpenAIClient

        return OpenAIClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
