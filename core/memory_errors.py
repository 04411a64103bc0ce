"""Errors that mean that there is not enough memory, whoever asked for it.

torch cannot be imported here, for it takes seconds and most processes do without. Its errors are
told by the names of their classes, and where it raises a bare ``RuntimeError``, by their texts.
"""

from __future__ import annotations

from typing import Final

_TEXTS: Final = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator of Python, NumPy, torch or a GPU had no more to give."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS))
    )
