"""Python's garbage collector, which stops everything at moments that nobody chose."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_on_request() -> Iterator[None]:
    """Nothing is collected but by ``gc.collect``, which leaves alone what was there before."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
