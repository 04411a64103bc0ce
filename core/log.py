"""One way of logging for every process: a line for people, or a JSON object for machines.

Which request, job, corpus or attempt a record belongs to is said once, with :func:`bound`, and
then stands in every record of that thread or task, whoever writes it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

LogFormat = Literal["text", "json"]

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def bound(**ids: str) -> Iterator[None]:
    """Put ids, such as ``request_id`` or ``job_id``, into every record made inside the block."""
    token = _context.set({**_context.get(), **ids})
    try:
        yield
    finally:
        _context.reset(token)


def configure(*, level: str = "info", log_format: LogFormat = "text") -> None:
    """Send every record of this process to standard error; what was set up before is replaced."""
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(make_handler(log_format=log_format))
    root.setLevel(level.upper())


def make_handler(*, log_format: LogFormat) -> logging.Handler:
    """The handler of :func:`configure`, for frameworks that set up logging themselves."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_context)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    return handler


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.000Z INFO    services.jobs: claimed  job_id=job_01...``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it the traceback if there is one."""
        ids = "".join(f"  {name}={value}" for name, value in _ids(record).items())
        level = f"{record.levelname:<7}"
        line = f"{_moment(record)} {level} {record.name}: {record.getMessage()}{ids}"
        return line + "".join(f"\n{part}" for part in self._afterwards(record))

    def _afterwards(self, record: logging.LogRecord) -> Iterator[str]:
        if record.exc_info:
            yield self.formatException(record.exc_info)
        if record.stack_info:
            yield self.formatStack(record.stack_info)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message`` and the bound ids."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        fields = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _add_context(record: logging.LogRecord) -> bool:
    """Note the ids while the record is still in the thread or task that made it."""
    record.ids = _context.get()
    return True


def _ids(record: logging.LogRecord) -> Mapping[str, str]:
    ids: Mapping[str, str] = getattr(record, "ids", {})
    return ids


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
