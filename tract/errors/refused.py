"""Refusals: the call makes no sense as it stands. Imports `roots`."""

from attrs import define

from tract.errors.roots import RefusedError


@define(eq=False)
class RefNotFoundError(RefusedError):
    """No branch, tag or commit answers to the name.

    Attributes:
        name: The ref as it was given.
        near: Branch names that look alike, best first.
    """

    name: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(map(repr, self.near))}?" if self.near else ""
        return f"No branch, tag or commit is called {self.name!r} here.{hint} See log() and branches()."


@define(eq=False)
class AmbiguousRefError(RefusedError):
    """A commit prefix fits more than one commit."""

    prefix: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        fits = ", ".join(i[: len(self.prefix) + 8] for i in self.ids)
        return f"The prefix {self.prefix!r} fits several commits ({fits}). Give more characters."


@define(eq=False)
class InvalidNameError(RefusedError):
    """A branch, tract or worktree name that could not be told from a ref."""

    kind: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name!r} cannot be the name of a {self.kind}: {self.reason}."


@define(eq=False)
class BranchExistsError(RefusedError):
    """The branch name is taken."""

    branch: str

    def __str__(self) -> str:
        return f"A branch {self.branch!r} exists already. Switch to it with switch({self.branch!r}), or choose another name."


@define(eq=False)
class BranchNotFoundError(RefusedError):
    """There is no such branch in this tract."""

    branch: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(map(repr, self.near))}?" if self.near else ""
        return f"There is no branch {self.branch!r}.{hint} Create it with branch({self.branch!r}), or list them with branches()."


@define(eq=False)
class DetachedHeadError(RefusedError):
    """HEAD is at a commit and not on a branch, so there is nothing to move."""

    commit: str | None

    def __str__(self) -> str:
        at = self.commit[:8] if self.commit else "no commit"
        return f"HEAD is detached at {at}. Create a branch here with branch(name), or switch to one."


@define(eq=False)
class TractNotFoundError(RefusedError):
    """The store holds no tract of that name."""

    name: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = f" It holds {', '.join(map(repr, self.near))}." if self.near else " It holds none."
        return f"The store has no tract {self.name!r}.{hint} Open it with create=True to make it."


@define(eq=False)
class AmbiguousTractError(RefusedError):
    """The store holds several tracts and none was named."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"The store holds {len(self.names)} tracts: {', '.join(map(repr, self.names))}. Say which with name=."


@define(eq=False)
class TurnInProgressError(RefusedError):
    """A verb that adds to the branch was called from inside a turn on it."""

    branch: str

    def __str__(self) -> str:
        return (
            f"A turn is running on branch {self.branch!r} and this call comes from inside it, so waiting would never "
            "end. Call it after the turn, or write to another branch through worktree()."
        )


@define(eq=False)
class EditTargetError(RefusedError):
    """The commit is not a slot that can be edited or annotated here."""

    target: str
    reason: str

    def __str__(self) -> str:
        return f"Commit {self.target[:12]} cannot be the target: {self.reason}."


@define(eq=False)
class ContentValidationError(RefusedError):
    """A content, message or argument does not have the promised form.

    Attributes:
        field: Which field, dotted where it is nested (`tool_calls[0].name`).
        reason: What is wrong with it, without repeating its text.
    """

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}."


@define(eq=False)
class ClosedError(RefusedError):
    """The tract or its store was closed."""

    what: str = "tract"

    def __str__(self) -> str:
        return f"This {self.what} is closed. Open it again with AsyncTract.open()."


@define(eq=False)
class WrongLoopError(RefusedError):
    """A handle was used from another event loop or process than its own."""

    reason: str

    def __str__(self) -> str:
        return f"This handle belongs to {self.reason}. Open the store again where you need it."


@define(eq=False)
class ModelNotConfiguredError(RefusedError):
    """There is no client, or no model name, to talk to."""

    missing: str

    def __str__(self) -> str:
        return (
            f"No {self.missing} is configured, so nothing was recorded. Pass model=, api_key= and base_url= to "
            "AsyncTract.open(), or call configure_llm(client, config=LLMConfig(model=...))."
        )


@define(eq=False)
class ConfigError(RefusedError):
    """A setting is out of range, unknown or in contradiction with another."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}."
