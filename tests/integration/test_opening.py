"""Opening: what a path may be, which tract is meant, and where one then stands."""

import asyncio
import copy
import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tract import AsyncTract, TractError
from tract.errors import (
    AmbiguousTractError,
    BranchNotFoundError,
    ConfigError,
    ContentValidationError,
    CorruptLogError,
    InvalidNameError,
    NetworkFileSystemError,
    NewerSchemaError,
    NotAStoreError,
    StoreError,
    StoreNotFoundError,
    StoreReadOnlyError,
    TractNotFoundError,
    WrongLoopError,
)
from tract.log import filesystems
from tract.log.places import require_writable
from tract.log.sqlite_files import make_durable
from tract.log.store import SqliteStore
from tract.testing import FixedClock, ScriptedLLM

ROOT = Path(__file__).parents[2]


async def make_store(path: Path, *names: str) -> None:
    for name in names or ("main",):
        async with AsyncTract.open(str(path), name=name) as t:
            for number in range(60):
                await t.user(f"{number} " * 50)


def sqlite_file(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 400, encoding="utf-8")


def short_text_file(path: Path) -> None:
    path.write_text("x", encoding="utf-8")


def foreign_database(path: Path) -> None:
    sqlite_file(path, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")


def foreign_wal_database(path: Path) -> None:
    sqlite_file(path, "PRAGMA journal_mode = WAL", "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")


def foreign_application(path: Path) -> None:
    sqlite_file(path, "PRAGMA application_id = 77")


def foreign_version(path: Path) -> None:
    sqlite_file(path, "PRAGMA user_version = 3")


FOREIGN: list[Callable[[Path], None]] = [
    text_file,
    short_text_file,
    foreign_database,
    foreign_wal_database,
    foreign_application,
    foreign_version,
]


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
async def test_a_file_of_another_program_is_refused_and_left_untouched(
    tmp_path: Path, make: Callable[[Path], None], *, create: bool
) -> None:
    path = tmp_path / "file"
    make(path)
    before = path.read_bytes()
    with pytest.raises(NotAStoreError, match="left untouched"):
        await AsyncTract.open(str(path), create=create)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


async def test_a_database_of_another_program_that_is_in_use_is_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with closing(sqlite3.connect(path, isolation_level=None)) as theirs:
        theirs.execute("PRAGMA journal_mode = WAL")
        theirs.execute("CREATE TABLE notes (text)")
        before = path.read_bytes(), Path(f"{path}-wal").read_bytes()
        with pytest.raises(NotAStoreError):
            await AsyncTract.open(str(path))
        assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before


async def test_the_unfinished_log_of_a_crashed_database_of_another_program_is_left_untouched(tmp_path: Path) -> None:
    path, copied = tmp_path / "theirs", tmp_path / "file"
    with closing(sqlite3.connect(path, isolation_level=None)) as theirs:
        theirs.execute("PRAGMA journal_mode = WAL")
        theirs.execute("CREATE TABLE notes (text)")
        copied.write_bytes(path.read_bytes())
        Path(f"{copied}-wal").write_bytes(Path(f"{path}-wal").read_bytes())
    before = copied.read_bytes()
    with pytest.raises(NotAStoreError):
        await AsyncTract.open(str(copied))
    assert copied.read_bytes() == before
    assert Path(f"{copied}-wal").exists()


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    async with AsyncTract.open(str(path)) as t:
        await t.user("first")
    async with AsyncTract.open(str(path), create=False) as t:
        assert len(await t.log()) == 1


async def test_a_store_of_a_later_version_is_refused_and_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    await make_store(path)
    sqlite_file(path, "PRAGMA user_version = 9")
    before = path.read_bytes()
    with pytest.raises(NewerSchemaError, match="Upgrade") as caught:
        await AsyncTract.open(str(path))
    assert caught.value.schema == 9
    assert path.read_bytes() == before


async def test_a_store_whose_tables_a_later_version_made_is_refused_and_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await make_store(path)
    sqlite_file(path, "UPDATE projections SET version = 99 WHERE name = 'commits'")
    before = path.read_bytes()
    with pytest.raises(NewerSchemaError, match="Upgrade"):
        await AsyncTract.open(path)
    assert path.read_bytes() == before


async def test_nothing_is_appended_once_a_later_version_made_the_tables_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path, search=False) as t:
        await t.user("before")
        sqlite_file(path, "UPDATE projections SET version = 99 WHERE name = 'commits'", "DROP TABLE rebuilds")
        with pytest.raises(NewerSchemaError, match="Upgrade"):
            await t.user("after")


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        await AsyncTract.open(str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel is asked in another way")
async def test_a_network_file_system_is_refused_and_nothing_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts, folder = tmp_path / "mounts", tmp_path / "shared"
    folder.mkdir()
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:30 / {folder} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    with pytest.raises(NetworkFileSystemError) as caught:
        await AsyncTract.open(str(folder / "log.db"))
    assert caught.value.file_system == "nfs4"
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel is asked in another way")
async def test_a_file_system_that_cannot_be_told_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "MOUNTS", tmp_path / "absent")
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        await t.user("works")


@pytest.mark.parametrize("create", [True, False])
async def test_a_path_in_a_missing_folder_is_refused(tmp_path: Path, *, create: bool) -> None:
    with pytest.raises(StoreError, match=str(tmp_path / "missing")):
        await AsyncTract.open(str(tmp_path / "missing" / "log.db"), create=create)
    assert not list(tmp_path.iterdir())


async def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        await AsyncTract.open(str(tmp_path / "file" / "log.db"))


async def test_a_missing_file_that_is_not_to_be_created_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="create=True"):
        await AsyncTract.open(str(tmp_path / "log.db"), create=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [1, 50, 100, 101, 512, 1000, 4095, 4096, 4097, 20_000, 0.5, 0.9])
async def test_a_truncated_store_is_found_out_and_left_untouched(tmp_path: Path, length: float) -> None:
    path = tmp_path / "cut.db"
    await make_store(path)
    whole = path.read_bytes()
    cut = whole[: int(length * len(whole) if length < 1 else length)]
    path.write_bytes(cut)
    with pytest.raises((CorruptLogError, NotAStoreError)):
        async with AsyncTract.open(str(path)) as t:
            await t.log(1000)
            await t.compile()
            await t.user("more")
    assert path.read_bytes() == cut


async def test_a_store_with_a_torn_page_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "torn.db"
    await make_store(path)
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(CorruptLogError):
        async with AsyncTract.open(str(path)) as t:
            await t.log()


AS_NOBODY = """
import asyncio, os, sys
from tract import AsyncTract
from tract.errors import StoreReadOnlyError
async def main(path):
    try:
        async with AsyncTract.open(path) as t:
            print("opened")
            await t.user("x")
    except StoreReadOnlyError as error:
        print("refused", error)
async def load():
    async with AsyncTract.open() as t:
        await t.user("x")
asyncio.run(load())  # what is loaded late may be out of reach afterwards
if os.getuid() == 0:
    os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("is_new", [True, False], ids=["a new file", "a file that may only be read"])
async def test_what_may_not_be_written_is_refused(tmp_path: Path, *, is_new: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        if not is_new:
            await make_store(path)
            path.chmod(0o444)
        before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        path.parent.chmod(0o555)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", AS_NOBODY, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        after = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        path.parent.chmod(0o755)
    assert (done.stdout.splitlines()[-1:], done.stderr) == ([f"refused {StoreReadOnlyError(str(path))}"], "")
    assert after == before


async def test_a_refused_opening_leaves_no_thread_and_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "file"
    text_file(path)
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            with pytest.raises(NotAStoreError):
                await AsyncTract.open(str(path))
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


@pytest.mark.parametrize("where", ["postgresql://host/db", "http://example.com", "", "a\x00b"])
async def test_what_is_no_path_is_refused(where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await AsyncTract.open(where)
    assert caught.value.field == "where"


async def test_a_sqlite_url_is_its_path(tmp_path: Path) -> None:
    async with AsyncTract.open(f"sqlite:///{tmp_path / 'log.db'}"):
        assert (tmp_path / "log.db").exists()


@pytest.mark.parametrize(
    "name", ["a b.db", "50%.db", "what?.db", "hash#.db", "ünïcödé 猫.db", "file:x.db", "'quote\".db", "&a=b.db"]
)
async def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    async with AsyncTract.open(str(tmp_path / name)) as t:
        await t.user("x")
        assert len(await t.log()) == 1
    assert [file.name for file in tmp_path.iterdir()] == [name]


async def test_a_relative_path_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with AsyncTract.open("log.db") as one, AsyncTract.open(str(tmp_path / "log.db")) as two:
        assert one.collaborators.shared.store is two.collaborators.shared.store


async def test_a_durability_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        await AsyncTract.open(durability="half")
    assert caught.value.field == "durability"


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
async def test_durability_is_what_sqlite_is_told(tmp_path: Path, durability: str, synchronous: int) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db"), durability=durability) as t:
        store = t.collaborators.shared.store
        assert isinstance(store, SqliteStore)
        writing = store._writing.connection  # noqa: SLF001 - a pragma of a connection is seen by that connection only
        found = [row[0] for row in await writing.execute_fetchall("PRAGMA synchronous")]
    assert found == [synchronous]


def test_full_durability_asks_a_drive_that_keeps_data_back_to_write_it() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        make_durable(connection)
        pragmas = ("synchronous", "fullfsync", "checkpoint_fullfsync")
        assert [connection.execute(f"PRAGMA {name}").fetchone() for name in pragmas] == [(2,), (1,), (1,)]


async def test_the_strongest_durability_that_was_asked_for_holds_for_all(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path, durability="normal") as one, AsyncTract.open(path, durability="full"):
        store = one.collaborators.shared.store
        assert isinstance(store, SqliteStore)
        writing = store._writing.connection  # noqa: SLF001 - a pragma of a connection is seen by that connection only
        found = [row[0] for row in await writing.execute_fetchall("PRAGMA synchronous")]
    assert found == [2]


async def test_a_weaker_durability_weakens_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path, durability="full") as one, AsyncTract.open(path, durability="normal"):
        store = one.collaborators.shared.store
        assert isinstance(store, SqliteStore)
        writing = store._writing.connection  # noqa: SLF001 - a pragma of a connection is seen by that connection only
        found = [row[0] for row in await writing.execute_fetchall("PRAGMA synchronous")]
    assert found == [2]


@pytest.mark.parametrize("base_url", ["localhost:8000/v1", "example.com", "ftp://example.com"])
async def test_a_base_url_without_its_scheme_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await AsyncTract.open(base_url=base_url)
    assert caught.value.field == "base_url"


async def test_the_class_of_a_client_is_no_client() -> None:
    with pytest.raises(ConfigError, match="ScriptedLLM") as caught:
        await AsyncTract.open(llm=ScriptedLLM)  # type: ignore[arg-type]
    assert caught.value.field == "llm"


@pytest.mark.parametrize("name", ["user", "chat", "compile", "aclose"])
def test_a_tract_that_was_not_awaited_says_how_to_open_it(name: str) -> None:
    with pytest.raises(AttributeError, match="async with"):
        getattr(AsyncTract.open(), name)


async def test_without_a_name_a_new_store_gets_a_tract_called_main(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        assert (t.name, t.current_branch, t.is_detached, await t.head()) == ("main", "main", False, None)


async def test_without_a_name_the_only_tract_is_meant(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path, name="research") as one:
        pass
    async with AsyncTract.open(path) as two:
        assert (two.id, two.name) == (one.id, "research")


async def test_without_a_name_the_one_called_main_is_meant_among_several(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await make_store(path, "other", "main")
    async with AsyncTract.open(str(path)) as t:
        assert t.name == "main"


async def test_without_a_name_several_tracts_are_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await make_store(path, "one", "two")
    with pytest.raises(AmbiguousTractError, match="'one', 'two'") as caught:
        await AsyncTract.open(str(path))
    assert caught.value.names == ("one", "two")


async def test_a_named_tract_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path, name="one") as one, AsyncTract.open(path, name="two") as two:
        assert one.id != two.id
    async with AsyncTract.open(path, name="one") as again:
        assert again.id == one.id


async def test_a_tract_that_is_not_to_be_created_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await make_store(path, "one")
    with pytest.raises(TractNotFoundError, match="'one'") as caught:
        await AsyncTract.open(str(path), name="two", create=False)
    assert caught.value.name == "two"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\ud800", "x" * 300])
async def test_a_name_that_cannot_be_one_is_refused_before_a_file_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidNameError):
        await AsyncTract.open(str(tmp_path / "log.db"), name=name)
    assert not list(tmp_path.iterdir())


async def test_metadata_that_is_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await AsyncTract.open(str(tmp_path / "log.db"), metadata={"x": object()})
    assert caught.value.field == "metadata"


@pytest.mark.parametrize("actor", ["\ud800", 5, b"ann"])
async def test_an_actor_that_cannot_be_stored_is_refused_when_opening(tmp_path: Path, actor: object) -> None:
    with pytest.raises(TractError, match="actor"):
        await AsyncTract.open(str(tmp_path / "log.db"), actor=actor)  # type: ignore[arg-type]


async def test_many_tasks_that_create_one_name_get_the_same_tract(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")

    async def create() -> str:
        async with AsyncTract.open(path, name="shared") as t:
            return t.id

    assert len(set(await asyncio.gather(*(create() for _ in range(20))))) == 1


CREATING = """
import asyncio, sys
from tract import AsyncTract
async def main(path, *name):
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(20):
        async with AsyncTract.open(path + str(number), name=name[0] if name else None) as t:
            print(t.id)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("name", [["shared"], []], ids=["named", "without a name"])
def test_processes_that_create_one_name_get_the_same_tract(tmp_path: Path, name: list[str]) -> None:
    command = [sys.executable, "-c", CREATING, str(tmp_path / "log.db"), *name]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    done = [process.communicate(timeout=60) for process in processes]
    assert [error for _, error in done] == [""] * 3
    assert done[0][0].split() == done[1][0].split() == done[2][0].split()
    assert len(set(done[0][0].split())) == 20


async def test_reopening_stands_where_the_worktree_was_left(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path) as t:
        await t.user("one")
        await t.branch("try")
        said = await t.user("two")
    async with AsyncTract.open(path) as t:
        assert (t.current_branch, await t.head()) == ("try", said.id)


async def test_another_worktree_does_not_move_where_a_plain_opening_stands(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path) as t:
        await t.user("one")
        await t.branch("try", switch=False)
        async with await t.worktree("try") as other:
            await other.user("two")
    async with AsyncTract.open(path) as t:
        assert t.current_branch == "main"


async def test_a_worktree_that_could_not_be_opened_gives_its_use_of_the_store_back(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(str(path)) as t:
        with pytest.raises(BranchNotFoundError):
            await t.worktree("missing")
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"]


async def test_two_openings_of_a_file_have_heads_of_their_own(tmp_path: Path) -> None:
    path = str(tmp_path / "log.db")
    async with AsyncTract.open(path) as one, AsyncTract.open(path) as two:
        await one.user("one")
        await one.branch("try")
        assert (one.current_branch, two.current_branch) == ("try", "main")


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, pickle.dumps])
async def test_a_handle_cannot_be_copied_or_pickled(copying: Callable[[object], object]) -> None:
    async with AsyncTract.open() as t:
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            copying(t)


def in_another_loop(coroutine: Callable[[], object]) -> BaseException | None:
    """What a coroutine function raises in a thread with an event loop of its own."""
    raised: list[BaseException] = []

    async def run() -> None:
        try:
            result = coroutine()
            await result  # type: ignore[misc]
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return raised[0] if raised else None


@pytest.mark.parametrize("verb", ["user", "log", "status", "compile", "branches", "head", "aclose"])
async def test_a_handle_in_another_event_loop_is_refused(tmp_path: Path, verb: str) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db")) as t:
        arguments = ["x"] if verb == "user" else []
        raised = await asyncio.to_thread(in_another_loop, lambda: getattr(t, verb)(*arguments))
        assert isinstance(raised, WrongLoopError)
        await t.user("still open")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.parametrize("verb", ["user", "log", "aclose"])
def test_a_handle_in_a_forked_process_is_refused(tmp_path: Path, verb: str) -> None:
    script = f"""
import asyncio, os, sys, warnings
from tract import AsyncTract
from tract.errors import WrongLoopError
async def main():
    async with AsyncTract.open({str(tmp_path / "log.db")!r}) as t:
        await t.user("before")
        child = os.fork()
        if not child:
            code = 1
            try:
                asyncio.run(asyncio.wait_for(t.{verb}({"'x'" if verb == "user" else ""}), 3))
            except WrongLoopError as error:
                code = 0
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
            os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        await t.user("after")
        print(os.waitstatus_to_exitcode(status), len(await t.log()))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("0 2\n", "")


async def test_times_come_from_the_clock_that_was_given(tmp_path: Path) -> None:
    async with AsyncTract.open(str(tmp_path / "log.db"), clock=FixedClock(start=1_000_000)) as t:
        said = await t.user("x")
    assert said.time.year == 1970


def test_a_file_that_another_process_makes_in_that_moment_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, access = tmp_path / "agent.db", os.access

    def access_before_it_is_made(name: str, mode: int, **options: bool) -> bool:
        is_allowed = access(name, mode, **options)
        Path(name).touch()
        return is_allowed

    monkeypatch.setattr(os, "access", access_before_it_is_made)
    require_writable(str(path))
    assert not path.exists()
