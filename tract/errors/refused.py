"""Refusals: the call makes no sense as it stands. Imports `roots`."""

from datetime import datetime

from tract.errors.roots import RefusedError


class RefNotFoundError(RefusedError):
    """No branch, tag or commit answers to the name.

    Attributes:
        name: The ref as it was given.
        near: Branch names that look alike, best first.
    """

    def __init__(self, name: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(name, near)
        self.name = name
        self.near = near

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(map(repr, self.near))}?" if self.near else ""
        if self.name.startswith("<"):
            return f"A ref is a branch, a commit's id or HEAD, and not {self.name[1:-1]}; of a commit, pass its id."
        if self.name == "HEAD":
            return "HEAD is at no commit yet: nothing was committed to this branch."
        if "~" in self.name:
            return f"{self.name!r} leads nowhere: the history does not go back so far, or does not begin there. See log()."
        return (
            f"No branch or commit is called {self.name!r} here.{hint} See log() and branches(); a commit is named by its id "
            "or by 4 or more of its first digits."
        )


class AmbiguousRefError(RefusedError):
    """A commit prefix fits more than one commit."""

    def __init__(self, prefix: str, ids: tuple[str, ...]) -> None:
        super().__init__(prefix, ids)
        self.prefix = prefix
        self.ids = ids

    def __str__(self) -> str:
        fits = ", ".join(i[: len(self.prefix) + 8] for i in self.ids)
        return f"The prefix {self.prefix!r} fits several commits ({fits}). Give more characters."


class InvalidNameError(RefusedError):
    """A branch, tract or worktree name that could not be told from a ref."""

    def __init__(self, kind: str, name: str, reason: str) -> None:
        super().__init__(kind, name, reason)
        self.kind = kind
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name!r} cannot be the name of a {self.kind}: {self.reason}."


class BranchExistsError(RefusedError):
    """The branch name is taken."""

    def __init__(self, branch: str) -> None:
        super().__init__(branch)
        self.branch = branch

    def __str__(self) -> str:
        return f"A branch {self.branch!r} exists already. Switch to it with switch({self.branch!r}), or choose another name."


class BranchNotFoundError(RefusedError):
    """There is no such branch in this tract."""

    def __init__(self, branch: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(branch, near)
        self.branch = branch
        self.near = near

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(map(repr, self.near))}?" if self.near else ""
        return f"There is no branch {self.branch!r}.{hint} Create it with branch({self.branch!r}), or list them with branches()."


class BranchTooYoungError(RefusedError):
    """The branch did not exist yet at the time that was asked for.

    Attributes:
        branch: The branch.
        began: When it was created, aware, UTC.
    """

    def __init__(self, branch: str, began: datetime) -> None:
        super().__init__(branch, began)
        self.branch = branch
        self.began = began

    def __str__(self) -> str:
        return f"Branch {self.branch!r} began only at {self.began.isoformat()}. Give a later time, or a commit with at=."


class DetachedHeadError(RefusedError):
    """HEAD is at a commit and not on a branch, so there is nothing to move."""

    def __init__(self, commit: str | None) -> None:
        super().__init__(commit)
        self.commit = commit

    def __str__(self) -> str:
        at = self.commit[:8] if self.commit else "no commit"
        return f"HEAD is detached at {at}. Create a branch here with branch(name), or switch to one."


class TractNotFoundError(RefusedError):
    """The store holds no tract of that name."""

    def __init__(self, name: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(name, near)
        self.name = name
        self.near = near

    def __str__(self) -> str:
        hint = f" It holds {', '.join(map(repr, self.near))}." if self.near else " It holds none."
        return f"The store has no tract {self.name!r}.{hint} Open it with create=True to make it."


class AmbiguousTractError(RefusedError):
    """The store holds several tracts and none was named."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.names = names

    def __str__(self) -> str:
        return f"The store holds {len(self.names)} tracts: {', '.join(map(repr, self.names))}. Say which with name=."


class TurnInProgressError(RefusedError):
    """A verb that adds to the branch was called from inside a turn on it, or from inside what that turn waits for."""

    def __init__(self, branch: str) -> None:
        super().__init__(branch)
        self.branch = branch

    def __str__(self) -> str:
        return (
            f"A turn is running on branch {self.branch!r} that cannot end before this call does (which comes from inside "
            "it, or from what it waits for), so waiting would never end. Call it after the turn, or write to another "
            "branch through worktree()."
        )


class BatchError(RefusedError):
    """The call does not go together with a batch.

    Attributes:
        branch: The branch of the batch.
        reason: Why not, and what to do.
    """

    def __init__(self, branch: str, reason: str) -> None:
        super().__init__(branch, reason)
        self.branch = branch
        self.reason = reason

    def __str__(self) -> str:
        return f"The batch on branch {self.branch!r} {self.reason}."


class TurnStateError(RefusedError):
    """A turn was used before or after its time."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason[:1].upper()}{self.reason[1:]}."


class EditTargetError(RefusedError):
    """The commit is not a slot that can be edited or annotated here."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"Commit {self.target[:12]} cannot be the target: {self.reason}."


class RevertError(RefusedError):
    """The commit cannot be undone by another one, or there is nothing of it left to undo."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"Commit {self.target[:12]} cannot be reverted: {self.reason}."


class ContentValidationError(RefusedError):
    """A content, message or argument does not have the promised form.

    Attributes:
        field: Which field, dotted where it is nested (`tool_calls[0].name`).
        reason: What is wrong with it, without repeating its text.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}."


class BudgetExceededError(RefusedError):
    """The context would have more tokens than its budget, which rejects that."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(tokens, limit)
        self.tokens = tokens
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"The context would have {self.tokens} tokens and its budget is {self.limit}, so nothing was written or sent. "
            "Skip or shorten what stands in it, or raise the budget with configure(budget=...)."
        )


class ClosedError(RefusedError):
    """The tract or its store was closed."""

    def __init__(self, what: str = "tract") -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"This {self.what} is closed. Open it again with AsyncTract.open()."


class WrongLoopError(RefusedError):
    """A handle was used from another event loop or process than its own."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"This handle belongs to {self.reason}. Open the store again where you need it."


class ModelNotConfiguredError(RefusedError):
    """There is no client, or no model name, to talk to."""

    def __init__(self, missing: str) -> None:
        super().__init__(missing)
        self.missing = missing

    def __str__(self) -> str:
        if self.missing == "model":
            advice = "Pass model= to this call or to AsyncTract.open(), or call configure(llm_config=LLMConfig(model=...))."
        else:
            advice = "Set OPENAI_API_KEY, pass api_key= to AsyncTract.open(), or base_url= for a server of your own."
        return f"No {self.missing} is configured, so nothing was recorded. {advice}"


class CompilerError(RefusedError):
    """The compiler that was given to `open()` did not do what it must.

    Attributes:
        compiler: Its name and version.
        reason: What went wrong, without repeating any text.
    """

    def __init__(self, compiler: str, reason: str) -> None:
        super().__init__(compiler, reason)
        self.compiler = compiler
        self.reason = reason

    def __str__(self) -> str:
        return f"The compiler {self.compiler!r} failed: {self.reason}. Mend it, or open the tract with another compiler=."


class SearchUnavailableError(RefusedError):
    """Nothing is kept ready for searching.

    Attributes:
        path: The store.
        reason: Why, and what to do.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be searched here: {self.reason}."


class ConfigError(RefusedError):
    """A setting is out of range, unknown or in contradiction with another."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}."


class ToolArgumentsError(RefusedError):
    """A model called a tool with arguments that it does not take.

    Attributes:
        tool: Its name.
        reason: What is wrong and where, without the arguments' text; the
            model may be told.
    """

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    def __str__(self) -> str:
        return f"The tool {self.tool!r} does not take these arguments: {self.reason}. Call it again as its schema says."
