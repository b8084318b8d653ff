"""What users may import, and whether it says what it is."""

import inspect
import re
import subprocess
import sys
import types
from collections.abc import Iterator

import pytest

import tract
import tract.admin
import tract.errors
import tract.testing
from tract import AsyncTract

VERBS = {
    "commit", "system", "user", "assistant", "tool_result",
    "edit", "annotate", "pin", "skip", "revert", "batch",
    "compile", "log", "show", "status", "search", "query_by_config", "statistics",
    "branch", "branches", "switch", "worktree",
    "chat", "generate", "stream", "run",
    "generations", "follow", "events",
    "usage", "timeline",
    "configure", "configure_operations", "configure_llm", "record_usage",
}  # fmt: skip
HANDLE = {"open", "aclose", "head", "id", "name", "current_branch", "is_detached", "config", "operations", "clients", "budget"}
SHELL = {"place", "collaborators", "models", "settings", "worktree_name"} | {
    "require_open", "require_branch", "move_head", "sibling", "operation", "blob", "content_blob", "record", "submit", "read",
    "in_flight", "open_batch", "refuse_in_batch", "mark", "changed",
}  # fmt: skip
"""What verbs need of a handle; not for users."""
HEAVY = ("openai", "aiosqlite", "structlog", "rich", "click", "starlette", "uvicorn", "splintr")

PUBLIC = sorted(tract.__all__)
ERRORS = sorted(tract.errors.__all__)


def own_methods(value: type) -> Iterator[tuple[str, object]]:
    """Yield every public method and property that this package defines on a class."""
    for name in dir(value):
        member = inspect.getattr_static(value, name)
        found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(found) and found.__module__.startswith("tract"):
            yield name, found


def methods() -> list[tuple[str, object]]:
    classes = [value for value in (getattr(tract, name) for name in PUBLIC) if inspect.isclass(value)]
    return [(f"{value.__name__}.{name}", method) for value in classes for name, method in own_methods(value)]


METHODS = methods()
every_method = pytest.mark.parametrize(("name", "method"), METHODS, ids=[name for name, _ in METHODS])


def first_line(value: object) -> str:
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")


def is_whole_sentence(line: str) -> bool:
    return bool(re.fullmatch(r"[A-Z`].*[.:]", line))


@pytest.mark.parametrize("module", [tract, tract.admin, tract.errors, tract.testing], ids=lambda module: module.__name__)
def test_the_public_names_are_those_that_are_there(module: types.ModuleType) -> None:
    shown = [name for name in dir(module) if not name.startswith("_") and not inspect.ismodule(getattr(module, name))]
    assert sorted(module.__all__) == sorted(shown)


def test_the_public_names_are_sorted() -> None:
    assert list(tract.__all__) == PUBLIC


def test_the_verbs_are_the_documented_ones() -> None:
    bound = {name for name, value in vars(AsyncTract).items() if not name.startswith("_")}
    assert bound == VERBS | {"open"}


def test_a_handle_has_nothing_beside_its_verbs_that_is_not_listed_here() -> None:
    found = {name for name in dir(AsyncTract) if not name.startswith("_")}
    assert found == VERBS | HANDLE | SHELL


def test_every_verb_is_a_function_of_the_packages_that_hold_verbs() -> None:
    elsewhere = [name for name in VERBS if not vars(AsyncTract)[name].__module__.startswith(("tract.verbs.", "tract.agent."))]
    assert elsewhere == []


def test_only_what_is_entered_or_iterated_or_waits_for_nothing_is_no_coroutine() -> None:
    plain = {name for name in VERBS if not inspect.iscoroutinefunction(vars(AsyncTract)[name])}
    assert plain == {"stream", "run", "batch", "follow", "events", "statistics"}


def test_flags_of_verbs_are_given_by_name() -> None:
    positional = [
        (name, parameter.name)
        for name in VERBS
        for parameter in inspect.signature(vars(AsyncTract)[name]).parameters.values()
        if isinstance(parameter.default, bool) and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert positional == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "ABSENT"])
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = getattr(tract, name)
    assert inspect.getdoc(value) != inspect.getdoc(type(value))
    assert is_whole_sentence(first_line(value))


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_says_what_it_is(name: str) -> None:
    value = vars(tract.errors)[name]
    assert "__doc__" in vars(value)
    assert is_whole_sentence(first_line(value))


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_of_the_tree(name: str) -> None:
    assert issubclass(vars(tract.errors)[name], tract.TractError)


@every_method
def test_every_public_method_says_what_it_does(name: str, method: object) -> None:
    assert is_whole_sentence(first_line(method))


def raises_of_ours(method: object) -> bool:
    """Tell whether the text of a function raises one of our errors."""
    return bool(re.search(rf"\braise (\w+\.)?({'|'.join(ERRORS)})\b", inspect.getsource(method)))  # type: ignore[arg-type]


@every_method
def test_what_raises_our_errors_says_so(name: str, method: object) -> None:
    assert not raises_of_ours(method) or "Raises:" in (inspect.getdoc(method) or "")


@pytest.mark.parametrize("verb", sorted(VERBS - {"branches"}))
def test_every_verb_that_can_be_refused_says_when(verb: str) -> None:
    assert "\nRaises:\n" in (inspect.getdoc(vars(AsyncTract)[verb]) or "")


@every_method
def test_errors_that_are_documented_exist(name: str, method: object) -> None:
    _, _, section = (inspect.getdoc(method) or "").partition("\nRaises:\n")
    named = re.findall(r"^    (?:\w+\.)*(\w+):", section.partition("\n\n")[0], re.MULTILINE)
    assert [each for each in named if each not in {*ERRORS, "NotCanonicalError", "RuntimeError"}] == []


@every_method
def test_every_documented_argument_exists(name: str, method: object) -> None:
    _, _, section = (inspect.getdoc(method) or "").partition("\nArgs:\n")
    named = re.findall(r"^    \**(\w+):", section.partition("\n\n")[0], re.MULTILINE)
    parameters = inspect.signature(method).parameters  # type: ignore[arg-type]
    assert [each for each in named if each not in parameters] == []


def test_importing_tract_loads_nothing_that_is_slow_or_optional() -> None:
    script = f"import sys, tract; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_says_that_it_is_typed() -> None:
    script = "from importlib.resources import files; print(files('tract').joinpath('py.typed').is_file())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
