"""The shape that style.md and design.md section 3 promise, counted."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tract"
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 6
# tract.log.store brings a database driver, which only an open store needs, and
# tract.formats.structuring and tract.formats.instances cattrs, which only
# mappings and classes of a caller's do, and the client an SDK.
LATE_IMPORTS = {
    "aiosqlite",
    "click",
    "openai",
    "rich",
    "splintr",
    "starlette",
    "structlog",
    "tract.formats.instances",
    "tract.formats.structuring",
    "tract.llm.openai_client",
    "tract.log.store",
    "uvicorn",
}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

every_module = pytest.mark.parametrize("path", MODULES, ids=NAMES)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(node: ast.AST) -> Iterator[Function]:
    return (child for child in ast.walk(node) if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))


def length(function: Function) -> int:
    """Lines without the docstring and the decorators."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def parameters(function: Function) -> int:
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def is_public_verb(path: Path, function: Function) -> bool:
    holds_verbs = path.parent in {PACKAGE / "verbs", PACKAGE / "agent"} or path == PACKAGE / "tract.py"
    return holds_verbs and not function.name.startswith("_")


def is_overload(node: Function | ast.ClassDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list)


@every_module
def test_a_module_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@every_module
def test_functions_are_short(path: Path) -> None:
    assert [f.name for f in functions(tree(path)) if length(f) > MOST_FUNCTION_LINES] == []


@every_module
def test_only_public_verbs_and_constructors_have_many_parameters(path: Path) -> None:
    many = [f for f in functions(tree(path)) if parameters(f) > MOST_PARAMETERS and f.name != "__init__"]
    assert [f.name for f in many if not is_public_verb(path, f)] == []


@every_module
def test_whatever_is_public_says_what_it_is(path: Path) -> None:
    module = tree(path)
    definitions = [node for node in module.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
    # An overload is one more signature of what says so itself.
    public = [node for node in definitions if not node.name.startswith("_") and not is_overload(node)]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert ([] if ast.get_docstring(module) else ["the module"]) + silent == []


@every_module
def test_nothing_is_left_for_later(path: Path) -> None:
    assert UNFINISHED.findall(path.read_text(encoding="utf-8")) == []


@every_module
def test_only_slow_or_optional_packages_are_imported_inside_functions(path: Path) -> None:
    imported = set()
    for function in functions(tree(path)):
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                imported.add(module if module in LATE_IMPORTS else module.split(".")[0])
            elif isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
    assert imported <= LATE_IMPORTS


def test_importing_tract_imports_no_driver_provider_or_terminal_library() -> None:
    program = (
        "import sys, tract; print(*sorted({'openai', 'aiosqlite', 'structlog', 'rich', 'click', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
