from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InvalidRequest
from core.objectives import Architecture, CausalObjective
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from models.attention import Kernel
from training import execution as execution_module
from training.execution import (
    Execution,
    attention_kernel,
    cpu_has_bf16,
    decide_execution,
    keep_execution,
)


def spec(*, sequences: int = 12, precision: str = "auto", context_length: int = 256) -> JobSpec:
    return JobSpec(
        corpus="corpus",
        tokenizer="tokenizer",
        model=ModelShape(
            architecture="decoder", layers=1, width=32, heads=2, kv_heads=2, ffn_width=32,
            context_length=context_length, vocab_size=64,
        ),
        objective=CausalObjective(),
        budget=Budget(steps=1),
        batch_tokens=sequences * context_length,
        precision=precision,  # type: ignore[arg-type]
        optimizer=OptimizerSpec(learning_rate=0.01),
        evaluation=EvaluationSpec(every_steps=1),
        checkpoints=CheckpointSpec(every_steps=1),
    )  # fmt: skip


def test_a_micro_batch_divides_the_step_and_fits_the_caches_of_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert decide_execution(spec(sequences=12)).micro_batch == 4
    assert decide_execution(spec(sequences=2, context_length=4096)).micro_batch == 1


@pytest.mark.parametrize(
    ("cores", "sequences", "memory", "replicas"),
    [
        (8, 32, 2**40, 8),
        (8, 8, 2**40, 2),  # two micro-batches a step
        (6, 32, 2**40, 2),  # eight of them: with six replicas two would wait for the rest
        (8, 32, 2**14, 1),
        (1, 32, 2**40, 1),
    ],
)
def test_an_eager_cpu_has_replicas_with_equal_shares_and_room_for_their_gradients(
    monkeypatch: pytest.MonkeyPatch, cores: int, sequences: int, memory: int, replicas: int
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(execution_module, "num_cores", lambda: cores)
    monkeypatch.setattr(execution_module, "host_memory", lambda: memory)
    execution = decide_execution(spec(sequences=sequences, precision="fp32"))
    assert (execution.threads, execution.replicas) == (cores, replicas)


def test_fp32_is_obeyed_whatever_the_machine_has() -> None:
    assert decide_execution(spec(precision="fp32")).precision == "fp32"


def test_bf16_on_a_cpu_without_it_is_refused_and_auto_falls_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(execution_module, "cpu_has_bf16", lambda: False)
    assert decide_execution(spec()).precision == "fp32"
    with pytest.raises(InvalidRequest) as raised:
        decide_execution(spec(precision="bf16"))
    assert raised.value.param == "precision"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu sse avx2", False), ("fpu avx512_bf16", True), ("fpu amx_bf16 amx_tile", True)],
)
def test_bf16_is_told_by_the_flags_of_the_cpu(flags: str, expected: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert cpu_has_bf16(cpuinfo) is expected


def test_a_system_without_cpuinfo_has_no_known_bf16(tmp_path: Path) -> None:
    assert cpu_has_bf16(tmp_path / "missing") is False


def test_what_was_decided_once_is_kept_where_the_machine_can() -> None:
    here = decide_execution(spec())
    earlier = Execution(here.device, here.precision, micro_batch=1, threads=here.threads + 1)
    assert keep_execution([earlier], spec=spec()) == earlier


def test_what_the_latest_attempt_decided_comes_before_what_an_earlier_one_did() -> None:
    here = decide_execution(spec())
    latest, earlier = replace(here, micro_batch=2), replace(here, micro_batch=4)
    elsewhere = replace(latest, device="cuda" if here.device == "cpu" else "cpu")
    assert keep_execution([latest, earlier], spec=spec()) == latest
    assert keep_execution([elsewhere, earlier], spec=spec()) == earlier


def test_what_this_machine_cannot_do_is_decided_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    earlier = Execution("cuda", "bf16", micro_batch=64, threads=2)
    assert keep_execution([earlier], spec=spec()) == decide_execution(spec())


def test_an_execution_survives_json() -> None:
    execution = decide_execution(spec())
    assert Execution.from_json(execution.to_json()) == execution


def test_what_was_recorded_before_there_were_compiled_kernels_is_read() -> None:
    recorded = {"device": "cpu", "precision": "fp32", "micro_batch": 4, "threads": 2}
    assert Execution.from_json(recorded) == Execution("cpu", "fp32", 4, 2, compiled=False)


@pytest.fixture
def cpu_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(execution_module, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(execution_module, "can_compile", lambda: True)


@pytest.mark.usefixtures("cpu_with_bf16")
def test_kernels_are_compiled_for_a_minute_of_work_and_not_for_less() -> None:
    assert not decide_execution(spec(), num_steps=1).compiled
    assert decide_execution(spec(), num_steps=10**9).compiled
    assert decide_execution(spec(), num_steps=None).compiled
    short = spec().model_copy(update={"budget": Budget(seconds=20)})
    assert not decide_execution(short, num_steps=None).compiled
    assert not decide_execution(short, num_steps=10**9).compiled


@pytest.mark.usefixtures("cpu_with_bf16")
def test_a_machine_without_a_compiler_trains_without(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = decide_execution(spec(), num_steps=10**9)
    monkeypatch.setattr(execution_module, "can_compile", lambda: False)
    eager = decide_execution(spec(), num_steps=1)
    assert not eager.compiled
    assert decide_execution(spec(), num_steps=10**9) == eager
    assert keep_execution([compiled], spec=spec(), num_steps=10**9) == eager


@pytest.mark.usefixtures("cpu_with_bf16")
def test_fp32_on_a_cpu_is_not_compiled() -> None:
    assert not decide_execution(spec(precision="fp32"), num_steps=10**9).compiled


@pytest.mark.usefixtures("cpu_with_bf16")
def test_attention_goes_by_blocks_where_torchs_own_looks_at_more_than_it_must() -> None:
    assert decide_execution(spec(), num_steps=1).attention == "sdpa"
    assert decide_execution(spec(), num_steps=10**9).attention == "blocks"
    apart = spec().model_copy(update={"objective": CausalObjective(document_mask=True)})
    assert decide_execution(apart, num_steps=1).attention == "blocks"


@pytest.mark.parametrize(
    ("architecture", "has_document_mask", "compiled", "expected"),
    [
        ("encoder", False, True, "flex"),
        ("encoder", False, False, "sdpa"),
        ("decoder", True, True, "flex"),
        ("decoder", False, True, "sdpa"),
    ],
)
def test_a_gpu_attends_by_a_kernel_of_its_own_where_it_can_be_compiled(
    architecture: Architecture,
    has_document_mask: bool,  # noqa: FBT001 - a parameter
    compiled: bool,  # noqa: FBT001 - a parameter
    expected: Kernel,
) -> None:
    shape = spec().model.model_copy(update={"architecture": architecture})
    chosen = attention_kernel(
        shape, has_document_mask=has_document_mask, device="cuda", compiled=compiled
    )
    assert chosen == expected
