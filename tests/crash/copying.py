"""What processes that look after a store do until they are killed.

Each says what it made only after the call returned. Only the public API.
"""

import asyncio
from itertools import count

from tests.crash.processes import Voice
from tract import admin


def backups(voice: Voice, path: str, folder: str) -> None:
    """Copies one after another."""

    async def work() -> None:
        for number in count():
            dest = f"{folder}/{number}.db"
            voice.say("begun", dest)
            await admin.backup(path, dest)
            voice.say("made", dest)

    asyncio.run(work())


def exports(voice: Voice, path: str, folder: str) -> None:
    """Exported files one after another."""

    async def work() -> None:
        for number in count():
            file = f"{folder}/{number}.jsonl"
            voice.say("begun", file)
            await admin.export(path, file)
            voice.say("made", file)

    asyncio.run(work())


def imports(voice: Voice, file: str, folder: str) -> None:
    """New stores of one file, one after another."""

    async def work() -> None:
        for number in count():
            path = f"{folder}/{number}.db"
            voice.say("begun", path)
            await admin.import_file(path, file)
            voice.say("made", path)

    asyncio.run(work())


def import_once(voice: Voice, file: str, path: str) -> None:
    """One file into one store."""

    async def work() -> None:
        voice.say("begun", path)
        await admin.import_file(path, file)
        voice.say("made", path)
        await asyncio.Event().wait()

    asyncio.run(work())


def compacts(voice: Voice, path: str, folder: str) -> None:
    """Compacts a store over and over."""

    async def work() -> None:
        while True:
            voice.say("begun", path)
            await admin.compact(path)
            voice.say("made", path)

    asyncio.run(work())
