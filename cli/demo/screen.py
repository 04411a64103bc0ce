"""What the demonstration shows: colours and moving bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_LINES: Final = 10.0
_PLAIN_WIDTH: Final = 100


class Bar(Protocol):
    """How far something is."""

    def update(self, fraction: float, note: str = "") -> None:
        """``fraction`` lies between 0 and 1; ``note`` stands beside the bar."""
        ...


class Screen:
    """Writes the story, paragraph by paragraph."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=_PLAIN_WIDTH, no_color=True)

    def title(self, text: str) -> None:
        """Begin a chapter."""
        self._console.print(f"\n[bold cyan]{escape(text)}[/]")

    def say(self, text: str, *, style: str = "") -> None:
        """A line of the story."""
        self._console.print(f"  {text}", style=style or None, markup=False, soft_wrap=True)

    def good(self, text: str) -> None:
        """Something that was checked and holds."""
        self._console.print(f"  [green]✓[/] {escape(text)}", soft_wrap=True)

    def bad(self, text: str) -> None:
        """Something that was checked and does not hold."""
        self._console.print(f"  [bold red]✗ {escape(text)}[/]", soft_wrap=True)

    def numbers(self, pairs: Mapping[str, str]) -> None:
        """Names and values, one pair a line."""
        width = max(map(len, pairs))
        for name, value in pairs.items():
            self.say(f"{name:<{width}}  {value}")

    @contextmanager
    def bar(self, label: str) -> Iterator[Bar]:
        """A progress bar, or a line now and then where nobody watches."""
        if not self._console.is_terminal:
            yield _Lines(self, label)
            return
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
        ) as progress:
            yield _Moving(progress, progress.add_task(label, total=1.0, note=""))


class _Moving:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, fraction: float, note: str = "") -> None:
        self._progress.update(self._task, completed=fraction, note=escape(note))


class _Lines:
    def __init__(self, screen: Screen, label: str) -> None:
        self._screen = screen
        self._label = label
        self._said_at = time.monotonic()
        self._is_done = False

    def update(self, fraction: float, note: str = "") -> None:
        now = time.monotonic()
        is_last = fraction >= 1 and not self._is_done
        if is_last or now - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._said_at = now
            self._is_done = fraction >= 1
            self._screen.say(f"{self._label}: {fraction:.0%}  {note}".rstrip())
