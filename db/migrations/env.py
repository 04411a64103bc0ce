"""What Alembic runs: on the connection that `db.migrate` hands over, in one transaction."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import Enum

import db.tables
from db.base import Base, StorableText, UtcDateTime

assert db.tables.__all__  # importing them makes them known to the metadata


def plain_type(kind: str, item: object, autogen_context: object) -> str | Literal[False]:
    """How a type is written in a migration, which must mean the same when our classes change."""
    del autogen_context
    if kind != "type":
        return False
    match item:
        case StorableText():
            return "sa.Text()"
        case UtcDateTime():
            return "sa.DateTime(timezone=True)"
        case Enum():
            return f"sa.String(length={item.length})"
        case _:
            return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
    render_item=plain_type,
)
with context.begin_transaction():
    context.run_migrations()
