"""Looking at a place before a store is opened there.

Imports `errors`, `filesystems`, `places` and `sqlite_files`.
"""

from pathlib import Path

from tract.errors import NetworkFileSystemError
from tract.log.filesystems import network_file_system
from tract.log.places import needs_look, require_writable
from tract.log.sqlite_files import connect, on_thread, refuse_foreign


async def refuse_unfit(path: str, *, create: bool) -> None:
    """Refuse what cannot be a store, before anything is written.

    Args:
        path: A real path.
        create: Whether there may be no file.

    Raises:
        StoreNotFoundError: There is no file and *create* is false.
        NotAStoreError: The file is something else.
        NewerSchemaError: A later version wrote it.
        NetworkFileSystemError: Its folder is on one.
        StoreReadOnlyError: It may not be written.
        StoreError: It cannot be read.
        sqlite3.Error: The same.
    """
    must_look = needs_look(path, create=create)
    network = network_file_system(str(Path(path).parent))
    if network is not None:
        raise NetworkFileSystemError(path, network)
    require_writable(path)
    if must_look:
        has_log = Path(path + "-wal").exists()
        looking = await connect(path, mode="ro" if has_log else "look")
        try:
            await on_thread(looking, refuse_foreign, path)
        finally:
            await looking.close()
