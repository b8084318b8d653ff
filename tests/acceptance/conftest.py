"""A tract in memory, a path for one on disk, and no key from the environment."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tract import AsyncTract


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def t() -> AsyncIterator[AsyncTract]:
    async with AsyncTract.open() as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "agent.db")
