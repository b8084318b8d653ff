"""The recipes do what they say, on small input and on real transcripts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from cookbook import (
    admin_rebuild,
    branch_and_compare,
    configure_operations,
    first_conversation,
    import_transcripts,
    stream_and_cancel,
    structured_output,
    tool_agent,
)
from tract import AsyncTract, ToolCall
from tract.testing.server import Reply, serve

ROOT = Path(__file__).parents[1]
COOKBOOK = ROOT / "cookbook"
Said = list[dict[str, Any]]
HELLO: Said = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]
BYE: Said = [{"role": "user", "content": "Bye"}]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "imported.db"


def line(task: Any, trial: Any, said: Any) -> str:
    return json.dumps({"task_id": task, "trial": trial, "messages": said}) + "\n"


def written(folder: Path, *lines: str) -> str:
    file = folder / "transcripts.jsonl"
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


async def imported(file: str, db: Path) -> int:
    """Run the recipe as from a shell, which has no event loop yet."""
    return await to_thread.run_sync(import_transcripts.main, [file, str(db)])


async def messages(db: Path, name: str) -> Said:
    async with AsyncTract.open(str(db), name=name, create=False) as t:
        return (await t.compile()).to_openai()


def without_nulls(said: Said) -> Said:
    return [{key: value for key, value in message.items() if key == "content" or value is not None} for message in said]


def test_a_first_conversation_runs_without_a_key_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert first_conversation.main([]) == 0
    said = capsys.readouterr().out
    assert "the model is scripted" in said
    assert "A beef stew" in said
    assert "A risotto" in said


async def test_a_first_conversation_asks_the_server_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve([Reply("Soup."), Reply("Salad.")]) as server:
        arguments = ["--base-url", server.base_url, "--model", "served"]
        assert await to_thread.run_sync(first_conversation.main, arguments) == 0
        assert [request.body["model"] for request in server.requests] == ["served", "served"]
    said = capsys.readouterr().out
    assert "scripted" not in said
    assert "Salad." in said
    assert said.count("(said served)") == 2


def test_a_first_conversation_tells_a_failure_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert first_conversation.main(["--base-url", "not a url"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_two_branches_answer_at_once_and_differ_where_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    assert branch_and_compare.main([]) == 0
    said = capsys.readouterr().out
    assert all(words in said for words in ("Sorry, we deliver", "four days to Lisbon.", "We ship to all of Europe."))


async def test_the_comparison_asks_the_server_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve([Reply("Yes."), Reply("No.")]) as server:
        arguments = ["--base-url", server.base_url, "--model", "served"]
        assert await to_thread.run_sync(branch_and_compare.main, arguments) == 0
    assert "scripted" not in capsys.readouterr().out


def test_an_answer_that_was_stopped_is_kept_on_the_branch_or_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert stream_and_cancel.main([]) == 0
    said = capsys.readouterr().out
    assert "The branch did not move." in said
    assert "the call was cancelled" in said
    assert "Taken with branch('after-all'" in said


async def test_stopping_asks_the_server_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve() as server:
        arguments = ["--base-url", server.base_url, "--model", "served"]
        assert await to_thread.run_sync(stream_and_cancel.main, arguments) == 0
    said = capsys.readouterr().out
    assert "scripted" not in said
    assert ", by served: " in said


def test_each_answer_says_how_it_was_asked_for_and_a_later_open_asks_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert configure_operations.main([]) == 0
    said = capsys.readouterr().out
    asked = [line.split("model ")[1] for line in said.splitlines() if "at most" in line]
    assert asked == [
        "scripted, temperature 0.7, at most 200 tokens",
        "scripted, temperature 1.0, at most 200 tokens",
        "scripted, temperature 0.0, at most 50 tokens",
        "scripted, temperature 0.7, at most 200 tokens",
    ]
    assert said.split("Cold answers:\n")[1].count("\n") == 1


async def test_operations_ask_the_server_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve() as server:
        arguments = ["--base-url", server.base_url, "--model", "served"]
        assert await to_thread.run_sync(configure_operations.main, arguments) == 0
        assert [request.body["temperature"] for request in server.requests] == [0.7, 1.0, 0.0, 0.7]
    assert "scripted" not in capsys.readouterr().out


def test_an_agent_looks_up_refunds_and_hears_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    tool_agent.REFUNDS.clear()
    assert tool_agent.main([]) == 0
    said = capsys.readouterr().out
    assert tool_agent.REFUNDS == ["A2"]
    assert "Error: KeyError: 'A3'" in said
    assert "run: " in said.splitlines()[-1]


async def test_an_agent_asks_the_server_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    call = ToolCall("1", "find_order", '{"order": "A1"}')
    async with serve([Reply(None, tool_calls=(call,)), Reply("It is on its way.")]) as server:
        arguments = ["--base-url", server.base_url, "--model", "served"]
        assert await to_thread.run_sync(tool_agent.main, arguments) == 0
        assert server.requests[1].body["messages"][-1]["content"] == '{"order":"A1","state":"shipped"}'
    assert "scripted" not in capsys.readouterr().out


def test_a_form_is_asked_for_until_it_is_filled_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert structured_output.main([]) == 0
    said = capsys.readouterr().out
    assert "it said 'I am sorry to hear that.'" in said
    assert "Ticket(title='Locker door squeaks" in said
    assert said.split("without the try that failed:\n")[1].count("\n") == 3


async def test_a_form_is_asked_for_at_the_server_that_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve([Reply(structured_output.ANSWERS[1])]) as server:
        arguments = ["--base-url", server.base_url, "--model", "served"]
        assert await to_thread.run_sync(structured_output.main, arguments) == 0
        assert server.requests[0].body["response_format"]["json_schema"]["name"] == "Ticket"
    assert "scripted" not in capsys.readouterr().out


def test_a_killed_run_goes_on_and_fetches_nothing_twice() -> None:
    recipe = [sys.executable, str(COOKBOOK / "resume_run.py")]
    done = subprocess.run(recipe, cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    before, after = done.stdout.split("and the process is gone")
    assert (before.count("fetch('flour')"), before.count("fetch('eggs')")) == (1, 1)
    assert "fetch('" not in after
    assert "The cake is ready." in after


def test_a_table_that_was_broken_is_named_healed_and_clean_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert admin_rebuild.main(["--messages", "50"]) == 0
    sound, broken, healed = capsys.readouterr().out.split("──\n")[1:]
    assert ": clean; " in sound
    assert "projection: table refs, row 3: a replay makes another head" in broken
    assert ": 1 finding; " in broken
    assert ": rebuilt tracts, commits, refs" in healed
    assert ": clean; " in healed


async def test_every_transcript_comes_back_as_it_was(trajectories: list[Said], tmp_path: Path, db: Path) -> None:
    first = trajectories[:10]
    assert await imported(written(tmp_path, *(line(task, 0, said) for task, said in enumerate(first))), db) == 0
    assert [await messages(db, f"task-{task}-trial-0") for task in range(len(first))] == [without_nulls(said) for said in first]


async def test_importing_again_doubles_nothing_and_says_what_it_skipped(
    tmp_path: Path, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, line(1, 0, HELLO), line(2, 0, BYE))
    assert [await imported(file, db), await imported(file, db)] == [0, 0]
    assert [await messages(db, "task-1-trial-0"), await messages(db, "task-2-trial-0")] == [HELLO, BYE]
    said = capsys.readouterr().out
    assert "Imported 2 tracts, 3 messages" in said
    assert "Skipped 2 tracts that were complete already. Imported 0 tracts" in said


async def test_an_import_that_was_cut_short_goes_on_where_it_ended(tmp_path: Path, db: Path) -> None:
    file = written(tmp_path, line(1, 0, HELLO))
    (transcript,) = import_transcripts.read_transcripts(Path(file))
    async with AsyncTract.open(str(db), name=transcript.name) as t:
        await t.commit(transcript.contents[0], operation_id=transcript.operations[0])
    assert await imported(file, db) == 0
    assert await messages(db, transcript.name) == HELLO


async def test_conversations_with_one_name_become_tracts_with_two(tmp_path: Path, db: Path) -> None:
    assert await imported(written(tmp_path, line("a b", 0, HELLO), line("a b", 0, HELLO)), db) == 0
    assert [await messages(db, "task-a-b-trial-0"), await messages(db, "task-a-b-trial-0-2")] == [HELLO, HELLO]


async def test_a_tract_that_holds_something_else_is_left_alone(
    tmp_path: Path, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await imported(written(tmp_path, line(1, 0, HELLO)), db) == 0
    assert await imported(written(tmp_path, line(1, 0, BYE)), db) == 1
    assert await messages(db, "task-1-trial-0") == HELLO
    assert "'task-1-trial-0' holds something else already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{not json}\n", "Error: line 2: it must be a JSON object with task_id, trial and a list of messages.\n"),
        ("[1]\n", "Error: line 2: it must be a JSON object with task_id, trial and a list of messages.\n"),
        (line(1, 0, None), "Error: line 2: it must be a JSON object with task_id, trial and a list of messages.\n"),
        (
            line(1, 0, [{"role": "tool", "content": ""}]),
            "Error: line 2, messages[0].tool_call_id: it is required and must not be null.\n",
        ),
    ],
    ids=["not JSON", "no object", "no messages", "a bad message"],
)
def test_a_broken_line_is_named_and_nothing_is_written(
    bad: str, told: str, tmp_path: Path, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_transcripts.main([written(tmp_path, line(0, 0, HELLO), bad), str(db)]) == 1
    assert capsys.readouterr().err == told
    assert not db.exists()


def test_a_message_that_no_provider_takes_is_named_too(tmp_path: Path, db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_transcripts.main([written(tmp_path, line(0, 0, [*HELLO, {"role": "user", "content": " "}])), str(db)]) == 1
    assert capsys.readouterr().err.startswith("Error: line 1, messages[2].text: ")


def test_a_file_that_is_missing_is_told_in_one_line(tmp_path: Path, db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_transcripts.main([str(tmp_path / "none.jsonl"), str(db)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_every_recipe_says_what_it_shows_and_how_to_run_it() -> None:
    recipes = sorted(path for path in COOKBOOK.glob("*.py"))
    assert [path.name for path in recipes] == [
        "admin_rebuild.py",
        "branch_and_compare.py",
        "configure_operations.py",
        "first_conversation.py",
        "import_transcripts.py",
        "resume_run.py",
        "stream_and_cancel.py",
        "structured_output.py",
        "tool_agent.py",
    ]
    for path in recipes:
        done = subprocess.run(
            [sys.executable, str(path), "--help"], cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, check=False
        )
        assert done.returncode == 0
        assert f"python cookbook/{path.name}" in path.read_text(encoding="utf-8")
