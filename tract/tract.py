"""`AsyncTract`: a table of contents. Each verb is a function of `tract.verbs` or `tract.agent`.

Imports everything below; holds no logic.
"""

from collections.abc import Mapping
from os import PathLike
from typing import Any, Self

from tract.agent import running
from tract.core import Opening, TractCore
from tract.core.edges import Clock, system_clock
from tract.core.opening import OpenOptions, open_tract
from tract.core.settings import OnBudget
from tract.domain.budgets import TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.operation_configs import OperationConfigs
from tract.llm.clients import OperationClients
from tract.llm.protocol import LLMClient, TokenCounter
from tract.operations.compilers import Compiler
from tract.verbs import (
    accounting,
    batching,
    branching,
    compiling,
    configuring,
    editing,
    following,
    inspecting,
    measuring,
    querying,
    reverting,
    reviewing,
    searching,
    talking,
    writing,
)


class AsyncTract(TractCore):
    """Version control for what a model is told: one open tract.

    Open it with `AsyncTract.open`, close it by leaving `async with` or with
    `aclose`. A handle belongs to one event loop and one process; tasks may
    share it. Its HEAD is its own: `switch` moves no other handle.
    """

    @classmethod
    def open(
        cls,
        where: str | PathLike[str] = ":memory:",
        *,
        name: str | None = None,
        create: bool = True,
        metadata: Mapping[str, Any] | None = None,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        llm: LLMClient | None = None,
        llm_config: LLMConfig | None = None,
        operations: OperationConfigs | None = None,
        clients: OperationClients | None = None,
        budget: TokenBudget | None = None,
        on_budget: OnBudget | None = None,
        tokens: TokenCounter | None = None,
        compiler: Compiler | None = None,
        durability: str = "full",
        search: bool = True,
        actor: str | None = None,
        clock: Clock = system_clock,
    ) -> Opening[Self]:
        """Open a tract: await the result, or enter it with `async with`.

        Touches no network and loads no provider's SDK. Opening a file again
        in the same process shares it.

        Args:
            where: A path, `:memory:` or `sqlite:///path`. Each `:memory:` is
                a store of its own.
            name: Of the tract. Without it: the store's only root tract, or a
                new one called main; of several, the one called main.
            create: Whether to make file and tract where they are missing.
            metadata: Anything, JSON, stored when the tract is created.
            model: The model to ask; short for `LLMConfig(model=...)`.
            api_key: For the provider; never stored. By default the
                environment's `OPENAI_API_KEY`.
            base_url: Of any server that speaks OpenAI's Chat Completions.
            llm: A client of your own instead.
            llm_config: How to ask where a call does not say otherwise; for
                this handle, field by field over what `configure` stored.
            operations: How to ask for single operations, field by field over
                that; those that are set are stored as by
                `configure_operations`, so that a later open begins with them.
            clients: Whom to ask for single operations instead; for this
                handle and its worktrees, and never stored.
            budget: The most tokens a context may have, as the history counts
                them, whatever another compiler makes of it; for this handle,
                in the place of what `configure` stored.
            on_budget: An async function that is told of each append after
                which the context is larger and at the budget's mark or beyond
                it, and of each such turn before it is sent. Its exceptions go
                to the event loop's exception handler: what was written stands.
            tokens: Counts tokens; by default exactly, with `o200k_base`.
            compiler: Makes the messages of a context; by default they are
                what the history says. Its name and version are recorded with
                every context that is sent.
            durability: full survives power loss; normal survives the death
                of the process, and may lose the last moments at power loss.
            search: Whether what is said is kept ready for `search`, in the
                background. Without it the file is smaller; a later open with it catches up.
            actor: Recorded with everything done here, in the clear.
            clock: Microseconds since 1970, UTC; for tests.

        Raises:
            ConfigError: Settings are unknown or contradict one another.
            InvalidNameError: *name* is blank, too long or not printable.
            StoreNotFoundError: There is no file and *create* is false.
            TractNotFoundError: There is no such tract and *create* is false.
            AmbiguousTractError: There are several tracts and none was named.
            NotAStoreError: The file is something else; it is left untouched.
            StoreError: It cannot be opened.
        """
        options = OpenOptions(
            where=where,
            name=name,
            create=create,
            metadata=metadata,
            model=model,
            api_key=api_key,
            base_url=base_url,
            llm=llm,
            llm_config=llm_config,
            operations=operations,
            clients=clients,
            budget=budget,
            on_budget=on_budget,
            tokens=tokens,
            compiler=compiler,
            durability=durability,
            search=search,
            actor=actor,
            clock=clock,
        )
        return Opening(lambda: open_tract(cls, options))

    commit = writing.commit
    system = writing.system
    user = writing.user
    assistant = writing.assistant
    tool_result = writing.tool_result

    edit = editing.edit
    annotate = editing.annotate
    pin = editing.pin
    skip = editing.skip
    revert = reverting.revert

    batch = batching.batch

    compile = compiling.compile
    log = inspecting.log
    show = inspecting.show
    status = inspecting.status
    search = searching.search
    query_by_config = querying.query_by_config
    statistics = measuring.statistics

    generations = following.generations
    follow = following.follow
    events = following.events

    usage = accounting.usage
    timeline = reviewing.timeline

    branch = branching.branch
    branches = branching.branches
    switch = branching.switch
    worktree = branching.worktree

    chat = talking.chat
    generate = talking.generate
    stream = talking.stream
    run = running.run

    configure = configuring.configure
    configure_operations = configuring.configure_operations
    configure_llm = configuring.configure_llm
    record_usage = configuring.record_usage
