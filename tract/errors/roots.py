"""The roots of the exception tree. Imports nothing."""


class TractError(Exception):
    """The root of the tree; catch it to catch everything of Tract's."""


class RefusedError(TractError):
    """The call was refused before anything was written."""


class ConflictError(TractError):
    """The history moved between the plan and the append."""


class StoreError(TractError):
    """The store could not be opened, read or written."""
