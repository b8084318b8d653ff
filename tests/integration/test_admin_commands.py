"""The command line of looking after a store: what it prints, how it ends, and what it shows meanwhile."""

import asyncio
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.integration.test_admin import NO_STORES, ROOT, command, damage, missing, write_history
from tract import AsyncTract, admin
from tract.admin import writing
from tract.admin.__main__ import main
from tract.errors import StoreLockedError, StoreReadOnlyError, StoreUnreadableError, UnreadableExportError
from tract.log.locking import WriteLock

ADMIN = [sys.executable, "-W", "error", "-m", "tract.admin"]
TRACT = [sys.executable, "-W", "error", "-c", "from tract.cli import main; main()", "admin"]
Printed: TypeAlias = Callable[..., dict[str, Any]]
COMMANDS = ("status", "verify", "rebuild", "backup", "export", "import", "compact")


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
def arguments(written: Path, path: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    """What each command is called with."""
    more = {"backup": ["copy.db"], "export": ["copy.jsonl"], "import": [str(written.with_suffix(".jsonl"))]}

    def given(name: str) -> list[str]:
        return [name, str(path), *(str(tmp_path / each) for each in more.get(name, ()))]

    return given


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs a command and returns the one JSON object that it prints."""

    def run(*given: object, code: int = 0) -> dict[str, Any]:
        assert main([*map(str, given), "--json"]) == code
        said = capsys.readouterr()
        assert (said.err, said.out.count("\n")) == ("", 1)
        found: dict[str, Any] = json.loads(said.out)
        return found

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_did_and_ends_well(arguments: Callable[[str], list[str]], path: Path, name: str) -> None:
    done = command(*arguments(name))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(path))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_its_result_as_one_json_object(
    arguments: Callable[[str], list[str]], path: Path, printed: Printed, name: str
) -> None:
    assert printed(*arguments(name))["path"] == str(path)


def test_the_json_of_status_holds_its_tables(path: Path, printed: Printed) -> None:
    found = printed("status", path)
    assert found["events"] == asyncio.run(admin.status(path)).events
    assert {"projection": "commits", "table": "commits", "rows": 12} in found["tables"]


def test_the_json_of_verify_holds_its_findings(path: Path, printed: Printed) -> None:
    found = printed("verify", path)
    assert (found["is_clean"], found["findings"]) == (True, [])
    damage(path, "UPDATE events SET digest = zeroblob(32) WHERE position = 4")
    found = printed("verify", path, code=1)
    assert (found["is_clean"], found["findings"][0]["kind"]) == (False, "chain")


def test_the_json_of_a_backup_holds_what_is_wrong_with_the_copy(path: Path, tmp_path: Path, printed: Printed) -> None:
    damage(path, "UPDATE events SET digest = zeroblob(32) WHERE position = 4")
    found = printed("backup", path, tmp_path / "copy.db", code=1)
    assert (found["is_clean"], found["verification"]["findings"][0]["kind"]) == (False, "chain")


def test_the_json_of_export_import_and_compact_hold_their_figures(path: Path, tmp_path: Path, printed: Printed) -> None:
    file, new = tmp_path / "copy.jsonl", tmp_path / "new.db"
    told = printed("export", path, file)
    assert (told["families"], told["size"]) == (2, file.stat().st_size)
    taken = printed("import", new, file)
    assert (taken["is_new"], taken["events"], taken["known"]) == (True, told["events"], 0)
    assert printed("compact", new)["is_vacuumed"]


def test_the_chain_alone_is_verified_on_demand(path: Path, printed: Printed) -> None:
    damage(path, "DELETE FROM usage")
    assert not printed("verify", path, code=1)["is_clean"]
    assert printed("verify", "--chain", path)["is_clean"]


def test_one_family_is_exported_by_its_name(path: Path, tmp_path: Path, printed: Printed) -> None:
    assert printed("export", path, tmp_path / "one.jsonl", "--family", "other")["families"] == 1


@pytest.mark.parametrize("name", ["backup", "export", "import", "compact"])
@pytest.mark.parametrize("make", NO_STORES, ids=lambda make: make.__name__)
def test_what_is_no_store_is_told_in_one_line(
    arguments: Callable[[str], list[str]],
    path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    name: str,
) -> None:
    make(path)
    if name == "import" and make is missing:
        assert main(arguments(name)) == 0
        return
    before = sorted(path.parent.iterdir())
    assert main([*arguments(name), "--json"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("Error: ")
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["import", "compact"])
def test_a_store_that_somebody_keeps_locked_is_told_in_one_line_and_left_as_it_was(
    arguments: Callable[[str], list[str]],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.setattr(writing, "PATIENCE", 0.1)
    before = path.read_bytes()
    with closing(WriteLock(str(path))) as lock:
        lock.acquire()
        assert main(arguments(name)) == 2
        lock.remove()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"Error: {StoreLockedError(str(path))}\n")
    assert (path.read_bytes(), [file.name for file in path.parent.iterdir()]) == (before, ["log.db"])


@pytest.mark.parametrize("name", ["status", "verify", "backup", "export"])
def test_a_store_that_somebody_keeps_locked_can_be_read(arguments: Callable[[str], list[str]], path: Path, name: str) -> None:
    with closing(WriteLock(str(path))) as lock:
        lock.acquire()
        assert main(arguments(name)) == 0


AS_NOBODY = """
import contextlib, io, os, shutil, sys, tempfile
from tract.admin.__main__ import main
with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
    copy = shutil.copy(sys.argv[2], folder)
    os.chmod(copy, 0o600)
    for name in ("verify", "rebuild"):
        main([name, copy])  # what is loaded late may be out of reach afterwards
if os.getuid() == 0:
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
@pytest.mark.parametrize("name", ["backup", "export", "import", "compact"])
def test_a_folder_that_may_only_be_read_is_told_in_one_line(written: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(written, folder))
        file = Path(shutil.copy(written.with_suffix(".jsonl"), folder))
        more = {"backup": [f"{folder}/copy.db"], "export": [f"{folder}/copy.jsonl"], "import": [str(file)]}.get(name, [])
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, name, str(path), *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        Path(folder).chmod(0o755)
        assert sorted(each.name for each in Path(folder).iterdir()) == ["log.db", "log.jsonl"]
    culprit = more[0] if name in {"backup", "export"} else str(path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {StoreReadOnlyError(culprit)}\n")


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
@pytest.mark.parametrize("name", ["rebuild", "import", "compact"])
def test_a_store_that_may_only_be_read_is_told_and_nothing_is_left_beside_it(written: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(written, folder))
        file = Path(shutil.copy(written.with_suffix(".jsonl"), folder))
        path.chmod(0o444)
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, name, str(path), *([str(file)] if name == "import" else [])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert sorted(each.name for each in Path(folder).iterdir()) == ["log.db", "log.jsonl"]
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {StoreReadOnlyError(str(path))}\n")


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
@pytest.mark.parametrize("beside", ["", "-wal"], ids=["the store", "its write-ahead log"])
@pytest.mark.parametrize("name", ["status", "verify", "backup", "export", "rebuild", "import", "compact"])
def test_a_store_that_may_not_be_read_is_told_in_one_line(written: Path, name: str, beside: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other, path = Path(shutil.copy(written, folder)), Path(shutil.copy(written, f"{folder}/forbidden.db"))
        path.chmod(0o666)
        file = Path(shutil.copy(written.with_suffix(".jsonl"), folder))
        culprit = Path(f"{path}{beside}")
        culprit.touch()
        culprit.chmod(0)
        Path(folder).chmod(0o777)
        before = sorted(each.name for each in Path(folder).iterdir())
        more = {"backup": [f"{folder}/copy.db"], "export": [f"{folder}/copy.jsonl"], "import": [str(file)]}.get(name, [])
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY.replace("sys.argv[2]", repr(str(other))), name, str(path), *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert sorted(each.name for each in Path(folder).iterdir()) == before
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {StoreUnreadableError(str(culprit))}\n")


async def copy_open_store(path: Path, copy: Path) -> None:
    """Copy a store with its write-ahead log, without the file that its processes share."""
    async with AsyncTract.open(path, name="main") as t:
        await t.user("in the write-ahead log")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
def test_who_may_not_write_makes_no_file_beside_a_store_by_reading_it(written: Path, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other, copy = Path(shutil.copy(written, folder)), Path(folder) / "copy.db"
        asyncio.run(copy_open_store(path, copy))
        copy.chmod(0o444)
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY.replace("sys.argv[2]", repr(str(other))), "status", str(copy)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert sorted(each.name for each in Path(folder).iterdir()) == ["copy.db", "copy.db-wal", "log.db"]
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {StoreUnreadableError(str(copy))}\n")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the platform has no /proc")
@pytest.mark.parametrize("name", ["backup", "export"])
def test_a_file_system_that_takes_no_files_is_told_as_that(path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, str(path), "/proc/copy"]) == 2
    assert capsys.readouterr().err == f"Error: {StoreReadOnlyError('/proc/copy')}\n"


@pytest.mark.parametrize("what", ["nothing", "a folder", "a pipe"])
def test_an_import_of_no_file_cannot_be_done(path: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none.jsonl"
    if what == "a folder":
        file.mkdir()
    elif what == "a pipe":
        os.mkfifo(file)
    assert main(["import", str(path), str(file)]) == 2
    found = {"nothing": "there is no file", "a folder": "there is a folder", "a pipe": "there is no regular file"}[what]
    assert capsys.readouterr().err == f"Error: {UnreadableExportError(str(file), found)}\n"


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the platform has no users to become")
def test_an_import_of_a_file_that_may_not_be_read_cannot_be_done(written: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(shutil.copy(written, folder))
        path.chmod(0o666)
        file = Path(shutil.copy(written.with_suffix(".jsonl"), folder))
        file.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, "import", str(path), str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert sorted(each.name for each in Path(folder).iterdir()) == ["log.db", "log.jsonl"]
    error = UnreadableExportError(str(file), "it may not be read")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {error}\n")


@pytest.mark.parametrize("name", ["backup", "export"])
def test_a_file_that_is_in_the_way_is_told_in_one_line(arguments: Callable[[str], list[str]], name: str) -> None:
    assert command(*arguments(name)).returncode == 0
    done = command(*arguments(name))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "choose another path" in done.stderr


def test_a_damaged_file_is_a_finding(path: Path, tmp_path: Path, written: Path) -> None:
    file = tmp_path / "cut.jsonl"
    file.write_bytes(written.with_suffix(".jsonl").read_bytes()[:-10])
    done = command("import", str(tmp_path / "new.db"), str(file))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{file}, line " in done.stderr


def test_a_damaged_log_that_cannot_be_exported_is_a_finding(path: Path, tmp_path: Path) -> None:
    damage(path, "DELETE FROM events WHERE position = 4")
    done = command("export", str(path), str(tmp_path / "copy.jsonl"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    "given",
    [["backup", "x"], ["export", "x"], ["import", "x"], ["compact"], ["backup", "a", "b", "c"], ["verify", "x", "--wide"]],
)
def test_arguments_that_are_missing_or_too_many_are_explained(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(given)
    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (2, "")
    assert said.err.startswith("usage: python -m tract.admin ")


@pytest.mark.parametrize("given", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=lambda given: given[0])
def test_help_tells_the_exit_codes(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(given)
    said = capsys.readouterr()
    assert (caught.value.code, said.err) == (0, "")
    assert "Exit codes: 0 all is well, 1 " in said.out
    assert "130" in said.out


def run_tract(*given: str) -> "subprocess.CompletedProcess[str]":
    unwanted = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    return subprocess.run(
        [*TRACT, *given],
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_tract_admin_is_the_same_command_line(path: Path) -> None:
    done = run_tract("verify", str(path), "--json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)["is_clean"]) == (0, "", True)
    damage(path, "DELETE FROM usage")
    assert run_tract("verify", str(path)).returncode == 1
    assert run_tract("status", f"{path}.none").returncode == 2


def test_tract_admin_helps_under_its_own_name() -> None:
    done = run_tract("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: tract admin ")
    assert run_tract("mend").stderr.startswith("usage: tract admin ")


@contextmanager
def on_terminal(program: list[str], *given: str) -> Iterator[Callable[[], tuple[int, str]]]:
    """Run a program whose stderr is a terminal; yields what waits for its exit code and what was shown."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([*program, *given], env=environment, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)

        def ended() -> tuple[int, str]:
            shown = b""
            while True:
                try:
                    more = os.read(ours, 65_536)
                except OSError:
                    break
                if not more:
                    break
                shown += more
            return process.wait(60), shown.decode()

        try:
            yield ended
        finally:
            process.kill()
            os.close(ours)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="the platform has no pseudo-terminals")
@pytest.mark.parametrize("program", [ADMIN, TRACT], ids=["python -m tract.admin", "tract admin"])
def test_a_terminal_shows_progress_and_keeps_nothing_of_it(path: Path, tmp_path: Path, program: list[str]) -> None:
    with on_terminal(program, "backup", str(path), str(tmp_path / "copy.db")) as ended:
        code, shown = ended()
    assert code == 0
    pages = path.stat().st_size // 4096
    assert f"of {pages} pages" in shown
    assert "/s" in shown
    assert "\n" not in shown.rpartition("\x1b[2K")[2].rpartition("\x1b[K")[2]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="the platform has no pseudo-terminals")
def test_an_error_on_a_terminal_is_one_line_behind_the_progress(path: Path, tmp_path: Path) -> None:
    damage(path, "DELETE FROM events WHERE position = 30")
    with on_terminal(ADMIN, "export", str(path), str(tmp_path / "copy.jsonl")) as ended:
        code, shown = ended()
    assert code == 1
    assert shown.rpartition("\x1b[K")[2].startswith("Error: ")


INTERRUPTED = """
import os, signal, sys
from contextlib import nullcontext
from tract.admin.__main__ import main
told = []
def interrupt(progress):
    if not told:
        os.kill(os.getpid(), signal.SIGINT)
    told.append(progress)
sys.exit(main(sys.argv[1:], showing=lambda: nullcontext(interrupt)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no such signal")
@pytest.mark.parametrize("name", ["verify", "backup", "export", "import"])
def test_ctrl_c_ends_a_command_with_130_and_leaves_nothing(arguments: Callable[[str], list[str]], path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, *arguments(name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted. Nothing is half-done.\n")
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="the platform has no such signal")
def test_ctrl_c_in_a_rebuild_says_how_it_goes_on(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, "rebuild", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "Interrupted. Nothing in use is half-done; run it again to go on.\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)


def test_a_store_that_is_not_there_is_told_without_the_words_of_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.db"
    assert main(["status", str(path)]) == 2
    said = f"Error: There is no store at {path}. Check the path; a program makes one by opening it with create=True.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("name", ["verify", "status", "backup"])
def test_a_reader_that_leaves_is_no_traceback(arguments: Callable[[str], list[str]], name: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen([*ADMIN, *arguments(name), "--json"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (2, b"")


OUTPUTS = [">/dev/full", ">&-", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"]


def in_shell(redirection: str, *given: str) -> "subprocess.CompletedProcess[str]":
    command_line = f"{shlex.join([*ADMIN, *given])} {redirection}"
    return subprocess.run(["sh", "-c", command_line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the platform has no device that is full")
@pytest.mark.parametrize("given", [["status"], ["verify"], ["--help"]], ids=lambda given: given[0])
@pytest.mark.parametrize("redirection", OUTPUTS)
def test_what_cannot_be_printed_is_exit_code_2_and_no_traceback(path: Path, given: list[str], redirection: str) -> None:
    done = in_shell(redirection, *given, *([] if "--help" in given else [str(path)]))
    assert (done.returncode, done.stderr) == (0 if redirection == "2>&-" else 2, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the platform has no device that is full")
@pytest.mark.parametrize("redirection", OUTPUTS[2:])
@pytest.mark.parametrize("given", [["status", "nowhere.db"], ["mend"]], ids=lambda given: given[0])
def test_an_error_that_cannot_be_printed_is_exit_code_2_and_no_traceback(given: list[str], redirection: str) -> None:
    done = in_shell(redirection, *given)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


INTERRUPTED_IMPORT = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "tract.cli.commands":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from tract.cli import main
main()
"""


def test_ctrl_c_while_the_command_line_is_loaded_is_130() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, "admin", "status", "x"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


async def test_every_command_works_beside_a_tract_that_is_open(arguments: Callable[[str], list[str]], path: Path) -> None:
    async with AsyncTract.open(path, name="main") as t:
        for name in COMMANDS:
            await t.user(f"before {name}")
            done = await asyncio.to_thread(command, *arguments(name))
            assert (done.returncode, done.stderr) == (0, "")
        await t.user("goes on")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (await admin.verify(path)).is_clean
