"""Jobs go on from checkpoints, which know their shape and tokenizer and may be uploaded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("start_checkpoint_id", sa.Text(), nullable=True))
    op.create_index(op.f("ix_jobs_start_checkpoint_id"), "jobs", ["start_checkpoint_id"])
    _keep_files()
    with op.batch_alter_table("checkpoints") as batch_op:
        batch_op.alter_column("job_id", existing_type=sa.Text(), nullable=True)
        batch_op.add_column(sa.Column("model", _JSON, nullable=True))
        batch_op.add_column(sa.Column("tokenizer_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("tokenizer_sha256", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("source", _JSON, nullable=True))
        batch_op.add_column(sa.Column("error", _JSON, nullable=True))
    _bring_files_back()
    _fill_in_shapes_and_tokenizers(op.get_bind())


def downgrade() -> None:
    """Uploaded checkpoints go: there was no place for them."""
    op.execute("DELETE FROM checkpoints WHERE job_id IS NULL")
    _keep_files()
    with op.batch_alter_table("checkpoints") as batch_op:
        for name in ("error", "source", "tokenizer_sha256", "tokenizer_id", "model"):
            batch_op.drop_column(name)
        batch_op.alter_column("job_id", existing_type=sa.Text(), nullable=False)
    _bring_files_back()
    op.drop_index(op.f("ix_jobs_start_checkpoint_id"), table_name="jobs")
    op.drop_column("jobs", "start_checkpoint_id")


def _keep_files() -> None:
    """SQLite rebuilds the table, and all that refers to its rows goes with the old one."""
    op.execute("CREATE TABLE kept_checkpoint_files AS SELECT * FROM checkpoint_files")
    op.execute("DELETE FROM checkpoint_files")


def _bring_files_back() -> None:
    op.execute("INSERT INTO checkpoint_files SELECT * FROM kept_checkpoint_files")
    op.execute("DROP TABLE kept_checkpoint_files")


def _fill_in_shapes_and_tokenizers(connection: sa.Connection) -> None:
    """What the job of a checkpoint still tells, if there is one."""
    jobs = sa.table(
        "jobs", sa.column("id"), sa.column("spec", sa.JSON()), sa.column("tokenizer_id")
    )
    tokenizers = sa.table("tokenizers", sa.column("id"), sa.column("sha256"))
    checkpoints = sa.table(
        "checkpoints",
        sa.column("job_id"),
        sa.column("model", _JSON),
        sa.column("tokenizer_id"),
        sa.column("tokenizer_sha256"),
    )
    digests = {row.id: row.sha256 for row in connection.execute(sa.select(tokenizers))}
    told = connection.execute(
        sa.select(jobs).where(jobs.c.id.in_(sa.select(checkpoints.c.job_id)))
    ).all()
    for job in told:
        if job.spec is None:
            continue
        connection.execute(
            sa.update(checkpoints)
            .where(checkpoints.c.job_id == job.id)
            .values(
                model=job.spec["model"],
                tokenizer_id=job.tokenizer_id,
                tokenizer_sha256=digests.get(job.tokenizer_id),
            )
        )
