"""What a handle talks through. Imports `llm`."""

from collections.abc import Callable

from tract.llm.protocol import LLMClient


class Models:
    """The client that a handle talks through.

    Args:
        connect: Makes a client when one is first needed, so that opening a
            tract loads no SDK and touches no network.
    """

    def __init__(self, connect: Callable[[], LLMClient]) -> None:
        self._connect = connect
        self._made: LLMClient | None = None
        self._given: LLMClient | None = None

    def client(self) -> LLMClient:
        """Return the client.

        Raises:
            ModelNotConfiguredError: None was given, and there is no key to make one.
        """
        if self._given is not None:
            return self._given
        if self._made is None:
            self._made = self._connect()
        return self._made

    def use(self, client: LLMClient) -> None:
        """Talk through *client* from now on; it stays the caller's to close."""
        self._given = client

    def copy(self) -> "Models":
        """Return the same for another handle, which closes its own client."""
        models = Models(self._connect)
        models._given = self._given
        return models

    async def aclose(self) -> None:
        """Close the client if it was made here."""
        if self._made is not None:
            await self._made.aclose()
