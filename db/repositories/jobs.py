"""Queries on jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import exists, select

from core.lifecycle import CheckpointStatus, JobStatus
from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Checkpoint, Job, JobCorpus


class JobRepository(OwnedRepository[Job]):
    """Requests for training."""

    table = Job
    noun = "job"
    prefix = "job"

    def add_with_corpora(self, job: Job, corpus_ids: Sequence[str]) -> Job:
        """Insert a job trained on these corpora, in this order."""
        self.add(job)
        self._session.add_all(
            JobCorpus(job_id=job.id, position=position, corpus_id=corpus_id)
            for position, corpus_id in enumerate(corpus_ids)
        )
        self._session.flush()
        return job

    def corpus_ids(self, job_id: str) -> list[str]:
        """The corpora of a job of this project, in order; some may have been deleted since."""
        query = self._owned(
            select(JobCorpus.corpus_id)
            .join(Job, Job.id == JobCorpus.job_id)
            .where(JobCorpus.job_id == job_id)
            .order_by(JobCorpus.position)
        )
        return list(self._session.scalars(query))

    def find_newest_named(self, name: str, *, with_checkpoint: bool = False) -> Job | None:
        """The newest job of a name, or None; names need not be unique."""
        query = self._owned(select(Job)).where(Job.name == name)
        if with_checkpoint:
            query = query.where(
                exists().where(
                    Checkpoint.job_id == Job.id, Checkpoint.status == CheckpointStatus.COMPLETE
                )
            )
        return self._session.scalars(query.order_by(Job.id.desc()).limit(1)).one_or_none()

    def unfinished_with(
        self,
        *,
        corpus_id: str | None = None,
        tokenizer_id: str | None = None,
        start_checkpoint_id: str | None = None,
    ) -> list[Job]:
        """The jobs that may still read a corpus, a tokenizer or a checkpoint, oldest first."""
        query = self._owned(select(Job)).where(
            Job.status.in_([status for status in JobStatus if not status.is_final])
        )
        if corpus_id is not None:
            uses = select(JobCorpus.job_id).where(JobCorpus.corpus_id == corpus_id)
            query = query.where(Job.id.in_(uses))
        if tokenizer_id is not None:
            query = query.where(Job.tokenizer_id == tokenizer_id)
        if start_checkpoint_id is not None:
            query = query.where(Job.start_checkpoint_id == start_checkpoint_id)
        return list(self._session.scalars(query.order_by(Job.id)))

    def page(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        order: Order = "desc",
        statuses: Sequence[JobStatus] = (),
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Job]:
        """A stretch of the project's jobs; no ``statuses`` means any."""
        conditions = self._with_metadata(Job.metadata_, metadata)
        if statuses:
            conditions.append(Job.status.in_(statuses))
        if name is not None:
            conditions.append(Job.name == name)
        return self._page(*conditions, limit=limit, after=after, order=order)
