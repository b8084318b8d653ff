"""What the library's results look like in a terminal, and without one.

Plain ASCII in our own words, so that any code page can show them; rich draws
the boxes that the output can take. Needs rich. Imports `domain` and
`operations`.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from tract.domain.commits import CommitOperation, Priority
from tract.domain.ids import CommitId
from tract.domain.results import SHORT, BranchInfo, CommitInfo, TractStatus
from tract.operations.compiling import CompiledContext

WIDEST = 104
"""Columns beyond which lines get hard to read."""
DIGITS = 12
"""Of a digest, for comparing by eye."""

_ROLES: Final = {"system": "magenta", "user": "green", "assistant": "cyan", "tool": "blue"}
_OPERATIONS: Final = {"append": "green", "edit": "yellow", "annotate": "blue"}
_PRIORITIES: Final = {Priority.PINNED: "magenta", Priority.IMPORTANT: "cyan", Priority.SKIP: "dim"}
_WIDE: Final = frozenset({"what", "what the model reads"})
_NUMBERS: Final = frozenset({"tokens", "messages"})


def screen() -> Console:
    """Return a console of a readable width; without a terminal it is plain text."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    return console


def title(about: str, told: str) -> RenderableType:
    """Return the head of the page: what this is, and what to know of it."""
    text = Text.assemble((about, "bold"), "\n", told)
    return Panel(text, title="tract demo", title_align="left", border_style="cyan", padding=(0, 1))


def heading(number: int, words: str) -> RenderableType:
    """Return the head of a step."""
    return Padding(Text.assemble((f"{number} ", "bold cyan"), (words, "bold")), (1, 0, 0, 0))


def code(*lines: str) -> RenderableType:
    """Return calls as a reader would type them."""
    text = Syntax("\n".join(lines), "python", theme="ansi_dark", background_color="default", word_wrap=True)
    return Padding(text, (0, 0, 0, 2))


def remark(words: str) -> RenderableType:
    """Return a sentence beside the story."""
    return Padding(Text(words, style="dim"), (1, 0, 0, 2))


async def show_answer(console: Console, deltas: AsyncIterator[str], *, label: str) -> None:
    """Show an answer while it arrives; without a terminal, when it is whole."""
    said = Text()

    def panel() -> RenderableType:
        box = Panel(said, title=label, title_align="left", border_style="cyan", padding=(0, 1))
        return Padding(box, (0, 0, 0, 2))

    if console.is_dumb_terminal or not console.is_terminal:
        said.append("".join([delta async for delta in deltas]))
        console.print(panel())
        return
    with Live(panel(), console=console, auto_refresh=False, vertical_overflow="visible") as live:
        async for delta in deltas:
            said.append(delta)
            live.update(panel(), refresh=True)


def log_table(commits: Iterable[CommitInfo]) -> RenderableType:
    """Return a history, newest first."""
    table = _table("commit", "operation", "what", "tokens")
    for info in commits:
        kind = info.operation.value
        table.add_row(
            Text(info.id[:SHORT], style="yellow"),
            Text(kind, style=_OPERATIONS.get(kind, "white")),
            Text(_what(info)),
            "" if info.tokens is None else str(info.tokens),
        )
    return _indented(table)


def context_table(compiled: CompiledContext, *, label: str, marks: Mapping[CommitId, str]) -> RenderableType:
    """Return the messages of a context, each with its slot and cost.

    Args:
        compiled: What to show.
        label: Its title.
        marks: What is worth saying of a slot, by the slot's id.
    """
    table = _table("slot", "role", "what the model reads", "", "tokens")
    table.title = label
    parts = zip(compiled.messages, compiled.slot_ids, compiled.priorities, compiled.token_counts, strict=True)
    for message, slot, priority, tokens in parts:
        table.add_row(
            Text(slot[:SHORT], style="yellow"),
            Text(message.role, style=_ROLES.get(message.role, "white")),
            Text(message.text),
            Text(marks[slot], style="yellow") if slot in marks else _priority(priority),
            "" if tokens is None else str(tokens),
        )
    whole = Text(f"{len(compiled)} messages, {compiled.token_source.replace(':', ' by ')}", style="dim")
    table.add_row("", "", whole, "", Text(str(compiled.token_count), style="bold"))
    return _indented(table)


def status_lines(status: TractStatus, branches: Iterable[BranchInfo]) -> RenderableType:
    """Return where a handle stands and which branches there are."""
    lines = (Text(str(branch), style="bold green" if branch.is_current else "") for branch in branches)
    return Padding(Group(Text(str(status)), *lines), (0, 0, 0, 2))


def digest_table(rows: Iterable[tuple[str, CompiledContext, CompiledContext]]) -> RenderableType:
    """Return branch by branch what was compiled before closing and after reopening."""
    table = _table("branch", "messages", "digest before", "digest after", "")
    for branch, before, after in rows:
        is_same = before.digest == after.digest
        verdict = Text("the same", style="bold green") if is_same else Text("DIFFERENT", style="bold red")
        table.add_row(branch, str(len(after)), before.digest[:DIGITS], after.digest[:DIGITS], verdict)
    return _indented(table)


def _what(info: CommitInfo) -> str:
    if info.operation is CommitOperation.EDIT:
        return f"{info.targets[0][:SHORT]}: {info.message}"
    return info.message


def _table(*columns: str) -> Table:
    """Return a table in which one column gives way when the terminal is narrow."""
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        expand=any(name in _WIDE for name in columns),
        header_style="dim",
        title_style="bold",
        title_justify="left",
    )
    for name in columns:
        if name in _WIDE:
            table.add_column(name, ratio=1, no_wrap=True, overflow="ellipsis")
        else:
            table.add_column(name, no_wrap=True, justify="right" if name in _NUMBERS else "left")
    return table


def _indented(table: Table) -> RenderableType:
    return Padding(table, (1, 0, 0, 2))


def _priority(priority: Priority | None) -> Text:
    if priority is None or priority is Priority.NORMAL:
        return Text("")
    return Text(priority.value, style=_PRIORITIES[priority])
