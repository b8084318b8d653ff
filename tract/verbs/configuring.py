"""Whom a handle talks to, how, at what cost, and what calls made elsewhere cost.

Imports `core` and `repeating`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict

from tract.core import TractCore
from tract.core.settings import Configured, configured, find_configured, require_budget
from tract.domain.budgets import TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.events import NewEvent, TractConfigured, UsageRecorded
from tract.domain.exchange import TokenUsage
from tract.domain.ids import BlobId, CommitId, GenerationId, is_uuid, uuid_bytes
from tract.domain.messages import ABSENT, Absent
from tract.domain.reports import usage_from
from tract.errors import ConfigError, ContentValidationError
from tract.llm.protocol import LLMClient, require_client, require_config
from tract.log.protocol import Row, Statement
from tract.verbs.repeating import find_recorded, request_digest


async def configure_llm(t: TractCore, client: LLMClient, *, config: LLMConfig | None = None) -> None:
    """Talk through *client* from now on, with this handle.

    The client stays the caller's: closing the tract does not close it. Keys
    are the client's own and are never stored.

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
        operation_id: As for `commit`.

    Raises:
        ConfigError: Nothing was given, or something that is no setting.
        ContentValidationError: The operation id is none.
        OperationMismatchError: The operation id belongs to another call.
    """
    _check_settings(llm_config, budget)
    operation, digest = t.operation(operation_id), None
    if operation_id is not None:
        digest = _configure_digest(t, llm_config, budget)
    found: list[Configured] = []

    def take_up() -> None:
        if not found:
            return
        t.settings.learn(found[-1])
        if isinstance(llm_config, LLMConfig):
            t.settings.give_way(llm_config)
        if budget is not ABSENT:
            t.settings.drop_budget()

    async def take_up_again() -> None:
        found.append(await t.read(lambda query: find_configured(query, t.place.tract)))
        take_up()

    if await find_recorded(t, operation, digest) is not None:
        await take_up_again()
        return
    draft = t.blob(llm_config.to_dict()) if isinstance(llm_config, LLMConfig) else None

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        before, stored = configured(rows[0]), rows[0][0][1] if rows[0] else None
        if llm_config is ABSENT:
            config, blob = before.llm_config, None if stored is None else BlobId(stored.hex())
        else:
            config, blob = llm_config, None if draft is None else draft.id
        limit = before.budget if budget is ABSENT else budget
        # The position that the event will have: what is known stays in order.
        found.append(Configured(rows[1][0][0] + 1, config, limit))
        return [NewEvent(t.id, TractConfigured(blob, limit), t.collaborators.actor)]

    await t.record(
        operation,
        decide,
        reads=(Statement("settings.of_tract", (t.place.tract,)), Statement("log.last_position")),
        blobs=() if draft is None else (draft,),
        digest=digest,
        then=take_up,
    )
    if not found:
        # The same call, made at the same time, was faster.
        await take_up_again()


def _check_settings(llm_config: object, budget: object) -> None:
    if llm_config is ABSENT and budget is ABSENT:
        raise ConfigError("configure", "give it llm_config=, budget= or both; None removes what is stored")
    if llm_config is not ABSENT and llm_config is not None:
        require_config("llm_config", llm_config)
    if budget is not ABSENT and budget is not None:
        require_budget(budget)


def _configure_digest(t: TractCore, llm_config: LLMConfig | Absent | None, budget: TokenBudget | Absent | None) -> bytes:
    arguments: dict[str, Any] = {}
    if not isinstance(llm_config, Absent):
        arguments["llm_config"] = None if llm_config is None else llm_config.to_dict()
    if not isinstance(budget, Absent):
        arguments["budget"] = None if budget is None else asdict(budget)
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
