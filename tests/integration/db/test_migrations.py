from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, text

import db.tables
from core.errors import Unavailable
from core.ids import is_id
from db.base import Base
from db.connections import open_engine, parse_url
from db.engine import Database
from db.migrate import configuration, head_revision
from db.tables import Checkpoint


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url)
    yield database
    database.close()


def test_migrations_from_nothing_give_exactly_the_tables(
    empty: Database, empty_database_url: str
) -> None:
    assert db.tables.Job.__tablename__ in Base.metadata.tables
    empty.migrate()
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing_and_keeps_the_rows(empty: Database) -> None:
    empty.migrate()
    empty.migrate()
    with empty.unit_of_work() as uow:
        assert [project.name for project in uow.projects.all()] == ["default"]


def test_checkpoints_of_the_first_schema_are_kept_and_needed(
    empty: Database, empty_database_url: str
) -> None:
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0001")
        connection.execute(
            text("INSERT INTO projects VALUES ('project_default', 'default', 0, '2030-01-01')")
        )
        connection.execute(
            text(
                "INSERT INTO checkpoints (id, job_id, step, tokens, fence, prefix, status, metrics,"
                " num_bytes, manifest_sha256, pinned, project_id, created_at) VALUES ('ckpt_1',"
                " 'job_1', 1, 10, 1, 'checkpoints/job_1/step-1/', 'complete', '{}', 3, '0', false,"
                " 'project_default', '2030-01-01')"
            )
        )
        connection.execute(
            text("INSERT INTO checkpoint_files VALUES ('ckpt_1', 'manifest.json', 3, '0')")
        )
    empty.migrate()
    with empty.unit_of_work() as uow:
        assert uow.checkpoints.get("ckpt_1").unneeded_since is None
        assert [file.name for file in uow.checkpoints.files("ckpt_1")] == ["manifest.json"]


def test_jobs_of_the_schema_before_mixtures_keep_their_corpus_and_what_is_theirs(
    empty: Database, empty_database_url: str
) -> None:
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0004")
        connection.execute(
            text(
                "INSERT INTO projects (id, name, event_counter, created_at) "
                "VALUES ('project_default', 'default', 0, '2030-01-01')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO jobs (id, name, status, desired_status, corpus_id, request, warnings,"
                " priority, max_attempts, step, tokens, metrics, usage, project_id, created_at,"
                " metadata) VALUES ('job_1', 'job', 'queued', 'running', 'corpus_1', '{}', '[]', 0,"
                " 3, 0, 0, '{}', '{}', 'project_default', '2030-01-01', '{}')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO metrics (job_id, step, name, tokens, value, created_at) "
                "VALUES ('job_1', 1, 'train/loss', 10, 2.5, '2030-01-01')"
            )
        )
    empty.migrate()
    with empty.unit_of_work() as uow:
        assert uow.jobs.corpus_ids("job_1") == ["corpus_1"]
        assert [point.value for point in uow.metrics.read("job_1")] == [2.5]
    with engine.connect() as connection:
        command.downgrade(configuration(connection), "0004")
        assert connection.scalar(text("SELECT corpus_id FROM jobs")) == "corpus_1"


def test_what_models_said_before_probes_had_a_table_is_taken_from_the_events(
    empty: Database, empty_database_url: str
) -> None:
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    said = (
        '{"probes": [{"step": %d, "continuations": [{"prompt": "a", "text": "%s"}],'
        ' "fillings": []}]}'
    )
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0006")
        connection.execute(
            text(
                "INSERT INTO projects (id, name, event_counter, created_at) "
                "VALUES ('project_default', 'default', 4, '2030-01-01')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO jobs (id, name, status, desired_status, request, warnings,"
                " priority, max_attempts, step, tokens, metrics, usage, project_id, created_at,"
                " metadata) VALUES ('job_1', 'job', 'queued', 'running', '{}', '[]', 0,"
                " 3, 0, 0, '{}', '{}', 'project_default', '2030-01-01', '{}')"
            )
        )
        for number, (job_id, data) in enumerate(
            [
                ("job_1", said % (5, "b")),
                ("job_1", '{"step": 6}'),
                ("job_1", said % (5, "c")),  # the step was done again
                ("job_2", said % (5, "of a job that is gone")),
                ("job_1", said % (10, "d")),
            ]
        ):
            connection.execute(
                text(
                    "INSERT INTO events (project_id, number, id, job_id, type, level, message,"
                    " data, created_at) VALUES ('project_default', :number, :id, :job, "
                    "'job.progress', 'info', '', :data, '2030-01-01')"
                ),
                {"number": number, "id": f"event_{number}", "job": job_id, "data": data},
            )
    empty.migrate()
    with empty.unit_of_work() as uow:
        kept = uow.probes.page(job_id="job_1", order="asc").items
    assert [(probe.step, probe.continuations[0]["text"]) for probe in kept] == [(5, "c"), (10, "d")]
    assert all(is_id(probe.id, prefix="probe") for probe in kept)


def test_checkpoints_of_before_learn_their_shape_and_tokenizer_from_their_job(
    empty: Database, empty_database_url: str
) -> None:
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0007")
        for statement in (
            (
                "INSERT INTO projects (id, name, event_counter, created_at)"
                " VALUES ('project_default', 'default', 0, '2030-01-01')"
            ),
            (
                "INSERT INTO tokenizers (id, name, status, progress, algorithm, sha256, is_default,"
                " project_id, created_at, metadata) VALUES ('tokenizer_1', 't', 'ready', 1, 'bpe',"
                " 'tt', false, 'project_default', '2030-01-01', '{}')"
            ),
            (
                "INSERT INTO jobs (id, name, status, desired_status, tokenizer_id, request, spec,"
                " warnings, priority, max_attempts, step, tokens, metrics, usage, project_id,"
                " created_at, metadata) VALUES ('job_1', 'job', 'succeeded', 'running',"
                """ 'tokenizer_1', '{}', '{"model": {"layers": 2}}', '[]', 0, 3, 0, 0, '{}',"""
                " '{}', 'project_default', '2030-01-01', '{}')"
            ),
            *(
                "INSERT INTO checkpoints (id, job_id, step, tokens, fence, prefix, status, metrics,"
                f" num_bytes, manifest_sha256, pinned, project_id, created_at) VALUES ('ckpt_{n}',"
                f" 'job_{n}', 1, 10, 1, 'checkpoints/job_{n}/step-1/', 'complete', '{{}}', 3, '0',"
                " false, 'project_default', '2030-01-01')"
                for n in (1, 2)
            ),
            "INSERT INTO checkpoint_files VALUES ('ckpt_1', 'manifest.json', 3, '0')",
        ):
            connection.exec_driver_sql(statement)
    empty.migrate()
    with empty.unit_of_work(write=True) as uow:
        known, orphan = uow.checkpoints.get("ckpt_1"), uow.checkpoints.get("ckpt_2")
        assert known.model == {"layers": 2}
        assert (known.tokenizer_id, known.tokenizer_sha256) == ("tokenizer_1", "tt")
        assert (orphan.model, orphan.tokenizer_id) == (None, None)
        assert [file.name for file in uow.checkpoints.files("ckpt_1")] == ["manifest.json"]
        uow.checkpoints.add(Checkpoint(id="ckpt_3", source={"files": []}))
        uow.commit()
    with engine.begin() as connection:
        command.downgrade(configuration(connection), "0007")
    with engine.connect() as connection:
        ids = connection.scalars(text("SELECT id FROM checkpoints ORDER BY id")).all()
        assert list(ids) == ["ckpt_1", "ckpt_2"]
        assert connection.scalar(text("SELECT name FROM checkpoint_files")) == "manifest.json"


def test_datasets_made_before_they_were_work_keep_their_bytes_and_get_ids(
    empty: Database, empty_database_url: str
) -> None:
    manifest = '{"corpus_digest": "cc", "tokenizer_sha256": "tt"}'
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0003")
        connection.execute(
            text(
                "INSERT INTO projects (id, name, event_counter, created_at)"
                " VALUES ('project_default', 'default', 0, '2030-01-01')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO datasets (digest, corpus_id, tokenizer_id, prefix, num_train_tokens,"
                " manifest, project_id, created_at) VALUES ('dd', 'corpus_1', 'tokenizer_1',"
                " 'datasets/dd/', 7, :manifest, 'project_default', '2030-01-01')"
            ),
            {"manifest": manifest},
        )
    empty.migrate()
    with empty.unit_of_work() as uow:
        dataset = uow.datasets.find_ready("dd")
        assert dataset is not None
        assert is_id(dataset.id, prefix="dataset")
        assert (dataset.corpus_digest, dataset.tokenizer_sha256) == ("cc", "tt")
        assert (dataset.prefix, dataset.num_train_tokens) == ("datasets/dd/", 7)
    with engine.connect() as connection:
        command.downgrade(configuration(connection), "0003")
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT digest, corpus_id, prefix FROM datasets")).all()
    assert [tuple(row) for row in kept] == [("dd", "corpus_1", "datasets/dd/")]


def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    databases = [Database(empty_database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.migrate, databases))
    assert databases[0].check().revision == head_revision()
    for database in databases:
        database.close()


def test_a_database_without_its_schema_is_not_ready(empty: Database) -> None:
    with pytest.raises(Unavailable, match="schema is empty"):
        empty.check()


def test_every_migration_can_be_undone(empty: Database, empty_database_url: str) -> None:
    empty.migrate()
    engine = open_engine(parse_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        command.downgrade(configuration(connection), "base")
    with pytest.raises(Unavailable, match="schema is empty"):
        empty.check()


def test_migrations_run_from_any_directory(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty.migrate()
    assert empty.check().revision == head_revision()


def test_an_older_sqlite_file_is_copied_before_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('0000')")
    connection.close()
    database = Database(f"sqlite:///{path}")
    with pytest.raises(Exception, match="0000"):  # nobody knows how to go on from there
        database.migrate()
    database.close()
    (copy,) = tmp_path.glob("old.db.before-*-at-0000")
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
            ("0000",)
        ]
    connection.close()


def test_migrating_a_server_that_cannot_be_reached_says_so_without_the_password() -> None:
    unreachable = Database("postgresql://somebody:secret@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match=r"does not answer: .*127\.0\.0\.1") as caught:
        unreachable.migrate()
    unreachable.close()
    assert "secret" not in caught.value.message
