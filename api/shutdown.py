"""Hearing early that the process is to stop.

The server tells the application only when its last connection has closed, and an event stream
closes only when the application ends it. So the signal itself is listened to, besides the server.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def calling_on_stop(callback: Callable[[], None]) -> Iterator[None]:
    """Call back in the running event loop when a signal asks the process to stop.

    Whoever listened before hears it too. Outside of the main thread no signal can be heard; a
    process that runs the application there closes its connections itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        handler = previous[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in previous.items():
        if callable(handler):
            signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
