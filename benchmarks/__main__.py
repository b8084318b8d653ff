"""`python -m benchmarks [NAMES...] [--quick] [--json] [--check]`.

Imports every benchmark; `BENCHMARKS` is the list.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from benchmarks import (
    appending,
    compiling,
    growing,
    importing,
    querying,
    rebuilding,
    reopening,
    searching,
    storing,
    streaming,
    talking,
    verifying,
)
from benchmarks.table import Result, text_of
from benchmarks.workload import Workshop

Benchmark: TypeAlias = Callable[[Workshop], Coroutine[Any, Any, list[Result]]]

BENCHMARKS: dict[str, Benchmark] = {
    "import": importing.importing,
    "sequential": appending.sequential,
    "agents": appending.agents,
    "tasks": appending.tasks,
    "cold": compiling.cold,
    "again": compiling.again,
    "changed": compiling.changed,
    "reopen": reopening.reopen,
    "verbs": growing.verbs,
    "open": growing.opening,
    "forks": growing.forks,
    "disk": storing.disk,
    "search": searching.searching,
    "query": querying.querying,
    "chat": talking.chat,
    "streams": streaming.streams,
    "rebuild": rebuilding.rebuilding,
    "verify": verifying.verifying,
}


# Not the first choice of `tempfile`: /tmp is often memory.
_FOLDER = "/var/tmp" if Path("/var/tmp").is_dir() else tempfile.gettempdir()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print it; return the exit status."""
    chosen = _parser().parse_args(arguments)
    unknown = [name for name in chosen.names if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="tract-benchmarks-", dir=chosen.folder) as folder:
        workshop = Workshop(Path(folder), is_quick=chosen.quick, is_large=chosen.large)
        for name in chosen.names or BENCHMARKS:
            start = perf_counter()
            results += asyncio.run(BENCHMARKS[name](workshop))
            print(f"{name}: {perf_counter() - start:.1f} s", file=sys.stderr)
    if chosen.json:
        print(json.dumps([result.to_json() for result in results], indent=2))
    else:
        print(text_of(results))
    return 1 if chosen.check and any(result.is_met is False for result in results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast Tract is, beside the floors that it stands on. Ratios count; times drift.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["benchmarks:", *(f"  {name:<12}{_summary(work)}" for name, work in BENCHMARKS.items())]),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run; everything by default")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds: below a minute")
    parser.add_argument("--large", action="store_true", help="memory with a million messages too: many minutes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--folder", default=_FOLDER, help="where files are made; on a real disk (default: %(default)s)")
    return parser


def _summary(work: Benchmark) -> str:
    return (work.__doc__ or "").strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
