"""The library's own log lines."""

import logging

import pytest

from tract.diagnostics import note, warn


def test_a_line_goes_to_the_logger_called_tract_with_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tract"):
        note("model.retried", attempt=1, error="ModelTimeoutError", wait=0.5)

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("tract", "INFO")
    assert record.getMessage() == "event='model.retried' attempt=1 error='ModelTimeoutError' wait=0.5"


def test_a_warning_has_its_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tract"):
        warn("store.failed", store="x.db")

    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_below_the_level_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "tract"):
        note("model.retried", attempt=1)

    assert caplog.records == []
