"""Which tracts there are. Imports `domain` and `log`."""

from collections.abc import Iterable, Mapping, Sequence

from tract.domain.events import Event, TractCreated
from tract.domain.ids import BlobId, hex_bytes, uuid_bytes
from tract.log.protocol import Statement


class Tracts:
    """The table `tracts`, a row a tract."""

    name = "tracts"
    version = 1
    is_inline = True
    folds = (TractCreated,)
    create = ("tracts.create", "tracts.create_by_name", "tracts.create_roots")
    drop = ("tracts.drop",)
    tables = (("tracts", "tracts.rows"),)
    reads = ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add the tracts that were created."""
        for event in events:
            body = event.body
            if isinstance(body, TractCreated):
                parent = None if body.parent is None else uuid_bytes(body.parent)
                metadata = hex_bytes(body.metadata)
                row = (event.position, uuid_bytes(event.tract), uuid_bytes(event.stream), parent, body.name, metadata)
                yield Statement("tracts.insert", row)
