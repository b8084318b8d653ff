"""`import tract` in a fresh process, and what must not come with it.

Imports `table` and `workload`.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.table import Result, Row, Target
from benchmarks.workload import Workshop

LATER = ("openai", "aiosqlite", "structlog", "rich", "click", "psycopg", "apsw", "splintr", "anthropic")
"""What is imported only when it is needed."""


async def importing(workshop: Workshop) -> list[Result]:
    """`python -c 'import tract'`, against `python -c pass`; the difference is the import.

    Compiled modules are kept, as they are where the package is installed.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(workshop.folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    _run("import tract", environment)
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(10):
        ours.append(_run("import tract", environment))
        bare.append(_run("pass", environment))
    loaded = _loaded(environment)
    return [
        Row("process that imports tract", median(ours), "s", median(bare), "python -c pass"),
        Row("import tract", median(ours) - median(bare), "s", target=Target(0.150, of="ours")),
        Row(f"modules it must not load{_named(loaded)}", len(loaded), "x", target=Target(0, of="ours")),
    ]


def _named(modules: list[str]) -> str:
    return f" ({', '.join(modules)})" if modules else ""


def _run(code: str, environment: Mapping[str, str]) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=_checkout(), env=environment)
    return perf_counter() - start


def _loaded(environment: Mapping[str, str]) -> list[str]:
    code = f"import sys, tract; print(*(name for name in {LATER} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, cwd=_checkout(), env=environment, capture_output=True, text=True).stdout.split()


def _checkout() -> Path:
    return Path(__file__).parent.parent
