from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from core.errors import InvalidRequest
from tests.tiny_text import job_spec
from tests.unit.training.conftest import Recorder
from training.mlflow_runs import MlflowReporter
from training.ports import Continuation


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as Python marks what cannot be imported
    with pytest.raises(InvalidRequest, match=r"pretrainer\[mlflow\]"):
        MlflowReporter(Recorder(), uri="sqlite://", artifacts=tmp_path, spec=job_spec("decoder"))


@pytest.mark.exhaustive
@pytest.mark.mlflow
@pytest.mark.filterwarnings("default")  # of mlflow's own making
def test_mlflow_gives_back_what_was_measured_and_said(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    heard = Recorder()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    artifacts = tmp_path / "artifacts"
    said = [Continuation("Once", " upon a time")]
    with MlflowReporter(heard, uri=uri, artifacts=artifacts, spec=job_spec("decoder")) as reporter:
        for step in range(1, 401):
            values = {"train/loss": 9.0 - step / 100, "b": 1.0, "c": 2.0}
            reporter.metrics(step=step, tokens=step * 512, values=values)
        reporter.probed(step=400, continuations=said, fillings=[])
    with (
        pytest.raises(OSError, match="broken"),
        MlflowReporter(Recorder(), uri=uri, artifacts=artifacts, spec=job_spec("decoder")),
    ):
        raise OSError("broken")

    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("pretrainer").experiment_id
    failed, done = client.search_runs([experiment])
    assert (failed.info.status, done.info.status) == ("FAILED", "FINISHED")
    assert done.data.params["model.context_length"] == "32"
    losses = client.get_metric_history(done.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in losses] == [
        (step, 9.0 - step / 100) for step in range(1, 401)
    ]
    (kept,) = artifacts.rglob("step-00000400.json")
    assert json.loads(kept.read_text()) == {"Once": " upon a time"}
    assert heard.probes == {400: (said, [])}
