"""A tokenizer may be made of an uploaded file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: that would rebuild the table, and all that refers to its rows would go.
    op.add_column("tokenizers", sa.Column("file_id", sa.Text(), nullable=True))
    op.create_index(op.f("ix_tokenizers_file_id"), "tokenizers", ["file_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_tokenizers_file_id"), table_name="tokenizers")
    op.drop_column("tokenizers", "file_id")
