"""Opening: from a place to a tract with a HEAD.

Imports `core`, `log` and `projections`.
"""

import re
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from inspect import iscoroutinefunction
from os import PathLike, fsdecode, fsencode
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from attrs import frozen

from tract.core.collaborators import Collaborators, Identity
from tract.core.configuration import record_new_operations
from tract.core.core import TractCore
from tract.core.edges import Clock, new_id
from tract.core.graph import is_written, worktree_head
from tract.core.interrupting import interrupt_abandoned
from tract.core.models import Models
from tract.core.settings import OnBudget, Settings, find_configured, require_budget, tell_nobody
from tract.core.sharing import shared
from tract.domain import canonical
from tract.domain.budgets import TokenBudget
from tract.domain.config import LLMConfig
from tract.domain.events import BranchCreated, HeadMoved, NewEvent, TractCreated
from tract.domain.ids import OperationId, TractId, uuid_text
from tract.domain.names import MAIN, check_name
from tract.domain.operation_configs import OperationConfigs, require_operations
from tract.errors import (
    AmbiguousTractError,
    ConfigError,
    ContentValidationError,
    ProjectionError,
    TractNotFoundError,
)
from tract.llm.clients import OperationClients, require_clients
from tract.llm.counting import default_counter
from tract.llm.protocol import LLMClient, TokenCounter, require_client, require_config, require_shape
from tract.log.protocol import BlobDraft, EventStore, Query, Request, Row, Statement
from tract.log.statements import load
from tract.operations.compilers import DEFAULT, Compiler
from tract.projections import FOLLOWING, INLINE, SQL
from tract.projections.searching import can_search

C = TypeVar("C", bound=TractCore)
SEARCH = "search"
"""The projection that a store can do without."""
_SHOWN = 10
"""Names that an error lists."""
_compiler_name = re.compile(r"[A-Za-z0-9_-]{1,40}")


@frozen(eq=False, repr=False)
class OpenOptions:
    """What `open()` was asked for; see `AsyncTract.open`."""

    where: str | PathLike[str]
    name: str | None
    create: bool
    metadata: Mapping[str, Any] | None
    model: str | None
    api_key: str | None
    base_url: str | None
    llm: LLMClient | None
    llm_config: LLMConfig | None
    operations: OperationConfigs | None
    clients: OperationClients | None
    budget: TokenBudget | None
    on_budget: OnBudget | None
    tokens: TokenCounter | None
    compiler: Compiler | None
    durability: str
    search: bool
    actor: str | None
    clock: Clock


class Opening(Generic[C]):
    """A tract that is about to be open: await it, or enter it."""

    def __init__(self, start: Callable[[], Awaitable[C]]) -> None:
        self._start = start
        self._opened: C | None = None

    def __await__(self) -> Generator[Any, None, C]:
        return self._start().__await__()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError("the tract is not open yet: use 'async with AsyncTract.open(...) as t', or await it")

    async def __aenter__(self) -> C:
        self._opened = await self._start()
        return self._opened

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._opened is not None:
            await self._opened.aclose()


async def open_tract(cls: type[C], options: OpenOptions) -> C:
    """Open the store, find or create the tract, and stand where it was left.

    Raises:
        ConfigError: Settings contradict one another.
        TractNotFoundError: There is no such tract and none was to be created.
        AmbiguousTractError: There are several and none was named.
        ProjectionError: Its family stands still.
        StoreError: The store cannot be opened.
    """
    _check(options)
    models = _models(options)
    if options.name is not None:
        check_name("tract", options.name)
    # The store brings a database driver, which `import tract` shall not.
    from tract.log.store import SqliteStore

    store = await SqliteStore.open(
        _path(options.where),
        create=options.create,
        durability=options.durability,
        clock=options.clock,
        statements=load(*SQL),
        projections=(*INLINE, *FOLLOWING),
    )
    try:
        together = shared(store)
        counter = options.tokens or default_counter()
        await interrupt_abandoned(store, counter, options.clock)
        identity = await _find_tract(store, options) or await _create_tract(store, options)
        number = identity.number
        head, found = await store.read(lambda query: (worktree_head(query, number, MAIN), find_configured(query, number)))
        config = options.llm_config or LLMConfig(model=options.model)
        settings = Settings(number, together.configured, config, options.budget)
        settings.learn(found)
        compiler = DEFAULT if options.compiler is None else options.compiler
        on_budget = options.on_budget or tell_nobody
        # Not before: an open that is refused changes nothing in the file.
        for projection in FOLLOWING:
            if projection.name != SEARCH or (options.search and await store.read(can_search)):
                together.runner.follow(projection)
        together.at_rest.start()
        given = Collaborators(together, counter, options.clock, options.actor, compiler, on_budget)
        t = cls(identity, given, models, settings, MAIN, head)
        if options.operations is not None:
            await record_new_operations(t, options.operations)
        return t
    except BaseException:
        await store.aclose()
        raise


def _check(options: OpenOptions) -> None:
    """Refuse settings that would only fail later, when something depends on them."""
    if options.durability not in ("full", "normal"):
        raise ConfigError("durability", "it must be full or normal")
    if not isinstance(options.search, bool):
        raise ConfigError("search", "it must be True or False")
    if options.actor is not None and not (options.actor and is_written(options.actor)):
        raise ConfigError("actor", "it must be a name")
    if options.metadata is not None and not isinstance(options.metadata, Mapping):
        raise ConfigError("metadata", "it must be a mapping")
    if options.tokens is not None:
        require_shape("tokens", options.tokens, "TokenCounter", "name", "count", "count_message")
    if options.compiler is not None:
        _check_compiler(options.compiler)
    _check_connection(options.api_key, options.base_url)
    _check_asking(options)


def _check_asking(options: OpenOptions) -> None:
    """Refuse what does not say whom to ask, how, or at what cost."""
    if options.llm is not None:
        require_client("llm", options.llm)
    if options.llm_config is not None:
        require_config("llm_config", options.llm_config)
    if options.operations is not None:
        require_operations(options.operations)
    if options.clients is not None:
        require_clients(options.clients)
    if options.budget is not None:
        require_budget(options.budget)
    if options.on_budget is not None and not callable(options.on_budget):
        raise ConfigError("on_budget", "it must be an async function that takes a BudgetReport")


def _check_compiler(compiler: Compiler) -> None:
    """Refuse a compiler whose name and version could not stand on a record."""
    require_shape("compiler", compiler, "Compiler", "name", "version", "compile")
    if not is_written(compiler.name) or not _compiler_name.fullmatch(compiler.name):
        raise ConfigError("compiler", "its name must be 1 to 40 of A-Z, a-z, 0-9, _ and -")
    if compiler.name == DEFAULT.name and not isinstance(compiler, type(DEFAULT)):
        raise ConfigError("compiler", f"the name {DEFAULT.name} is that of the default compiler")
    if type(compiler.version) is not int or compiler.version < 1:
        raise ConfigError("compiler", "its version must be a whole number from 1")
    if iscoroutinefunction(compiler.compile):
        raise ConfigError("compiler", "its compile must be a plain function, not a coroutine")


def _check_connection(api_key: str | None, base_url: str | None) -> None:
    for field, value in (("api_key", api_key), ("base_url", base_url)):
        if value is not None and not (value and is_written(value)):
            raise ConfigError(field, "it must be a string that is not empty")
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise ConfigError("base_url", "it must begin with http:// or https://")


def _path(where: str | PathLike[str]) -> str:
    if not isinstance(where, str | PathLike):
        raise ConfigError("where", "it must be a path, :memory: or sqlite:///path")
    try:
        path = fsdecode(where)
        fsencode(path)
    except UnicodeError as exc:
        raise ConfigError("where", "it holds what no path of this system can") from exc
    path = str(Path(path).expanduser()) if path.startswith("~") else path
    if path.startswith("sqlite:///"):
        return path.removeprefix("sqlite:///") or ":memory:"
    if "://" in path:
        raise ConfigError("where", "it must be a path, :memory: or sqlite:///path")
    if not path or "\x00" in path:
        raise ConfigError("where", "it must be a path, :memory: or sqlite:///path")
    return path


def _models(options: OpenOptions) -> Models:
    if options.model is not None and options.llm_config is not None:
        raise ConfigError("model", "give either model= or llm_config=, which holds a model of its own")
    if options.llm is not None and (options.api_key or options.base_url):
        raise ConfigError("llm", "give either llm=, which has its own connection, or api_key= and base_url=")
    api_key, base_url = options.api_key, options.base_url

    def connect() -> LLMClient:
        # Loaded when somebody talks, as the SDK behind it is.
        from tract.llm.openai_client import OpenAIClient

        return OpenAIClient(api_key=api_key, base_url=base_url)

    models = Models(connect)
    if options.llm is not None:
        models.use(options.llm)
    if options.clients is not None:
        models.use_for_operations(options.clients)
    return models


def _identity(row: Row) -> Identity:
    number, id, stream, name = row
    return Identity(TractId(uuid_text(id)), name, number, TractId(uuid_text(stream)))


def _wanted(name: str | None) -> tuple[Statement, ...]:
    """Return the reads from which `_choose` sees which root is meant."""
    if name is not None:
        return (Statement("tracts.root_by_name", (name,)),)
    return (Statement("tracts.root_by_name", (MAIN,)), Statement("tracts.roots", (_SHOWN + 1,)))


def _choose(rows: Sequence[Sequence[Row]]) -> Row | None:
    """Return the root that is meant: the named one, the only one, or the one called main."""
    *_, roots = rows
    if len(roots) == 1:
        return roots[0]
    if rows[0]:
        return rows[0][0]
    if roots:
        raise AmbiguousTractError(tuple(row[3] for row in roots[:_SHOWN]))
    return None


def _refuse_halted(query: Query, row: Row | None, where: str) -> None:
    """Refuse a tract whose family stands still; and a new one where one that does may be the one that is meant."""
    rows = query("log.halts_of_nobody") if row is None else query("log.halts_of", row[2])
    for projection, stream, position, finding in rows:
        raise ProjectionError(where, projection, uuid_text(stream), position, finding)


async def _find_tract(store: EventStore, options: OpenOptions) -> Identity | None:
    def find(query: Query) -> Identity | None:
        row = _choose([query(wanted.name, *wanted.parameters) for wanted in _wanted(options.name)])
        _refuse_halted(query, row, store.where)
        if row is None and not options.create:
            others = tuple(each[3] for each in query("tracts.roots", _SHOWN))
            raise TractNotFoundError(options.name or MAIN, others)
        return None if row is None else _identity(row)

    return await store.read(find)


async def _create_tract(store: EventStore, options: OpenOptions) -> Identity:
    id = TractId(new_id(options.clock))
    name = options.name or MAIN
    blobs: tuple[BlobDraft, ...] = ()
    if options.metadata is not None:
        try:
            blobs = (store.draft(canonical.encode(dict(options.metadata))),)
        except canonical.NotCanonicalError as exc:
            raise ContentValidationError("metadata", f"{exc}") from exc

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if _choose(rows) is not None:
            return ()  # Another process was faster: it is its tract.
        created = TractCreated(name, metadata=blobs[0].id if blobs else None)
        bodies = (created, BranchCreated(MAIN, None), HeadMoved(MAIN, MAIN))
        return [NewEvent(id, body, options.actor) for body in bodies]

    operation = OperationId(new_id(options.clock))
    await store.append(Request(id, operation, _wanted(options.name), decide, blobs))
    found = await _find_tract(store, options)
    assert found is not None
    return found
