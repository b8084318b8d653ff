"""`tract demo`: the library in one short conversation.

The calls that are shown are the calls that are made, but for the file's path
and the tract's name. Needs rich. Imports `tract`, `testing` and `showing`; read
`Demo.run` first.
"""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from attrs import frozen
from rich.console import Console

from tract.cli import showing
from tract.domain.exchange import ModelRequest
from tract.domain.results import CommitInfo
from tract.errors import ConfigError, StoreNotFoundError, TractNotFoundError
from tract.llm.openai_client import OpenAIClient
from tract.llm.protocol import LLMClient
from tract.operations.compiling import CompiledContext
from tract.testing import ScriptedLLM
from tract.tract import AsyncTract

DEFAULT_MODEL = "gpt-4o-mini"
"""Asked by --live where no other server was given."""
SECONDS_A_WORD = 0.015
"""Between the words of a scripted answer, and only where somebody watches."""
TRACT = "demo"
BRANCH = "more-money"
SIDE = "enough"

INSTRUCTION = "You suggest weekend trips from Vienna. Two short sentences."
BUDGET = "My budget is 200 euros."
MORE_BUDGET = "My budget is 900 euros."
CHATTER = "The coffee machine at work broke again."
QUESTION = "Where shall I go on Friday?"
MODEST = (
    "Take the early train to Bratislava: one hour, and a room near the castle for 60 euros. Half of your money comes home again."
)
MORE = "Tell me all about it."
LONG = (
    "Gladly! Bratislava lies on the Danube, an hour down the river. Begin at the castle, which looks like a table turned "
    "upside down, and then"
)
ENOUGH = 9
"""Pieces of that answer after which the demo leaves it."""
GENEROUS = "Take the night train to Venice and wake up by the lagoon. 900 euros buy a room on the canal, and dinner too."


def suggest(request: ModelRequest) -> str:
    """Answer by what the compiled context says, as a model would."""
    said = " ".join(str(message.get("content")) for message in request.messages)
    if request.messages[-1].get("content") == MORE:
        return LONG
    return GENEROUS if MORE_BUDGET in said else MODEST


@frozen
class Demo:
    """Who is talked to, and how it is told.

    Attributes:
        client: The model.
        model: Its name.
        opened_with: The model's part of `open()`, as a reader would type it.
        told: What to know of the model.
        console: Where it is shown.
    """

    client: LLMClient
    model: str
    opened_with: str
    told: str
    console: Console

    @classmethod
    def prepare(cls, *, live: bool, model: str | None, base_url: str | None) -> "Demo":
        """Return a demo with a scripted or, if *live*, a real model.

        Raises:
            ConfigError: A real one is wanted and not configured.
        """
        console = showing.screen()
        if live:
            client, name = _real_model(model, base_url)
            opened_with = f'model="{name}"' + (", base_url=..." if base_url else "")
            return cls(client, name, opened_with, f"Talking to {name}, a real model: answers differ from run to run.", console)
        told = (
            "The model is scripted (ScriptedLLM): no key and no network are needed. It picks one of two prepared answers "
            "by what its context says. Talk to a real model with: tract demo --live"
        )
        client = _scripted_model(SECONDS_A_WORD if console.is_terminal else 0)
        return cls(client, "scripted", 'llm=ScriptedLLM(...), model="scripted"', told, console)

    async def run(self, db: Path | None) -> bool:
        """Tell the story, in *db* or a file that is deleted afterwards.

        Returns:
            Whether the reopened file compiles to the same contexts.

        Raises:
            TractError: The model or the store failed.
        """
        self.console.print(showing.title("Version control for what an LLM is told.", self.told))
        try:
            if db is not None:
                return await self._tell(db, is_kept=True)
            with TemporaryDirectory(prefix="tract-demo-") as folder:
                return await self._tell(Path(folder) / "demo.db", is_kept=False)
        finally:
            await self.client.aclose()

    async def _tell(self, db: Path, *, is_kept: bool) -> bool:
        name = await _free_name(db)
        async with AsyncTract.open(str(db), name=name, llm=self.client, model=self.model) as t:
            budget, chatter = await self._begin(t)
            await self._leave(t)
            await self._branch(t, budget, chatter)
            before = await self._look(t, budget)
        return await self._reopen(db, name, before, is_kept=is_kept)

    async def _begin(self, t: AsyncTract) -> tuple[CommitInfo, CommitInfo]:
        """Say what the model should know, and ask."""
        self._step(
            1,
            "Every message is a commit; the system prompt is pinned",
            f't = await AsyncTract.open("demo.db", {self.opened_with})',
            f'await t.system("{INSTRUCTION}")',
            f'budget = await t.user("{BUDGET}")',
            f'chatter = await t.user("{CHATTER}")',
        )
        await t.system(INSTRUCTION)
        budget = await t.user(BUDGET)
        chatter = await t.user(CHATTER)
        self._step(
            2,
            "Ask: the answer streams, then question and answer land together",
            f'async with t.stream("{QUESTION}") as answer:',
            '    async for delta in answer: print(delta, end="")',
        )
        await self._ask(t)
        return budget, chatter

    async def _leave(self, t: AsyncTract) -> None:
        """Stop an answer half-way, on a branch of its own."""
        self._step(
            3,
            "Seen enough? Leave the block: what you saw stays, the rest is not waited for",
            f'await t.branch("{SIDE}")',
            f'async with t.stream("{MORE}") as answer:',
            "    async for delta in answer: ...  # and break",
        )
        await t.branch(SIDE)
        async with t.stream(MORE) as answer:
            await showing.show_answer(self.console, _first(answer, ENOUGH), label=f"{self.model}, on {t.current_branch}")
        left = answer.response
        self.console.print(showing.remark(f'finish_reason="{left.finish_reason}", kept as {left.commit_info.id[:8]}.'))

    async def _branch(self, t: AsyncTract, budget: CommitInfo, chatter: CommitInfo) -> None:
        """Ask the same again where another thing is true."""
        self._step(
            4,
            "What if? Branch from before the question, edit a fact, skip a slot",
            f'await t.branch("{BRANCH}", at=chatter.id)',
            f'await t.edit(budget.id, "{MORE_BUDGET}", message="a bonus")',
            'await t.skip(chatter.id, reason="off topic")',
        )
        await t.branch(BRANCH, at=chatter.id)
        await t.edit(budget.id, MORE_BUDGET, message="a bonus")
        await t.skip(chatter.id, reason="off topic")
        await self._ask(t)

    async def _look(self, t: AsyncTract, budget: CommitInfo) -> dict[str, CompiledContext]:
        """Show the history, where we are, and what the model reads on either branch."""
        show = self.console.print
        self._step(5, "The history remembers all of it: nothing is overwritten", "await t.log()")
        show(showing.log_table(await t.log()))
        show()
        show(showing.code("await t.status(), await t.branches()"))
        show(showing.status_lines(await t.status(), await t.branches()))

        self._step(6, "The model reads only what is true on its branch", f'await t.compile("main"), await t.compile("{BRANCH}")')
        compiled = {name: await t.compile(name) for name in ("main", BRANCH)}
        for name, context in compiled.items():
            marks = {} if name == "main" else {budget.id: "edited"}
            show(showing.context_table(context, label=f"on {name}", marks=marks))
        return compiled

    async def _reopen(self, db: Path, name: str, before: dict[str, CompiledContext], *, is_kept: bool) -> bool:
        """Open the closed file again and compare."""
        self._step(7, "Close it, open it again: nothing was lost", "await t.aclose()", 't = await AsyncTract.open("demo.db")')
        async with AsyncTract.open(str(db), name=name, create=False) as t:
            after = {branch: await t.compile(branch) for branch in before}
        self.console.print(showing.digest_table((branch, before[branch], after[branch]) for branch in before))
        where = f'Kept: AsyncTract.open("{db}", name="{name}").' if is_kept else "The file was temporary; --db PATH keeps it."
        self.console.print(showing.remark(f"{where} Next: README.md, or python cookbook/first_conversation.py"))
        return all(after[branch].digest == before[branch].digest for branch in before)

    async def _ask(self, t: AsyncTract) -> None:
        async with t.stream(QUESTION) as answer:
            await showing.show_answer(self.console, answer, label=f"{self.model}, on {t.current_branch}")

    def _step(self, number: int, words: str, *lines: str) -> None:
        self.console.print(showing.heading(number, words))
        self.console.print(showing.code(*lines))


async def _first(deltas: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    """Yield so many pieces at the most, and leave the rest."""
    async for delta in deltas:
        yield delta
        count -= 1
        if not count:
            return


def _scripted_model(pause: float) -> LLMClient:
    async def paced(text: str) -> AsyncIterator[str]:
        for word in re.findall(r"\S+\s*", text):
            await anyio.sleep(pause)
            yield word

    # Without a reported usage, the totals are the exact counts of the tables.
    return ScriptedLLM(lambda request: paced(suggest(request)), reports_usage=False)


def _real_model(model: str | None, base_url: str | None) -> tuple[LLMClient, str]:
    has_server = bool(base_url or os.environ.get("OPENAI_BASE_URL"))
    if not has_server and not os.environ.get("OPENAI_API_KEY", "").strip():
        raise ConfigError("--live", "no model is configured; set OPENAI_API_KEY, or give --base-url URL and --model NAME")
    if has_server and not model:
        raise ConfigError("--model", "say which model of that server to ask")
    return OpenAIClient(base_url=base_url), model or DEFAULT_MODEL


async def _free_name(db: Path) -> str:
    """Return a name that no tract of the file has, so that the demo can run on it twice."""
    number = 1
    while True:
        name = TRACT if number == 1 else f"{TRACT}-{number}"
        try:
            async with AsyncTract.open(str(db), name=name, create=False):
                number += 1
        except (StoreNotFoundError, TractNotFoundError):
            return name
