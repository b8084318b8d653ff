"""A file with damaged bytes: whatever reads it says so in our words, never in those of a library."""

import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tract import AsyncTract, LLMConfig, OperationConfigs, admin
from tract.errors import CorruptLogError, TractError
from tract.log.packing import pack
from tract.testing import ScriptedLLM

FILES = 80


async def write_history(path: Path) -> None:
    """A small store with something of most kinds."""
    llm = ScriptedLLM(lambda _: "An answer.")
    async with AsyncTract.open(path, llm=llm, llm_config=LLMConfig(model="scripted", temperature=0.5)) as t:
        for number in range(4):
            said = await t.user(f"text {number} " * (number * 20 + 1), metadata={"n": number})
            await t.edit(said.id, "better")
        await t.pin(said.id)
        await t.chat("A question?")
        await t.branch("other")
        await t.user("Elsewhere")


async def opened(path: Path) -> None:
    async with AsyncTract.open(path, create=False) as t:
        await t.user("more")


async def compiled(path: Path) -> None:
    async with AsyncTract.open(path, create=False) as t:
        await t.log()
        await t.compile()
        await t.compile("main")
        await t.branches()
        await t.status()


@pytest.mark.parametrize("read", [opened, compiled, admin.status, admin.verify, admin.rebuild], ids=lambda read: read.__name__)
@pytest.mark.parametrize("where", ["anywhere", "in the first pages", "in what stands in words"])
async def test_damaged_bytes_are_an_error_of_ours_or_none(
    tmp_path: Path, read: Callable[[Path], Awaitable[object]], where: str
) -> None:
    path = tmp_path / "log.db"
    await write_history(path)
    data = path.read_bytes()
    places = {
        "anywhere": range(len(data)),
        "in the first pages": range(100, 6000),
        "in what stands in words": [place for place, byte in enumerate(data) if place > 100 and 32 < byte < 127],
    }[where]
    chance = random.Random(f"{read.__name__} {where}")
    for number in range(FILES):
        damaged = bytearray(data)
        for place in chance.choices(places, k=chance.choice((1, 1, 1, 3, 10))):
            damaged[place] = chance.randrange(256)
        copy = tmp_path / f"{number}.db"
        copy.write_bytes(damaged)
        with suppress(TractError):
            await read(copy)


async def damaged_event(path: Path) -> None:
    """A store in which the data of an event are nested more deeply than can be read."""
    await write_history(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        data = '{"a":' + "[" * 200_000 + "]" * 200_000 + "}"
        connection.execute("UPDATE events SET data = ? WHERE position = 4", (data,))


async def test_an_event_that_is_nested_too_deeply_is_a_finding(tmp_path: Path) -> None:
    await damaged_event(tmp_path / "log.db")
    found = await admin.verify(tmp_path / "log.db")
    assert "event" in {finding.kind for finding in found.findings}


async def test_an_event_that_is_nested_too_deeply_is_a_damaged_log_to_a_rebuild(tmp_path: Path) -> None:
    await damaged_event(tmp_path / "log.db")
    with pytest.raises(CorruptLogError):
        await admin.rebuild(tmp_path / "log.db")


async def test_a_damaged_commit_is_a_damaged_log_to_whoever_compiles(tmp_path: Path) -> None:
    await write_history(tmp_path / "log.db")
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET data = replace(data, '\"operation\":', '\"operatiom\":')")
    async with AsyncTract.open(tmp_path / "log.db") as t:
        with pytest.raises(CorruptLogError):
            await t.compile()


@pytest.mark.parametrize("column", ["llm_config", "operations"])
@pytest.mark.parametrize("stored", [b'{"nonesuch":{"temperature":1}}', b"[1]", b"{", b'{"temperature":99.0}', b'{"chat":5}'])
async def test_a_config_that_was_never_stored_is_a_damaged_file_and_no_mistake_of_the_reader(
    tmp_path: Path, column: str, stored: bytes
) -> None:
    path = tmp_path / "log.db"
    async with AsyncTract.open(path, operations=OperationConfigs(chat=LLMConfig(model="a"))) as t:
        await t.configure(llm_config=LLMConfig(model="b"))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE blobs SET data = ? WHERE id = (SELECT {column} FROM settings)", (pack(stored),))
        db.commit()
    with pytest.raises(CorruptLogError):
        await opened(path)
