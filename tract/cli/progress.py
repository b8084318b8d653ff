"""A progress bar with rate and remaining time, for `tract admin`.

Needs rich. Imports `admin`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tract import admin
from tract.admin.reporting import Tell


@contextmanager
def progress_bar() -> Iterator[Tell | None]:
    """Show a bar on stderr as long as it is entered, and leave nothing of it; nothing without a terminal."""
    console = Console(stderr=True, highlight=False)
    if console.is_dumb_terminal or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.fields[unit]}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TextColumn("{task.fields[rate]:,.0f}/s", style="dim"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:

        def show(progress: admin.Progress) -> None:
            total = progress.total or progress.done
            if not bar.tasks or bar.tasks[-1].fields["unit"] != progress.unit:
                # The remaining time is told from what this stretch alone did.
                for task in bar.task_ids:
                    bar.remove_task(task)
                bar.add_task("", total=total, unit=progress.unit, rate=0.0)
            bar.update(bar.task_ids[-1], completed=progress.done, total=total, rate=progress.rate)

        yield show
