"""Failures of the file, the disk or the log. Imports `roots`."""

from tract.errors.roots import StoreError, TractError


class StoreNotFoundError(StoreError):
    """There is no file, and it was not to be created."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"There is no store at {self.path}. Check the path; a program makes one by opening it with create=True."


class FolderNotFoundError(StoreError):
    """The folder that the store was to be made in does not exist."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"There is no folder {self.path}. Create it first, or choose another path."


class NotAStoreError(StoreError):
    """The file is something else than a store of Tract."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f"{self.path} is not a Tract store: it is {self.found}. It was left untouched; choose another path."


class NewerSchemaError(StoreError):
    """The store was written by a later version."""

    def __init__(self, path: str, schema: int, supported: int) -> None:
        super().__init__(path, schema, supported)
        self.path = path
        self.schema = schema
        self.supported = supported

    def __str__(self) -> str:
        return f"{self.path} has schema {self.schema}; this version reads up to {self.supported}. Upgrade tract-context."


class NewerEventError(StoreError):
    """An event was written by a later version, and nothing can be made of it here.

    Attributes:
        file: The store.
        tract: The family it is in.
        version: Its place in that family.
        event: Its type, such as `commit.recorded`.
        schema: The number of its shape.
    """

    def __init__(self, file: str, tract: str, version: int, event: str, schema: int) -> None:
        super().__init__(file, tract, version, event, schema)
        self.file = file
        self.tract = tract
        self.version = version
        self.event = event
        self.schema = schema

    def __str__(self) -> str:
        return (
            f"{self.file}, tract {self.tract}, version {self.version}: a later version of Tract wrote "
            f"this {self.event}, schema {self.schema}. Upgrade tract-context."
        )


class StoreLockedError(StoreError):
    """Another process kept the write lock for too long."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} stayed locked by another process. Nothing was written; try again when it is done."


class StoreFullError(StoreError):
    """The disk is full."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"There is no room left for {self.path}. Nothing was written; free some space and call again."


class StoreReadOnlyError(StoreError):
    """The file or its folder cannot be written."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} cannot be written. Check the permissions of the file and of its folder."


class StoreUnreadableError(StoreError):
    """The file, one that belongs to it or its folder may not be read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} cannot be read. Check the permissions of the file and of its folder."


class NetworkFileSystemError(StoreError):
    """The folder is on a network file system, where a store could be damaged.

    Attributes:
        path: The store.
        file_system: The file system's name, such as `nfs4`.
    """

    def __init__(self, path: str, file_system: str) -> None:
        super().__init__(path, file_system)
        self.path = path
        self.file_system = file_system

    def __str__(self) -> str:
        return (
            f"{self.path} is on a network file system ({self.file_system}), where two machines do not see each other's locks. "
            "Nothing was written; keep the store on a local disk."
        )


class StoreVanishedError(StoreError):
    """The file of an open store was removed, renamed or replaced."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"{self.path} or its write-ahead log was removed, renamed or replaced while it was open, so nothing is "
            "acknowledged any more. Close it, put the files back if they were moved, and open it again."
        )


class StoreFailedError(StoreError):
    """The database reported an error that has no class of its own.

    Attributes:
        path: The store.
        code: SQLite's name of the error, such as `SQLITE_IOERR`.
    """

    def __init__(self, path: str, code: str) -> None:
        super().__init__(path, code)
        self.path = path
        self.code = code

    def __str__(self) -> str:
        return f"The database at {self.path} failed with {self.code}. Close it, check the disk, and open it again."


class ProjectionError(StoreError):
    """A table that is derived from the log met an event that it cannot be derived from.

    The log is whole, and so is whatever is derived from it otherwise.

    Attributes:
        path: The store.
        projection: Whose table it is.
        family: The stream of the event, if known.
        position: The event's place in the store; None where it was to be appended, and nothing was written.
        finding: What is wrong.
    """

    def __init__(self, path: str, projection: str, family: str | None, position: int | None, finding: str) -> None:
        super().__init__(path, projection, family, position, finding)
        self.path = path
        self.projection = projection
        self.family = family
        self.position = position
        self.finding = finding

    def __str__(self) -> str:
        family = f", family {self.family}" if self.family else ""
        if self.position is None:
            return (
                f"{self.path}: the projection {self.projection} refuses what was to be appended{family}: {self.finding}. "
                "Nothing was written. Run `python -m tract.admin verify` on the file, and `rebuild` where its tables are damaged."
            )
        position = f", position {self.position}"
        return (
            f"{self.path}: the projection {self.projection} stands still{family}{position}: {self.finding}. "
            f"Upgrade tract-context if a later version wrote it, then run "
            f"`python -m tract.admin rebuild {self.path} --projection {self.projection}`."
        )


class ProjectionLagError(StoreError):
    """A table that follows the log did not catch up in time."""

    def __init__(self, path: str, projection: str, behind: int) -> None:
        super().__init__(path, projection, behind)
        self.path = path
        self.projection = projection
        self.behind = behind

    def __str__(self) -> str:
        return (
            f"{self.path}: the projection {self.projection} is {self.behind:,} events behind the log. "
            "It goes on in the background: try again in a moment; python -m tract.admin status says how far it is."
        )


class RebuildRunningError(StoreError):
    """The tables of the store are being rebuilt already, here or by another process."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is being rebuilt already. Nothing was done; wait until that is over, or end it and call again."


class CorruptLogError(TractError):
    """The log says something that no append of ours can have written.

    Attributes:
        file: The store.
        tract: The stream it was found in, if known.
        version: The event's place in that stream, if known.
        finding: What is wrong.
    """

    def __init__(self, file: str, tract: str | None, version: int | None, finding: str) -> None:
        super().__init__(file, tract, version, finding)
        self.file = file
        self.tract = tract
        self.version = version
        self.finding = finding

    def __str__(self) -> str:
        where = f", tract {self.tract}, version {self.version}" if self.tract else ""
        return f"{self.file}{where}: {self.finding}. Stop writing to it and restore a backup."


class DestinationExistsError(StoreError):
    """There is something already where a file was to be made."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"There is something at {self.path} already. It was left untouched; choose another path, or move it away first."


class MalformedExportError(StoreError):
    """The file is no whole, unchanged export of a store.

    Attributes:
        path: The file.
        line: The number of the line, from 1, where that is known.
        finding: What is wrong with it.
    """

    def __init__(self, path: str, line: int | None, finding: str) -> None:
        super().__init__(path, line, finding)
        self.path = path
        self.line = line
        self.finding = finding

    def __str__(self) -> str:
        where = "" if self.line is None else f", line {self.line}"
        return f"{self.path}{where}: {self.finding}. Nothing was imported; export the store again."


class UnreadableExportError(StoreError):
    """There is no file to import, or it cannot be read.

    Attributes:
        path: The file.
        finding: What is there instead, or what keeps one from reading it.
    """

    def __init__(self, path: str, finding: str) -> None:
        super().__init__(path, finding)
        self.path = path
        self.finding = finding

    def __str__(self) -> str:
        return f"{self.path}: {self.finding}. Nothing was imported; check the path and the permissions of what was exported."


class NewerExportError(StoreError):
    """The file was exported by a later version, in a form that is not known here."""

    def __init__(self, path: str, number: int, supported: int) -> None:
        super().__init__(path, number, supported)
        self.path = path
        self.number = number
        self.supported = supported

    def __str__(self) -> str:
        return (
            f"{self.path} is an export of form {self.number}; this version reads up to {self.supported}. Upgrade tract-context."
        )


class FamilyDiffersError(StoreError):
    """An export and the store hold one family with two histories.

    Attributes:
        path: The store.
        family: The id of its root.
        version: The first event that is another.
    """

    def __init__(self, path: str, family: str, version: int) -> None:
        super().__init__(path, family, version)
        self.path = path
        self.family = family
        self.version = version

    def __str__(self) -> str:
        return (
            f"{self.path} holds family {self.family} with another history from version {self.version} on. "
            "Nothing was imported; import the file into a store of its own."
        )


class TractExistsError(StoreError):
    """The store holds another tract of the name that an imported one has.

    Attributes:
        path: The store.
        name: Of both.
    """

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path, name)
        self.path = path
        self.name = name

    def __str__(self) -> str:
        return (
            f"{self.path} holds another tract called {self.name!r}, and one of the two could not be opened by name. "
            "Nothing was imported; import the file into a store of its own."
        )
