"""Import of transcripts: many conversations, one tract each, exactly once.

Shows `from_openai`, `commit` with an `operation_id` of one's own, and many
tracts of one file written at once: appends that wait share a transaction.

    python cookbook/import_transcripts.py FILE DB

FILE holds one conversation a line, {"task_id": .., "trial": .., "messages":
[..]}, in OpenAI's format; all of it is read before anything is written. Each
becomes the tract `task-<id>-trial-<n>`. Running it again writes nothing twice:
it skips what is complete and goes on where it was cut short. Needs `[cli]`.
"""

import argparse
import json
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from tract import AsyncTract, TractError, from_openai
from tract.errors import ContentValidationError, RefusedError

AT_ONCE = 64  # tracts; what they append at one time shares a transaction


@frozen
class Transcript:
    """A conversation with its line, the name of its tract and an id for each commit."""

    where: str
    name: str
    contents: tuple[Any, ...]
    operations: tuple[str, ...]


def read_transcripts(file: Path) -> list[Transcript]:
    """Read and check the whole file; a bad line raises `ContentValidationError`."""
    used: Counter[str] = Counter()
    with file.open("rb") as lines:
        return [read_line(line, f"line {number}", used) for number, line in enumerate(lines, 1) if line.strip()]


def read_line(line: bytes, where: str, used: Counter[str]) -> Transcript:
    try:
        record = json.loads(line)
        task, trial, messages = record["task_id"], record["trial"], record["messages"]
        contents = from_openai(messages)
    except ContentValidationError as exc:
        raise ContentValidationError(f"{where}, {exc.field}", exc.reason) from exc
    except (ValueError, TypeError, KeyError) as exc:
        raise ContentValidationError(where, "it must be a JSON object with task_id, trial and a list of messages") from exc
    name = re.sub(r"[^\w.-]+", "-", f"task-{task}-trial-{trial}")
    used[name] += 1
    name = name if used[name] == 1 else f"{name}-{used[name]}"
    # Made of what is imported: the same message of the same line is the same operation.
    space = uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {json.dumps(messages, sort_keys=True)}")
    return Transcript(where, name, contents, tuple(str(uuid.uuid5(space, str(index))) for index in range(len(contents))))


async def import_one(db: Path, transcript: Transcript) -> int:
    """Commit what is missing of one transcript; return how many messages that were."""
    async with AsyncTract.open(str(db), name=transcript.name) as t:
        there = await t.log(limit=len(transcript.contents) + 1)
        done = tuple(commit.operation_id for commit in reversed(there))
        if done != transcript.operations[: len(done)]:
            raise RefusedError(f"The tract {transcript.name!r} holds something else already. Import into another file.")
        for index in range(len(done), len(transcript.contents)):
            try:
                await t.commit(transcript.contents[index], operation_id=transcript.operations[index])
            except ContentValidationError as exc:
                raise ContentValidationError(f"{transcript.where}, messages[{index}].{exc.field}", exc.reason) from exc
        return len(transcript.contents) - len(done)


async def import_all(db: Path, transcripts: Sequence[Transcript], console: Console) -> list[int]:
    """Import every transcript, many at once; return the messages written for each."""
    written: list[int] = []
    limit = anyio.CapacityLimiter(AT_ONCE)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("importing", total=len(transcripts))

        async def work(transcript: Transcript) -> None:
            async with limit:
                written.append(await import_one(db, transcript))
            progress.advance(bar)
            if not console.is_terminal and len(written) % 20 == 0:
                print(f"imported {len(written)} of {len(transcripts)}", flush=True)

        async with anyio.create_task_group() as tasks:
            for transcript in transcripts:
                tasks.start_soon(work, transcript)
    return written


async def run(file: Path, db: Path) -> str:
    """Import *file* into *db* and return what happened."""
    transcripts = read_transcripts(file)
    began = time.perf_counter()
    written = await import_all(db, transcripts, Console())
    seconds, messages, complete = time.perf_counter() - began, sum(written), written.count(0)
    skipped = f"Skipped {complete} tracts that were complete already. " if complete else ""
    rate = f"{messages} messages in {seconds:.2f} s ({messages / seconds:,.0f} messages a second)"
    return f"{skipped}Imported {len(written) - complete} tracts, {rate}."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Import conversations from JSON Lines, one tract each.")
    parser.add_argument("file", type=Path, metavar="FILE", help="one conversation a line")
    parser.add_argument("db", type=Path, metavar="DB", help="the store; made if it is missing")
    options = parser.parse_args(arguments)
    failed = False
    try:
        print(anyio.run(run, options.file, options.db))
    except* (TractError, OSError) as group:
        print(f"Error: {group.exceptions[0]}", file=sys.stderr)
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
