"""A log that holds one type of event in three schemas: chained as it was written, folded as it is today."""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from attrs import frozen

from tests.builders import broken_links, request
from tests.orders import PAST, Money, OrderPlaced, known
from tract import AsyncTract, admin
from tract.domain.events import Event
from tract.domain.ids import BlobId
from tract.log.protocol import Row, Statement
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.testing import FixedClock

STATEMENTS = MappingProxyType(
    {
        **load(*SQL),
        "orders.create": "CREATE TABLE IF NOT EXISTS orders (position INTEGER PRIMARY KEY, customer TEXT, amount INTEGER) STRICT",
        "orders.drop": "DROP TABLE IF EXISTS orders",
        "orders.insert": "INSERT INTO orders VALUES (?1, ?2, ?3)",
        "orders.rows": "SELECT * FROM orders ORDER BY position",
    }
)


@frozen
class OrderPlacedThen:
    """The class as it was in schema 1."""

    tag: ClassVar[str] = "order.placed"
    schema: ClassVar[int] = 1
    customer: str
    sum: int


@frozen
class OrderPlacedLater:
    """The class as it was in schema 2."""

    tag: ClassVar[str] = "order.placed"
    schema: ClassVar[int] = 2
    customer: str
    sum: int
    currency: str | None


class Orders:
    """A projection that knows the class of today alone."""

    name = "orders"
    version = 1
    is_inline = True
    folds = (OrderPlaced,)
    create = ("orders.create",)
    drop = ("orders.drop",)
    tables = (("orders", "orders.rows"),)
    reads = ()

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        for event in events:
            body: Any = event.body
            yield Statement("orders.insert", (event.position, body.customer, body.sum.amount))


BODIES: list[Any] = [OrderPlacedThen("a", 1), OrderPlacedLater("b", 2, "EUR"), OrderPlaced("c", Money(3, "EUR"))]


@pytest.fixture(autouse=True)
def order_placed() -> Iterator[None]:
    with known(OrderPlaced, *PAST):
        yield


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file with a tract, in whose family each version of the class was recorded."""
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("Hi")
        for body in BODIES:
            await t.collaborators.shared.store.append(request(body, stream=t.id))
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """The same file, opened with one projection more."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(STATEMENTS["orders.create"])
    opened = await SqliteStore.open(
        str(path),
        create=False,
        durability="full",
        clock=FixedClock(),
        statements=STATEMENTS,
        projections=(*INLINE, Orders()),
    )
    yield opened
    await opened.aclose()


def log_of(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


async def test_events_hands_every_schema_on_as_the_class_of_today(path: Path) -> None:
    bodies: list[Any] = []
    async with AsyncTract.open(str(path)) as t:
        async for event in t.events():
            bodies.append(event.body)
            if event.position == len(log_of(path)):
                break
    assert bodies[-3:] == [OrderPlaced(name, Money(sum, "EUR")) for name, sum in (("a", 1), ("b", 2), ("c", 3))]


async def test_what_is_stored_stays_in_its_schema_and_the_chain_holds(path: Path) -> None:
    rows = log_of(path)
    assert [row[5] for row in rows if row[4] == "order.placed"] == [1, 2, 3]
    assert broken_links(rows) == []


async def test_a_replay_folds_every_schema_as_the_class_of_today(path: Path, store: SqliteStore) -> None:
    before = log_of(path)
    await store.rebuild()
    assert await store.read(lambda query: [row[1:] for row in query("orders.rows")]) == [("a", 1), ("b", 2), ("c", 3)]
    assert log_of(path) == before


async def test_verify_finds_nothing(path: Path) -> None:
    assert (await admin.verify(path)).findings == ()


async def test_verify_finds_a_byte_that_changed_in_an_earlier_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET data = replace(data, '1', '7') WHERE type = 'order.placed' AND schema = 1")
    assert [finding.kind for finding in (await admin.verify(path)).findings if "its digest" in finding.what] == ["chain"]
