"""What a repository works in: a session, a project, a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from sqlalchemy.orm import Session

Order = Literal["asc", "desc"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Scope:
    """A project's view of one transaction."""

    session: Session
    project_id: str
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A stretch of a list, and whether more follows."""

    items: list[Item]
    has_more: bool

    @classmethod
    def cut(cls, items: list[Item], *, limit: int) -> Page[Item]:
        """The page of ``limit`` items, given one more than that if there is one."""
        return cls(items=items[:limit], has_more=len(items) > limit)
