"""Whom a handle talks to, and what calls made elsewhere cost.

Imports `core` and `repeating`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict

from tract.core import TractCore
from tract.domain.config import LLMConfig
from tract.domain.events import NewEvent, UsageRecorded
from tract.domain.exchange import TokenUsage, usage_from
from tract.domain.ids import CommitId, GenerationId, is_uuid, uuid_bytes
from tract.errors import ContentValidationError
from tract.llm.protocol import LLMClient, require_client, require_config
from tract.log.protocol import Row, Statement
from tract.verbs.repeating import request_digest


async def configure_llm(t: TractCore, client: LLMClient, *, config: LLMConfig | None = None) -> None:
    """Talk through *client* from now on, with this handle.

    The client stays the caller's: closing the tract does not close it. Keys
    are the client's own and are never stored.

    Args:
        t: The tract.
        client: Anything that follows the `LLMClient` protocol.
        config: The default config from now on; None keeps what was set.

    Raises:
        ConfigError: *client* has not the shape of one.
    """
    require_client("client", client)
    if config is not None:
        require_config("config", config)
    t.models.use(client)
    if config is not None:
        t.models.config = config


async def record_usage(
    t: TractCore, usage: TokenUsage | Mapping[str, Any], *, generation: str | None = None, operation_id: str | None = None
) -> None:
    """Record what a model call cost that was made outside of Tract.

    Without *generation* the figures are those of the answer at HEAD: its
    prompt and completion measure the context there, and token totals go by
    them from now on.

    Args:
        t: The tract.
        usage: Figures, or a provider's usage object as a mapping.
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
