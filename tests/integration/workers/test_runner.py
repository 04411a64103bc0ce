"""Runners as real processes: from files to a trained model."""

from __future__ import annotations

import pytest

from core.lifecycle import JobStatus, ResourceStatus
from tests.integration.workers.conftest import House, story

pytestmark = pytest.mark.slow


def test_files_become_a_trained_model(house: House) -> None:
    corpus = house.new_corpus()
    early = house.new_job(corpus.id)
    assert early.spec is None
    assert house.run("corpus") == 0
    assert house.corpus(corpus.id).status is ResourceStatus.READY
    assert house.run("train.1") == 0
    job = house.job(early.id)
    assert job.error is None
    assert job.status is JobStatus.SUCCEEDED
    assert job.stop_reason == "budget"
    assert job.step == job.num_steps == 12
    assert house.checkpoints(job.id)[-1].step == 12
    events = house.events(job.id)
    assert events[0] == "job.queued"
    assert events[-1] == "job.succeeded"
