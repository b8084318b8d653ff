"""What works beside a store for as long as it is open. Imports nothing of ours."""

from typing import Protocol


class Companion(Protocol):
    """What works beside a store and ends before it."""

    async def aclose(self) -> None:
        """Stop; the store still answers meanwhile."""
        ...
