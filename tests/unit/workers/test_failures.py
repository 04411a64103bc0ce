from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from core.errors import BadData, Conflict, Diverged, InvalidRequest
from core.lifecycle import ExitCode
from workers.failures import explain

FAR_TOO_MUCH = 1 << 60


def test_allocators_that_have_no_more_are_out_of_memory() -> None:
    allocators: list[Any] = [
        lambda: torch.empty(FAR_TOO_MUCH, dtype=torch.uint8),
        lambda: np.empty(FAR_TOO_MUCH, dtype=np.uint8),
        lambda: bytearray(FAR_TOO_MUCH),
    ]
    for allocate in allocators:
        with pytest.raises((RuntimeError, MemoryError)) as raised:
            allocate()
        code, failure = explain(raised.value)
        assert (code, failure.code) == (ExitCode.OUT_OF_MEMORY, "out_of_memory")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), ExitCode.OUT_OF_MEMORY),
        (torch.AcceleratorError("CUDA error: out of memory"), ExitCode.OUT_OF_MEMORY),
        (torch.AcceleratorError("CUDA error: an illegal memory access"), ExitCode.DEVICE_FAULT),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), ExitCode.DEVICE_FAULT),
        (RuntimeError("shape mismatch"), ExitCode.INTERNAL),
        (ValueError("CUDA error, says a file name"), ExitCode.INTERNAL),
        (Diverged("the loss is nan"), ExitCode.DIVERGED),
        (BadData("no text"), ExitCode.BAD_DATA),
        (InvalidRequest("no bf16"), ExitCode.BAD_SPEC),
        (Conflict("another spec"), ExitCode.INTERNAL),
        (OSError(28, "No space left on device"), ExitCode.DISK_FULL),
        (OSError(5, "Input/output error"), ExitCode.INTERNAL),
    ],
)
def test_error_has_the_exit_code_of_its_kind(error: Exception, expected: ExitCode) -> None:
    assert explain(error)[0] is expected


def test_device_fault_is_told_by_its_first_line() -> None:
    _, failure = explain(RuntimeError("CUDA error: unspecified launch failure\nCompile with ..."))
    assert failure.code == "device_fault"
    assert failure.message == "The device failed: CUDA error: unspecified launch failure"
