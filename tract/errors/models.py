"""Failures of a model call; the branch is where it was. Imports `roots`."""

from attrs import define

from tract.errors.roots import TractError


@define(eq=False)
class ModelError(TractError):
    """A model call failed; the branch is where it was.

    Attributes:
        reason: What happened, in our words.
        question: Commit of the question, on no branch; None if none was asked.
        partial: Commit of the text that arrived before the failure, or None.
        generation: The id under which the call is recorded, or None if it
            never was (a client used without a tract).
        status: The HTTP status, where there was one.
    """

    reason: str = "the model call failed"
    question: str | None = None
    partial: str | None = None
    generation: str | None = None
    status: int | None = None

    def advice(self) -> str:
        """Say what the caller can do; each kind has its own."""
        return "Call again to retry: the branch is where it was."

    def __str__(self) -> str:
        kept = [f"{name} {value[:8]}" for name, value in (("question", self.question), ("partial", self.partial)) if value]
        status = f" (HTTP {self.status})" if self.status else ""
        named = f" Kept off the branch: {', '.join(kept)}." if kept else ""
        return f"{self.reason}{status}. {self.advice()}{named}"


@define(eq=False)
class ModelAuthError(ModelError):
    """The provider does not accept the key or what it may do."""

    def advice(self) -> str:
        return "Check api_key and base_url, and what the key may do."


@define(eq=False)
class ModelRateLimitError(ModelError):
    """Too many requests, or a quota that is used up.

    Attributes:
        retry_after: Seconds that the provider asks to wait, or None.
    """

    retry_after: float | None = None

    def advice(self) -> str:
        return f"Wait {self.retry_after:g} s and retry." if self.retry_after else "Wait and retry, or look at the quota."


@define(eq=False)
class ModelContextError(ModelError):
    """The context is longer than the model takes.

    Attributes:
        tokens: What was sent, by the provider's count, if it told.
        limit: What the model takes, if it told.
    """

    tokens: int | None = None
    limit: int | None = None

    def advice(self) -> str:
        counted = f" ({self.tokens} tokens, limit {self.limit})" if self.tokens and self.limit else ""
        return f"Shorten the context{counted}: skip or edit long slots, or branch from an earlier commit."


@define(eq=False)
class ModelResponseError(ModelError):
    """The provider refused the request or answered what makes no sense."""

    def advice(self) -> str:
        if self.status is not None and self.status >= 500:
            return super().advice()
        return "Check the model name and the request's settings."


@define(eq=False)
class ModelTimeoutError(ModelError):
    """The provider was silent for too long."""


@define(eq=False)
class ModelConnectionError(ModelError):
    """The provider could not be reached, or the answer was cut."""

    def advice(self) -> str:
        return "Check base_url and the network, then call again: the branch is where it was."
