"""What each tract is configured with now. Imports `domain` and `log`."""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import Event, TractConfigured
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement


class Settings:
    """The table `settings`, a row a tract that was configured."""

    name = "settings"
    version = 2
    is_inline = True
    folds = (TractConfigured,)
    create = ("settings.create",)
    drop = ("settings.drop",)
    tables = (("settings", "settings.rows"),)
    reads = ("tracts",)

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Put the newest settings in the place of earlier ones."""
        for event in events:
            body = event.body
            if isinstance(body, TractConfigured):
                budget = body.budget
                limits = (None, None, None) if budget is None else (budget.max_tokens, budget.action, budget.compress_at)
                row = (event.position, uuid_bytes(event.tract), hex_bytes(body.llm_config), *limits, hex_bytes(body.operations))
                yield Statement("settings.replace", row)
