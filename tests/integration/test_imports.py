"""Imported logs: proved before anything is written, all or nothing, and the same as where they came from."""

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import canonical, linked
from tests.integration.test_admin import NO_STORES, ROOT, WRITING, command, dump, missing, write_history
from tract import AsyncTract, admin
from tract.admin.destinations import Destination
from tract.errors import (
    ConfigError,
    FamilyDiffersError,
    FolderNotFoundError,
    MalformedExportError,
    NewerEventError,
    NewerExportError,
    StoreError,
    StoreLockedError,
    TractExistsError,
    UnreadableExportError,
)
from tract.testing import FixedClock

Line: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[list[Line]], object]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written") / "log.db"
    asyncio.run(write_history(found))
    asyncio.run(admin.export(found, found.with_suffix(".jsonl")))
    return found


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "log.db"))


@pytest.fixture
def file(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written.with_suffix(".jsonl"), tmp_path / "log.jsonl"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new" / "log.db"


@pytest.fixture(autouse=True)
def folder(new: Path) -> Path:
    new.parent.mkdir()
    return new.parent


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def lines_of(file: Path) -> list[Line]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def write_lines(file: Path, lines: list[Line]) -> None:
    file.write_bytes(b"".join(canonical(line) + b"\n" for line in lines))


def events_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


async def exported(path: Path, family: str | None = None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.jsonl"
        await admin.export(path, file, family=family)
        return file.read_bytes()


async def digests_of(path: Path) -> dict[tuple[str, str], str]:
    found = {}
    for name in ("main", "other"):
        async with AsyncTract.open(path, name=name, create=False) as t:
            for branch in await t.branches():
                found[name, branch.name] = (await t.compile(branch.name)).digest
    return found


async def test_what_was_imported_is_exported_to_the_same_bytes(file: Path, new: Path) -> None:
    await admin.import_file(new, file)
    assert await exported(new) == file.read_bytes()


async def test_a_new_store_holds_the_same_events_and_tables(path: Path, file: Path, new: Path) -> None:
    made = await admin.import_file(new, file)
    assert (made.is_new, made.events, made.known, made.families) == (True, len(events_of(path)), 0, 2)
    assert events_of(new) == events_of(path)
    assert len(dump(new)["commits"]) == len(dump(path)["commits"])
    assert files(new.parent) == ["log.db"]


async def test_what_was_imported_is_clean_and_compiles_to_the_same(path: Path, file: Path, new: Path) -> None:
    await admin.import_file(new, file)
    assert (await admin.verify(new)).findings == ()
    assert await digests_of(new) == await digests_of(path)


async def test_a_new_store_can_be_written_to(file: Path, new: Path) -> None:
    await admin.import_file(new, file)
    async with AsyncTract.open(new, name="main", create=False) as t:
        await t.user("more")
    assert (await admin.verify(new)).is_clean


async def test_families_are_appended_to_a_store_that_has_others(file: Path, new: Path) -> None:
    async with AsyncTract.open(new, name="third") as t:
        await t.user("Here before")
    before = events_of(new)
    made = await admin.import_file(new, file)
    assert (made.is_new, made.known) == (False, 0)
    assert events_of(new)[: len(before)] == before
    assert len(events_of(new)) == len(before) + made.events
    assert (await admin.verify(new)).findings == ()
    assert files(new.parent) == ["log.db"]


async def test_each_family_is_exported_the_same_from_wherever_it_is(path: Path, file: Path, new: Path) -> None:
    async with AsyncTract.open(new, name="third") as t:
        await t.user("Here before")
    await admin.import_file(new, file)
    for family in ("main", "other"):
        assert await exported(new, family) == await exported(path, family)


async def test_one_family_after_the_other_makes_the_whole(path: Path, file: Path, new: Path, tmp_path: Path) -> None:
    for family in ("other", "main"):
        one = tmp_path / f"{family}.jsonl"
        await admin.export(path, one, family=family)
        await admin.import_file(new, one)
    assert await digests_of(new) == await digests_of(path)
    assert (await admin.verify(new)).is_clean


async def test_what_is_there_already_is_not_appended_again(path: Path, file: Path) -> None:
    before = path.read_bytes()
    made = await admin.import_file(path, file)
    assert (made.events, made.known) == (0, len(events_of(path)))
    assert "were there already" in str(made)
    assert path.read_bytes() == before


async def test_a_family_is_gone_on_with_where_it_ends(path: Path, file: Path, new: Path) -> None:
    await admin.import_file(new, file)
    async with AsyncTract.open(path, name="main") as t:
        await t.user("more")
        await t.branch("later")
        await t.user("and more")
    more = file.with_name("more.jsonl")
    await admin.export(path, more)
    made = await admin.import_file(new, more)
    known = sum(line.get("line") == "event" for line in lines_of(file))
    assert (made.events, made.known) == (len(events_of(path)) - known, known)
    assert await exported(new) == more.read_bytes()
    assert await digests_of(new) == await digests_of(path)
    assert (await admin.verify(new)).is_clean


async def test_a_family_that_goes_further_in_the_store_is_left_as_it_is(path: Path, file: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        await t.user("more")
    before = events_of(path)
    made = await admin.import_file(path, file)
    assert (made.events, made.known) == (0, len(before) - 1)
    assert events_of(path) == before


async def test_a_family_with_another_history_is_refused(path: Path, file: Path, new: Path) -> None:
    await admin.import_file(new, file)
    for one, text in ((path, "this"), (new, "that")):
        async with AsyncTract.open(one, name="main", clock=FixedClock()) as t:
            await t.user(text)
            family = t.id
    more = file.with_name("more.jsonl")
    await admin.export(path, more)
    before = events_of(new)
    with pytest.raises(FamilyDiffersError) as caught:
        await admin.import_file(new, more)
    versions = [row[2] for row in before if row[1] == before[-1][1]]
    assert (caught.value.path, caught.value.family, caught.value.version) == (str(new), family, versions[-1])
    assert events_of(new) == before
    assert files(new.parent) == ["log.db"]


async def test_a_root_whose_name_is_taken_is_refused(file: Path, new: Path) -> None:
    async with AsyncTract.open(new, name="other") as t:
        await t.user("Another of that name")
    before = events_of(new)
    with pytest.raises(TractExistsError) as caught:
        await admin.import_file(new, file)
    assert (caught.value.path, caught.value.name) == (str(new), "other")
    assert events_of(new) == before


async def test_a_text_that_families_share_is_there_once(path: Path, new: Path, tmp_path: Path) -> None:
    for name in ("main", "other"):
        async with AsyncTract.open(path, name=name) as t:
            await t.user("The same in both. " * 1_000)
    for family in ("other", "main"):
        one = tmp_path / f"{family}.jsonl"
        await admin.export(path, one, family=family)
        await admin.import_file(new, one)
    with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(new)) as theirs:
        ids = "SELECT id FROM blobs ORDER BY id"
        assert theirs.execute(ids).fetchall() == ours.execute(ids).fetchall()


def erase(path: Path, number: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(f"UPDATE blobs SET salt = NULL, fingerprint = NULL, data = NULL WHERE number = {number}")


async def test_what_was_erased_here_does_not_come_back(path: Path, file: Path) -> None:
    erase(path, 3)
    before = await exported(path)
    await admin.import_file(path, file)
    assert await exported(path) == before


async def test_what_was_erased_there_is_erased_in_a_new_store(path: Path, file: Path, new: Path) -> None:
    erase(path, 3)
    file.unlink()
    await admin.export(path, file)
    await admin.import_file(new, file)
    assert await exported(new) == file.read_bytes()
    assert (await admin.verify(new)).is_clean


async def test_a_store_that_is_open_shows_what_came(file: Path, new: Path, path: Path) -> None:
    await admin.import_file(new, file)
    async with AsyncTract.open(path, name="main") as t:
        added = await t.user("more")
    more = file.with_name("more.jsonl")
    await admin.export(path, more)
    async with AsyncTract.open(new, name="main", create=False) as t:
        await admin.import_file(new, more)
        assert (await t.log(1))[0].id == added.id
        await t.user("and more")
        assert (await t.log(2))[1].id == added.id
    assert (await admin.verify(new)).is_clean


HEAD: Line = {"format": "tract-export", "number": 1}


def first(lines: list[Line], kind: str) -> int:
    return next(number for number, line in enumerate(lines) if line.get("line") == kind)


def last(lines: list[Line], kind: str) -> int:
    return max(number for number, line in enumerate(lines) if line.get("line") == kind)


def swap(lines: list[Line], one: int, two: int) -> None:
    lines[one], lines[two] = lines[two], lines[one]


def relinked(lines: list[Line], number: int, **changes: Any) -> None:
    """Change an event and give it and all behind it the digests that fit, as a forger would."""
    lines[number].update(changes)
    ends: dict[str, str] = {}
    for line in lines:
        if line.get("line") == "event":
            names = ("stream_id", "version", "tract_id", "type", "schema", "operation_id", "actor", "recorded_at")
            head = canonical([line[name] for name in names])
            previous = bytes.fromhex(ends.get(line["stream_id"], "00" * 32))
            line["digest"] = ends[line["stream_id"]] = linked(previous, head, line["data"].encode()).hex()
        if line.get("line") == "stream":
            line["digest"] = ends[line["stream_id"]]


CHANGES: dict[str, tuple[Change, str]] = {
    "an event's actor": (lambda lines: lines[3].update(actor="mallory"), "does not follow"),
    "an event's digest": (lambda lines: lines[3].update(digest="00" * 32), "does not follow"),
    "an event's version": (lambda lines: lines[3].update(version=9), "does not follow"),
    "an event's id": (lambda lines: lines[3].update(stream_id="none"), "an id is none"),
    "an event that is gone": (lambda lines: lines.pop(first(lines, "event")), "does not follow"),
    "an event that comes twice": (lambda lines: lines.insert(3, lines[2]), "does not follow"),
    "events that were swapped": (lambda lines: swap(lines, 2, 3), "does not follow"),
    "a blob's text": (lambda lines: lines[first(lines, "blob")].update(data="mallory"), "is not that of its salt"),
    "a blob that is gone": (lambda lines: lines.pop(first(lines, "blob")), "did not come before"),
    "a blob that comes twice": (
        lambda lines: lines.insert(first(lines, "blob"), lines[first(lines, "blob")]),
        "comes twice",
    ),
    "a blob that nothing names": (
        lambda lines: lines.insert(1, {"line": "blob", "id": "00" * 32, "form": "gone", "salt": None, "data": None}),
        "not those that it names",
    ),
    "a blob at the end": (
        lambda lines: lines.insert(-1, {"line": "blob", "id": "00" * 32, "form": "gone", "salt": None, "data": None}),
        "after the end of a family",
    ),
    "the end of a family that is gone": (lambda lines: lines.pop(-2), "its last line counts"),
    "the end of a family that is another": (lambda lines: lines[-2].update(version=9), "does not end where"),
    "the end of a family that comes twice": (lambda lines: lines.insert(-1, lines[-2]), "does not end where"),
    "a family that has no id": (lambda lines: lines[-2].update(stream_id="none"), "does not end where"),
    "a count": (lambda lines: lines[-1].update(events=1), "its last line counts"),
    "a last line that is gone": (lambda lines: lines.pop(), "ends before its last line"),
    "something behind the last line": (lambda lines: lines.append(lines[-1]), "after the last line"),
    "a first line that comes twice": (lambda lines: lines.insert(1, HEAD), "not its form"),
    "a time that no clock shows": (
        lambda lines: relinked(lines, last(lines, "event"), recorded_at=2**63 - 1),
        "its time is out of its range",
    ),
    "a name that no tract can have": (
        lambda lines: relinked(
            lines, first(lines, "event"), data=lines[first(lines, "event")]["data"].replace('"name":"', '"name":"\\u001b')
        ),
        "a tract has a name that none can have",
    ),
    "an event whose data have not their shape": (
        lambda lines: relinked(lines, first(lines, "event"), data="{}"),
        "has not its shape",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("is_new", [True, False], ids=["a new store", "a store that is there"])
async def test_a_file_that_was_changed_is_refused_by_its_line(file: Path, new: Path, what: str, *, is_new: bool) -> None:
    if not is_new:
        async with AsyncTract.open(new, name="third") as t:
            await t.user("Here before")
    before = {each.name: each.read_bytes() for each in new.parent.iterdir()}
    change, said = CHANGES[what]
    lines = lines_of(file)
    change(lines)
    write_lines(file, lines)
    with pytest.raises(MalformedExportError) as caught:
        await admin.import_file(new, file)
    assert caught.value.line is not None
    assert said in caught.value.finding
    assert "mallory" not in str(caught.value)
    assert {each.name: each.read_bytes() for each in new.parent.iterdir()} == before


async def test_a_forged_history_that_no_verb_can_have_written_is_refused(file: Path, new: Path) -> None:
    lines = lines_of(file)
    commit = last(lines, "event")
    data = json.loads(lines[commit]["data"])
    data["commit"]["parents"] = ["0" * 64]
    relinked(lines, commit, data=canonical(data).decode())
    write_lines(file, lines)
    with pytest.raises(MalformedExportError):
        await admin.import_file(new, file)
    assert files(new.parent) == []


async def test_an_event_of_a_tract_that_was_never_created_is_refused(file: Path, new: Path) -> None:
    lines = lines_of(file)
    relinked(lines, last(lines, "event"), tract_id="01a20542-ce77-7f60-a54f-7e30d6587689")
    write_lines(file, lines)
    with pytest.raises(MalformedExportError, match="its tract is not created before it"):
        await admin.import_file(new, file)
    assert files(new.parent) == []


def test_an_import_that_fails_half_way_closes_what_it_opened(file: Path, new: Path) -> None:
    lines = lines_of(file)
    for number, line in enumerate(lines):
        if line.get("line") == "event" and line["type"] == "tract.created":
            name = json.loads(line["data"])["name"]
            relinked(lines, number, data=line["data"].replace(f'"name":"{name}"', '"name":"same"'))
    write_lines(file, lines)
    done = command("import", str(new), str(file))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("Error: ")


async def test_a_family_that_was_copied_under_another_id_is_refused_as_the_files_fault(path: Path, file: Path) -> None:
    before = path.read_bytes()
    family = next(line["stream_id"] for line in lines_of(file) if line.get("line") == "stream")
    text = file.read_text(encoding="utf-8").replace(family, f"{family[:-4]}beef")
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if line.get("line") == "event" and line["type"] == "tract.created" and line["stream_id"].endswith("beef"):
            line["data"] = line["data"].replace('"name":"', '"name":"copy of ')
    relinked(lines, first(lines, "event"))
    ends = sorted((line for line in lines if line.get("line") == "stream"), key=lambda line: str(line["stream_id"]))
    lines = [*(line for line in lines if line.get("line") != "stream")][:-1] + ends + [lines[-1]]
    write_lines(file, lines)
    with pytest.raises(MalformedExportError, match="does not fit what the store holds") as caught:
        await admin.import_file(path, file)
    assert caught.value.path == str(file)
    assert path.read_bytes() == before


async def test_an_event_in_a_later_shape_is_refused_with_the_name_of_the_file(file: Path, new: Path) -> None:
    lines = lines_of(file)
    relinked(lines, first(lines, "event"), schema=77)
    write_lines(file, lines)
    with pytest.raises(NewerEventError, match="Upgrade") as caught:
        await admin.import_file(new, file)
    assert (caught.value.file, caught.value.schema) == (str(file), 77)
    assert files(new.parent) == []


async def test_an_event_of_a_later_version_comes_with_the_text_that_it_names(file: Path, new: Path) -> None:
    lines = lines_of(file)
    end, event = lines[-1], lines[last(lines, "event")]
    salt, text = "11" * 16, "Of a later version"
    id = hashlib.sha256(bytes.fromhex(salt) + text.encode()).hexdigest()
    blob = {"line": "blob", "id": id, "salt": salt, "form": "text", "data": text}
    later = {
        **event,
        "type": "tract.wondered",
        "data": json.dumps({"about": id}, separators=(",", ":")),
        "version": event["version"] + 1,
    }
    place = last(lines, "event") + 1
    lines[place:place] = [blob, later]
    for line in lines:
        if line.get("line") == "stream" and line["stream_id"] == later["stream_id"]:
            line["version"] = later["version"]
    end.update(events=end["events"] + 1, blobs=end["blobs"] + 1)
    relinked(lines, place + 1)
    write_lines(file, lines)
    await admin.import_file(new, file)
    assert await exported(new) == file.read_bytes()
    assert (await admin.verify(new)).findings == ()


@pytest.mark.parametrize("share", [0, 1, 10, 30, 50, 70, 90, 99])
async def test_a_file_that_was_cut_off_is_refused(file: Path, new: Path, share: int) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * share // 100])
    with pytest.raises(MalformedExportError):
        await admin.import_file(new, file)
    assert files(new.parent) == []


async def test_a_file_without_its_last_line_feed_is_refused(file: Path, new: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MalformedExportError, match="cut off"):
        await admin.import_file(new, file)


@settings(max_examples=60)
@given(place=st.integers(0, 10**6), change=st.integers(1, 255))
def test_whatever_byte_was_changed_the_file_is_refused(written: Path, place: int, change: int) -> None:
    data = bytearray(written.with_suffix(".jsonl").read_bytes())
    data[place % len(data)] ^= change
    with tempfile.TemporaryDirectory() as folder:
        file, new = Path(folder) / "log.jsonl", Path(folder) / "log.db"
        file.write_bytes(data)
        with pytest.raises((MalformedExportError, NewerExportError)):
            asyncio.run(admin.import_file(new, file))
        assert files(Path(folder)) == ["log.jsonl"]


async def test_a_file_of_a_later_form_is_refused(file: Path, new: Path) -> None:
    lines = lines_of(file)
    lines[0]["number"] = 2
    write_lines(file, lines)
    with pytest.raises(NewerExportError) as caught:
        await admin.import_file(new, file)
    assert (caught.value.path, caught.value.number, caught.value.supported) == (str(file), 2, 1)


@pytest.mark.parametrize("content", [b"", b"Dear diary,\n" * 1_000, b"\x00" * 10_000, b"{}\n", b"x" * 1_000_000], ids=range(5))
async def test_a_foreign_file_is_refused(file: Path, new: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(MalformedExportError) as caught:
        await admin.import_file(new, file)
    assert caught.value.line == 1


async def test_a_file_that_is_not_there_is_refused(new: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UnreadableExportError) as caught:
            await admin.import_file(new, file)
        assert caught.value.path == str(file)


@pytest.mark.parametrize("make", [make for make in NO_STORES if make is not missing], ids=lambda make: make.__name__)
async def test_what_is_no_store_is_not_imported_into(path: Path, file: Path, make: Callable[[Path], None]) -> None:
    make(path)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    with pytest.raises(NO_STORES[make]):
        await admin.import_file(path, file)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()} == before


async def test_a_folder_that_is_missing_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderNotFoundError):
        await admin.import_file(tmp_path / "none" / "log.db", file)


@pytest.mark.parametrize("given_path", ["a\x00b", "a\ud800", 5], ids=ascii)
async def test_what_cannot_be_a_path_is_refused(file: Path, new: Path, given_path: Any) -> None:
    for arguments, field in (((given_path, file), "path"), ((new, given_path), "file")):
        with pytest.raises(ConfigError) as caught:
            await admin.import_file(*arguments)
        assert caught.value.field == field


async def test_two_do_not_import_into_one_store_at_once(file: Path, new: Path) -> None:
    other = Destination(str(new))
    other.claim()
    try:
        with pytest.raises(StoreLockedError):
            await admin.import_file(new, file)
    finally:
        other.discard()


async def test_an_import_that_was_cancelled_leaves_nothing(file: Path, new: Path) -> None:
    is_begun = asyncio.Event()
    importing = asyncio.create_task(admin.import_file(new, file, progress=lambda _: is_begun.set()))
    await is_begun.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert files(new.parent) == []


async def test_an_import_that_its_caller_ended_appends_nothing(file: Path, new: Path) -> None:
    async with AsyncTract.open(new, name="third") as t:
        await t.user("Here before")
    before = events_of(new)

    def refuse(_: admin.Progress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError):
        await admin.import_file(new, file, progress=refuse)
    assert (events_of(new), files(new.parent)) == (before, ["log.db"])


async def test_progress_counts_the_bytes_and_then_the_events(file: Path, new: Path) -> None:
    async with AsyncTract.open(new, name="third"):
        pass
    heard: list[admin.Progress] = []
    made = await admin.import_file(new, file, progress=heard.append)
    ends = {one.unit: (one.done, one.total) for one in heard}
    size = file.stat().st_size
    assert (ends["bytes"], ends["events"]) == ((size, size), (made.events, made.events))


def test_processes_that_write_wait_for_an_import_and_go_on(file: Path, new: Path) -> None:
    script = WRITING.replace("range(100_000)", "range(60)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(new)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        made = asyncio.run(admin.import_file(new, file))
        _, errors = writer.communicate(timeout=60)
    assert (writer.returncode, errors) == (0, "")
    assert (made.events, made.known) == (sum(line.get("line") == "event" for line in lines_of(file)), 0)
    assert asyncio.run(admin.verify(new)).is_clean


FULL = """
import asyncio, resource, signal, sys
from tract import admin
from tract.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main(path, file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, resource.RLIM_INFINITY))
    try:
        await admin.import_file(path, file)
    except StoreError as error:
        print(error.path)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no such limits")
def test_a_store_that_cannot_grow_is_named_and_nothing_is_left(file: Path, new: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(new), str(file)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (f"{new}\n", "")
    assert files(new.parent) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
async def test_a_pipe_is_not_waited_for(new: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="no regular file"):
        await admin.import_file(new, tmp_path / "pipe")
