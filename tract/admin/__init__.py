"""Looking after a store: what it holds, whether it is sound, its copies, and its tables made anew.

    python -m tract.admin status|verify|rebuild|backup|export|import|compact PATH ...

does on the command line what the coroutines do here, and needs no extra; with
the extra `cli`, so does `tract admin`. All of them work on a store that others
write to. Read `verifying` first.
"""

from tract.admin.backing_up import backup
from tract.admin.compacting import compact
from tract.admin.exporting import export
from tract.admin.importing import import_file
from tract.admin.rebuilding import rebuild
from tract.admin.results import (
    BackedUp,
    Compacted,
    Exported,
    Finding,
    Halted,
    Imported,
    Progress,
    Rebuilt,
    Verification,
)
from tract.admin.surveying import status
from tract.admin.surveys import FollowingStatus, StoreStatus, TableStatus
from tract.admin.verifying import verify

__all__ = [
    "BackedUp",
    "Compacted",
    "Exported",
    "Finding",
    "FollowingStatus",
    "Halted",
    "Imported",
    "Progress",
    "Rebuilt",
    "StoreStatus",
    "TableStatus",
    "Verification",
    "backup",
    "compact",
    "export",
    "import_file",
    "rebuild",
    "status",
    "verify",
]
