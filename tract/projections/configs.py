"""Which commits have which config, and its settings by path. Imports `domain`, `operations` and `log`.

A config is taken apart once in a family, however many commits have it.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId, TractId, uuid_bytes
from tract.log.protocol import Statement
from tract.operations.querying import flattened, indexed


class Configs:
    """The tables `config_sets`, `config_uses` and `config_values`.

    What was erased, collected or damaged before it was read is not there.
    """

    name = "configs"
    version = 1
    is_inline = False
    folds = (CommitRecorded,)
    create = (
        "configs.create_sets",
        "configs.create_sets_in_order",
        "configs.create_uses",
        "configs.create_uses_in_order",
        "configs.create_values",
        "configs.create_values_in_order",
    )
    drop = ("configs.drop_sets", "configs.drop_uses", "configs.drop_values")
    tables = (
        ("config_sets", "configs.set_rows"),
        ("config_uses", "configs.use_rows"),
        ("config_values", "configs.value_rows"),
    )
    reads = ("tracts", "commits")

    def words(self, event: Event) -> Iterable[BlobId]:
        """Return the config of the commit."""
        body = event.body
        if isinstance(body, CommitRecorded) and body.commit.config is not None:
            yield body.commit.config

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add the commits that have a config, and the settings of configs that are seen first."""
        seen: set[tuple[TractId, BlobId]] = set()
        for event in events:
            body = event.body
            if not isinstance(body, CommitRecorded) or body.commit.config is None or body.commit.config not in blobs:
                continue
            settings = _settings(blobs[body.commit.config])
            if settings is None:
                continue
            row = (event.position, uuid_bytes(event.tract), uuid_bytes(event.stream))
            config = (event.stream, body.commit.config)
            if config not in seen:
                seen.add(config)
                yield Statement("configs.add_set", row)
                for path, value in settings.items():
                    yield Statement("configs.add_value", (event.position, path, indexed(value)))
            yield Statement("configs.add_use", row)


def _settings(stored: bytes) -> dict[str, object] | None:
    """Return the settings of stored bytes; None if they are none that any version stored."""
    try:
        config = msgspec.json.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return flattened(config) if isinstance(config, dict) else None
