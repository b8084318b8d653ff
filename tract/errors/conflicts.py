"""Conflicts: somebody else was faster. Imports `roots`."""

from tract.errors.roots import ConflictError


class HeadMovedError(ConflictError):
    """The branch is not where the call needs it: somebody else moved it.

    Attributes:
        branch: The branch of the turn, the batch or the call.
        expected: Where the turn or the batch began, or what the caller
            expected; None for a branch without commits.
        actual: Where the branch is now.
        answer: The commit that holds the answer, on no branch; None if the
            conflict was found before there was one.
    """

    def __init__(self, branch: str, expected: str | None, actual: str | None, answer: str | None = None) -> None:
        super().__init__(branch, expected, actual, answer)
        self.branch = branch
        self.expected = expected
        self.actual = actual
        self.answer = answer

    def __str__(self) -> str:
        was = self.expected[:8] if self.expected else "no commit"
        now = self.actual[:8] if self.actual else "no commit"
        if self.answer is None:
            return (
                f"Branch {self.branch!r} is at {now} and not at {was}, where this call needs it; nothing was written. "
                "Look at log(), then call again on what is there."
            )
        return (
            f"Branch {self.branch!r} moved from {was} to {now} meanwhile. The answer is kept as {self.answer[:8]}: "
            f"take it with branch(name, at={self.answer[:8]!r})."
        )


class OperationMismatchError(ConflictError):
    """The operation id was used before, for another call."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation

    def __str__(self) -> str:
        return f"Operation {self.operation} was recorded with another verb or other arguments. Use a new operation_id."


class GenerationLostError(ConflictError):
    """Somebody else ended the call, because its owner seemed to be gone.

    Attributes:
        generation: The call.
        answer: The commit that holds the answer, on no branch; None if none arrived.
    """

    def __init__(self, generation: str, answer: str | None) -> None:
        super().__init__(generation, answer)
        self.generation = generation
        self.answer = answer

    def __str__(self) -> str:
        kept = (
            f" The answer is kept as {self.answer[:8]}: take it with branch(name, at={self.answer[:8]!r})."
            if self.answer
            else " Call again to ask once more."
        )
        return f"Another process recorded generation {self.generation} as interrupted, so it cannot move its branch.{kept}"
