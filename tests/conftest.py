"""Options of the whole suite."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--forbid-skips",
        action="store_true",
        help="a skipped test fails, unless it is a GPU that the machine lacks",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    del call
    report = yield
    forbidden = item.config.getoption("--forbid-skips") and not item.get_closest_marker("gpu")
    if forbidden and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report
