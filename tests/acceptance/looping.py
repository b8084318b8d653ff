"""Models that call tools, and what a branch says of it."""

from collections.abc import Callable, Iterator
from typing import Any

from tract import AsyncTract, ModelReply, ModelRequest, ToolCall
from tract.testing import ScriptedLLM


def call(name: str, arguments: str = "{}", id: str = "c1") -> ToolCall:
    return ToolCall(id, name, arguments)


def calling(*calls: ToolCall) -> ModelReply:
    return ModelReply(None, tool_calls=calls)


def opened(*replies: Any, where: str = ":memory:", **options: Any) -> Any:
    return AsyncTract.open(where, llm=ScriptedLLM(list(replies)), **{"model": "tiny", **options})


def counting(rounds: int, *names: str) -> Callable[[ModelRequest], ModelReply | str]:
    """Return a model that calls *names* for some rounds, by how many answers it sees since the last question."""

    def reply(request: ModelRequest) -> ModelReply | str:
        roles = [message["role"] for message in request.messages]
        question = max(place for place, role in enumerate(roles) if role == "user")
        turn = roles[question:].count("assistant")
        if turn == rounds:
            return "Done."
        return calling(*(call(name, id=f"{name}-{turn}") for name in names))

    return reply


async def spoken(t: AsyncTract, at: str | None = None) -> list[tuple[str, str]]:
    """Return role and words of each message: of a call its names, of a result its text."""
    return list(_spoken((await t.compile(at)).to_dicts()))


async def until_spoken(t: AsyncTract, said: tuple[str, str]) -> None:
    """Return once a message stands on the branch."""
    async for _ in t.events():
        if said in await spoken(t):
            return


def _spoken(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for message in messages:
        called = ", ".join(each["name"] for each in message.get("tool_calls", ()))
        yield message["role"], called or message["content"]
