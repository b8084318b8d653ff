"""Every compiled context is one that the provider accepts, whatever was done before."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.programs import Step, play, programs
from tests.validators import check_anthropic, check_openai
from tract import AsyncTract, DialogueContent, Message, RegisteredContent, TextPart
from tract.errors import ContentValidationError


async def check(t: AsyncTract) -> None:
    compiled = await t.compile()
    check_openai(compiled.to_openai())
    check_anthropic(compiled.to_anthropic())


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example], deadline=None)
@given(programs)
def test_no_provider_rejects_what_any_program_compiles_to(program: list[Step]) -> None:
    asyncio.run(play(program, check))


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
