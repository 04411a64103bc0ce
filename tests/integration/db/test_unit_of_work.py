from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from core.errors import NotFound, Unavailable
from db.engine import Database
from db.tables import DEFAULT_PROJECT_ID, Job, Project


def new_job(name: str = "job") -> Job:
    return Job(name=name, request={})


def num_jobs(database: Database) -> int:
    with database.unit_of_work() as uow:
        return uow.jobs.count()


def test_nothing_has_happened_without_a_commit(database: Database) -> None:
    called: list[str] = []
    with database.unit_of_work(write=True) as uow:
        uow.jobs.add(new_job())
        uow.record_event("job.queued", message="queued")
        uow.after_commit(lambda: called.append("rung"))
    assert called == []
    with database.unit_of_work() as uow:
        assert uow.jobs.count() == 0
        assert uow.events.latest_number() == 0


def test_an_error_undoes_everything_and_goes_on(database: Database) -> None:
    def fail_in_the_middle() -> None:
        with database.unit_of_work(write=True) as uow:
            uow.jobs.add(new_job())
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_the_middle()
    assert num_jobs(database) == 0


def test_callbacks_find_the_commit_done(database: Database) -> None:
    seen: list[int] = []
    with database.unit_of_work(write=True) as uow:
        uow.jobs.add(new_job())
        uow.after_commit(lambda: seen.append(num_jobs(database)))
        assert seen == []
        uow.commit()
    assert seen == [1]


def test_a_failing_callback_neither_undoes_the_commit_nor_stops_the_next(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    def fail() -> None:
        raise OSError("the broker is down")

    with database.unit_of_work(write=True) as uow:
        uow.jobs.add(new_job())
        uow.after_commit(fail)
        uow.after_commit(lambda: called.append("second"))
        uow.commit()
    assert called == ["second"]
    assert num_jobs(database) == 1
    assert "the broker is down" in caplog.text


def test_rows_stay_readable_after_the_commit(database: Database) -> None:
    with database.unit_of_work(write=True) as uow:
        job = uow.jobs.add(new_job("named"))
        uow.commit()
    assert (job.name, job.project_id) == ("named", DEFAULT_PROJECT_ID)


def test_a_reading_unit_of_work_cannot_write(database: Database) -> None:
    with database.unit_of_work() as uow, pytest.raises(DBAPIError, match=r"(?i)read-?only"):
        uow.jobs.add(new_job())
    assert num_jobs(database) == 0


def test_a_writing_one_follows_a_reading_one_on_the_same_connection(database: Database) -> None:
    for write in (False, True, False, True):
        with database.unit_of_work(write=write) as uow:
            uow.jobs.count()
            if write:
                uow.jobs.add(new_job())
                uow.commit()
    assert num_jobs(database) == 2


def test_events_are_numbered_from_one_without_gaps_in_each_project(
    database: Database, other_project: str
) -> None:
    for project_id in (DEFAULT_PROJECT_ID, other_project, DEFAULT_PROJECT_ID):
        with database.unit_of_work(project_id, write=True) as uow:
            uow.record_event("job.queued", message="a")
            uow.record_event("job.started", message="b", level="warn", data={"step": 1})
            uow.commit()
    for project_id, count in ((DEFAULT_PROJECT_ID, 4), (other_project, 2)):
        with database.unit_of_work(project_id) as uow:
            events = uow.events.read_after(0)
            assert [event.number for event in events] == list(range(1, count + 1))
            assert [event.id for event in events] == sorted({event.id for event in events})
            assert (events[1].level, events[1].data) == ("warn", {"step": 1})
            assert events[0].created_at == uow.now()


def test_an_event_of_a_project_that_does_not_exist_is_refused(database: Database) -> None:
    with database.unit_of_work("project_none", write=True) as uow:
        uow.record_event("job.queued", message="a")
        with pytest.raises(NotFound):
            uow.commit()


def test_claimed_work_binds_its_project(database: Database, other_project: str) -> None:
    with database.unit_of_work(None, write=True) as uow:
        with pytest.raises(AssertionError):
            _ = uow.jobs
        uow.bind(other_project)
        uow.jobs.add(new_job())
        assert uow.project_id == other_project
        uow.commit()
    assert num_jobs(database) == 0


def test_a_database_that_is_not_there_is_unavailable() -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/none", "sqlite:////nonexistent/dir/x.db"):
        database = Database(url)
        with pytest.raises(Unavailable):
            database.check()
        with pytest.raises(Unavailable), database.unit_of_work() as uow:
            uow.jobs.count()
        database.close()


def test_the_state_names_engine_and_schema(database: Database, engine_name: str) -> None:
    state = database.check()
    assert state.engine == engine_name
    assert state.revision
    assert state.journal_mode == ("wal" if engine_name == "sqlite" else None)


def test_the_default_project_is_made_once(database: Database) -> None:
    with database.unit_of_work(None, write=True) as uow:
        first = uow.projects.ensure_default()
        assert uow.projects.ensure_default() is first
        assert [project.id for project in uow.projects.all()] == [DEFAULT_PROJECT_ID]
        uow.projects.add(Project(name="second"))
        assert len(uow.projects.all()) == 2
