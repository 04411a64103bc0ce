"""Corpora and datasets are made in pieces; datasets are work; corpora extend others."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from core.ids import new_id

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JSON: Final = sa.JSON(none_as_null=True)
_KEPT: Final = ("digest", "corpus_id", "tokenizer_id", "prefix", "num_train_tokens", "manifest")
_OF_THE_PROJECT: Final = ("project_id", "created_at")


def upgrade() -> None:
    _add_pieces()
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parent_id", sa.Text(), nullable=True))
        batch_op.create_index(batch_op.f("ix_work_parent_id"), ["parent_id"], unique=False)
    with op.batch_alter_table("corpora", schema=None) as batch_op:
        batch_op.add_column(sa.Column("extends_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("evaluation_file_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("processing", _JSON, nullable=True))
        batch_op.create_index(batch_op.f("ix_corpora_extends_id"), ["extends_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_corpora_evaluation_file_id"), ["evaluation_file_id"], unique=False
        )
    with op.batch_alter_table("corpus_files", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("is_inherited", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    _give_datasets_ids()


def downgrade() -> None:
    with op.batch_alter_table("corpus_files", schema=None) as batch_op:
        batch_op.drop_column("is_inherited")
    with op.batch_alter_table("corpora", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_corpora_evaluation_file_id"))
        batch_op.drop_index(batch_op.f("ix_corpora_extends_id"))
        batch_op.drop_column("processing")
        batch_op.drop_column("evaluation_file_id")
        batch_op.drop_column("extends_id")
    op.execute("DELETE FROM work WHERE kind IN ('piece', 'dataset')")
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_parent_id"))
        batch_op.drop_column("parent_id")
    with op.batch_alter_table("corpus_pieces", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_corpus_pieces_piece_id"))
    op.drop_table("corpus_pieces")
    op.drop_table("pieces")
    _take_ids_from_datasets()


def _add_pieces() -> None:
    op.create_table(
        "pieces",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("task", _JSON, nullable=False),
        sa.Column("num_files", sa.BigInteger(), nullable=False),
        sa.Column("num_bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("files_done", sa.BigInteger(), nullable=False),
        sa.Column("records_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("result", _JSON, nullable=True),
        sa.Column("error", _JSON, nullable=True),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_pieces_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pieces")),
        sa.UniqueConstraint(
            "parent_id", "stage", "position", name=op.f("uq_pieces_parent_id_stage_position")
        ),
    )
    op.create_table(
        "corpus_pieces",
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("piece_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["corpus_id"],
            ["corpora.id"],
            name=op.f("fk_corpus_pieces_corpus_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("corpus_id", "position", name=op.f("pk_corpus_pieces")),
    )
    with op.batch_alter_table("corpus_pieces", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_corpus_pieces_piece_id"), ["piece_id"], unique=False)


def _give_datasets_ids() -> None:
    """A new table in the place of the old one: its key is another."""
    rows = _rows_of_datasets()
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_datasets_corpus_id_tokenizer_id"))
    op.drop_table("datasets")
    datasets = op.create_table(
        "datasets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("corpus_digest", sa.Text(), nullable=False),
        sa.Column("tokenizer_sha256", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("tokenizer_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("num_train_tokens", sa.BigInteger(), nullable=False),
        sa.Column("manifest", _JSON, nullable=True),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_datasets_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("project_id", "digest", name=op.f("uq_datasets_project_id_digest")),
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_datasets_corpus_digest"), ["corpus_digest"])
    for row in rows:
        contents = {name: row["manifest"][name] for name in ("corpus_digest", "tokenizer_sha256")}
        new = {**row, **contents, "id": new_id("dataset"), "status": "ready"}
        op.execute(datasets.insert().values(new))


def _take_ids_from_datasets() -> None:
    rows = [row for row in _rows_of_datasets() if row["manifest"] is not None]
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_datasets_corpus_digest"))
    op.drop_table("datasets")
    datasets = op.create_table(
        "datasets",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("tokenizer_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("num_train_tokens", sa.BigInteger(), nullable=False),
        sa.Column("manifest", _JSON, nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_datasets_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "digest", name=op.f("pk_datasets")),
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_datasets_corpus_id_tokenizer_id"), ["corpus_id", "tokenizer_id"]
        )
    for row in rows:
        op.execute(datasets.insert().values(row))


def _rows_of_datasets() -> list[dict[str, Any]]:
    """Every dataset with the columns that both schemas have."""
    table = sa.table(
        "datasets",
        *(sa.column(name) for name in _KEPT if name != "manifest"),
        sa.column("manifest", _JSON),
        sa.column("project_id"),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    columns = [table.c[name] for name in _KEPT + _OF_THE_PROJECT]
    return [dict(row._mapping) for row in op.get_bind().execute(sa.select(*columns))]  # noqa: SLF001 - the documented name
