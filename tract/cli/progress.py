"""A progress bar with rate and remaining time, for `tract admin`.

Needs rich. Imports `admin`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tract.admin import Progress
from tract.admin.reporting import Tell


@contextmanager
def progress_bar() -> Iterator[Tell | None]:
    """Show a bar on stderr as long as it is entered, and leave nothing of it; nothing without a terminal."""
    console = Console(stderr=True, highlight=False)
    if console.is_dumb_terminal or not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, auto_refresh=False) as bar:
        units: list[str] = []

        def show(progress: Progress) -> None:
            count = f"{progress.done:,} of {progress.total:,}" if progress.total else f"{progress.done:,}"
            told, total = f"{count} {progress.unit}, {progress.rate:,.0f}/s", progress.total or None
            if units[-1:] != [progress.unit]:
                # The remaining time is told from what this stretch alone did.
                for task in bar.task_ids:
                    bar.remove_task(task)
                bar.add_task(told, total=total)
                units.append(progress.unit)
            bar.update(bar.task_ids[-1], completed=progress.done, total=total, description=told, refresh=True)

        yield show
