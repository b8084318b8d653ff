"""Fixtures for every test; values are built in `builders` and `strategies`."""

import ipaddress
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure.
settings.register_profile("tract", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tract")

REAL_TRAJECTORIES = Path(__file__).parents[2] / "shared" / "data" / "airline-trajectories.jsonl"

SHORT_TRAJECTORIES: list[list[dict[str, Any]]] = [
    [
        {"role": "system", "content": "Help with flights.\n"},
        {"role": "user", "content": "Cancel EHGLP3 — please"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"id":  "EHGLP3", "n": 1.0}'}}
            ],
        },
        {"role": "tool", "content": "", "tool_call_id": "call_1", "name": "find"},
        {
            "role": "assistant",
            "content": "One moment.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "cancel", "arguments": "{not json"}}],
        },
        {"role": "tool", "content": '{"ok": true}', "tool_call_id": "call_1", "name": "cancel"},
        {"role": "assistant", "content": "Done."},
    ]
]


@pytest.fixture(scope="session")
def trajectories() -> list[list[dict[str, Any]]]:
    """Message lists of a real agent, or short ones of our own where the file is absent."""
    if not REAL_TRAJECTORIES.exists():
        return SHORT_TRAJECTORIES
    with REAL_TRAJECTORIES.open(encoding="utf-8") as lines:
        return [json.loads(line)["messages"] for line in lines]


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that connects to anything beyond this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _require_loopback(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _require_loopback(address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


def _require_loopback(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if host is None or host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        pytest.fail(f"the test tried to connect to {host}")
