"""Contexts that are kept in the file: finding one and bringing it back.

Numbers and ids come with one query, words with another; a row that is damaged,
or not whole, or of another version counts as if it were not there. Everything
runs on a reader's thread. Imports `domain`, `graph`, `operations` and
`log.packing`. Read `find_kept`.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
from attrs import frozen

from tract.core.graph import ancestors, node
from tract.domain.config import LLMConfig, stored_config
from tract.domain.operation_configs import OperationConfigs, stored_operations
from tract.errors import ConfigError, CorruptLogError
from tract.log.packing import unpack
from tract.log.protocol import Query, Row
from tract.operations.context import Context
from tract.operations.freezing import Memory
from tract.operations.frozen import VERSION, decode_root, key_of, unsealed
from tract.operations.sources import Source
from tract.operations.thawing import thaw

T = TypeVar("T")
_keys = msgspec.json.Decoder(tuple[int, ...])


@frozen(eq=False, repr=False)
class Kept:
    """A context that was kept.

    Attributes:
        number: Its commit.
        origin: The first commit of its history.
        context: The context.
        memory: Of its leaves.
    """

    number: int
    origin: int
    context: Context
    memory: Memory


def find_kept(query: Query, where: str, run: int, numbers: range) -> Kept | None:
    """Return the last context that was kept of a stretch of history; None if there is none.

    Args:
        query: The snapshot.
        where: The store, for people.
        run: The run.
        numbers: From the first commit that counts to the last.
    """
    stop = numbers.stop
    while rows := query("contexts.nearest", run, numbers.start - 1, stop - 1, VERSION):
        number, _, origin, *_ = rows[0]
        found = thawed(query, where, rows[0])
        if found is not None:
            return Kept(number, origin, *found)
        stop = number
    return None


def find_kept_place(query: Query, run: int, last: int) -> tuple[int, int] | None:
    """Return number and depth of the last commit of a run, up to a number, whose context is kept."""
    rows = query("contexts.nearest", run, 0, last, VERSION)
    return (rows[0][0], rows[0][1]) if rows else None


def thawed(query: Query, where: str, row: Row) -> tuple[Context, Memory] | None:
    """Return the context of a row of `contexts.nearest`; None if it is damaged."""
    number, _, _, run, id, keys_data, stored = row
    try:
        data = unsealed(stored, *about(run, id, keys_data))
        if data is None:
            return None
        root, keys = decode_root(data), _keys.decode(keys_data)
        leaves: dict[int, bytes] = dict(query("contexts.leaves", keys_data))
        if not all(key_of(leaf) == key for key, leaf in leaves.items()):
            return None
        return thaw(root, keys, leaves, _source(query, where, number, root.configs))
    except (LookupError, TypeError, ValueError, msgspec.MsgspecError, CorruptLogError):
        return None


def about(run: int, id: bytes, keys: bytes) -> tuple[bytes, ...]:
    """Return what a root's checksum is over, beside its own bytes."""
    return (b"%d %d" % (VERSION, run), id, keys)


def _source(query: Query, where: str, number: int, configs: Sequence[int]) -> Source:
    """Return what the file says of a commit's history."""
    bounds = ancestors(query, node(query, number))
    encode = msgspec.json.encode
    rows = query("contexts.texts", encode(list(bounds.items())).decode(), encode(configs).decode())
    texts = [row for row in rows if row[1] is not None] if configs else rows
    # In order already where the history is one run, which costs next to nothing.
    texts.sort(key=itemgetter(0))
    return Source(where, texts, {row[0]: row[3] for row in rows if row[1] is None} if configs else {}, unpack, decode_config)


def decode_config(data: bytes) -> LLMConfig:
    """Return the config of its stored bytes.

    Raises:
        msgspec.MsgspecError: They are none that was stored; a store says so
            of the row that they come from.
    """
    return _decoded(data, stored_config)


def decode_operations(data: bytes) -> OperationConfigs:
    """Return the configs of operations of their stored bytes.

    Raises:
        msgspec.MsgspecError: As for `decode_config`.
    """
    return _decoded(data, stored_operations)


def _decoded(data: bytes, read: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return read(msgspec.json.decode(data, type=dict[str, Any]))
    except ConfigError as exc:
        # Nobody gave it, so it is not for whoever reads it to mend.
        raise msgspec.ValidationError("a stored config has not the shape of one") from exc
