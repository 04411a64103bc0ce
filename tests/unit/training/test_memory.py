from pathlib import Path

import pytest

from core.errors import InvalidRequest
from core.spec import JobSpec
from tests.unit.training.conftest import Recorder, make_spec, run
from training.execution import Execution
from training.host import host_memory
from training.memory import require_memory


def of_size(spec: JobSpec, **shape: int) -> JobSpec:
    return spec.model_copy(update={"model": spec.model.model_copy(update=shape)})


def test_a_model_that_no_memory_could_hold_is_refused_before_it_is_made(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    endless = of_size(spec, layers=128, width=16384, heads=128, kv_heads=128, ffn_width=43648)
    heard = Recorder()
    with pytest.raises(InvalidRequest, match="for its weights, gradients and optimizer alone") as e:
        run(endless, dataset, tmp_path, reporter=heard)
    assert (e.value.error_code, e.value.param) == ("out_of_memory", "model")
    assert heard.plans == []


def test_ranks_of_one_host_share_its_memory() -> None:
    # twelve bytes for each weight
    width = 64 * round((host_memory() / 12 / 1.5) ** 0.5 / 64 / 2)
    spec = of_size(make_spec("decoder"), layers=1, width=width, heads=1, kv_heads=1, ffn_width=8)
    require_memory(spec, execution=Execution("cpu", "fp32", micro_batch=1, threads=1))
    shared = Execution("cpu", "fp32", micro_batch=1, threads=1, ranks=2)
    with pytest.raises(InvalidRequest, match="for each rank"):
        require_memory(spec, execution=shared)


def test_a_container_has_as_much_memory_as_it_is_allowed(tmp_path: Path) -> None:
    limit, none = tmp_path / "memory.max", tmp_path / "none"
    limit.write_text("max\n")
    machine = host_memory((none, limit))
    limit.write_text("1048576\n")
    assert host_memory((none, limit)) == 2**20 < machine
