"""Options of the whole suite."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

# Deadlines and the look for slow examples are wall-clock: whoever trains a tokenizer first would
# fail on a busy machine.
hypothesis.settings.register_profile(
    "search", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "pretrainer", hypothesis.settings.get_profile("search"), derandomize=True
)
# What passes here passes everywhere; `--hypothesis-profile search` looks at other examples.
hypothesis.settings.load_profile("pretrainer")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--forbid-skips",
        action="store_true",
        help="a skipped test fails, unless the machine lacks a GPU, or MLflow, whose releases want "
        "older packages than others here",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    del call
    report = yield
    forbids = item.config.getoption("--forbid-skips")
    may_lack = any(item.get_closest_marker(name) for name in ("gpu", "mlflow"))
    if forbids and not may_lack and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report
