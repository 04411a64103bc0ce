"""A job is trained on one corpus or on several."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_corpora",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_corpora_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_job_corpora")),
    )
    op.create_index(op.f("ix_job_corpora_corpus_id"), "job_corpora", ["corpus_id"], unique=False)
    op.execute(
        "INSERT INTO job_corpora (job_id, position, corpus_id) SELECT id, 0, corpus_id FROM jobs"
    )
    op.drop_index(op.f("ix_jobs_corpus_id"), table_name="jobs")
    # Not in a batch: that would rebuild the table, and all that refers to its rows would go.
    op.drop_column("jobs", "corpus_id")


def downgrade() -> None:
    """Of a mixture only the first corpus is kept."""
    op.add_column("jobs", sa.Column("corpus_id", sa.Text(), nullable=False, server_default=""))
    op.execute(
        "UPDATE jobs SET corpus_id = (SELECT corpus_id FROM job_corpora "
        "WHERE job_corpora.job_id = jobs.id AND position = 0)"
    )
    op.create_index(op.f("ix_jobs_corpus_id"), "jobs", ["corpus_id"], unique=False)
    op.drop_index(op.f("ix_job_corpora_corpus_id"), table_name="job_corpora")
    op.drop_table("job_corpora")
