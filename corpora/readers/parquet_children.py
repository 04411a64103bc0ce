"""The limited children that read Parquet files: one that stays for small files, or one a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from corpora.sandbox import Sandbox, SandboxLimits

SMALL_BYTES: Final = 2**22
"""Such a file is sent to the child that stays: starting one takes longer than reading it."""
LIMITS: Final = SandboxLimits(memory_bytes=3 * 2**29, cpu_seconds=60)

_MODULE: Final = "corpora.readers.parquet_process"


class ParquetChildren:
    """Lends children, one at a time; the one that stays starts with the first small file."""

    def __init__(self, *, limits: SandboxLimits = LIMITS) -> None:
        """``limits`` are each child's, and the processor time each file's."""
        self._limits = limits
        self._staying: Sandbox | None = None

    def close(self) -> None:
        """End the child that stays, if there is one."""
        if self._staying is not None:
            self._staying.close()
            self._staying = None

    @contextmanager
    def asked(self, file: IO[bytes], *, num_bytes: int, column: str) -> Iterator[Sandbox]:
        """A child that was asked for a column of a file; whoever leaves early ends it.

        Args:
            file: open for random access.
            num_bytes: its size.
            column: its name.

        Raises:
            SandboxDied: no child can be started, which is no file's fault.
        """
        if num_bytes > SMALL_BYTES:
            with self._started(file) as sandbox:
                sandbox.send(column.encode(errors="replace"))
                yield sandbox
            return
        sandbox = self._staying or self._started()
        self._staying = None
        try:
            sandbox.send(column.encode(errors="replace"))
            sandbox.send(os.pread(file.fileno(), num_bytes, 0))
            yield sandbox
        except BaseException:
            sandbox.close()
            raise
        self._staying = sandbox

    def _started(self, file: IO[bytes] | None = None) -> Sandbox:
        sandbox = Sandbox(_MODULE, file=file, limits=self._limits)
        try:
            sandbox.receive()
        except BaseException:
            sandbox.close()
            raise
        return sandbox
