"""What a job runs on and how: decided by rule before its first step, and kept ever after.

Never by a stopwatch: the same job on the same kind of machine must give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch

from core.errors import InvalidRequest
from core.sizing import flops_per_token, largest_divisor, num_parameters
from core.spec import JobSpec, ModelShape
from corpora.objectives import has_document_mask
from models.attention import Kernel
from training.compiling import can_compile
from training.host import host_memory, num_cores

DeviceKind = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]

_CPU_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_CPU_MICRO_BATCH_TOKENS: Final = 1024
"""Tokens whose activations stay in the caches of a CPU while a layer works on them."""
_CUDA_ACTIVATION_SHARE: Final = 0.4
"""Of the device's memory; the rest is for weights, gradients, the optimizer and fragmentation."""
_REPLICAS_SHARE: Final = 1 / 16
"""Of a host's memory, for gradients that replicas have beside the model's own."""
_FP32_BYTES: Final = 4
_PEAK_FLOPS: Final[Mapping[DeviceKind, float]] = {"cpu": 2e11, "cuda": 4e14}
"""Of a CPU's core or a GPU, in bf16: what a device of this kind does in a second at best."""
_SECONDS_WORTH_COMPILING: Final = 60.0
"""Work at the peak that compiling, half a minute or more of it, is worth while for."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Everything about the machine that the result's last bits depend on."""

    device: DeviceKind
    precision: Precision
    micro_batch: int
    """Sequences that go through the model together; divides the sequences that a rank computes of a
    step."""
    threads: int
    """Of a rank."""
    compiled: bool = False
    """Whether kernels are made for this model and these shapes, or torch's own are used."""
    attention: Kernel = "sdpa"
    ranks: int = 1
    """Processes that share every step, each with a device, or a part of the CPU, of its own."""
    replicas: int = 1
    """Micro-batches that go through the model at once, with ``threads // replicas`` each."""

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Execution:
        """Read back what :meth:`to_json` wrote."""
        return cls(**recorded)

    def to_json(self) -> dict[str, Any]:
        """As it is recorded in the job and its checkpoints."""
        return asdict(self)

    @property
    def torch_device(self) -> torch.device:
        """Where tensors go."""
        return torch.device(self.device)

    @property
    def compute_dtype(self) -> torch.dtype:
        """What matrices are multiplied in."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def prepare(self) -> None:
        """Set the process up: threads, and full fp32 where fp32 is asked for."""
        torch.set_num_threads(self.threads)
        torch.set_float32_matmul_precision("highest")


def decide_execution(
    spec: JobSpec, *, num_steps: int | None = None, num_ranks: int = 1
) -> Execution:
    """How this machine trains this spec.

    Args:
        spec: What is asked for.
        num_steps: How many steps that will take; None: not known, or only the clock counts.
        num_ranks: How many processes share every step.

    Raises:
        InvalidRequest: the spec asks for bf16 and the machine has no fast bf16.
    """
    device: DeviceKind = "cuda" if torch.cuda.is_available() else "cpu"
    has_bf16 = torch.cuda.is_bf16_supported() if device == "cuda" else cpu_has_bf16()
    if spec.precision == "bf16" and not has_bf16:
        raise InvalidRequest(
            "precision: this machine has no fast bf16 (a CPU needs AVX-512 bf16 or AMX); "
            'use "fp32" or "auto"',
            param="precision",
        )
    precision: Precision = "bf16" if has_bf16 and spec.precision != "fp32" else "fp32"
    threads = max(1, num_cores() // num_ranks)
    num_peaks = num_ranks * (threads if device == "cpu" else 1)
    compiled = (
        _gains_by_compiling(device, precision)
        and _seconds_at_peak(spec, num_steps=num_steps, device=device, num_peaks=num_peaks)
        >= _SECONDS_WORTH_COMPILING
        and can_compile()
    )
    micro_batch = _micro_batch(spec, device, num_ranks=num_ranks)
    return Execution(
        device=device,
        precision=precision,
        micro_batch=micro_batch,
        threads=threads,
        compiled=compiled,
        attention=attention_kernel(
            spec.model,
            has_document_mask=has_document_mask(spec.objective),
            device=device,
            compiled=compiled,
        ),
        ranks=num_ranks,
        replicas=1
        if device == "cuda" or compiled
        else _num_replicas(
            spec,
            threads=threads,
            num_parts=spec.sequences_per_step // num_ranks // micro_batch,
            num_ranks=num_ranks,
        ),
    )


def keep_execution(
    recorded: Sequence[Execution],
    *,
    spec: JobSpec,
    num_steps: int | None = None,
    num_ranks: int = 1,
) -> Execution:
    """The first of what earlier attempts decided that this machine can do; else decided anew."""
    here = decide_execution(spec, num_steps=num_steps, num_ranks=num_ranks)
    kind = (here.device, here.precision, here.ranks)
    of_this_kind = (
        earlier
        for earlier in recorded
        if (earlier.device, earlier.precision, earlier.ranks) == kind
        and (not earlier.compiled or can_compile())
    )
    return next(of_this_kind, here)


def attention_kernel(
    shape: ModelShape, *, has_document_mask: bool, device: DeviceKind, compiled: bool
) -> Kernel:
    """The fastest kernel for what a model's tokens look at (docs/log.md).

    Most of an encoder's layers look 64 tokens around, and documents that are kept apart do not look
    at each other: torch's own attention computes the whole square all the same.
    """
    sees_little = shape.architecture == "encoder" or has_document_mask
    if device == "cpu":
        return "blocks" if sees_little or compiled else "sdpa"
    return "flex" if sees_little and compiled else "sdpa"


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies bf16 in hardware; without, it is slower than fp32."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not _CPU_BF16_FLAGS.isdisjoint(flags.split())


def _gains_by_compiling(device: DeviceKind, precision: Precision) -> bool:
    """Whether compiled kernels are faster here.

    In fp32 a CPU spends its time in matrix products, which stay what they are (docs/log.md).
    """
    return device == "cuda" or precision == "bf16"


def _seconds_at_peak(
    spec: JobSpec, *, num_steps: int | None, device: DeviceKind, num_peaks: int
) -> float:
    """How long the job takes at least, on so many GPUs or cores of a CPU."""
    by_the_clock = math.inf if spec.budget.seconds is None else spec.budget.seconds
    if num_steps is None:
        return by_the_clock
    flops = flops_per_token(spec.model) * spec.batch_tokens * num_steps
    return min(by_the_clock, flops / (_PEAK_FLOPS[device] * num_peaks))


def _micro_batch(spec: JobSpec, device: DeviceKind, *, num_ranks: int) -> int:
    if device == "cpu":
        limit = _CPU_MICRO_BATCH_TOKENS // spec.model.context_length
    else:
        memory = torch.cuda.get_device_properties(0).total_memory
        per_sequence = activation_bytes_per_token(spec.model) * spec.model.context_length
        limit = int(_CUDA_ACTIVATION_SHARE * memory / per_sequence)
    return largest_divisor(spec.sequences_per_step // num_ranks, limit=limit)


def _num_replicas(spec: JobSpec, *, threads: int, num_parts: int, num_ranks: int) -> int:
    """As many as have equal shares of cores and of micro-batches, and room for their gradients."""
    gradients = _FP32_BYTES * num_parameters(spec.model)
    room = int(_REPLICAS_SHARE * host_memory() / num_ranks / gradients)
    return largest_divisor(math.gcd(threads, num_parts), limit=1 + room)


def activation_bytes_per_token(shape: ModelShape) -> int:
    """What the backward pass waits for, in fp32, rounded up: about 16 D and 4 F a layer."""
    return _FP32_BYTES * shape.layers * (16 * shape.width + 4 * shape.ffn_width)
