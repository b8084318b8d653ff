"""A run whose process is killed goes on in another one, and calls nothing again that has a result."""

import signal
from pathlib import Path

import pytest

from tests.acceptance.looping import counting, spoken
from tests.children import running
from tests.crash.test_killing import check_chain
from tract import AsyncTract
from tract.testing import ScriptedLLM

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")

WHOLE = [
    ("user", "Go"),
    ("assistant", "quick, slow"),
    ("tool", "quickly"),
    ("tool", "slowly"),
    ("assistant", "Done."),
]
POINTS = {
    "model 0": ["quick", "slow"],
    "slow": ["quick", "slow", "slow"],
    "step 1": ["quick", "slow"],
    "model 1": ["quick", "slow"],
    "step 2": ["quick", "slow"],
}
"""Where the process dies, and how often each tool was called in the end."""


@pytest.mark.parametrize("point", POINTS)
async def test_a_run_goes_on_wherever_its_process_died(tmp_path: Path, point: str) -> None:
    path = str(tmp_path / "agent.db")
    with running(path) as child:
        child.kill_at(point)
    calls = child.calls.read_text().split() if child.calls.exists() else []

    async def quick() -> str:
        calls.append("quick")
        return "quickly"

    async def slow() -> str:
        calls.append("slow")
        return "slowly"

    async with AsyncTract.open(path, llm=ScriptedLLM(counting(1, "quick", "slow")), model="tiny") as t:
        result = await t.run(tools=[quick, slow])
        assert (result.text, result.is_finished) == ("Done.", True)
        assert await spoken(t) == WHOLE
        assert sorted(calls) == POINTS[point]
    check_chain(Path(path))
