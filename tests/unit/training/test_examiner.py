"""How much of the held-out text a job's looks read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from core.spec import EvaluationSpec, JobSpec, StartSpec
from models.architectures import new_model
from tests.unit.training.conftest import Recorder, make_spec
from training import examiner as examiner_module
from training.data import open_data, vocabulary_for
from training.examiner import Examiner
from training.execution import Execution

pytestmark = pytest.mark.usefixtures("one_core")
LOOK = EvaluationSpec(every_steps=5, max_tokens=4 * 64)


def windows_read(spec: JobSpec, dataset: Path, *, step: int) -> int:
    """The micro-batches of a window each that the model was asked about."""
    data = open_data(spec, [dataset])
    tokenizer = Tokenizer.from_str(data.tokenizer_json.decode())
    reporter = Recorder()
    examiner = Examiner(
        spec=spec,
        data=data,
        tokenizer=tokenizer,
        vocabulary=vocabulary_for(spec, tokenizer),
        execution=Execution("cpu", "fp32", 1, 1),
        reporter=reporter,
    )
    assert examiner.evaluate(new_model(spec.model, seed=0), step=step)
    return reporter.phases.count("evaluating")


def test_only_a_fresh_model_is_asked_less_before_its_first_step(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examiner_module, "_TOKENS_FOR_A_FRESH_MODEL", 64)
    fresh = make_spec("decoder", evaluation=LOOK)
    start = StartSpec(checkpoint="checkpoint", weights_sha256="00" * 32)
    continued = make_spec("decoder", evaluation=LOOK, start=start)
    assert windows_read(fresh, dataset, step=0) == 1
    assert windows_read(fresh, dataset, step=5) == 4
    assert windows_read(continued, dataset, step=0) == 4
