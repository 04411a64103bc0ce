"""What a job runs on and how: decided by rule before its first step, and kept ever after.

Never by a stopwatch: the same job on the same kind of machine must give the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch

from core.errors import InvalidRequest
from core.sizing import largest_divisor
from core.spec import JobSpec, ModelShape

DeviceKind = Literal["cpu", "cuda"]

_CPU_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_CPU_MICRO_BATCH_TOKENS: Final = 1024
"""Tokens whose activations stay in the caches of a CPU while a layer works on them."""
_CUDA_ACTIVATION_SHARE: Final = 0.4
"""Of the device's memory; the rest is for weights, gradients, the optimizer and fragmentation."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Everything about the machine that the result's last bits depend on."""

    device: DeviceKind
    precision: Literal["fp32", "bf16"]
    micro_batch: int
    """Sequences that go through the model together; divides the sequences of a step."""
    threads: int

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


def decide_execution(spec: JobSpec) -> Execution:
    """How this machine trains this spec.

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
    return Execution(
        device=device,
        precision="bf16" if has_bf16 and spec.precision != "fp32" else "fp32",
        micro_batch=_micro_batch(spec, device),
        threads=_num_cores(),
    )


def keep_execution(recorded: Sequence[Execution], *, spec: JobSpec) -> Execution:
    """The first of what earlier attempts decided that this machine can do; else decided anew."""
    here = decide_execution(spec)
    of_this_kind = (
        earlier
        for earlier in recorded
        if (earlier.device, earlier.precision) == (here.device, here.precision)
    )
    return next(of_this_kind, here)


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies bf16 in hardware; without, it is slower than fp32."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not _CPU_BF16_FLAGS.isdisjoint(flags.split())


def _micro_batch(spec: JobSpec, device: DeviceKind) -> int:
    if device == "cpu":
        limit = _CPU_MICRO_BATCH_TOKENS // spec.model.context_length
    else:
        memory = torch.cuda.get_device_properties(0).total_memory
        per_sequence = _activation_bytes_per_token(spec.model) * spec.model.context_length
        limit = int(_CUDA_ACTIVATION_SHARE * memory / per_sequence)
    return largest_divisor(spec.sequences_per_step, limit=limit)


def _activation_bytes_per_token(shape: ModelShape) -> int:
    """What the backward pass waits for, in fp32, rounded up: about 16 D and 4 F a layer."""
    return 4 * shape.layers * (16 * shape.width + 4 * shape.ffn_width)


def _num_cores() -> int:
    """The cores that this process may use, which containers limit below the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
