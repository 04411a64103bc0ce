"""Queries on metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from core.errors import NotFound
from db.repositories.scope import Scope
from db.tables import Job, Metric


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """A value after so many steps and tokens."""

    step: int
    tokens: int
    name: str
    value: float


class MetricRepository:
    """Metrics of the project's jobs."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._session = scope.session

    def record(self, job_id: str, points: Iterable[MetricPoint]) -> None:
        """Insert the points; one of the same step and name is replaced, never doubled.

        Raises:
            NotFound: the project has no such job.
        """
        moment = self._scope.now()
        rows = {
            (point.name, point.step): {
                "job_id": job_id,
                "name": point.name,
                "step": point.step,
                "tokens": point.tokens,
                "value": point.value if math.isfinite(point.value) else None,
                "created_at": moment,
            }
            for point in points
        }
        if not self._owns(job_id):
            raise NotFound(f"There is no job {job_id!r}.")
        if rows:
            self._session.execute(self._upsert(), list(rows.values()))

    def read(
        self,
        job_id: str,
        *,
        names: Sequence[str] = (),
        from_step: int | None = None,
        to_step: int | None = None,
        resolution: int | None = None,
    ) -> list[Metric]:
        """The points of a job, oldest step first; no ``names`` means all.

        Args:
            job_id: The job; one of another project has no points.
            names: Which metrics.
            from_step: The first step, itself included.
            to_step: The last step, itself included.
            resolution: At most so many points of each name (2 or more): evenly thinned, the first
                and the last always among them.
        """
        index = func.row_number().over(partition_by=Metric.name, order_by=Metric.step) - 1
        count = func.count().over(partition_by=Metric.name)
        numbered = (
            select(Metric, index.label("position"), count.label("num_points"))
            .join(Job, Job.id == Metric.job_id)
            .where(Job.project_id == self._scope.project_id, Metric.job_id == job_id)
        )
        if names:
            numbered = numbered.where(Metric.name.in_(names))
        if from_step is not None:
            numbered = numbered.where(Metric.step >= from_step)
        if to_step is not None:
            numbered = numbered.where(Metric.step <= to_step)
        inner = numbered.subquery()
        point = aliased(Metric, inner)
        query = select(point).order_by(inner.c.step, inner.c.name)
        if resolution is not None:
            # Of n points, point i is kept when i * (r - 1) / (n - 1) reaches a new whole number:
            # exactly r of them, 0 and n - 1 included, and all when n <= r.
            gaps, last = (
                max(resolution, 2) - 1,
                func.nullif(inner.c.num_points - 1, 0, type_=Integer()),
            )
            reached = inner.c.position * gaps // last
            before = (inner.c.position - 1) * gaps // last
            query = query.where(or_(inner.c.position == 0, reached > before))
        return list(self._session.scalars(query))

    def _owns(self, job_id: str) -> bool:
        query = select(Job.id).where(Job.id == job_id, Job.project_id == self._scope.project_id)
        return self._session.scalar(query) is not None

    def _upsert(self) -> postgresql.Insert | sqlite.Insert:
        table = Metric.__table__
        key = [table.c.job_id, table.c.name, table.c.step]
        replaced = ("tokens", "value", "created_at")
        if self._session.get_bind().dialect.name == "postgresql":
            insert = postgresql.insert(Metric)
            return insert.on_conflict_do_update(
                index_elements=key, set_={name: insert.excluded[name] for name in replaced}
            )
        insert_or = sqlite.insert(Metric)
        return insert_or.on_conflict_do_update(
            index_elements=key, set_={name: insert_or.excluded[name] for name in replaced}
        )
