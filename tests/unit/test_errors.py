"""The exceptions: what they hold, say and belong to."""

import copy
import inspect
import pickle
import re
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from tract import errors
from tract.errors import (
    AmbiguousRefError,
    CorruptLogError,
    HeadMovedError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelResponseError,
    RefNotFoundError,
    TractError,
)

COMMIT = "0123456789abcdef" * 4
VALUES: dict[str, Any] = {
    "str": "main",
    "str | None": COMMIT,
    "int": 2,
    "int | None": 3,
    "float | None": 2.5,
    "tuple[str, ...]": ("main", "try"),
    "datetime": datetime(2026, 1, 1, tzinfo=UTC),
}
ROOTS = {"TractError", "RefusedError", "ConflictError", "StoreError"}
CLASSES: list[type[TractError]] = [getattr(errors, name) for name in errors.__all__]
KINDS = [kind for kind in CLASSES if kind.__name__ not in ROOTS]

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def arguments(kind: type[TractError], *, full: bool) -> dict[str, Any]:
    """What its constructor takes: everything, or only what it must have, null where that is allowed."""
    given: dict[str, Any] = {}
    for parameter in inspect.signature(kind).parameters.values():
        annotation = str(getattr(parameter.annotation, "__name__", parameter.annotation))
        annotation = str(parameter.annotation) if annotation in {"tuple", "Optional"} else annotation
        if full:
            given[parameter.name] = VALUES[annotation]
        elif parameter.default is inspect.Parameter.empty:
            given[parameter.name] = None if "None" in annotation else VALUES[annotation]
    return given


def full(kind: type[TractError]) -> TractError:
    error = kind(**arguments(kind, full=True))
    return error.located(question=COMMIT, partial=COMMIT, generation=COMMIT) if isinstance(error, ModelError) else error


def bare(kind: type[TractError]) -> TractError:
    return kind(**arguments(kind, full=False))


@each_kind
@pytest.mark.parametrize("make", [full, bare])
def test_an_error_holds_what_it_was_given(kind: type[TractError], make: Any) -> None:
    held = vars(make(kind))
    for name, value in arguments(kind, full=make is full).items():
        assert held[name] == value


@each_kind
@pytest.mark.parametrize("make", [full, bare])
def test_an_error_can_be_pickled_with_all_it_holds(kind: type[TractError], make: Any) -> None:
    error = make(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)


@each_kind
def test_an_error_can_be_copied(kind: type[TractError]) -> None:
    error = full(kind)
    assert vars(copy.copy(error)) == vars(error)


@each_kind
def test_errors_are_equal_by_identity(kind: type[TractError]) -> None:
    one, two = full(kind), full(kind)
    assert one != two
    assert len({one, two}) == 2


@each_kind
@pytest.mark.parametrize("make", [full, bare])
def test_an_error_says_so_in_at_most_three_short_sentences_on_one_line(kind: type[TractError], make: Any) -> None:
    message = str(make(kind))
    assert "\n" not in message
    assert message.endswith(".")
    assert not message.endswith("..")
    assert "None" not in message
    assert 1 <= len(re.findall(r"[.?!](?= [A-Z]|$)", message)) <= 3
    assert len(message) < 320


@each_kind
def test_an_error_can_be_raised_and_printed(kind: type[TractError]) -> None:
    error = full(kind)
    assert traceback.format_exception_only(error)[-1] == f"{kind.__module__}.{kind.__qualname__}: {error}\n"


@each_kind
def test_an_error_has_a_repr_that_names_it(kind: type[TractError]) -> None:
    assert repr(full(kind)).startswith(f"{kind.__name__}(")


def drawn() -> dict[str, str]:
    """Parents of the classes, by the tree in the docstring."""
    _, _, tree = (errors.__doc__ or "").partition("::\n")
    parents: dict[str, str] = {}
    second = third = ""
    for line in tree.splitlines():
        names = re.findall(r"[A-Z]\w+Error\b", line)
        indent = len(line) - len(line.lstrip())
        if indent == 6 and names:
            second = names[0]
            parents[second] = "TractError"
        elif indent == 8:
            parents |= dict.fromkeys(names, second)
            third = names[-1]
        elif indent == 10:
            parents |= dict.fromkeys(names, third)
    return parents


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES if kind is not TractError}
    assert drawn() == real


def test_every_error_class_of_the_package_is_exported() -> None:
    defined = {
        name
        for module in (errors.roots, errors.refused, errors.conflicts, errors.models, errors.stores)
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, TractError)
    }
    assert defined == set(errors.__all__)


def test_the_exported_names_are_sorted() -> None:
    assert errors.__all__ == sorted(errors.__all__)


def test_a_name_that_was_not_found_comes_with_names_that_look_alike() -> None:
    assert "Did you mean 'main' or 'maid'?" in str(RefNotFoundError("mian", ("main", "maid")))


def test_an_ambiguous_prefix_shows_enough_of_each_commit_to_choose() -> None:
    assert "(abcd12345678, abcd87654321)" in str(
        AmbiguousRefError("abcd", ("abcd12345678" + "0" * 52, "abcd87654321" + "0" * 52))
    )


def test_a_head_that_moved_says_how_to_take_the_answer() -> None:
    assert f"branch(name, at={COMMIT[:8]!r})" in str(HeadMovedError("main", None, COMMIT, COMMIT))


def test_a_model_error_names_what_is_kept_off_the_branch() -> None:
    error = ModelError("The answer was cut").located(question="a" * 64, partial="b" * 64, generation=None)
    assert str(error).endswith("Kept off the branch, which is where it was: question aaaaaaaa, partial bbbbbbbb.")


def test_a_model_error_does_not_say_of_a_branch_that_it_moved_that_it_is_where_it_was() -> None:
    error = ModelConnectionError("The answer was cut")
    error.located(question="a" * 64, partial="b" * 64, generation=None, is_on_branch=True)
    assert "where it was" not in str(error)
    assert "On the branch: question aaaaaaaa, partial bbbbbbbb; generate() goes on from there" in str(error)


def test_a_rate_limit_says_how_long_to_wait() -> None:
    assert "Wait 2.5 s and retry." in str(ModelRateLimitError("Too many requests", retry_after=2.5))


def test_a_context_that_is_too_long_says_by_how_much() -> None:
    assert "(9000 tokens, limit 8000)" in str(ModelContextError("Too long", tokens=9000, limit=8000))


def test_a_context_that_is_too_long_says_what_shortens_it_and_the_figure_that_is_known() -> None:
    message = str(ModelContextError("Too long", limit=8000))
    assert "(limit 8000): skip, edit or compress" in message


def test_an_account_that_is_empty_is_not_told_to_wait() -> None:
    message = str(ModelQuotaError("The quota is used up", status=429))
    assert "Add credit" in message
    assert "Wait" not in message


def test_a_refusal_says_where_its_words_are() -> None:
    error = ModelRefusalError("the model refused to answer").located(question=None, partial="b" * 64, generation=None)
    assert "show(error.partial)" in str(error)
    assert isinstance(error, ModelResponseError)


def test_a_server_error_advises_to_retry_and_a_refusal_to_look_at_the_request() -> None:
    assert "Call again" in str(ModelResponseError("The server failed", status=500))
    assert "Check the model name" in str(ModelResponseError("Refused", status=400))


def test_a_damaged_log_names_the_place() -> None:
    assert "/x.db, tract t, version 3: " in str(CorruptLogError("/x.db", "t", 3, "a gap"))
