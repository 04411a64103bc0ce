"""What an error that ended a child process means: an exit code, and what a user is told.

torch cannot be imported here, for it takes seconds and most children do without: its errors are
told by the names of their classes and by their texts, as in :mod:`core.memory_errors`.
"""

from __future__ import annotations

import errno
from typing import Final

from core.errors import BadData, Diverged, InvalidRequest, NotFound, PretrainerError
from core.lifecycle import ExitCode
from core.memory_errors import is_out_of_memory
from workers.messages import Failed

_DISK_FULL: Final = "disk_full"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DEVICE_FAULT: Final = ("CUDA error", "cuDNN error", "CUDNN_STATUS", "NCCL error")


def explain(error: Exception) -> tuple[ExitCode, Failed]:
    """The exit code and the last message of a child that this error ended."""
    if isinstance(error, PretrainerError):
        return _exit_code(error), Failed(
            code=error.error_code, message=error.message, param=error.param
        )
    if is_out_of_memory(error):
        return ExitCode.OUT_OF_MEMORY, Failed(
            code="out_of_memory", message="The device does not have enough memory for this."
        )
    if _is_device_fault(error):
        first_line = str(error).partition("\n")[0]
        return ExitCode.DEVICE_FAULT, Failed(
            code="device_fault", message=f"The device failed: {first_line}"[:2000]
        )
    if is_disk_full(error):
        return ExitCode.DISK_FULL, Failed(code=_DISK_FULL, message="The disk is full.")
    return ExitCode.INTERNAL, Failed(
        code="internal_error", message=f"{type(error).__name__}: {error}"[:2000]
    )


def is_disk_full(error: Exception) -> bool:
    """Whether there was no room for bytes, here or in the store."""
    if isinstance(error, PretrainerError):
        return error.error_code == _DISK_FULL
    return isinstance(error, OSError) and error.errno in _FULL


def _exit_code(error: PretrainerError) -> ExitCode:
    if isinstance(error, Diverged):
        return ExitCode.DIVERGED
    if isinstance(error, BadData):
        return ExitCode.BAD_DATA
    if isinstance(error, InvalidRequest | NotFound):
        return ExitCode.BAD_SPEC
    return ExitCode.INTERNAL


def _is_device_fault(error: Exception) -> bool:
    return type(error).__name__ == "AcceleratorError" or _says(error, _DEVICE_FAULT)


def _says(error: Exception, marks: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in marks)
