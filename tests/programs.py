"""Random programs of verbs, for tests that hold whatever a caller does.

A program is a list of steps, each the name of a verb and what it is called
with; `play` runs one on a tract in memory. What a verb refuses with an error
of ours is part of the program; anything else it raises is a fault. Another
verb is another line in `VERBS`.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from attrs import define, field, frozen
from hypothesis import strategies as st

from tests import strategies
from tract import (
    AsyncTract,
    Compiler,
    DialogueContent,
    ImagePart,
    LLMConfig,
    Message,
    ModelReply,
    Priority,
    TextPart,
    TokenBudget,
    TokenUsage,
    ToolCall,
    ToolIOContent,
    register_content_type,
)
from tract.errors import ConflictError, ModelConnectionError, ModelError, RefusedError
from tract.testing import Cut, ScriptedLLM


@frozen
class Note:
    """A registered content: whatever message it is given, beside some data."""

    message: Message
    weight: float = 1.0

    def to_message(self) -> Message:
        return self.message


register_content_type("tests.note", Note)


call_ids = st.sampled_from(["a", "a", "a", "a", "b", "b", "call 1", "call.1", "call_1", "call_1_2", "Ä", "x" * 70, "x" * 71])
"""Few, so that they repeat; some illegal for a provider, and some alike once they are made legal."""

words = st.sampled_from(["Hi", "Hi ", "\n so \t", "Grüße\u2028", "{}", "  x  ", "", "\u00a0"]) | strategies.texts.map(
    "x{}".format
)
found = st.sampled_from(["", " \n"]) | words
"""What tools give; often nothing."""
speakers = st.sampled_from([None, None, None, "ada", "Jörg", "Ada Lovelace", "x" * 65])
arguments = st.sampled_from(["{}", "", "[1]", "{not json", '{"a": NaN}', '{"a": 1e999}', '{"a":"\\ud800"}', "[" * 300]) | (
    strategies.json_values().map(json.dumps)
)
calls = st.lists(st.builds(ToolCall, call_ids, st.sampled_from(["look", "x" * 64]), arguments), min_size=1, max_size=3).map(tuple)

images = st.sampled_from(
    [
        ImagePart("https://example.com/a.png"),
        ImagePart("http://example.com/a.png", detail="low"),
        ImagePart("HTTPS://example.com/a.png", detail="high"),
        ImagePart("data:image/gif;base64,R0lGODlhAQABAAAAACw="),
        ImagePart(data="AAAA", media_type="image/webp"),
    ]
)
text_parts = words.filter(str.strip).map(TextPart)

dialogues = st.one_of(
    st.builds(DialogueContent, st.sampled_from(["system", "user", "assistant"]), words | st.none(), speakers),
    st.builds(DialogueContent, st.just("assistant"), words | st.none(), speakers, calls),
    st.builds(DialogueContent, st.just("user"), name=speakers, text=st.lists(text_parts | images, min_size=1, max_size=3)),
    st.builds(
        DialogueContent,
        st.sampled_from(["system", "assistant"]),
        text=st.lists(text_parts, min_size=1, max_size=3),
    ),
    st.builds(DialogueContent, st.just("assistant"), tool_calls=calls, text=st.lists(text_parts, min_size=1, max_size=2)),
)
results = st.builds(ToolIOContent, st.none() | st.just("look"), text=found, call_id=call_ids)
lone_calls = st.builds(ToolIOContent, st.just("look"), st.just("call"), text=arguments, call_id=call_ids)
notes = st.builds(
    Note,
    st.one_of(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), words | st.none(), speakers),
        st.builds(Message, st.just("assistant"), st.none() | words, tool_calls=calls),
        st.builds(Message, st.just("tool"), found, tool_call_id=call_ids),
        st.builds(Message, st.just("user"), st.tuples(images, text_parts)),
    ),
)
contents: st.SearchStrategy[Any] = st.sampled_from(
    [strategies.contents, dialogues, dialogues, dialogues, results, results, lone_calls, notes]
).flatmap(lambda kind: kind)
"""Whatever can be committed; much of it calls tools or answers calls."""

places = st.integers(0, 9)
"""How far back what a verb acts on was made."""

budgets = st.none() | st.builds(TokenBudget, st.integers(1, 500), st.sampled_from(["warn", "reject"]))
"""Some of them full from the start."""

replies: st.SearchStrategy[Any] = st.one_of(
    words,
    st.builds(ModelReply, words | st.none(), tool_calls=calls),
    st.just(ModelConnectionError()),
    st.builds(Cut, st.lists(words, max_size=2), st.just(ModelConnectionError())),
)


@define
class Player:
    """A tract, and what a program made on it so far."""

    t: AsyncTract
    reply: Any = "Hello."
    commits: list[str] = field(factory=lambda: ["HEAD"])
    branches: list[str] = field(factory=lambda: ["main"])

    def commit(self, back: int) -> str:
        return self.commits[-1 - back % len(self.commits)]

    def branch(self, back: int) -> str:
        return self.branches[-1 - back % len(self.branches)]


Step: TypeAlias = tuple[str, tuple[Any, ...]]
Verb: TypeAlias = Callable[..., Awaitable[Any]]


async def _commit(player: Player, content: Any, priority: Priority | None) -> None:
    player.commits.append((await player.t.commit(content, priority=priority)).id)


async def _tool_result(player: Player, call_id: str, text: str) -> None:
    player.commits.append((await player.t.tool_result(call_id, text)).id)


async def _edit(player: Player, back: int, content: Any) -> None:
    player.commits.append((await player.t.edit(player.commit(back), content)).id)


async def _annotate(player: Player, back: int, priority: Priority) -> None:
    await player.t.annotate(player.commit(back), priority)


async def _revert(player: Player, back: int) -> None:
    commits = await player.t.log(limit=10)
    if commits:
        player.commits.append((await player.t.revert(commits[back % len(commits)].id)).id)


async def _batch(player: Player, committed: list[Any], back: int) -> None:
    made = []
    async with player.t.batch():
        for content in committed:
            made.append((await player.t.commit(content)).id)
            await player.t.compile()
        made.append((await player.t.edit(made[back % len(made)], "edited in the batch")).id)
    player.commits += made


async def _branch(player: Player, back: int) -> None:
    name = f"b{len(player.branches)}"
    await player.t.branch(name, at=player.commit(back))
    player.branches.append(name)


async def _system(player: Player, text: str) -> None:
    player.commits.append((await player.t.system(text)).id)


async def _user(player: Player, text: str, name: str | None) -> None:
    player.commits.append((await player.t.user(text, name=name)).id)


async def _assistant(player: Player, text: str, name: str | None) -> None:
    player.commits.append((await player.t.assistant(text, name=name)).id)


async def _worktree(player: Player, back: int, content: Any) -> None:
    async with await player.t.worktree(player.branch(back)) as other:
        player.commits.append((await other.commit(content)).id)


async def _configure(player: Player, budget: TokenBudget | None) -> None:
    await player.t.configure(budget=budget)
    await player.t.configure_operations(compress=None if budget is None else LLMConfig(max_tokens=budget.max_tokens))


async def _record_usage(player: Player, prompt: int) -> None:
    await player.t.record_usage(TokenUsage(prompt=prompt, completion=1))


async def _chat(player: Player, question: Any, reply: Any) -> None:
    player.reply = reply
    player.commits.append((await player.t.chat(question)).commit_info.id)


async def _generate(player: Player, reply: Any) -> None:
    player.reply = reply
    player.commits.append((await player.t.generate()).commit_info.id)


async def _leave(player: Player, question: Any, reply: Any) -> None:
    player.reply = reply
    async with player.t.stream(question) as stream:
        async for _ in stream:
            break


async def look(place: str = "") -> str:
    return place


async def _run(player: Player, question: Any, reply: Any) -> None:
    player.reply = reply
    result = await player.t.run(question, tools=[look], max_steps=2)
    info = result.response.commit_info
    player.commits.append(info.id)
    assert result.is_finished == (not result.response.tool_calls)
    if result.steps:
        open_calls = [
            repair for repair in (await player.t.compile()).repairs if repair.kind == "closed" and repair.slot == info.id
        ]
        assert open_calls == []


VERBS: dict[str, tuple[st.SearchStrategy[tuple[Any, ...]], Verb]] = {
    "commit": (st.tuples(contents, st.none() | st.sampled_from(Priority)), _commit),
    "system": (st.tuples(words), _system),
    "user": (st.tuples(words, speakers), _user),
    "assistant": (st.tuples(words, speakers), _assistant),
    "tool_result": (st.tuples(call_ids, found), _tool_result),
    "edit": (st.tuples(places, words | contents), _edit),
    "annotate": (st.tuples(places, st.sampled_from(Priority)), _annotate),
    "pin": (st.tuples(places), lambda player, back: player.t.pin(player.commit(back))),
    "skip": (st.tuples(places), lambda player, back: player.t.skip(player.commit(back))),
    "revert": (st.tuples(places), _revert),
    "batch": (st.tuples(st.lists(contents, min_size=1, max_size=3), places), _batch),
    "branch": (st.tuples(places), _branch),
    "switch": (st.tuples(places), lambda player, back: player.t.switch(player.branch(back))),
    "worktree": (st.tuples(places, contents), _worktree),
    "configure": (st.tuples(budgets), _configure),
    "record_usage": (st.tuples(st.integers(0, 500)), _record_usage),
    "chat": (st.tuples(words | dialogues, replies), _chat),
    "generate": (st.tuples(replies), _generate),
    "stream": (st.tuples(words, replies), _leave),
    "run": (st.tuples(st.none() | words | dialogues, replies), _run),
}
"""By verb, what it is called with and how."""


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw a step of any verb, every second one a commit or a result."""
    name = draw(st.sampled_from(["commit"] * 7 + ["tool_result"] * 4 + [*VERBS]))
    return name, draw(VERBS[name][0])


programs: st.SearchStrategy[list[Step]] = st.lists(steps(), min_size=5, max_size=25)


async def play(program: list[Step], check: Callable[[AsyncTract], Awaitable[None]], *, compiler: Compiler | None = None) -> None:
    """Run a program on a tract in memory, and *check* the tract after each step."""
    async with AsyncTract.open(llm=ScriptedLLM(lambda _: player.reply), model="tiny", compiler=compiler) as t:
        player = Player(t)
        for name, arguments in program:
            with suppress(RefusedError, ConflictError, ModelError):
                await VERBS[name][1](player, *arguments)
            await check(t)
