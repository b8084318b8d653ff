"""Failures of the file, the disk or the log. Imports `roots`."""

from attrs import define

from tract.errors.roots import StoreError, TractError


@define(eq=False)
class StoreNotFoundError(StoreError):
    """There is no file, and it was not to be created."""

    path: str

    def __str__(self) -> str:
        return f"There is no store at {self.path}. Check the path, or open it with create=True."


@define(eq=False)
class NotAStoreError(StoreError):
    """The file is something else than a store of Tract."""

    path: str
    found: str

    def __str__(self) -> str:
        return f"{self.path} is not a Tract store: it is {self.found}. It was left untouched; choose another path."


@define(eq=False)
class NewerSchemaError(StoreError):
    """The store was written by a later version."""

    path: str
    schema: int
    supported: int

    def __str__(self) -> str:
        return f"{self.path} has schema {self.schema}; this version reads up to {self.supported}. Upgrade tract-context."


@define(eq=False)
class StoreLockedError(StoreError):
    """Another process kept the write lock for too long."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} stayed locked by another process. Nothing was written; try again when it is done."


@define(eq=False)
class StoreFullError(StoreError):
    """The disk is full."""

    path: str

    def __str__(self) -> str:
        return f"There is no room left for {self.path}. Nothing was written; free some space and call again."


@define(eq=False)
class StoreReadOnlyError(StoreError):
    """The file or its folder cannot be written."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} cannot be written. Check the permissions of the file and of its folder."


@define(eq=False)
class StoreFailedError(StoreError):
    """The database reported an error that has no class of its own.

    Attributes:
        path: The store.
        code: SQLite's name of the error, such as `SQLITE_IOERR`.
    """

    path: str
    code: str

    def __str__(self) -> str:
        return f"The database at {self.path} failed with {self.code}. Close it, check the disk, and open it again."


@define(eq=False)
class CorruptLogError(TractError):
    """The log says something that no append of ours can have written.

    Attributes:
        file: The store.
        tract: The stream it was found in, if known.
        version: The event's place in that stream, if known.
        finding: What is wrong.
    """

    file: str
    tract: str | None
    version: int | None
    finding: str

    def __str__(self) -> str:
        where = f", tract {self.tract}, version {self.version}" if self.tract else ""
        return f"{self.file}{where}: {self.finding}. Stop writing to it and restore a backup."
