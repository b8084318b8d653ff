"""Projections that follow the log are verified as far as they have read."""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event as Stop
from types import MappingProxyType

import pytest

from tract import AsyncTract
from tract.admin.findings import Findings
from tract.admin.reporting import Reports
from tract.admin.snapshots import ADMIN_SQL, Known, read_in_slices
from tract.admin.verifying import Verifier
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId
from tract.log.protocol import Statement
from tract.log.statements import load
from tract.log.store import SqliteStore
from tract.projections import INLINE, SQL
from tract.projections.running import Runner
from tract.testing import FixedClock

STATEMENTS = MappingProxyType(
    {
        **load(*SQL, ADMIN_SQL),
        "spoken.create": "CREATE TABLE spoken (position INTEGER PRIMARY KEY, size INTEGER, earlier INTEGER) STRICT",
        "spoken.drop": "DROP TABLE IF EXISTS spoken",
        "spoken.rows": "SELECT * FROM spoken ORDER BY position",
        "spoken.insert": "INSERT INTO spoken SELECT ?1, ?2, count(*) FROM spoken",
    }
)


class Spoken:
    """How long the words of each commit are, and how many there were before."""

    name = "spoken"
    version = 2
    is_inline = False
    folds = (CommitRecorded,)
    create = ("spoken.create",)
    drop = ("spoken.drop",)
    tables = (("spoken", "spoken.rows"),)
    reads = ()

    def words(self, event: Event) -> Iterable[BlobId]:
        assert isinstance(event.body, CommitRecorded)
        content = event.body.commit.content
        return () if content is None else (content.blob,)

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        for event in events:
            size = sum(len(blobs[id]) for id in self.words(event) if id in blobs)
            yield Statement("spoken.insert", (event.position, size))


KNOWN = Known((Spoken(),), STATEMENTS)


async def follow(path: Path) -> None:
    """Let the projection read all that there is."""
    store = await SqliteStore.open(
        str(path),
        create=False,
        durability="full",
        clock=FixedClock(),
        statements=STATEMENTS,
        projections=(*INLINE, *KNOWN.following),
    )
    try:
        runner = Runner(store)
        runner.follow(KNOWN.following[0])
        await runner.caught_up("spoken")
    finally:
        await store.aclose()


async def say(path: Path, count: int) -> None:
    async with AsyncTract.open(path, name="main", clock=FixedClock()) as t:
        for number in range(count):
            said = await t.user(f"{number} " * 9)
            await t.pin(said.id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "log.db"

    async def make() -> None:
        await say(made, 5)
        await follow(made)

    asyncio.run(make())
    return made


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def found(path: Path) -> list[str]:
    """What a verification that knows the projection says."""
    reports = Reports(None)

    def verify() -> list[str]:
        findings = read_in_slices(str(path), Stop(), lambda slices: checked(Verifier(slices, reports, Findings())), KNOWN)
        return list(findings)

    return await asyncio.to_thread(verify)


def checked(verifier: Verifier) -> list[str]:
    verifier.check_all()
    return [str(finding) for finding in verifier.verification(0.0, is_chain_only=False).findings]


async def test_one_that_has_read_all_is_compared_as_a_whole(path: Path) -> None:
    assert await found(path) == []


async def test_one_that_lags_is_no_finding(path: Path) -> None:
    await say(path, 3)
    assert await found(path) == []


async def test_one_that_nobody_follows_yet_is_no_finding(path: Path) -> None:
    change(path, "DELETE FROM projections WHERE name = 'spoken'")
    change(path, "DROP TABLE spoken")
    assert await found(path) == []


async def test_one_that_lags_is_compared_up_to_where_it_is(path: Path) -> None:
    await say(path, 3)
    change(path, "UPDATE spoken SET size = size + 1 WHERE earlier = 3")
    assert await found(path) == ["projection: table spoken, row 4: a replay makes another size"]


async def test_a_row_that_is_missing_is_named(path: Path) -> None:
    change(path, "DELETE FROM spoken WHERE position = (SELECT max(position) FROM spoken)")
    (said,) = await found(path)
    assert said.startswith("projection: table spoken, row 10: it is missing")


@pytest.mark.parametrize(
    ("place", "position"),
    [
        ("position = position + 100", "ahead of the log"),
        ("digest = zeroblob(32)", "beside the log"),
        ("position = 3", "before what its digest says"),
        ("position = NULL", "nowhere"),
        ("digest = NULL", "without a digest"),
    ],
    ids=lambda value: value.split(" =")[0] if "=" in value else value,
)
async def test_a_place_that_is_not_in_the_log_is_named(path: Path, place: str, position: str) -> None:
    change(path, f"UPDATE projections SET {place} WHERE name = 'spoken'")
    (said,) = await found(path)
    assert said.startswith("projection: projection spoken: it has read up to an event that the log has not"), position


async def test_tables_of_an_older_version_are_made_anew_when_they_are_used(path: Path) -> None:
    change(path, "UPDATE projections SET version = 1 WHERE name = 'spoken'")
    change(path, "UPDATE spoken SET size = 0")
    assert await found(path) == []


async def test_one_that_stands_still_is_named(path: Path) -> None:
    change(path, "INSERT INTO halts VALUES ('spoken', x'', 12, 'commit.recorded cannot be folded')")
    assert await found(path) == [
        "projection: projection spoken: it stands still at position 12: commit.recorded cannot be folded"
    ]


async def test_its_table_that_is_missing_is_named(path: Path) -> None:
    change(path, "DROP TABLE spoken")
    assert await found(path) == ["schema: table spoken: it is missing"]


async def test_beside_one_that_goes_on_nothing_is_found(path: Path) -> None:
    await say(path, 200)
    following = asyncio.create_task(follow(path))
    while not following.done():
        assert await found(path) == []
    await following
    assert await found(path) == []
