"""The frame of every child process: bound to its runner, deaf to Ctrl-C, honest about its end."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.lifecycle import ExitCode
from workers.adapters import Output, PipeOrders, take_standard_output
from workers.children import TASK_FILE
from workers.failures import explain
from workers.lifeline import die_first_for_want_of_memory, die_with_parent
from workers.messages import Done

Task = Mapping[str, Any]
Perform = Callable[[Path, Task, Output, PipeOrders], tuple[ExitCode, Mapping[str, Any]]]
"""What a child does in its directory: how it ended, and what the runner should know."""

_log = logging.getLogger(__name__)


def run_child(perform: Perform) -> int:
    """Do what ``task.json`` in the directory given on the command line says.

    Returns:
        The exit code, a :class:`core.lifecycle.ExitCode`.
    """
    die_with_parent()
    die_first_for_want_of_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; see runner
    faulthandler.enable()
    logging.basicConfig(
        level=os.environ.get("PRETRAINER_LOG_LEVEL", "info").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    output = take_standard_output()
    # Unbuffered: a buffered reader's lock, held by a waiting thread, aborts the interpreter's end.
    orders = PipeOrders(os.fdopen(0, "rb", buffering=0, closefd=False))
    preloaded = os.environ.get("LD_PRELOAD")
    _log.info("pid %d begins; memory allocator: %s", os.getpid(), preloaded or "the system's")
    directory = Path(sys.argv[1])
    try:
        code, result = perform(
            directory, json.loads((directory / TASK_FILE).read_text()), output, orders
        )
    except Exception as error:  # noqa: BLE001 - the edge: every error becomes an exit code
        _log.exception("pid %d fails", os.getpid())
        code, failure = explain(error)
        output.send(failure)
        return code
    output.send(Done(result=result))
    return code
