"""Queries on checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from core.lifecycle import CheckpointStatus
from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Checkpoint, CheckpointFile


class CheckpointRepository(OwnedRepository[Checkpoint]):
    """Checkpoints and the files in their folders."""

    table = Checkpoint
    noun = "checkpoint"
    prefix = "ckpt"

    def add_files(self, files: Sequence[CheckpointFile]) -> None:
        """Insert what is in the folder of a checkpoint."""
        self._session.add_all(files)
        self._session.flush()

    def being_made(self) -> list[Checkpoint]:
        """Those that are still to be made of uploaded files, oldest first."""
        query = self._owned(select(Checkpoint)).where(
            Checkpoint.status.in_([CheckpointStatus.QUEUED, CheckpointStatus.PROCESSING])
        )
        return list(self._session.scalars(query.order_by(Checkpoint.id)))

    def of_job(
        self, job_id: str, *, status: CheckpointStatus = CheckpointStatus.COMPLETE
    ) -> list[Checkpoint]:
        """A job's checkpoints, earliest step first."""
        query = (
            self._owned(select(Checkpoint))
            .where(Checkpoint.job_id == job_id, Checkpoint.status == status)
            .order_by(Checkpoint.step, Checkpoint.fence)
        )
        return list(self._session.scalars(query))

    def find_latest(self, job_id: str, *, step: int | None = None) -> Checkpoint | None:
        """The complete checkpoint of the last step (or of ``step``), or None.

        A step that was saved by two attempts counts as the later attempt saved it.
        """
        query = self._owned(select(Checkpoint)).where(
            Checkpoint.job_id == job_id, Checkpoint.status == CheckpointStatus.COMPLETE
        )
        if step is not None:
            query = query.where(Checkpoint.step == step)
        query = query.order_by(Checkpoint.step.desc(), Checkpoint.fence.desc()).limit(1)
        return self._session.scalars(query).one_or_none()

    def files(self, checkpoint_id: str) -> list[CheckpointFile]:
        """What is in a checkpoint's folder, by name."""
        return self.files_of([checkpoint_id]).get(checkpoint_id, [])

    def files_of(self, checkpoint_ids: Sequence[str]) -> dict[str, list[CheckpointFile]]:
        """What is in each checkpoint's folder, by name, in one query."""
        query = (
            select(CheckpointFile)
            .join(Checkpoint, Checkpoint.id == CheckpointFile.checkpoint_id)
            .where(Checkpoint.project_id == self._scope.project_id)
            .where(CheckpointFile.checkpoint_id.in_(checkpoint_ids))
            .order_by(CheckpointFile.checkpoint_id, CheckpointFile.name)
        )
        found: dict[str, list[CheckpointFile]] = {}
        for file in self._session.scalars(query):
            found.setdefault(file.checkpoint_id, []).append(file)
        return found

    def find_file(self, checkpoint_id: str, name: str) -> CheckpointFile | None:
        """One file of a checkpoint's folder, or None."""
        query = (
            select(CheckpointFile)
            .join(Checkpoint, Checkpoint.id == CheckpointFile.checkpoint_id)
            .where(Checkpoint.project_id == self._scope.project_id)
            .where(CheckpointFile.checkpoint_id == checkpoint_id, CheckpointFile.name == name)
        )
        return self._session.scalars(query).one_or_none()

    def page(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        order: Order = "desc",
        job_id: str | None = None,
        status: CheckpointStatus = CheckpointStatus.COMPLETE,
    ) -> Page[Checkpoint]:
        """A stretch of the project's checkpoints, the complete ones unless told otherwise."""
        conditions = [Checkpoint.status == status]
        if job_id is not None:
            conditions.append(Checkpoint.job_id == job_id)
        return self._page(*conditions, limit=limit, after=after, order=order)
