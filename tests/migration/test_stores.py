"""A file that an earlier version wrote opens, and says what it said then."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.builders import broken_links
from tract import AsyncTract, LLMConfig, OperationConfigs, TokenBudget, admin
from tract.errors import NewerSchemaError
from tract.log.batch import BatchRunner
from tract.log.migrating import migrate
from tract.log.packing import unpack
from tract.log.sqlite_files import ThreadConnection
from tract.log.statements import load
from tract.projections import INLINE, SQL
from tract.testing import ScriptedLLM

STORES = Path(__file__).with_name("stores")
SIDE = ("side", "b0f380b188437cb35f62829b8727f43de52176d43f8349c004360b8c454be8cb")
MAIN = ("main", "9332bd581517baaa1a1a5fbdb33c824e7899cc5040336885ae4a25927595ada4")
DIGESTS = {
    MAIN: "645d97d243916ecb3c01a86f0e7114c5c4ae70658fc1da517a97939e4d625da9",
    SIDE: "259cfc3a97ce40738ee33e8d333a405b3cc229e49d90e7264203dac1f9e49702",
}
"""Context digests by branch and head, as the version that wrote the files computed them."""

CONFIGURED = {
    "main": (
        LLMConfig(
            model="tiny-then",
            temperature=0.5,
            stop_sequences=["END"],
            extra={"stop": "STOP", "stream_options": {"chunk": 1}},
        ),
        TokenBudget(8000, "reject", 6000),
    ),
    "other": (LLMConfig(), TokenBudget(500)),
}
"""What the tracts of the file of schema 3 were configured with; those before could not be."""

every_schema = pytest.mark.parametrize("schema", sorted(STORES.glob("*.sql")), ids=lambda path: path.stem)


def restored(schema: Path, folder: Path) -> Path:
    """The file that a schema's statements make, as the version of that time left it."""
    path = folder / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema.read_text("utf-8"))
    return path


def events_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


def blobs_of(path: Path) -> dict[int, tuple[bytes, bytes, bytes]]:
    """What each blob's row is about: id, salt and plain bytes, by number."""
    with closing(sqlite3.connect(path)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        rows = connection.execute("SELECT number, id, salt, data FROM blobs").fetchall()
    return {number: (id, salt, data if schema == 1 else unpack(data)) for number, id, salt, data in rows}


def tables_of(path: Path) -> set[str]:
    """The statements that would make the file's tables, but for white space."""
    with closing(sqlite3.connect(path)) as connection:
        return {" ".join(sql.split()) for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}


@every_schema
async def test_every_branch_compiles_as_it_did(schema: Path, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    async with AsyncTract.open(str(path), name="main") as t:
        found = {(name, (await t.compile(name)).head): (await t.compile(name)).digest for name in ("main", "side")}
    assert found == DIGESTS


@every_schema
async def test_no_event_changes_by_opening(schema: Path, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    before = events_of(path)
    async with AsyncTract.open(str(path), name="main"):
        pass
    after = events_of(path)
    assert after[: len(before)] == before
    assert broken_links(after) == []


@every_schema
async def test_work_goes_on_in_it(schema: Path, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    async with AsyncTract.open(str(path), name="main") as t:
        info = await t.user("Written by a later version.")
        await t.edit(info.id, "Edited by a later version.")
    async with AsyncTract.open(str(path), name="main") as t:
        assert (await t.compile()).to_openai()[-1] == {"role": "user", "content": "Edited by a later version."}


@every_schema
async def test_every_blob_holds_what_it_held(schema: Path, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    before = blobs_of(path)
    async with AsyncTract.open(str(path), name="main"):
        pass
    # The partial answer of a call that nobody ended is one more.
    assert {number: blob for number, blob in blobs_of(path).items() if number in before} == before


@every_schema
async def test_a_file_that_was_brought_up_has_the_tables_of_a_new_one(schema: Path, tmp_path: Path) -> None:
    path, fresh = restored(schema, tmp_path), tmp_path / "fresh.db"
    for each in (path, fresh):
        async with AsyncTract.open(str(each), name="main"):
            pass
    assert tables_of(path) == tables_of(fresh)


@every_schema
async def test_an_operation_of_then_is_still_known(schema: Path, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    async with AsyncTract.open(str(path), name="other") as t:
        again = await t.user("Another family.", operation_id="0192d3c0-0000-7000-8000-000000000001")
        assert again.id == await t.head()
        assert len(await t.log()) == 1


@every_schema
async def test_a_call_of_then_tells_no_verb_and_one_of_today_does(schema: Path, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    async with AsyncTract.open(str(path), name="main", model="tiny", llm=ScriptedLLM(["Hello."])) as t:
        await t.chat("Hi")
        assert [call.verb for call in await t.generations()] == ["chat", None, None, None, None]


@every_schema
async def test_a_sound_file_is_verified_by_the_rules_of_its_schema(schema: Path, tmp_path: Path) -> None:
    found = await admin.verify(restored(schema, tmp_path))
    assert [str(finding) for finding in found.findings] == []


@every_schema
@pytest.mark.parametrize("column", ["data", "fingerprint", "salt"])
async def test_a_blob_that_was_changed_is_found_by_the_rules_of_its_schema(schema: Path, tmp_path: Path, column: str) -> None:
    path = restored(schema, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE blobs SET {column} = CAST({column} || x'00' AS BLOB) WHERE number = 1")
    assert [finding.kind for finding in (await admin.verify(path)).findings] == ["blob"]


@pytest.mark.parametrize("name", sorted(CONFIGURED))
async def test_a_tract_keeps_what_it_was_configured_with(tmp_path: Path, name: str) -> None:
    path = restored(STORES / "schema_3.sql", tmp_path)
    async with AsyncTract.open(str(path), name=name) as t:
        assert (t.config, t.budget, t.operations) == (*CONFIGURED[name], OperationConfigs())


async def test_what_is_configured_from_now_on_stands_beside_what_was_before(tmp_path: Path) -> None:
    path = restored(STORES / "schema_3.sql", tmp_path)
    async with AsyncTract.open(str(path), name="main") as t:
        await t.configure_operations(compress=LLMConfig(model="cheap"))
    async with AsyncTract.open(str(path), name="main") as t:
        assert (t.config, t.budget, t.operations.compress) == (*CONFIGURED["main"], LLMConfig(model="cheap"))
    assert (await admin.verify(path)).findings == ()


def make_newer(path: Path) -> None:
    """Do what a later version does last when it opens a file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 4")


def stamp_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return int(schema)


@pytest.mark.parametrize("verb", ["user", "rebuild"])
async def test_nothing_is_written_to_a_file_that_a_later_version_brought_up_meanwhile(tmp_path: Path, verb: str) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
        make_newer(path)
        before = events_of(path)
        with pytest.raises(NewerSchemaError):
            await (t.user("after") if verb == "user" else t.collaborators.shared.store.rebuild())
    assert events_of(path) == before


async def test_a_file_that_a_later_version_was_faster_to_bring_up_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        await t.user("before")
    make_newer(path)
    runner = BatchRunner(str(path), load(*SQL), INLINE, lambda: 0)
    connection = sqlite3.connect(path, factory=ThreadConnection, isolation_level=None)
    with closing(connection), pytest.raises(NewerSchemaError):
        migrate(connection, runner)
    assert stamp_of(path) == 4
