"""What makes the demonstration end with an error."""

from __future__ import annotations


class DemoFailed(Exception):
    """Something was not as the service promises; the message says what."""


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads like assert
    """Go on only if a promise was kept.

    Raises:
        DemoFailed: it was not.
    """
    if not condition:
        raise DemoFailed(otherwise)
