"""What Tract asks of a model client and of a token counter.

Imports `domain`.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tract.domain.config import LLMConfig
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.messages import Message
from tract.errors import ConfigError


def require_shape(field: str, value: object, protocol: str, *members: str) -> None:
    """Refuse what does not follow a protocol, before anything depends on it.

    Raises:
        ConfigError: Naming *field* and the first member that is missing.
    """
    if isinstance(value, type):
        raise ConfigError(field, f"it is a class; pass an instance, {value.__name__}(...)")
    for member in members:
        if not hasattr(value, member):
            raise ConfigError(field, f"it has no {member}; see the {protocol} protocol")


def require_client(field: str, value: object) -> None:
    """Refuse what is no `LLMClient`.

    Raises:
        ConfigError: Naming *field*.
    """
    if isinstance(value, str):
        raise ConfigError(field, "it is a string; a model's name goes into model=")
    if type(value).__module__.partition(".")[0] == "openai":
        raise ConfigError(field, "it is a client of the openai package; give tract.OpenAIClient, or api_key= and base_url=")
    require_shape(field, value, "LLMClient", "complete", "stream", "aclose")


def require_config(field: str, value: object) -> None:
    """Refuse what is no `LLMConfig`.

    Raises:
        ConfigError: Naming *field*.
    """
    if not isinstance(value, LLMConfig):
        raise ConfigError(field, f"it must be an LLMConfig, not {type(value).__name__}")


class ModelStream(Protocol):
    """An answer on its way; iterate it for the text as it comes."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Yield each piece of text, never an empty one.

        Raises:
            ModelError: The call failed; what was yielded stays valid.
        """
        ...

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every HTTP request made so far, also after a failure."""
        ...

    @property
    def reply(self) -> ModelReply:
        """The whole answer; only after the iterator ended without an error."""
        ...


class LLMClient(Protocol):
    """A provider of models.

    A client keeps its key to itself: nothing of it is ever stored, printed or
    put into an error. It keeps to the `timeout` of a request too, which nobody
    else does: a model that is silent for longer, before its answer or in it,
    is a `ModelTimeoutError`.
    """

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Return the answer at once.

        Raises:
            ModelError: One of its kinds, after the retries it allows.
        """
        ...

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:
        """Return the answer as it comes; leaving the block closes the connection."""
        ...

    async def aclose(self) -> None:
        """Close every connection; twice is nothing."""
        ...


class TokenCounter(Protocol):
    """Counts what a message costs. Pure: the same text, the same count."""

    @property
    def name(self) -> str:
        """Recorded beside every count, such as `o200k_base`."""
        ...

    def count(self, text: str) -> int:
        """Return the tokens of *text*; special tokens count as text."""
        ...

    def count_message(self, message: Message) -> int:
        """Return 3 plus role, text, name (and 1 for it) and calls; an image costs what the counter says."""
        ...
