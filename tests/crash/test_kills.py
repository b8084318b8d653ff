"""A hundred times kill -9, with a second process at work on the same file all the while.

What was acknowledged before a kill is there after it: every commit on its
branch, in order, and every piece of an answer that was handed on.
"""

import asyncio
import os
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random, SystemRandom

import pytest
from attrs import define, field, frozen

from tests.crash.lives import BRANCHES, COUNTER, STREAMS, WITNESS, agents, make_branches, server, streams, witness
from tests.crash.processes import Process, Said
from tests.crash.verifying import verified
from tract import AsyncTract, GenerationInfo

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the platform has no kill -9")

KILLS = 10
"""For each file; there are five files with agents and five with streams."""
ROUNDS = range(5)
SEED = int(os.environ.get("TRACT_SEED") or SystemRandom().getrandbits(32))
"""What was random in a run that failed is printed, and can be asked for again."""


@frozen
class Found:
    """A store as it was found when it was opened again.

    Attributes:
        heads: Of every branch.
        lines: Of the branches that are asked for, oldest commit first.
        generations: Every call, by its id.
    """

    heads: Mapping[str, str | None]
    lines: Mapping[str, list[str]]
    generations: Mapping[str, GenerationInfo]


async def reopened(path: Path, branches: Iterable[str]) -> Found:
    async with AsyncTract.open(str(path), create=False, tokens=COUNTER) as t:
        lines: dict[str, list[str]] = {}
        for branch in branches:
            line = list(reversed(await t.log(10_000, at=branch)))
            parents = [(), *((info.id,) for info in line[:-1])]
            assert [info.parents for info in line] == parents, f"{branch} is no chain"
            lines[branch] = [info.id for info in line]
            await t.compile(branch)
        heads = {branch.name: branch.head for branch in await t.branches()}
        return Found(heads, lines, {each.id: each for each in await t.generations(10_000)})


def missing(acknowledged: Sequence[str], line: Iterable[str]) -> list[str]:
    """What of the acknowledged is not on a branch, or not in its order."""
    rest = iter(line)
    return [id for id in acknowledged if id not in rest]


def stored_texts(path: Path) -> dict[str, str]:
    """What the file itself holds of answers that were never ended, by call."""
    texts: dict[str, str] = defaultdict(str)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for generation, text in connection.execute("SELECT hex(generation), text FROM partials ORDER BY generation, start"):
            texts[generation.lower()] += text
    return texts


@define
class Oracle:
    """All that was ever acknowledged by the processes that write to a file."""

    commits: dict[tuple[str, object], list[str]] = field(factory=lambda: defaultdict(list))
    forks: dict[str, str] = field(factory=dict)
    seen: dict[str, str] = field(factory=lambda: defaultdict(str))
    followed: dict[str, str] = field(factory=dict)

    def hear(self, said: Iterable[Said]) -> None:
        for word, *figures in said:
            match word:
                case "commit":
                    branch, who, commit = figures
                    self.commits[branch, who].append(commit)
                case "branch":
                    self.forks[figures[0]] = figures[1]
                case "delta":
                    self.seen[figures[0]] += figures[1]
                case "answer":
                    branch, commit = figures
                    self.commits[branch, branch].append(commit)
                case "followed":
                    generation, text = figures
                    self.followed[generation] = text
                case _:
                    raise AssertionError(word)

    def lost(self, found: Found) -> list[str]:
        """What was acknowledged and is not there."""
        lost = [
            f"commit {id} of {who} on {branch}"
            for (branch, who), acknowledged in self.commits.items()
            for id in missing(acknowledged, found.lines[branch])
        ]
        lost += [f"branch {name}" for name, head in self.forks.items() if found.heads.get(name) != head]
        lost += [f"what was seen of {id}" for id, seen in self.seen.items() if not found.generations[id].text.startswith(seen)]
        return lost

    def misled(self, found: Found) -> list[str]:
        """The calls of which a follower saw something else than was recorded."""
        # What a caller leaves ends where the caller left; a follower may have been further.
        return [
            each.id
            for each in found.generations.values()
            if (self.followed[each.id][: len(each.text)] if each.status == "cancelled" else self.followed[each.id]) != each.text
        ]


def half_done(found: Found) -> list[str]:
    """What a turn left on a branch although it did not end well, or not although it did."""
    on_branch = {id for line in found.lines.values() for id in line}
    wrong = []
    for each in found.generations.values():
        assert each.status != "running"
        kept = [id in on_branch for id in (each.question, each.answer) if id is not None]
        if each.status == "interrupted" and any(kept):
            wrong.append(f"{each.id} was interrupted, and is on {each.branch}")
        if each.status == "completed" and not all(kept):
            wrong.append(f"{each.id} was completed, and is not on {each.branch}")
    return wrong


def away_from_base(found: Found) -> list[str]:
    """Branches, each with one writer, that are not where their last call began, although it was interrupted."""
    last = {each.branch: each for each in reversed(list(found.generations.values()))}
    return [each.branch for each in last.values() if each.status == "interrupted" and found.heads[each.branch] != each.base]


AGENT_BRANCHES = [*(f"agent{number}" for number in range(BRANCHES)), WITNESS]
STREAM_BRANCHES = [*(f"stream{number}" for number in range(STREAMS)), WITNESS]


@pytest.mark.parametrize("number", ROUNDS)
def test_kill_9_of_eight_agents_loses_nothing_acknowledged(tmp_path: Path, number: int) -> None:
    path, random, oracle = tmp_path / "log.db", Random(f"agents {SEED} {number}"), Oracle()
    durability = random.choice(("full", "normal"))
    print(f"TRACT_SEED={SEED}, durability={durability}")
    asyncio.run(make_branches(str(path)))
    with Process(witness, str(path)) as second:
        assert second.heard() == ["ready"]
        for _ in range(KILLS):
            with Process(agents, str(path), durability, random.getrandbits(32)) as eight:
                oracle.hear(eight.killed(random.randrange(60), random.uniform(0.0, 0.03)))
            oracle.hear(second.said())
            found = asyncio.run(reopened(path, AGENT_BRANCHES))
            assert oracle.lost(found) == []
            assert half_done(found) == []
            assert verified(path) == []
        oracle.hear(second.ended())
    assert oracle.lost(asyncio.run(reopened(path, AGENT_BRANCHES))) == []
    assert oracle.commits[WITNESS, WITNESS], "the second process had nothing to do"
    assert verified(path) == []


@pytest.mark.parametrize("number", ROUNDS)
def test_kill_9_in_mid_stream_loses_nothing_that_was_seen(tmp_path: Path, number: int) -> None:
    path, random, oracle = tmp_path / "log.db", Random(f"streams {SEED} {number}"), Oracle()
    durability = random.choice(("full", "normal"))
    print(f"TRACT_SEED={SEED}, durability={durability}")
    asyncio.run(make_branches(str(path)))
    with Process(server, number) as serving, Process(witness, str(path)) as second:
        _, base_url = serving.heard()
        assert second.heard() == ["ready"]
        for life in range(KILLS):
            whom = base_url if life % 2 else None
            with Process(streams, str(path), durability, random.getrandbits(32), whom) as streaming:
                oracle.hear(streaming.killed(random.randrange(400), random.uniform(0.0, 0.03)))
            oracle.hear(second.said())
            stored = stored_texts(path)
            found = asyncio.run(reopened(path, STREAM_BRANCHES))
            interrupted = [each for each in found.generations.values() if each.id.replace("-", "") in stored]
            assert [each.status for each in interrupted] == ["interrupted"] * len(stored)
            assert [each.text for each in interrupted] == [stored[each.id.replace("-", "")] for each in interrupted]
            assert oracle.lost(found) == []
            assert half_done(found) == []
            assert away_from_base(found) == []
            assert verified(path) == []
        oracle.hear(second.ended())
        assert serving.ended() == []
    found = asyncio.run(reopened(path, STREAM_BRANCHES))
    assert oracle.lost(found) == []
    assert "interrupted" in {each.status for each in found.generations.values()}, "no answer was under way at any kill"
    assert oracle.misled(found) == []
