"""Story: whatever is handed in, the answer is an error of ours that says what to do, and nothing is half done.

One table a place: what is given to a verb, what is opened, and what becomes of
a program around an open tract. Programs run in processes of their own, whose
exit must be silent.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.acceptance.reading import state
from tract import AsyncTract, DialogueContent, FreeformContent, TractError, admin
from tract.errors import (
    AmbiguousRefError,
    AmbiguousTractError,
    BranchExistsError,
    BranchNotFoundError,
    ClosedError,
    ConfigError,
    ContentValidationError,
    CorruptLogError,
    EditTargetError,
    FolderNotFoundError,
    InvalidNameError,
    ModelNotConfiguredError,
    NewerSchemaError,
    NotAStoreError,
    RefNotFoundError,
    StoreNotFoundError,
    StoreVanishedError,
    TractNotFoundError,
)
from tract.llm.counting import ApproximateCounter

ROOT = Path(__file__).parents[2]
Call: TypeAlias = Callable[[AsyncTract], Awaitable[object]]


def nested(levels: int, kind: type[Any] = list) -> Any:
    value: Any = kind()
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.fixture
async def t(path: str) -> AsyncIterator[AsyncTract]:
    async with AsyncTract.open(path, tokens=ApproximateCounter()) as opened:
        await opened.system("Be kind.")
        await opened.user("Hi")
        await opened.branch("try", switch=False)
        yield opened


VERBS: dict[str, tuple[Call, type[TractError], str]] = {
    "an unknown ref": (lambda t: t.show("nowhere"), RefNotFoundError, "See log() and branches()"),
    "a ref that is nearly right": (lambda t: t.show("tri"), RefNotFoundError, "Did you mean 'try'?"),
    "an empty ref": (lambda t: t.show(""), RefNotFoundError, "See log() and branches()"),
    "a ref before the first commit": (lambda t: t.compile("HEAD~99"), RefNotFoundError, "See log()"),
    "a ref with steps that are none": (lambda t: t.log(at="HEAD~x"), RefNotFoundError, "See log()"),
    "a ref that is a text": (lambda t: t.show("what I said yesterday"), RefNotFoundError, "pass its id"),
    "a ref with a lone surrogate": (lambda t: t.show("\ud800"), RefNotFoundError, "pass its id"),
    "a ref with a NUL": (lambda t: t.show("a\x00b"), RefNotFoundError, "See log()"),
    "a ref that is a number": (lambda t: t.show(5), RefNotFoundError, "pass its id"),  # type: ignore[arg-type]
    "an unknown target": (lambda t: t.edit("nowhere", "x"), RefNotFoundError, "See log() and branches()"),
    "a target that is no slot": (lambda t: t.edit("HEAD", "x"), EditTargetError, "name the commit that brought the content"),
    "a branch that is not there": (lambda t: t.switch("nowhere"), BranchNotFoundError, "list them with branches()"),
    "a worktree of no branch": (lambda t: t.worktree("nowhere"), BranchNotFoundError, "Create it with branch("),
    "a branch that is there": (lambda t: t.branch("try"), BranchExistsError, "Switch to it with switch("),
    "an empty name": (lambda t: t.branch(""), InvalidNameError, "must be a string that is not empty"),
    "a name with a space": (lambda t: t.branch("a b"), InvalidNameError, "hold spaces"),
    "a name with a NUL": (lambda t: t.branch("a\x00b"), InvalidNameError, "control characters"),
    "a name with a lone surrogate": (lambda t: t.branch("\ud800"), InvalidNameError, "lone surrogate"),
    "a name that is a ref": (lambda t: t.branch("HEAD"), InvalidNameError, "a ref of its own"),
    "a name without end": (lambda t: t.branch("x" * 300), InvalidNameError, "longer than 255"),
    "a name that is a number": (lambda t: t.branch(5), InvalidNameError, "must be a string"),  # type: ignore[arg-type]
    "a worktree's bad name": (lambda t: t.worktree("try", name="a b"), InvalidNameError, "hold spaces"),
    "a wrong role": (lambda t: t.commit("x", role="robot"), ContentValidationError, "one of system, user, assistant"),
    "the role of a tool": (lambda t: t.commit("x", role="tool"), ContentValidationError, "use tool_result("),
    "a role that is no text": (lambda t: t.commit("x", role=5), ContentValidationError, "one of system"),  # type: ignore[arg-type]
    "a lone surrogate": (lambda t: t.user("a\ud800"), ContentValidationError, "lone surrogate"),
    "a lone surrogate in a question": (lambda t: t.chat("a\ud800"), ContentValidationError, "lone surrogate"),
    "a lone surrogate in a message": (lambda t: t.user("x", message="\ud800"), ContentValidationError, "lone surrogate"),
    "a lone surrogate in metadata": (lambda t: t.user("x", metadata={"\ud800": 1}), ContentValidationError, "lone surrogate"),
    "an empty text": (lambda t: t.user(""), ContentValidationError, "must not be blank"),
    "a blank text": (lambda t: t.system(" \n\t"), ContentValidationError, "must not be blank"),
    "a blank answer": (lambda t: t.assistant(" "), ContentValidationError, "must not be blank"),
    "an empty edit": (lambda t: t.edit("HEAD~1", ""), ContentValidationError, "must not be blank"),
    "a text that is a number": (lambda t: t.user(5), ContentValidationError, "must be a string, not int"),  # type: ignore[arg-type]
    "a text that is bytes": (lambda t: t.user(b"x"), ContentValidationError, "not bytes"),  # type: ignore[arg-type]
    "a result of no call": (lambda t: t.tool_result("", "x"), ContentValidationError, "call_id"),
    "an unknown content type": (lambda t: t.commit({"content_type": "x"}), ContentValidationError, "one of instruction"),
    "JSON 500 levels deep": (lambda t: t.user("x", metadata=nested(500, dict)), ContentValidationError, "200 levels"),
    "JSON 500 levels deep in a list": (
        lambda t: t.commit({"content_type": "freeform", "payload": {"a": nested(500)}}),
        ContentValidationError,
        "200 levels",
    ),
    "JSON 100,000 levels deep": (lambda t: t.user("x", metadata={"a": nested(100_000)}), ContentValidationError, "200 levels"),
    "a number that is none": (lambda t: t.user("x", metadata={"a": float("nan")}), ContentValidationError, "NaN"),
    "a number of 70 bits": (lambda t: t.user("x", metadata={"a": 2**70}), ContentValidationError, "64 bits"),
    "a set": (lambda t: t.user("x", metadata={"a": {1}}), ContentValidationError, "JSON does not have"),
    "a wrong priority": (lambda t: t.annotate("HEAD", "urgent"), ContentValidationError, "one of skip"),
    "an operation id that is none": (lambda t: t.user("x", operation_id="5"), ContentValidationError, "text of a UUID"),
    "a limit below one": (lambda t: t.log(0), ContentValidationError, "from 1"),
    "a model without a key": (lambda t: t.chat("x"), ModelNotConfiguredError, "Set OPENAI_API_KEY"),
}


async def log_of(path: str) -> list[Any]:
    """Return every event, as it is stored."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


@pytest.mark.parametrize(("call", "error", "advice"), VERBS.values(), ids=VERBS)
async def test_a_verb_refuses_what_makes_no_sense_and_changes_nothing(
    t: AsyncTract, path: str, call: Call, error: type[TractError], advice: str
) -> None:
    await t.pin("HEAD")
    before = await state(t), await log_of(path)
    with pytest.raises(error) as caught:
        await call(t)
    assert (type(caught.value), advice in str(caught.value)) == (error, True)
    assert (await state(t), await log_of(path)) == before
    await t.user("and on it goes")
    assert (await t.log(1))[0].message == "dialogue: and on it goes"


async def test_a_prefix_of_two_commits_is_refused(t: AsyncTract) -> None:
    seen, prefix = set[str](), ""
    while prefix not in seen:
        seen.add(prefix)
        prefix = (await t.user("again")).id[:4]
    before = await state(t)
    with pytest.raises(AmbiguousRefError, match="more characters"):
        await t.show(prefix)
    assert await state(t) == before


TAKEN: dict[str, str] = {
    "NULs": "a\x00b\x00",
    "a NUL alone": "\x00",
    "10 MB": "0123456789" * 1_000_000,
    "letters of four bytes": "\U0001f600" * 100_000,
    "what looks like an end": "data: [DONE]\r\n\r\n<|endoftext|>",
    "text that is not normalised": "e\u0301 \u00e9 \u2028 \ufeff",
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
async def test_a_text_that_is_odd_but_text_comes_back_as_it_was(path: str, text: str) -> None:
    async with AsyncTract.open(path, tokens=ApproximateCounter()) as t:
        said = await t.user(text)
    async with AsyncTract.open(path, tokens=ApproximateCounter()) as t:
        assert (await t.show(said.id)).content == DialogueContent("user", text)
        assert (await t.compile()).to_dicts() == [{"role": "user", "content": text}]
    assert (await admin.verify(path)).is_clean


async def test_json_of_many_levels_comes_back_as_it_was(path: str) -> None:
    async with AsyncTract.open(path) as t:
        said = await t.commit(FreeformContent({"a": nested(150)}), metadata={"b": nested(150, dict)})
    async with AsyncTract.open(path) as t:
        shown = await t.show(said.id)
        assert (shown.content, shown.info.metadata) == (FreeformContent({"a": nested(150)}), {"b": nested(150, dict)})


async def test_a_content_that_is_nested_too_deep_is_never_made() -> None:
    with pytest.raises(ContentValidationError, match="200 levels"):
        FreeformContent({"a": nested(500)})


def make_store(path: Path, *names: str) -> None:
    async def make() -> None:
        for name in names or ("main",):
            async with AsyncTract.open(path, name=name, tokens=ApproximateCounter()) as t:
                for number in range(60):
                    await t.user(f"{number} " * 50)

    asyncio.run(make())


def in_sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 400, encoding="utf-8")


def foreign_database(path: Path) -> None:
    in_sqlite(path, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")


def newer_schema(path: Path) -> None:
    make_store(path)
    in_sqlite(path, "PRAGMA user_version = 99")


def stump(path: Path) -> None:
    make_store(path)
    path.write_bytes(path.read_bytes()[:90])


def half(path: Path) -> None:
    make_store(path)
    path.write_bytes(path.read_bytes()[:30_000])


def several_tracts(path: Path) -> None:
    make_store(path, "one", "two")


def nothing(path: Path) -> None:
    """Leave the path free."""


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


Make: TypeAlias = Callable[[Path], None]
FILES: dict[str, tuple[Make, dict[str, Any], type[TractError], str]] = {
    "no database": (text_file, {}, NotAStoreError, "left untouched; choose another path"),
    "somebody else's database": (foreign_database, {}, NotAStoreError, "another program"),
    "a newer schema": (newer_schema, {}, NewerSchemaError, "Upgrade tract-context"),
    "the stump of a store": (stump, {}, NotAStoreError, "choose another path"),
    "half a store": (half, {}, CorruptLogError, "restore a backup"),
    "a folder": (folder, {}, NotAStoreError, "a folder"),
    "a pipe": (pipe, {}, NotAStoreError, "no regular file"),
    "nothing, and it is not to be made": (nothing, {"create": False}, StoreNotFoundError, "create=True"),
    "several tracts and no name": (several_tracts, {}, AmbiguousTractError, "Say which with name="),
    "a tract that is not there": (
        several_tracts,
        {"name": "three", "create": False},
        TractNotFoundError,
        "It holds 'one', 'two'",
    ),
    "a bad name": (nothing, {"name": " "}, InvalidNameError, "cannot be the name of a tract"),
    "a bad durability": (nothing, {"durability": "half"}, ConfigError, "full or normal"),
    "a bad actor": (nothing, {"actor": "\ud800"}, ConfigError, "actor"),
    "bad metadata": (nothing, {"metadata": {"a": nested(500, dict)}}, ContentValidationError, "200 levels"),
}


async def use(path: str | Path, **options: Any) -> None:
    async with AsyncTract.open(path, **options) as t:
        await t.log(1000)
        await t.compile()
        await t.user("more")


def contents(folder: Path) -> dict[str, bytes | None]:
    return {file.name: file.read_bytes() if file.is_file() else None for file in folder.iterdir()}


@pytest.mark.parametrize(("make", "options", "error", "advice"), FILES.values(), ids=FILES)
def test_what_is_no_store_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Make, options: dict[str, Any], error: type[TractError], advice: str
) -> None:
    path = tmp_path / "log.db"
    make(path)
    before = contents(tmp_path)
    with pytest.raises(error) as caught:
        asyncio.run(asyncio.wait_for(use(path, **options), 20))
    assert (type(caught.value), advice in str(caught.value)) == (error, True)
    # A store of nothing may be left where only the tract in it was refused.
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= ({"log.db"} if "metadata" in options else set())


PATHS: dict[str, tuple[Any, type[TractError], str]] = {
    "a missing folder": ("missing/log.db", FolderNotFoundError, "Create it first"),
    "a file for a folder": ("file/log.db", FolderNotFoundError, "Create it first"),
    "a path too long": ("x" * 300, ConfigError, "so long"),
    "a lone surrogate": ("log\ud800.db", ConfigError, "no path"),
    "a NUL": ("log\x00.db", ConfigError, "must be a path"),
    "an empty path": ("", ConfigError, "must be a path"),
    "another kind of URL": ("postgresql://host/db", ConfigError, "must be a path"),
    "a number": (5, ConfigError, "must be a path"),
}


@pytest.mark.parametrize(("where", "error", "advice"), PATHS.values(), ids=PATHS)
async def test_a_path_where_no_store_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, error: type[TractError], advice: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        await use(where)
    assert (type(caught.value), advice in str(caught.value)) == (error, True)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


CLOSED: dict[str, Call] = {
    "user": lambda t: t.user("x"),
    "edit": lambda t: t.edit("HEAD", "x"),
    "pin": lambda t: t.pin("HEAD"),
    "log": lambda t: t.log(),
    "show": lambda t: t.show("HEAD"),
    "status": lambda t: t.status(),
    "compile": lambda t: t.compile(),
    "branch": lambda t: t.branch("other"),
    "branches": lambda t: t.branches(),
    "switch": lambda t: t.switch("try"),
    "worktree": lambda t: t.worktree("try"),
    "chat": lambda t: t.chat("x"),
    "generate": lambda t: t.generate(),
    "head": lambda t: t.head(),
}


@pytest.mark.parametrize("call", CLOSED.values(), ids=CLOSED)
async def test_after_aclose_every_verb_says_so(path: str, call: Call) -> None:
    async with AsyncTract.open(path, model="tiny", base_url="http://127.0.0.1:9/v1") as t:
        await t.user("Hi")
        await t.branch("try", switch=False)
    before = await log_of(path)
    with pytest.raises(ClosedError, match="Open it again"):
        await call(t)
    await t.aclose()
    assert await log_of(path) == before


BEFORE = """
import asyncio, os, shutil, signal, sys
from pathlib import Path
from tract import AsyncTract
from tract.errors import TractError
path = Path(sys.argv[1])
async def attempt(coroutine):
    try:
        result = await coroutine
    except TractError as error:
        print(type(error).__name__, error)
    else:
        print("done")
    return None
async def use():
    async with AsyncTract.open(path) as t:
        await t.user("x")
async def load():
    async with AsyncTract.open() as t:
        await t.user("x")
asyncio.run(load())  # what is loaded late may be out of reach afterwards
"""
AS_NOBODY = """
if os.getuid() == 0:
    os.setuid(65534)
"""
WITHOUT_ROOM = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    async with AsyncTract.open(path) as t:
        before = await t.log()
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(path).st_size + 40_000, resource.RLIM_INFINITY))
        await attempt(t.user(os.urandom(200_000).hex()))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await attempt(t.log())
    async with AsyncTract.open(path) as t:
        print(await t.log() == before)
        await attempt(t.user("goes on"))
asyncio.run(main())
"""
ON_A_FULL_DISK = """
async def main():
    for number in range(2):
        async with AsyncTract.open(path) as t:
            before = await t.log()
            await attempt(t.user(os.urandom(1_200_000).hex()))
            print(await t.log() == before)
            await attempt(t.user("goes on"))
asyncio.run(main())
"""
VANISHING = """
async def main():
    t = await AsyncTract.open(path)
    await t.user("before")
    {vanish}
    await attempt(t.user("after"))
    await attempt(t.log())
    await attempt(t.aclose())
    {reopen}
asyncio.run(main())
"""
REOPEN = """
    async with AsyncTract.open(path) as t:
        await t.user("new")
        print([info.message for info in await t.log()])
"""
BOTH = """
async def main():
    t = await AsyncTract.open(path)
    await t.user("before")
    path.rename(path.with_name("moved.db"))
    async with AsyncTract.open(path, name="main") as other:
        await other.user("new")
        await attempt(t.user("after"))
        await t.aclose()
        await other.user("newer")
        print([info.message for info in await other.log()])
asyncio.run(main())
"""
FORKED = """
async def main():
    async with AsyncTract.open(path) as t:
        child = os.fork()
        if not child:
            async def there():
                await attempt(t.user("x"))
                await attempt(t.log())
                await attempt(t.aclose())
            asyncio.run(there())
            sys.stdout.flush()
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        await attempt(t.user("goes on"))
        print(len(await t.log()))
asyncio.run(main())
"""
SECOND_LOOP = """
async def main():
    async with AsyncTract.open(path) as t:
        for verb in (lambda: t.user("x"), lambda: t.log(), lambda: t.aclose()):
            async def there():
                await attempt(verb())
            await asyncio.to_thread(lambda: asyncio.run(there()))
        await attempt(t.user("goes on"))
        print(len(await t.log()))
asyncio.run(main())
"""
LEFT_OPEN = """
async def main():
    t = await AsyncTract.open(path)
    await attempt(t.user("x"))
asyncio.run(main())
"""
GONE = ["StoreVanishedError", "StoreVanishedError", "done"]

PROGRAMS: dict[str, tuple[str, list[str]]] = {
    "a file that may not grow": (WITHOUT_ROOM, ["StoreFailedError", "StoreFailedError", "True", "done"]),
    "a file that was removed": (
        VANISHING.format(vanish="path.unlink()", reopen=REOPEN.strip("\n ")),
        [*GONE, "['dialogue: new']"],
    ),
    "a file that was renamed": (
        VANISHING.format(vanish='path.rename(path.with_name("moved.db"))', reopen=REOPEN.strip("\n ")),
        [*GONE, "['dialogue: new']"],
    ),
    "a file that was replaced": (
        VANISHING.format(
            vanish='shutil.copy(path, path.with_name("copy.db")); os.replace(path.with_name("copy.db"), path)', reopen=""
        ),
        GONE,
    ),
    "a write-ahead log that was removed": (
        VANISHING.format(vanish='Path(f"{path}-wal").unlink()', reopen=""),
        GONE,
    ),
    "a folder that was removed": (VANISHING.format(vanish="shutil.rmtree(path.parent)", reopen=""), GONE),
    "a file that was renamed while its path is opened again": (
        BOTH,
        ["StoreVanishedError", "['dialogue: newer', 'dialogue: new']"],
    ),
    "a forked process": (FORKED, ["WrongLoopError", "WrongLoopError", "WrongLoopError", "done", "2"]),
    "a second event loop": (SECOND_LOOP, ["WrongLoopError", "WrongLoopError", "WrongLoopError", "done", "2"]),
    "a tract that was never closed": (LEFT_OPEN, ["done"]),
}


def run(program: str, path: Path) -> list[str]:
    """Return what a program says, which must end well and silently."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + program, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has neither fork nor limits")
@pytest.mark.parametrize(("program", "expected"), PROGRAMS.values(), ids=PROGRAMS)
def test_what_becomes_of_a_program_is_told_and_loses_nothing(tmp_path: Path, program: str, expected: list[str]) -> None:
    path = tmp_path / "folder" / "log.db"
    path.parent.mkdir()
    asyncio.run(use(path))
    said = run(program, path)
    assert [line if line.startswith("[") else line.split()[0] for line in said] == expected
    for left in tmp_path.glob("folder/*.db"):
        assert asyncio.run(admin.verify(left)).findings == ()


SMALL_DISK = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
"""In a mount namespace of its own, which needs no rights and is gone with the process."""
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    try:
        return (
            subprocess.run([*NAMESPACE, "sh", "-c", SMALL_DISK, "/mnt", "true"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="the platform has no mount namespaces")
def test_a_full_disk_is_told_and_what_is_smaller_still_fits(tmp_path: Path) -> None:
    program = [sys.executable, "-c", BEFORE + ON_A_FULL_DISK, str(tmp_path / "log.db")]
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", SMALL_DISK, str(tmp_path), *program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    said = [line.split()[0] for line in done.stdout.splitlines()]
    assert said == ["StoreFullError", "True", "done"] * 2
    assert "free some space and call again" in done.stdout


def file_may_only_be_read(path: Path) -> None:
    make_store(path)
    path.chmod(0o444)


def file_may_only_be_read_in_a_folder_of_all(path: Path) -> None:
    file_may_only_be_read(path)
    path.parent.chmod(0o777)


def file_may_not_be_read(path: Path) -> None:
    make_store(path)
    path.chmod(0)


def folder_may_not_be_written(path: Path) -> None:
    path.parent.chmod(0o555)


def folder_may_not_be_entered(path: Path) -> None:
    make_store(path)
    path.parent.chmod(0)


FORBIDDEN: list[Make] = [
    file_may_only_be_read,
    file_may_only_be_read_in_a_folder_of_all,
    file_may_not_be_read,
    folder_may_not_be_written,
    folder_may_not_be_entered,
]
UNREADABLE = (file_may_not_be_read, folder_may_not_be_entered)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
@pytest.mark.parametrize("make", FORBIDDEN, ids=lambda make: make.__name__)
def test_what_may_not_be_written_is_refused_and_left_as_it_was(make: Make) -> None:
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        path = Path(outer) / "folder" / "log.db"
        path.parent.mkdir()
        make(path)
        mode, before = path.parent.stat().st_mode, contents(path.parent)
        said = run(AS_NOBODY + "asyncio.run(attempt(use()))", path)
        assert contents(path.parent) == before
        assert path.parent.stat().st_mode == mode
        path.parent.chmod(0o755)
    error, verb = ("StoreUnreadableError", "read") if make in UNREADABLE else ("StoreReadOnlyError", "written")
    assert said == [f"{error} {path} cannot be {verb}. Check the permissions of the file and of its folder."]


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
@pytest.mark.parametrize("beside", ["-wal", "-shm", "-lock", "-next"])
def test_a_file_beside_a_store_that_keeps_one_out_is_named(beside: str) -> None:
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o777)
        path = Path(outer) / "log.db"
        make_store(path)
        path.chmod(0o666)
        culprit = Path(f"{path}{beside}")
        culprit.touch(0)
        culprit.chmod(0)
        before = {file.name for file in path.parent.iterdir()}
        said = run(AS_NOBODY + "asyncio.run(attempt(use()))", path)
        assert {file.name for file in path.parent.iterdir()} == before
    assert said == [f"StoreReadOnlyError {culprit} cannot be written. Check the permissions of the file and of its folder."]


async def test_nothing_is_acknowledged_into_a_file_that_nobody_can_open(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path) as t:
        await t.user("before")
        path.unlink()
        outcomes = await asyncio.gather(*(t.user(f"{number}") for number in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreVanishedError}
