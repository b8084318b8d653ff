"""Story: a tract is opened, found again, and shared."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.reading import texts
from tract import AsyncTract, LLMConfig
from tract.errors import (
    AmbiguousTractError,
    ClosedError,
    InvalidNameError,
    NotAStoreError,
    RefusedError,
    StoreNotFoundError,
    TractNotFoundError,
)
from tract.testing import ScriptedLLM


async def test_open_can_be_awaited_and_closed_twice(path: str) -> None:
    t = await AsyncTract.open(path)
    await t.user("one")
    await t.aclose()
    await t.aclose()
    with pytest.raises(ClosedError):
        await t.log()


async def test_the_id_is_the_same_when_opened_again(path: str) -> None:
    async with AsyncTract.open(path) as t:
        first = (t.id, t.name)
    async with AsyncTract.open(path) as t:
        assert (t.id, t.name) == first


async def test_a_url_names_the_same_file_as_its_path(path: str) -> None:
    async with AsyncTract.open(f"sqlite:///{path}") as t:
        await t.user("one")
    async with AsyncTract.open(path) as t:
        assert await texts(t) == ["one"]


async def test_each_store_in_memory_is_its_own() -> None:
    async with AsyncTract.open() as one, AsyncTract.open() as two:
        await one.user("one")
        assert await texts(two) == []


async def test_without_a_name_the_only_tract_is_meant(path: str) -> None:
    async with AsyncTract.open(path, name="agent") as t:
        await t.user("one")
    async with AsyncTract.open(path) as t:
        assert (t.name, await texts(t)) == ("agent", ["one"])


async def test_of_several_tracts_the_one_called_main_is_meant(path: str) -> None:
    for name in ("main", "agent"):
        async with AsyncTract.open(path, name=name) as t:
            await t.user(name)
    async with AsyncTract.open(path) as t:
        assert t.name == "main"


async def test_of_several_tracts_none_of_them_main_one_must_be_named(path: str) -> None:
    for name in ("one", "two"):
        async with AsyncTract.open(path, name=name):
            pass
    with pytest.raises(AmbiguousTractError) as caught:
        await AsyncTract.open(path)
    assert caught.value.names == ("one", "two")


async def test_a_missing_file_is_not_made_if_it_shall_not_be(path: str) -> None:
    with pytest.raises(StoreNotFoundError):
        await AsyncTract.open(path, create=False)
    assert not Path(path).exists()


async def test_a_missing_tract_is_not_made_if_it_shall_not_be(path: str) -> None:
    async with AsyncTract.open(path, name="one"):
        pass
    with pytest.raises(TractNotFoundError) as caught:
        await AsyncTract.open(path, name="two", create=False)
    assert (caught.value.name, caught.value.near) == ("two", ("one",))


async def test_another_file_is_left_untouched(path: str) -> None:
    Path(path).write_text("a diary, and no database\n" * 100)
    before = Path(path).read_bytes()
    with pytest.raises(NotAStoreError):
        await AsyncTract.open(path)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "\ud800", "x" * 256, 5])
async def test_a_tract_name_that_could_not_be_written_is_refused(path: str, name: Any) -> None:
    with pytest.raises(InvalidNameError):
        await AsyncTract.open(path, name=name)
    assert not Path(path).exists()


async def test_a_tract_name_may_hold_spaces_and_marks(path: str) -> None:
    async with AsyncTract.open(path, name="flight 12: JFK?"):
        pass
    async with AsyncTract.open(path) as t:
        assert t.name == "flight 12: JFK?"


async def test_two_processes_that_create_one_name_get_the_same_tract(path: str) -> None:
    async def open_once() -> str:
        async with AsyncTract.open(path, name="agent") as t:
            return str(t.id)

    ids = await asyncio.gather(*(asyncio.to_thread(asyncio.run, open_once()) for _ in range(4)))
    assert len(set(ids)) == 1


SENSELESS: list[dict[str, Any]] = [
    {"actor": 5},
    {"actor": "\ud800"},
    {"metadata": "x"},
    {"metadata": {"a": float("nan")}},
    {"model": ""},
    {"model": 5},
    {"model": "a", "llm_config": LLMConfig(model="b")},
    {"llm_config": {"model": "a"}},
    {"llm": 3},
    {"llm": ScriptedLLM([]), "api_key": "k"},
    {"tokens": 3},
    {"durability": "some"},
    {"durability": None},
]


@pytest.mark.parametrize("setting", SENSELESS, ids=[f"{ascii(setting)[:40]}" for setting in SENSELESS])
async def test_a_setting_that_makes_no_sense_is_refused_by_its_name(path: str, setting: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        await AsyncTract.open(path, **setting)
    assert getattr(caught.value, "field", None) in setting


@pytest.mark.parametrize("where", ["", "postgresql://x", "http://x", "a\x00b", 5, None])
async def test_a_place_that_makes_no_sense_is_refused(where: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedError):
        await AsyncTract.open(where)
    assert list(tmp_path.iterdir()) == []


async def test_open_touches_no_network_and_needs_no_key(path: str) -> None:
    async with AsyncTract.open(path, model="tiny", base_url="http://192.0.2.1:9/v1") as t:
        await t.user("one")
        assert t.config == LLMConfig(model="tiny")


async def test_a_handle_says_where_it_stands(path: str) -> None:
    async with AsyncTract.open(path, api_key="sk-secret") as t:
        open_text = repr(t)
    assert open_text == f"<AsyncTract 'main' in {path} (main)>"
    assert repr(t) == f"<AsyncTract 'main' in {path} (closed)>"
