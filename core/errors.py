"""Every error a user can cause or meet, in one tree.

    PretrainerError
    ├── InvalidRequest        a field is wrong, unknown or impossible
    │   └── MalformedRequest  the body cannot be read at all
    ├── NotFound              no such object in this project
    ├── Conflict              the object's state forbids it
    ├── TooLarge              more bytes than the limit
    ├── QuotaExceeded         more bytes than the project may have
    ├── RangeNotSatisfiable   a byte range beyond the end
    ├── PreconditionFailed    the bytes are not those that the client has a part of
    ├── DigestMismatch        the bytes are not those that the client announced
    ├── Unavailable           a part of the service cannot be reached now
    ├── BadData               what a user uploaded cannot be used
    ├── CheckpointDamaged     a checkpoint's bytes do not match its manifest
    ├── Diverged              the loss left for good, or is no longer a number
    ├── RankLost              one of the processes that train a model together has ended
    └── LeaseLost             another owner has taken the work over

Each carries a stable ``code`` (for programs), a message (what was seen, what is allowed), and the
path of the field it is about. Which HTTP status each gets is known to ``api`` alone; which exit
code a child process ends with, to ``core.lifecycle``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One wrong field: where, a stable code, and what is wrong with it."""

    message: str
    code: str
    param: str | None


class PretrainerError(Exception):
    """The root: something that a user is told about."""

    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        details: Sequence[ErrorDetail] = (),
    ) -> None:
        """``code`` overrides the class's own where one class covers several stable codes."""
        super().__init__(message)
        self.message = message
        self.error_code = code or self.code
        self.param = param
        self.details = tuple(details) or (ErrorDetail(message, self.error_code, param),)


class InvalidRequest(PretrainerError):
    """A field is wrong, unknown or impossible."""

    code = "invalid_request"


class MalformedRequest(InvalidRequest):
    """The body cannot be read at all: not JSON, not multipart, not UTF-8."""

    code = "malformed_request"


class NotFound(PretrainerError):
    """No such object in this project."""

    code = "not_found"


class Conflict(PretrainerError):
    """The object's state forbids what was asked; asking again will not help."""

    code = "conflict"


class TooLarge(PretrainerError):
    """More bytes than the limit allows."""

    code = "too_large"


class QuotaExceeded(PretrainerError):
    """More than the project may have; asking again will not help before something is deleted."""

    code = "insufficient_quota"


class RangeNotSatisfiable(PretrainerError):
    """The requested byte range lies beyond the end."""

    code = "range_not_satisfiable"

    def __init__(self, message: str, *, size: int) -> None:
        """``size`` is the length of the whole, in bytes."""
        super().__init__(message)
        self.size = size


class PreconditionFailed(PretrainerError):
    """The object is not, or no longer, what the client takes it for."""

    code = "precondition_failed"


class DigestMismatch(PretrainerError):
    """The received bytes are not those that the client announced."""

    code = "digest_mismatch"


class Unavailable(PretrainerError):
    """A part of the service (database, broker, store) cannot be reached at the moment."""

    code = "unavailable"


class BadData(PretrainerError):
    """What a user uploaded cannot be used; the message names the file and, if known, the place."""

    code = "bad_data"


class CheckpointDamaged(PretrainerError):
    """A checkpoint's files do not match its manifest."""

    code = "checkpoint_damaged"


class Diverged(PretrainerError):
    """Training ran away: the loss left for good, or is infinite or not a number."""

    code = "diverged"


class RankLost(PretrainerError):
    """One of the processes that train a model together has ended; the others cannot go on."""

    code = "rank_lost"


class LeaseLost(PretrainerError):
    """The work now belongs to another owner; whoever sees this must stop writing."""

    code = "lease_lost"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message for an unknown ``name``: the nearest known one, then all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(names)}."
