"""Failures of a model call. Imports `roots`."""

from typing import Self

from tract.errors.roots import TractError


class ModelError(TractError):
    """A model call failed; the branch is where it was, unless `keep_partial` moved it.

    Attributes:
        reason: What happened, in our words.
        question: Commit of the question, on no branch; None if none was asked.
        partial: Commit of the text that arrived before the failure, or None.
        generation: The id under which the call is recorded, or None if it
            never was (a client used without a tract).
        status: The HTTP status, where there was one.
        is_on_branch: Whether `keep_partial` put question and partial onto the
            branch; else that is where it was.
    """

    def __init__(self, reason: str = "the model call failed", *, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.question: str | None = None
        self.partial: str | None = None
        self.generation: str | None = None
        self.is_on_branch = False

    def located(self, *, question: str | None, partial: str | None, generation: str | None, is_on_branch: bool = False) -> Self:
        """Name what was kept of the call and where, and return this error."""
        self.question, self.partial, self.generation = question, partial, generation
        self.is_on_branch = is_on_branch
        return self

    def advice(self) -> str:
        """Say what the caller can do; each kind has its own."""
        return "Call again to retry."

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status else ""
        return f"{self.reason[:1].upper()}{self.reason[1:]}{status}. {self.advice()}{self._kept()}"

    def _kept(self) -> str:
        named = ", ".join(
            f"{name} {value[:8]}" for name, value in (("question", self.question), ("partial", self.partial)) if value
        )
        if self.is_on_branch:
            return f" On the branch: {named}; generate() goes on from there, chat() would ask twice."
        if named:
            return f" Kept off the branch, which is where it was: {named}."
        return "" if self.generation is None else " The branch is where it was."


class ModelAuthError(ModelError):
    """The provider does not accept the key or what it may do."""

    def advice(self) -> str:
        return "Check api_key and base_url, and what the key may do."


class ModelQuotaError(ModelError):
    """The account has nothing left to spend, so no retry helps before somebody adds credit or raises a limit."""

    def advice(self) -> str:
        return "Add credit or raise the spending limit at the provider, or use another key or model, and then call again."


class ModelRateLimitError(ModelError):
    """Too many requests in a time.

    Attributes:
        retry_after: Seconds that the provider asks to wait, or None.
    """

    def __init__(
        self, reason: str = "the model call failed", *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, status=status)
        self.retry_after = retry_after

    def advice(self) -> str:
        return f"Wait {self.retry_after:g} s and retry." if self.retry_after else "Wait and retry."


class ModelContextError(ModelError):
    """The context is longer than the model takes.

    Attributes:
        tokens: What was sent, by the provider's count, if it told.
        limit: What the model takes, if it told.
    """

    def __init__(
        self,
        reason: str = "the model call failed",
        *,
        status: int | None = None,
        tokens: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(reason, status=status)
        self.tokens = tokens
        self.limit = limit

    def advice(self) -> str:
        known = [f"{self.tokens} tokens"] if self.tokens else []
        known += [f"limit {self.limit}"] if self.limit else []
        counted = f" ({', '.join(known)})" if known else ""
        return f"Shorten the context{counted}: skip, edit or compress long slots, or branch from an earlier commit."


class ModelResponseError(ModelError):
    """The provider refused the request or answered what makes no sense."""

    def advice(self) -> str:
        if self.status is not None and self.status >= 500:
            return super().advice()
        if self.status == 404:
            return "Check base_url, which usually ends in /v1, and the model name."
        words = "; the provider's own words are in __cause__" if self.status is not None else ""
        return f"Check the model name and the request's settings{words}."


class ModelRefusalError(ModelResponseError):
    """The model refused to answer, or a filter of the provider's stopped question or answer.

    Where the model said why, that is the partial answer.
    """

    def advice(self) -> str:
        if self.partial is None:
            return "Ask otherwise, or ask another model."
        return "Read its words with show(error.partial), then ask otherwise or ask another model."


class ModelAnswerError(ModelResponseError):
    """The model answered something else than it was asked for.

    It called a tool that it was not offered or with arguments that are no
    JSON object, or its answer has not the form of `response_format`. The whole
    answer, calls included, is the commit `partial`.
    """

    def advice(self) -> str:
        return "Ask again, or say more plainly what is wanted."


class ModelTimeoutError(ModelError):
    """The provider was silent for too long."""


class ModelConnectionError(ModelError):
    """The provider could not be reached, or the answer was cut."""

    def advice(self) -> str:
        return "Check base_url and the network, then call again."
