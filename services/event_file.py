"""A job's metrics and probes as a file for TensorBoard, made of what the database keeps.

So nothing needs to be stored for it, it is whole whoever worked on the job, and what an attempt has
done again is in it once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from core import tensorboard
from db.tables import Job
from db.unit_of_work import UnitOfWork

_MOST_POINTS: Final = 10_000
"""Of each metric, thinned evenly; TensorBoard itself draws a thousand."""
_PROBES_AT_ONCE: Final = 100


def event_file(uow: UnitOfWork, job: Job) -> bytes:
    """The file; it begins anew at every request, so that one of a running job can be replaced."""
    return b"".join(
        [
            tensorboard.file_version(created_at=job.created_at.timestamp()),
            *_metrics(uow, job),
            *_probes(uow, job),
        ]
    )


def event_file_name(job: Job) -> str:
    """What TensorBoard knows the file by."""
    return tensorboard.event_file_name(created_at=job.created_at.timestamp(), writer=job.id)


def _metrics(uow: UnitOfWork, job: Job) -> Iterator[bytes]:
    points = uow.metrics.read(job.id, resolution=_MOST_POINTS)
    for step, of_step in groupby(points, key=lambda point: point.step):
        told = [(point, point.value) for point in of_step if point.value is not None]
        if told:
            yield tensorboard.scalars(
                {point.name: value for point, value in told},
                step=step,
                created_at=max(point.created_at for point, _ in told).timestamp(),
            )


def _probes(uow: UnitOfWork, job: Job) -> Iterator[bytes]:
    after, has_more = None, True
    while has_more:
        page = uow.probes.page(job_id=job.id, limit=_PROBES_AT_ONCE, after=after, order="asc")
        for probe in page.items:
            answers = [(said["prompt"], said["text"]) for said in probe.continuations]
            answers += [(said["blank"], said["text"]) for said in probe.fillings]
            for given, made in answers:
                yield tensorboard.probe(
                    given, made, step=probe.step, created_at=probe.created_at.timestamp()
                )
        after, has_more = page.items[-1].id if page.items else None, page.has_more
