"""The extraction of web pages' main text, in a limited child that lives for many pages."""

from __future__ import annotations

from typing import Final, Self

from corpora.readers.html_process import TEXT
from corpora.sandbox import Sandbox, SandboxDied, SandboxLimits

_MODULE: Final = "corpora.readers.html_process"
_LIMITS: Final = SandboxLimits(memory_bytes=2**30, cpu_seconds=20)


class HtmlExtractor:
    """Extracts pages in a child that starts with the first page, and anew after a deadly one.

    A context manager; starting the child takes longer than most pages, so that one should be made
    for many files.
    """

    def __init__(self, *, limits: SandboxLimits = _LIMITS) -> None:
        """``limits`` are the child's."""
        self._limits = limits
        self._sandbox: Sandbox | None = None

    def __enter__(self) -> Self:
        """Nothing more: the child starts when it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def main_text(self, html: str) -> str | None:
        """The main text of a page; None where it cannot be had within the limits.

        Raises:
            SandboxDied: no child can be started, which is no page's fault.
        """
        sandbox = self._sandbox or self._start()
        try:
            sandbox.send(html.encode())
            answer = sandbox.receive()
        except SandboxDied:
            self.close()
            return None
        return answer[1:].decode() if answer.startswith(TEXT) else None

    def _start(self) -> Sandbox:
        self._sandbox = Sandbox(_MODULE, limits=self._limits)
        self._sandbox.receive()
        return self._sandbox
