"""What README.md and CHANGELOG.md say is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = (
    '    python3 -m venv .venv && .venv/bin/pip install -e ".[cli]" && .venv/bin/tract demo',
    '    python3 -m venv .venv && .venv/bin/pip install -e ".[dev]" && .venv/bin/python -m pytest',
)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(1, len(PROGRAMS) + 1))
def test_every_program_of_the_readme_runs_without_a_key_and_without_a_warning(program: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_program_is_the_example_of_about_fifteen_lines() -> None:
    assert 10 <= len([line for line in PROGRAMS[0].splitlines() if line]) <= 15


@pytest.mark.parametrize("command", COMMANDS, ids=["demo", "tests"])
def test_each_command_stands_in_the_readme_once_as_its_own_block(command: str) -> None:
    lines = README.splitlines()
    assert lines.count(command) == 1
    at = lines.index(command)
    assert (lines[at - 1], lines[at + 1]) == ("", "")


def test_the_readme_begins_with_three_sentences_then_example_then_commands() -> None:
    first = README.split("```python", 1)[0].split("\n", 1)[1]
    assert len(re.findall(r"\.(?=\s)", first)) == 3
    assert README.index("```python") < README.index(COMMANDS[0]) < README.index(COMMANDS[1]) < README.index("\n## ")


def test_no_other_line_looks_like_one_of_the_two_commands() -> None:
    assert [line for line in README.splitlines() if line.startswith("    python3 -m venv ")] == list(COMMANDS)


def test_nothing_tells_anybody_to_install_the_other_project_of_that_name() -> None:
    written = [*ROOT.glob("*.md"), *(ROOT / "tract").rglob("*.py"), *(ROOT / "cookbook").glob("*.py")]
    wrong = re.compile(r"pip install (?:-U |--upgrade )?[\"']?tract(?!-context)\b")
    assert [path.name for path in written if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_the_changelog_begins_with_what_is_not_released_yet() -> None:
    assert re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[0] == "Unreleased"
