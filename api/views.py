"""Rows as they are sent, where that takes more than one row."""

from __future__ import annotations

from collections.abc import Sequence

from api.schemas.checkpoints import CheckpointObject
from api.schemas.corpora import CorpusObject
from api.schemas.jobs import JobObject, QueueState
from api.schemas.uploads import UploadObject
from db.tables import Checkpoint, Corpus, Job, Upload
from db.unit_of_work import UnitOfWork
from services import queue_place, uploads


def job_view(uow: UnitOfWork, job: Job) -> JobObject:
    """A job, with its place in the queue and the number of its attempts."""
    place = queue_place.find(uow, job)
    queue = None
    if place is not None:
        queue = QueueState(
            position=place.position,
            jobs_ahead=place.jobs_ahead,
            waiting_reason=place.waiting_reason,
        )
    return JobObject.of(job, attempts=uow.attempts.count_of(job.id), queue=queue, now=uow.now())


def corpus_view(uow: UnitOfWork, corpus: Corpus) -> CorpusObject:
    """A corpus with the ids of its files."""
    return CorpusObject.of(corpus, file_ids=uow.corpora.file_ids(corpus.id))


def upload_view(uow: UnitOfWork, upload: Upload) -> UploadObject:
    """An upload with the file that it has become."""
    return upload_views(uow, [upload])[0]


def upload_views(uow: UnitOfWork, rows: Sequence[Upload]) -> list[UploadObject]:
    """Uploads with the files that they have become."""
    files = uow.files.get_many({row.file_id for row in rows if row.file_id is not None})
    return [
        UploadObject.of(
            row,
            status=uploads.status_of(row, now=uow.now()),
            file=files.get(row.file_id or ""),
        )
        for row in rows
    ]


def checkpoint_view(uow: UnitOfWork, checkpoint: Checkpoint) -> CheckpointObject:
    """A checkpoint with its files."""
    return checkpoint_views(uow, [checkpoint])[0]


def checkpoint_views(uow: UnitOfWork, checkpoints: Sequence[Checkpoint]) -> list[CheckpointObject]:
    """Checkpoints with their files, and which of them are the best of their jobs."""
    files = uow.checkpoints.files_of([checkpoint.id for checkpoint in checkpoints])
    jobs_found = [uow.jobs.find(job_id or "") for job_id in {row.job_id for row in checkpoints}]
    best = {job.best_checkpoint_id for job in jobs_found if job is not None}
    return [
        CheckpointObject.of(row, files=files.get(row.id, []), best=row.id in best)
        for row in checkpoints
    ]
