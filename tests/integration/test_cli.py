"""`tract demo` as a stranger runs it: in a process of its own, piped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from anyio import run_process

from tract import AsyncTract
from tract.testing.server import Fail, Reply, serve

ROOT = Path(__file__).parents[2]
RUN = "from tract.cli import main; main()"
WITHOUT = "import sys; sys.modules[{missing!r}] = None; " + RUN


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would colour the output or find a model."""
    unwanted = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "OPENAI_API_KEY", "OPENAI_BASE_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more}


def tract(*arguments: str, program: str = RUN, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_the_demo_says_that_it_is_scripted_and_that_nothing_was_lost() -> None:
    done = tract("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The model is scripted (ScriptedLLM)" in done.stdout
    assert done.stdout.count("the same") == 2
    assert "DIFFERENT" not in done.stdout


def test_the_demo_shows_two_answers_a_pin_and_an_edit() -> None:
    said = tract("demo").stdout
    assert all(word in said for word in ("Bratislava", "Venice", "pinned", "edited", "off topic", "o200k_base"))


def test_the_demo_leaves_an_answer_half_way_and_keeps_what_was_seen() -> None:
    said = tract("demo").stdout
    assert 'finish_reason="cancelled"' in said
    assert "an hour" in said
    assert "upside down" not in said


def test_piped_output_is_plain_text() -> None:
    assert "\x1b" not in tract("demo", TERM="xterm-256color").stdout


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_no_line_is_wider_than_the_terminal(columns: str) -> None:
    assert max(len(line) for line in tract("demo", COLUMNS=columns).stdout.splitlines()) <= int(columns)


def test_output_that_knows_only_ascii_gets_ascii() -> None:
    done = tract("demo", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


async def test_the_demo_keeps_its_history_in_the_file_it_is_given(tmp_path: Path) -> None:
    db = str(tmp_path / "kept.db")
    assert [tract("demo", "--db", db).returncode, tract("demo", "--db", db).returncode] == [0, 0]
    for name in ("demo", "demo-2"):
        async with AsyncTract.open(db, name=name, create=False) as t:
            assert [branch.name for branch in await t.branches()] == ["enough", "main", "more-money"]


def test_live_without_a_configuration_is_refused_in_one_line() -> None:
    done = tract("demo", "--live")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: --live: no model is configured; set OPENAI_API_KEY")
    assert done.stderr.count("\n") == 1


def test_live_on_a_server_wants_the_name_of_a_model() -> None:
    done = tract("demo", "--live", "--base-url", "http://127.0.0.1:9/v1")
    assert (done.returncode, done.stderr) == (1, "Error: --model: say which model of that server to ask.\n")


def test_a_model_without_live_is_a_misunderstanding() -> None:
    done = tract("demo", "--model", "some")
    assert done.returncode == 2
    assert "add --live" in done.stderr


async def test_live_talks_to_the_server_it_is_given() -> None:
    async with serve([Reply("To Graz."), Reply("Much."), Reply("To Rome.")]) as server:
        command = [sys.executable, "-c", RUN, "demo", "--live", "--model", "served", "--base-url", server.base_url]
        done = await run_process(command, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert all(word in done.stdout for word in (b"Talking to served", b"To Graz.", b"To Rome."))
    assert b"ScriptedLLM" not in done.stdout


async def test_a_model_that_fails_is_told_in_one_line() -> None:
    async with serve([Fail(401)]) as server:
        command = [sys.executable, "-c", RUN, "demo", "--live", "--model", "served", "--base-url", server.base_url]
        done = await run_process(command, env=environment(), check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert done.stderr.count(b"\n") == 1


def test_a_file_of_something_else_is_told_in_one_line_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("Not a database, but mine. " * 100)
    done = tract("demo", "--db", str(other))
    assert done.returncode == 1
    assert "is not a Tract store" in done.stderr
    assert done.stderr.count("\n") == 1
    assert other.read_text() == "Not a database, but mine. " * 100


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_named_with_what_to_install(missing: str) -> None:
    done = tract("demo", program=WITHOUT.format(missing=missing))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"The command line needs {missing}, which is not installed.")
    assert 'pip install -e ".[cli]"' in done.stderr


def test_importing_the_command_line_loads_no_terminal_library() -> None:
    program = "import sys, tract.cli; print(*sorted({'click', 'rich'} & set(sys.modules)))"
    assert tract(program=program).stdout.split() == []


def test_the_command_line_tells_its_version() -> None:
    done = tract("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("tract, version ")
