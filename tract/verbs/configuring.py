"""Whom a handle talks to, how and for what, at what cost, and what calls made elsewhere cost.

Imports `core` and `repeating`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import asdict

from tract.core import TractCore
from tract.core.configuration import Changes, learn_configured, record_configured
from tract.core.settings import require_budget
from tract.domain.budgets import TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.events import NewEvent, UsageRecorded
from tract.domain.exchange import TokenUsage
from tract.domain.ids import CommitId, GenerationId, OperationId, is_uuid, uuid_bytes
from tract.domain.messages import ABSENT, Absent
from tract.domain.operation_configs import (
    OPERATIONS,
    OperationConfigs,
    OperationName,
    require_operation_config,
    require_operations,
)
from tract.domain.reports import usage_from
from tract.errors import ConfigError, ContentValidationError
from tract.llm.clients import OperationClients, require_clients
from tract.llm.protocol import LLMClient, require_client, require_config
from tract.log.protocol import Row, Statement
from tract.verbs.repeating import find_recorded, request_digest


async def configure_llm(t: TractCore, client: LLMClient, *, config: LLMConfig | None = None) -> None:
    """Talk through *client* from now on, with this handle.

    The client stays the caller's: closing the tract does not close it. Keys
    are the client's own and are never stored. An operation that has a client
    of its own keeps it.

    Args:
        t: The tract.
        client: Anything that follows the `LLMClient` protocol.
        config: How this handle asks from now on, field by field over what the
            tract was configured with; None keeps what was set.

    Raises:
        ConfigError: *client* has not the shape of one.
    """
    require_client("client", client)
    if config is not None:
        require_config("config", config)
    t.models.use(client)
    if config is not None:
        t.settings.ask_with(config)


async def configure(
    t: TractCore,
    *,
    llm_config: LLMConfig | Absent | None = ABSENT,
    budget: TokenBudget | Absent | None = ABSENT,
    operations: OperationConfigs | Absent | None = ABSENT,
    clients: OperationClients | Absent | None = ABSENT,
    operation_id: str | None = None,
) -> None:
    """Set how models are asked and what a context may cost, for the tract and for good.

    Stored, so that every later `open()` begins with it, in other processes
    too. What is not given stays; None removes it. On this handle it holds at
    once, and what it sets goes before what `open` was given. On other handles
    of the tract, what `open` gave them goes first. Those that share the store,
    in this process and event loop, ask with it from now on; others once they
    are opened again. A budget binds all of them from their next write.

    Args:
        t: The tract.
        llm_config: How to ask where a call does not say otherwise, in the
            place of what was stored before; never with a key or secret.
        budget: The most tokens a context may have, and what happens beyond.
        operations: How to ask for single operations, all of them in the place
            of what was stored before; `configure_operations` replaces some.
        clients: Whom to ask for single operations, all of them in the place of
            those before. For this handle, and never stored.
        operation_id: As for `commit`.

    Raises:
        ConfigError: Nothing was given, or something that is no setting.
        ContentValidationError: The operation id is none.
        OperationMismatchError: The operation id belongs to another call.
    """
    _check_settings(llm_config, budget, operations, clients)
    changes = Changes(llm_config, budget, {} if isinstance(operations, Absent) else _all_of(operations))
    t.require_open()
    operation, digest = t.operation(operation_id), None
    if operation_id is not None:
        digest = _configure_digest(t, llm_config, budget, operations)

    def give_way() -> None:
        if isinstance(llm_config, LLMConfig):
            t.settings.give_way(llm_config)
        if budget is not ABSENT:
            t.settings.drop_budget()
        if not isinstance(clients, Absent):
            t.models.use_for_operations(OperationClients() if clients is None else clients)

    if all(given is ABSENT for given in (llm_config, budget, operations)):
        give_way()
    else:
        await _configure(t, operation, changes, digest, give_way)


async def configure_operations(
    t: TractCore,
    *,
    chat: LLMConfig | Absent | None = ABSENT,
    merge: LLMConfig | Absent | None = ABSENT,
    compress: LLMConfig | Absent | None = ABSENT,
    orchestrate: LLMConfig | Absent | None = ABSENT,
    collapse: LLMConfig | Absent | None = ABSENT,
    operation_id: str | None = None,
) -> None:
    """Set how models are asked for single operations, for the tract and for good.

    Each stands field by field over how models are asked by default, and below
    what a call says. Stored as by `configure`. An operation that is not given
    keeps what it had; None removes that.

    Args:
        t: The tract.
        chat: For every turn, such as those of `chat`, `generate` and `stream`.
        merge: For resolving conflicts.
        compress: For summaries.
        orchestrate: For deciding on steps.
        collapse: For the results of children.
        operation_id: As for `commit`.

    Raises:
        ConfigError: Nothing was given, or something that is no `LLMConfig`.
        ContentValidationError: The operation id is none.
        OperationMismatchError: The operation id belongs to another call.
    """
    named: dict[OperationName, LLMConfig | Absent | None] = {
        "chat": chat,
        "merge": merge,
        "compress": compress,
        "orchestrate": orchestrate,
        "collapse": collapse,
    }
    given = {name: config for name, config in named.items() if not isinstance(config, Absent)}
    if not given:
        raise ConfigError("configure_operations", "name an operation, such as chat=LLMConfig(...); None removes what is stored")
    for name, config in given.items():
        require_operation_config(name, config)
    t.require_open()
    operation, digest = t.operation(operation_id), None
    if operation_id is not None:
        digest = request_digest(t, "configure_operations", operations={name: _json(config) for name, config in given.items()})
    await _configure(t, operation, Changes(operations=given), digest)


async def _configure(
    t: TractCore,
    operation: OperationId,
    changes: Changes,
    digest: bytes | None,
    then: Callable[[], None] | None = None,
) -> None:
    if await find_recorded(t, operation, digest) is None:
        await record_configured(t, operation, changes, digest, then)
        return
    await learn_configured(t)
    if then is not None:
        then()


def _check_settings(llm_config: object, budget: object, operations: object, clients: object) -> None:
    if all(given is ABSENT for given in (llm_config, budget, operations, clients)):
        advice = "give it llm_config=, budget=, operations= or clients=; None removes what is stored"
        raise ConfigError("configure", advice)
    if llm_config is not ABSENT and llm_config is not None:
        require_config("llm_config", llm_config)
    if budget is not ABSENT and budget is not None:
        require_budget(budget)
    if operations is not ABSENT and operations is not None:
        require_operations(operations)
    if clients is not ABSENT and clients is not None:
        require_clients(clients)


def _all_of(operations: OperationConfigs | None) -> dict[OperationName, LLMConfig | None]:
    """Return what each operation is configured with, those of which nothing is said too."""
    named = OperationConfigs() if operations is None else operations
    return {name: named.find(name) for name in OPERATIONS}


def _json(config: LLMConfig | OperationConfigs | None) -> dict[str, Any] | None:
    return None if config is None else config.to_dict()


def _configure_digest(
    t: TractCore,
    llm_config: LLMConfig | Absent | None,
    budget: TokenBudget | Absent | None,
    operations: OperationConfigs | Absent | None,
) -> bytes:
    arguments: dict[str, Any] = {}
    if not isinstance(llm_config, Absent):
        arguments["llm_config"] = _json(llm_config)
    if not isinstance(budget, Absent):
        arguments["budget"] = None if budget is None else asdict(budget)
    if not isinstance(operations, Absent):
        arguments["operations"] = _json(operations)
    return request_digest(t, "configure", **arguments)


async def record_usage(
    t: TractCore, usage: TokenUsage | Mapping[str, Any], *, generation: str | None = None, operation_id: str | None = None
) -> None:
    """Record what a model call cost that was made outside of Tract.

    Without *generation* the figures are those of the answer at HEAD: its
    prompt and completion measure the context there, and token totals go by
    them from now on.

    Args:
        t: The tract.
        usage: Figures, or a provider's usage object as a mapping: of OpenAI's
            Chat Completions or Responses, or of Anthropic's Messages.
        generation: A recorded call that these figures belong to.
        operation_id: As for `commit`.

    Raises:
        ContentValidationError: An unknown figure, or an unknown generation.
    """
    figures, place = usage_from(usage), t.place
    digest = None
    if operation_id is not None:
        branch = t.require_branch() if generation is None else None
        digest = request_digest(t, "record_usage", branch=branch, usage=asdict(figures), generation=generation)
    if generation is None:
        reads: tuple[Statement, ...] = (Statement("refs.branch", (place.tract, t.require_branch())),)
    elif is_uuid(generation):
        id = uuid_bytes(generation)
        reads = (Statement("generations.by_id", (id, place.tract)), Statement("generations.attempts", (id,)))
    else:
        raise ContentValidationError("generation", "it must be the id of a generation")

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        body = _outside(rows, figures) if generation is None else _of_call(rows, GenerationId(generation), figures)
        return [NewEvent(t.id, body, t.collaborators.actor)]

    await t.record(t.operation(operation_id), decide, reads=reads, digest=digest)


def _outside(rows: Sequence[Sequence[Row]], figures: TokenUsage) -> UsageRecorded:
    """Return the report of a call made elsewhere, whose answer is where the branch is."""
    head = rows[0][0][0] if rows[0] else None
    if head is None:
        raise ContentValidationError("usage", "there is no commit yet that it could be of")
    return UsageRecorded(None, CommitId(head.hex()), 1, figures)


def _of_call(rows: Sequence[Sequence[Row]], generation: GenerationId, figures: TokenUsage) -> UsageRecorded:
    """Return one more report on a call, behind those of its attempts."""
    if not rows[0]:
        raise ContentValidationError("generation", "there is no generation of that id in this tract")
    answer, attempts = rows[0][0][2], rows[1][0][0]
    return UsageRecorded(generation, None if answer is None else CommitId(answer.hex()), attempts + 1, figures)
