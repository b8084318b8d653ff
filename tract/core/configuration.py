"""Recording what a tract is configured with.

An event says the whole of it, so what is given is put over what is stored; of
the configs of operations, which are one blob, on condition that they are still
those that were read. Imports `domain`, `log`, `core` and `settings`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from attrs import evolve, frozen

from tract.core.core import TractCore
from tract.core.settings import Configured, configured, find_configured
from tract.domain import canonical
from tract.domain.budgets import TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.events import NewEvent, TractConfigured
from tract.domain.ids import BlobId, OperationId
from tract.domain.messages import ABSENT, Absent
from tract.domain.operation_configs import OperationConfigs, OperationName
from tract.log.protocol import BlobDraft, Row, Statement


@frozen(eq=False, repr=False)
class Changes:
    """What a tract is configured with anew; what is not given stays.

    Attributes:
        llm_config: How models are asked by default; None for nothing.
        budget: What contexts may cost; None for no budget.
        operations: How models are asked for each of these; None for nothing.
    """

    llm_config: LLMConfig | Absent | None = ABSENT
    budget: TokenBudget | Absent | None = ABSENT
    operations: Mapping[OperationName, LLMConfig | None] = MappingProxyType({})


@frozen(eq=False, repr=False)
class _Plan:
    """Changes, with the blobs that they need.

    Attributes:
        changes: The changes.
        before: What they were planned on.
        operations: How models are asked for operations after them.
        config_blob: Of their config, or None.
        operations_blob: Of *operations*, or None.
    """

    changes: Changes
    before: Configured
    operations: OperationConfigs
    config_blob: BlobDraft | None
    operations_blob: BlobDraft | None

    @property
    def blobs(self) -> tuple[BlobDraft, ...]:
        return tuple(blob for blob in (self.config_blob, self.operations_blob) if blob is not None)

    def over(self, stored: Configured) -> Configured:
        """Return what the tract is configured with once they were made.

        Raises:
            _OvertakenError: The plan saw other configs of operations.
        """
        given, after = self.changes, stored
        if given.llm_config is not ABSENT:
            after = evolve(after, llm_config=given.llm_config, config_blob=_id(self.config_blob))
        if given.budget is not ABSENT:
            after = evolve(after, budget=given.budget)
        if given.operations:
            if stored.operations_blob != self.before.operations_blob:
                raise _OvertakenError
            after = evolve(after, operations=self.operations, operations_blob=_id(self.operations_blob))
        return after


class _OvertakenError(Exception):
    """Somebody else configured operations after this plan looked; it is made again."""


def _id(blob: BlobDraft | None) -> BlobId | None:
    return None if blob is None else blob.id


def _plan(t: TractCore, changes: Changes, before: Configured) -> _Plan:
    config, operations = changes.llm_config, before.operations.replace(changes.operations)
    return _Plan(
        changes,
        before,
        operations,
        t.blob(config.to_dict()) if isinstance(config, LLMConfig) else None,
        t.blob(operations.to_dict()) if changes.operations and operations.given() else None,
    )


async def record_configured(
    t: TractCore, operation: OperationId, changes: Changes, digest: bytes | None = None, then: Callable[[], None] | None = None
) -> None:
    """Record what a tract is configured with from now on; the handles of this process know it then.

    Args:
        t: The tract.
        operation: The verb call.
        changes: What is given.
        digest: As for `TractCore.record`.
        then: As for `TractCore.record`, once the handles know; also where the
            same call was recorded before.

    Raises:
        ClosedError: The tract is closed.
        BatchError: The caller is inside a batch of this handle.
        OperationMismatchError: The operation id belongs to another call.
        StoreError: Nothing was written.
    """
    while True:
        plan = _plan(t, changes, await _stored(t) if changes.operations else Configured())
        try:
            await _record(t, operation, plan, digest, then)
        except _OvertakenError:
            continue
        return


async def record_new_operations(t: TractCore, operations: OperationConfigs) -> None:
    """Record how models are asked for the operations that are given, if that is new.

    Raises:
        StoreError: Nothing was written.
    """
    changes = Changes(operations=operations.given())
    while True:
        plan = _plan(t, changes, await _stored(t))
        if _is_same(plan.operations, plan.before.operations):
            t.settings.learn(plan.before)
            return
        try:
            await _record(t, t.operation(), plan, None, None)
        except _OvertakenError:
            continue
        return


def _is_same(one: OperationConfigs, other: OperationConfigs) -> bool:
    # By what would be stored: 1 and True are equal, and are not the same option.
    return canonical.encode(one.to_dict()) == canonical.encode(other.to_dict())


async def learn_configured(t: TractCore) -> None:
    """Have the handles of this process know what the tract is configured with by now."""
    t.settings.learn(await _stored(t))


async def _stored(t: TractCore) -> Configured:
    return await t.read(lambda query: find_configured(query, t.place.tract))


async def _record(
    t: TractCore, operation: OperationId, plan: _Plan, digest: bytes | None, then: Callable[[], None] | None
) -> None:
    found: list[Configured] = []

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        after = plan.over(configured(rows[0]))
        # The position that the event will have: what is known stays in order.
        found.append(evolve(after, number=rows[1][0][0] + 1))
        body = TractConfigured(after.config_blob, after.budget, after.operations_blob)
        return [NewEvent(t.id, body, t.collaborators.actor)]

    def take_up() -> None:
        if found:
            t.settings.learn(found[-1])
            if then is not None:
                then()

    reads = (Statement("settings.of_tract", (t.place.tract,)), Statement("log.last_position"))
    await t.record(operation, decide, reads=reads, blobs=plan.blobs, digest=digest, then=take_up)
    if not found:
        # The same call, made at the same time, was faster.
        await learn_configured(t)
        if then is not None:
            then()
