"""What every verb stands on: identity, collaborators, HEAD and `record()`.

Knows no verb. Read `core` first. Imports `errors` to `projections`.
"""

from tract.core.core import TractCore
from tract.core.opening import Opening

__all__ = ["Opening", "TractCore"]
