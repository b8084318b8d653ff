"""Looking after a store: what it holds, whether it is sound, and its tables made anew.

    python -m tract.admin status|verify|rebuild PATH

does on the command line what `status`, `verify` and `rebuild` do here, and
needs no extra. Read `verifying` first.
"""

from tract.admin.rebuilding import rebuild
from tract.admin.results import Finding, Progress, Rebuilt, StoreStatus, TableStatus, Verification
from tract.admin.surveying import status
from tract.admin.verifying import verify

__all__ = ["Finding", "Progress", "Rebuilt", "StoreStatus", "TableStatus", "Verification", "rebuild", "status", "verify"]
