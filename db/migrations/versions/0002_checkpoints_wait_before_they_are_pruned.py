"""Checkpoints wait before they are pruned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("checkpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unneeded_since", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_checkpoints_unneeded_since"),
            ["unneeded_since"],
            unique=False,
            sqlite_where=sa.text("unneeded_since IS NOT NULL"),
            postgresql_where=sa.text("unneeded_since IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("checkpoints", schema=None) as batch_op:
        batch_op.drop_index(
            batch_op.f("ix_checkpoints_unneeded_since"),
            sqlite_where=sa.text("unneeded_since IS NOT NULL"),
            postgresql_where=sa.text("unneeded_since IS NOT NULL"),
        )
        batch_op.drop_column("unneeded_since")
