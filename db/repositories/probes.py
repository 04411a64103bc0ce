"""Queries on probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Probe


class ProbeRepository(OwnedRepository[Probe]):
    """What the models of the project's jobs said, evaluation by evaluation."""

    table = Probe
    noun = "probe"
    prefix = "probe"

    def record(
        self,
        job_id: str,
        *,
        step: int,
        continuations: Sequence[Mapping[str, Any]],
        fillings: Sequence[Mapping[str, Any]],
    ) -> Probe:
        """Keep what was said at a step, in the place of what was said there before.

        The id stays then, so that ids rise with the steps even where a job went back to an earlier
        checkpoint.
        """
        query = self._owned(select(Probe)).where(Probe.job_id == job_id, Probe.step == step)
        known = self._session.scalars(query).one_or_none()
        if known is None:
            return self.add(
                Probe(
                    job_id=job_id,
                    step=step,
                    continuations=list(continuations),
                    fillings=list(fillings),
                )
            )
        known.continuations, known.fillings = list(continuations), list(fillings)
        known.created_at = self._scope.now()
        return known

    def page(
        self, *, job_id: str, limit: int = 20, after: str | None = None, order: Order = "desc"
    ) -> Page[Probe]:
        """A stretch of a job's probes."""
        return self._page(Probe.job_id == job_id, limit=limit, after=after, order=order)
