"""What a handle talks through. Imports `domain` and `llm`."""

from collections.abc import Callable

from tract.domain.operation_configs import OperationName
from tract.llm.clients import OperationClients
from tract.llm.protocol import LLMClient


class Models:
    """The clients that a handle talks through.

    Args:
        connect: Makes a client when one is first needed, so that opening a
            tract loads no SDK and touches no network.
    """

    def __init__(self, connect: Callable[[], LLMClient]) -> None:
        self._connect = connect
        self._made: LLMClient | None = None
        self._given: LLMClient | None = None
        self._clients = OperationClients()

    @property
    def clients(self) -> OperationClients:
        """Those for one operation each."""
        return self._clients

    def client_for(self, operation: OperationName) -> LLMClient:
        """Return the client to ask for an operation: its own, or else the handle's.

        Raises:
            ModelNotConfiguredError: None was given, and there is no key to make one.
        """
        client = self._clients.find(operation)
        return self.client() if client is None else client

    def client(self) -> LLMClient:
        """Return the client to ask for what has none of its own.

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

    def use_for_operations(self, clients: OperationClients) -> None:
        """Have these, and no others, stand before the client from now on; they stay the caller's to close."""
        self._clients = clients

    def copy(self) -> "Models":
        """Return the same for another handle, which closes its own client."""
        models = Models(self._connect)
        models._given = self._given
        models._clients = self._clients
        return models

    async def aclose(self) -> None:
        """Close the client if it was made here."""
        if self._made is not None:
            await self._made.aclose()
