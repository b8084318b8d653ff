"""How much contexts hold: what was encoded to be sent counts too."""

import pytest

from tests.histories import append
from tract.core.bounding import too_many
from tract.domain.messages import Message
from tract.operations.compiling import CompiledContext
from tract.operations.context import Context
from tract.operations.folding import EMPTY, fold
from tract.operations.sending import payload_of


def history(name: str) -> Context:
    """Return a context of a leaf of long messages that cost few tokens."""
    return fold(EMPTY, [append(f"{name}{number}", Message("user", "long " * 2000)) for number in range(64)])


def test_what_was_sent_makes_room_by_letting_go_of_what_was_asked_for_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tract.core.bounding.BYTES", 500_000)
    contexts = {1: (1, history("a")), 2: (2, history("b"))}
    assert too_many(contexts) == []
    payload_of(CompiledContext(contexts[2][1], None, 0, "counted:none"))
    assert too_many(contexts) == [1]
