"""Exported logs: the same bytes every time, whole, and told in words of their own."""

import asyncio
import base64
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.builders import linked, uuid, uuid_of
from tests.integration.test_admin import NO_STORES, ROOT, WRITING, damage, write_history
from tract import AsyncTract, admin
from tract.errors import ConfigError, CorruptLogError, DestinationExistsError, FolderNotFoundError
from tract.log.packing import unpack


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write_history(found))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def streams_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [uuid_of(id) for (id,) in connection.execute("SELECT stream_id FROM events WHERE version = 1 ORDER BY position")]


async def test_a_log_is_exported_to_the_same_bytes_every_time(path: Path, file: Path) -> None:
    await admin.export(path, file)
    again = file.with_name("again.jsonl")
    await admin.export(path, again)
    assert again.read_bytes() == file.read_bytes()


async def test_what_was_appended_is_told_behind_what_was_there(path: Path, file: Path) -> None:
    await admin.export(path, file)
    async with AsyncTract.open(path, name="main") as t:
        await t.user("more")
    more = file.with_name("more.jsonl")
    await admin.export(path, more)
    before = lines_of(file)[:-3]
    assert lines_of(more)[: len(before)] == before


async def test_every_event_is_told_as_it_was_hashed(path: Path, file: Path) -> None:
    made = await admin.export(path, file)
    told = [line for line in lines_of(file) if line.get("line") == "event"]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    assert (made.events, len(told)) == (len(rows), len(rows))
    for line, (_, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest) in zip(
        told, rows, strict=True
    ):
        assert line == {
            "line": "event",
            "stream_id": uuid_of(stream),
            "version": version,
            "tract_id": uuid_of(tract),
            "type": tag,
            "schema": schema,
            "data": data,
            "operation_id": uuid_of(operation),
            "actor": actor,
            "recorded_at": recorded_at,
            "digest": digest.hex(),
        }


async def test_the_chain_can_be_proved_from_the_lines_alone(path: Path, file: Path) -> None:
    await admin.export(path, file)
    ends: dict[str, bytes] = {}
    for line in lines_of(file):
        if line.get("line") == "event":
            names = ("stream_id", "version", "tract_id", "type", "schema", "operation_id", "actor", "recorded_at")
            head = json.dumps([line[name] for name in names], ensure_ascii=False, separators=(",", ":")).encode()
            ends[line["stream_id"]] = linked(ends.get(line["stream_id"], bytes(32)), head, line["data"].encode())
            assert ends[line["stream_id"]].hex() == line["digest"]
        if line.get("line") == "stream":
            assert ends[line["stream_id"]].hex() == line["digest"]


async def test_every_blob_is_told_once_and_before_the_first_event_that_names_it(path: Path, file: Path) -> None:
    made = await admin.export(path, file)
    told: dict[str, bytes] = {}
    waiting: list[str] = []
    for line in lines_of(file):
        if line.get("line") == "blob":
            assert line["id"] not in told
            data = line["data"].encode() if line["form"] == "text" else base64.b64decode(line["data"])
            told[line["id"]] = data
            waiting.append(line["id"])
        elif line.get("line") == "event":
            assert all(f'"{id}"' in line["data"] for id in waiting)
            waiting = []
    with closing(sqlite3.connect(path)) as connection:
        stored = {id.hex(): unpack(data) for id, data in connection.execute("SELECT id, data FROM blobs")}
    assert (made.blobs, told) == (len(stored), stored)


async def test_the_last_lines_say_where_each_family_ends_and_how_much_there_is(path: Path, file: Path) -> None:
    made = await admin.export(path, file)
    *_, one, two, end = lines_of(file)
    assert [one["stream_id"], two["stream_id"]] == sorted(streams_of(path))
    assert end == {"line": "end", "streams": made.families, "events": made.events, "blobs": made.blobs}
    assert made.size == file.stat().st_size


async def test_an_erased_blob_is_told_as_gone(path: Path, file: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE blobs SET salt = NULL, fingerprint = NULL, data = NULL WHERE number = 3")
        (id,) = raw.execute("SELECT id FROM blobs WHERE number = 3").fetchone()
    await admin.export(path, file)
    assert {"line": "blob", "id": id.hex(), "form": "gone", "salt": None, "data": None} in lines_of(file)


@pytest.mark.parametrize("by", ["name", "id"])
async def test_one_family_is_exported_without_the_others(path: Path, file: Path, by: str) -> None:
    family = streams_of(path)[1]
    made = await admin.export(path, file, family="other" if by == "name" else family)
    assert made.families == 1
    assert {line["stream_id"] for line in lines_of(file) if line.get("line") == "event"} == {family}
    assert "Another family" in file.read_text()
    assert "secret" not in file.read_text()


@pytest.mark.parametrize("family", ["none", uuid(1), ""])
async def test_a_family_that_is_not_there_is_refused(path: Path, file: Path, family: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await admin.export(path, file, family=family)
    assert (caught.value.field, files(path.parent)) == ("family", ["log.db"])


async def test_a_store_without_events_is_a_file_of_two_lines(tmp_path: Path, file: Path) -> None:
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text('{"format":"tract-export","number":1}\n{"blobs":0,"events":0,"line":"end","streams":0}\n')
    await admin.import_file(tmp_path / "new.db", nothing)
    made = await admin.export(tmp_path / "new.db", file)
    assert (made.families, made.events, made.blobs, file.read_bytes()) == (0, 0, 0, nothing.read_bytes())


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no permissions of this kind")
async def test_a_file_is_as_private_as_the_store(path: Path, file: Path) -> None:
    path.chmod(0o600)
    await admin.export(path, file)
    assert file.stat().st_mode & 0o777 == 0o600


DAMAGES = {
    "an event's data": 'UPDATE events SET data = replace(data, \'"branch":"main"\', \'"branch":"maim"\') WHERE position = 5',
    "an event's actor": "UPDATE events SET actor = 'mallory' WHERE position = 3",
    "a digest": "UPDATE events SET digest = zeroblob(32) WHERE position = 4",
    "an event that is gone": "DELETE FROM events WHERE position = 4",
    "a blob that is gone": "DELETE FROM blobs WHERE number = 3",
    "other words in a blob": "UPDATE blobs SET data = CAST(char(0) || '{}' AS BLOB) WHERE number = 3",
    "a blob that cannot be unpacked": "UPDATE blobs SET data = CAST('x' AS BLOB) WHERE number = 3",
    "a blob's salt": "UPDATE blobs SET salt = zeroblob(16) WHERE number = 3",
    "a text that is none": "UPDATE events SET actor = CAST(x'ff' AS TEXT) WHERE position = 5",
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_a_damaged_log_is_not_exported(path: Path, file: Path, what: str) -> None:
    damage(path, DAMAGES[what])
    with pytest.raises(CorruptLogError) as caught:
        await admin.export(path, file)
    assert caught.value.version is not None
    assert "mallory" not in str(caught.value)
    assert files(path.parent) == ["log.db"]


async def test_tables_that_are_damaged_do_not_matter(path: Path, file: Path) -> None:
    await admin.export(path, file)
    damage(path, "DELETE FROM commits", "DROP TABLE refs", "DELETE FROM tracts")
    again = file.with_name("again.jsonl")
    await admin.export(path, again)
    assert again.read_bytes() == file.read_bytes()
    assert (await admin.export(path, file.with_name("other.jsonl"), family="other")).families == 1


@pytest.mark.parametrize("make", NO_STORES, ids=lambda make: make.__name__)
async def test_what_is_no_store_is_not_exported(path: Path, file: Path, make: Callable[[Path], None]) -> None:
    make(path)
    before = files(path.parent)
    with pytest.raises(NO_STORES[make]):
        await admin.export(path, file)
    assert files(path.parent) == before


async def test_nothing_that_is_there_is_replaced(path: Path, file: Path) -> None:
    file.write_text("mine")
    with pytest.raises(DestinationExistsError):
        await admin.export(path, file)
    assert (file.read_text(), files(path.parent)) == ("mine", ["log.db", "log.jsonl"])


async def test_a_folder_that_is_missing_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderNotFoundError):
        await admin.export(path, tmp_path / "none" / "log.jsonl")


@pytest.mark.parametrize("file", ["a\x00b", "a\ud800", 5], ids=ascii)
async def test_what_cannot_be_a_path_is_refused(path: Path, file: object) -> None:
    with pytest.raises(ConfigError) as caught:
        await admin.export(path, file)  # type: ignore[arg-type]
    assert caught.value.field == "file"


async def test_an_export_that_was_cancelled_leaves_nothing(path: Path, file: Path) -> None:
    is_begun = asyncio.Event()
    exporting = asyncio.create_task(admin.export(path, file, progress=lambda _: is_begun.set()))
    await is_begun.wait()
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert files(path.parent) == ["log.db"]


async def test_progress_counts_the_events(path: Path, file: Path) -> None:
    heard: list[admin.Progress] = []
    made = await admin.export(path, file, progress=heard.append)
    assert (heard[0].done, heard[-1].done, heard[-1].total, heard[-1].unit) == (0, made.events, made.events, "events")


def test_beside_processes_that_write_each_file_is_one_moment(path: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert [writer.stdout.readline() for _ in range(3)] == ["writing\n"] * 3
        try:
            made = [asyncio.run(admin.export(path, tmp_path / f"{number}.jsonl")) for number in range(4)]
            assert writer.poll() is None
        finally:
            writer.kill()
    counts = [one.events for one in made]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    for number in range(4):
        assert asyncio.run(admin.import_file(tmp_path / f"{number}.db", tmp_path / f"{number}.jsonl")).events == counts[number]
