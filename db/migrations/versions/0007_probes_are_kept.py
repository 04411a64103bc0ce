"""What models say to fixed prompts and blanks has a table of its own, not the events alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.ids import new_id

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    probes = op.create_table(
        "probes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("continuations", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("fillings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_probes_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_probes_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probes")),
        sa.UniqueConstraint("job_id", "step", name=op.f("uq_probes_job_id_step")),
    )
    op.create_index(
        op.f("ix_probes_project_id_job_id_id"),
        "probes",
        ["project_id", "job_id", "id"],
        unique=False,
    )
    op.bulk_insert(probes, list(_told_by_events(op.get_bind())))


def downgrade() -> None:
    """The events still tell it."""
    op.drop_index(op.f("ix_probes_project_id_job_id_id"), table_name="probes")
    op.drop_table("probes")


def _told_by_events(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """What the events of jobs that still exist tell, the last word on each step."""
    events = sa.table(
        "events",
        sa.column("number", sa.BigInteger()),
        sa.column("project_id", sa.Text()),
        sa.column("created_at", sa.DateTime(timezone=True)),
        sa.column("job_id", sa.Text()),
        sa.column("type", sa.Text()),
        sa.column("data", sa.JSON()),
    )
    jobs = sa.table("jobs", sa.column("id", sa.Text()))
    query = (
        sa.select(events)
        .join(jobs, jobs.c.id == events.c.job_id)
        .where(events.c.type == "job.progress", events.c.data["probes"].as_string().is_not(None))
        .order_by(events.c.number)
    )
    told = {
        (event.job_id, probe["step"]): (event, probe)
        for event in connection.execute(query)
        for probe in event.data["probes"]
    }
    for (job_id, step), (event, probe) in told.items():
        yield {
            "id": new_id("probe"),
            "job_id": job_id,
            "step": step,
            "continuations": probe["continuations"],
            "fillings": probe["fillings"],
            "project_id": event.project_id,
            "created_at": event.created_at,
        }
