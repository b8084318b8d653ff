"""Every compiled context is one that the provider accepts, whatever was done before."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.programs import Step, play, programs
from tests.validators import check_anthropic, check_openai
from tract import AsyncTract, CompiledContext, Compiler, DialogueContent, Message, RegisteredContent, TextPart, XMLCompiler
from tract.errors import ContentValidationError, RefusedError


def accept(compiled: CompiledContext) -> None:
    check_openai(compiled.to_openai())
    check_anthropic(compiled.to_anthropic())


async def check(t: AsyncTract) -> None:
    accept(await t.compile())


async def check_marked(t: AsyncTract) -> None:
    accept(await t.compile(include_edit_marks=True))


async def check_ordered(t: AsyncTract) -> None:
    """In every order that is taken of some that cut the context in two."""
    ids = list((await t.compile()).slot_ids)
    for place in range(1, len(ids)):
        # A tool call and its results stay together, which such an order may break.
        with suppress(RefusedError):
            accept(await t.compile(order=ids[place:] + ids[:place]))


CHECKS = {
    "as it is": (check, None),
    "with marks of edits": (check_marked, None),
    "in other orders": (check_ordered, None),
    "by another compiler": (check, XMLCompiler()),
    "by another compiler, with marks": (check_marked, XMLCompiler()),
}


@pytest.mark.parametrize(("check", "compiler"), CHECKS.values(), ids=CHECKS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example], deadline=None)
@given(program=programs)
def test_no_provider_rejects_what_any_program_compiles_to(
    check: Callable[[AsyncTract], Awaitable[None]], compiler: Compiler | None, program: list[Step]
) -> None:
    asyncio.run(play(program, check, compiler=compiler))


def named(name: str) -> list[Callable[[AsyncTract], Awaitable[Any]]]:
    """Every way to commit what somebody of that name said."""
    return [
        lambda t: t.user("Hi", name=name),
        lambda t: t.assistant("Hi", name=name),
        lambda t: t.commit(DialogueContent("system", [TextPart("Hi")], name)),
        lambda t: t.commit(RegisteredContent("note", {}, Message("user", "Hi", name))),
        lambda t: t.edit("HEAD", DialogueContent("user", "Hi", name)),
    ]


@pytest.mark.parametrize("name", ["Ada Lovelace", "ada\n", "<ada>", "a|b", "a/b", "a\\b", "x" * 65])
async def test_a_name_that_providers_refuse_is_refused(t: AsyncTract, name: str) -> None:
    first = await t.user("Hello.")
    for way in named(name):
        with pytest.raises(ContentValidationError, match=r"^name: providers take"):
            await way(t)
    assert await t.head() == first.id


@pytest.mark.parametrize("name", ["ada", "Jörg", "a.b@c-d_e:f", "x" * 64])
async def test_a_name_that_providers_take_is_taken(t: AsyncTract, name: str) -> None:
    await t.user("Hello.")
    for way in named(name):
        await way(t)
    check_openai((await t.compile()).to_openai())
