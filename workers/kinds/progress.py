"""What the trainer says, gathered, and written to the database about once a second."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core.errors import Conflict, Unavailable
from db.repositories.metrics import MetricPoint
from db.unit_of_work import UnitOfWork
from services import checkpoints, job_runs
from services.attempts import Claim
from services.checkpoints import StoredCheckpoint
from storage import keys
from training.ports import Plan
from workers.messages import (
    CheckpointSaved,
    FromChild,
    Measured,
    Noticed,
    PhaseChanged,
    Planned,
    Probed,
)
from workers.workplace import Workplace

_SECONDS_BETWEEN_WRITES: Final = 1.0
_SLOWEST_EVENTS_SECONDS: Final = 5.0
_EVENTS_SLOW_DOWN: Final = 0.01
"""Events come every second at first and more rarely as a job goes on: its history stays short."""
_log = logging.getLogger(__name__)


class ProgressBook:
    """Holds what is not yet written; a database that is away only makes it longer."""

    def __init__(self, place: Workplace, claim: Claim) -> None:
        self._place = place
        self._claim = claim
        self._plan: Plan | None = None
        self._phase: str | None = None
        self._reached: tuple[int, int] | None = None
        self._points: list[MetricPoint] = []
        self._probes: list[job_runs.Probes] = []
        self._notices: list[Noticed] = []
        self._saved: list[CheckpointSaved] = []
        self._stored: dict[str, StoredCheckpoint] = {}
        self._newest: str | None = None
        self._flops_per_token = 0
        self._num_devices = 1
        self._began_at = time.monotonic()
        self._counted_at = self._began_at
        self._written_at = 0.0
        self._told_at = 0.0

    def hear(self, message: FromChild) -> None:
        """Note what the trainer says; a checkpoint is committed at once."""
        match message:
            case Planned(plan=plan):
                self._plan = plan
                self._flops_per_token = plan.flops_per_token
                self._num_devices = plan.execution.get("ranks", 1)
            case PhaseChanged(phase=phase):
                self._phase = phase
            case Measured(step=step, tokens=tokens, values=values):
                self._reached = (step, tokens)
                self._points += [
                    MetricPoint(step=step, tokens=tokens, name=name, value=value)
                    for name, value in values.items()
                ]
            case Probed():
                self._probes.append(_as_probes(message))
            case Noticed():
                self._notices.append(message)
            case CheckpointSaved():
                self._saved.append(message)
                self.write(even_if_recent=True)
            case _:
                _log.warning("The trainer said what no trainer says: %s", message.type)

    def write(self, *, even_if_recent: bool = False) -> bool:
        """Write what is due.

        Returns:
            Whether nothing is left to write.

        Raises:
            LeaseLost: the job has another owner.
            Unavailable: the store has no room (``disk_full``); whatever else is away is waited for.
        """
        now = time.monotonic()
        if not even_if_recent and now - self._written_at < _SECONDS_BETWEEN_WRITES:
            return False
        self._written_at = now
        try:
            self._write_progress(now)
            self._commit_checkpoints()
        except Unavailable as error:
            if error.error_code == "disk_full":
                raise
            _log.warning("Progress cannot be written now: %s", error.message)
            return False
        return True

    def _write_progress(self, now: float) -> None:
        is_news = self._plan or self._phase or self._reached or self._probes or self._notices
        if not is_news:
            return
        tells = bool(self._probes) or now - self._told_at >= self._seconds_between_events(now)
        with self._unit_of_work() as uow:
            if self._plan is not None:
                job_runs.plan(
                    uow,
                    self._claim,
                    num_steps=self._plan.num_steps,
                    execution=self._plan.execution,
                )
            job = job_runs.advance(uow, self._claim, self._gathered(now))
            for notice in self._notices:
                job_runs.warn(uow, job, code=notice.code, message=notice.message, data=notice.data)
            if tells:
                job_runs.announce_progress(uow, job, probes=self._probes)
            uow.commit()
        self._plan = self._phase = self._reached = None
        self._points, self._probes, self._notices = [], [], []
        self._counted_at = now
        self._told_at = now if tells else self._told_at

    def _gathered(self, now: float) -> job_runs.Advance:
        step, tokens = self._reached or (None, None)
        return job_runs.Advance(
            phase=self._phase,
            step=step,
            tokens=tokens,
            points=self._points,
            probes=self._probes,
            device_seconds=self._num_devices * (now - self._counted_at),
            flops_per_token=self._flops_per_token,
        )

    def _seconds_between_events(self, now: float) -> float:
        slower = _EVENTS_SLOW_DOWN * (now - self._began_at)
        return min(_SLOWEST_EVENTS_SECONDS, max(_SECONDS_BETWEEN_WRITES, slower))

    def _commit_checkpoints(self) -> None:
        """Bytes first, then one transaction; those that it makes needless go later."""
        while self._saved:
            saved = self._saved[0]
            if saved.path not in self._stored:
                self._stored[saved.path] = self._store(saved)
            with self._unit_of_work() as uow:
                checkpoints.commit(uow, self._claim, self._stored[saved.path])
                uow.commit()
            self._saved.pop(0)
            if self._newest is not None:  # the trainer may go back to its newest copy only
                shutil.rmtree(self._newest, ignore_errors=True)
            self._newest = saved.path

    def _store(self, saved: CheckpointSaved) -> StoredCheckpoint:
        prefix = keys.checkpoint(self._claim.subject_id, saved.step, self._claim.fence)
        directory, store = Path(saved.path), self._place.store
        try:
            objects = store.put_directory(prefix, directory, last=checkpoints.MANIFEST_NAME)
        except Conflict:  # put already, but the answer was lost; the prefix is ours alone
            store.delete_prefix(prefix)
            objects = store.put_directory(prefix, directory, last=checkpoints.MANIFEST_NAME)
        return StoredCheckpoint(
            step=saved.step,
            tokens=saved.tokens,
            prefix=prefix,
            metrics=saved.metrics,
            objects=objects,
        )

    def _unit_of_work(self) -> UnitOfWork:
        return self._place.database.unit_of_work(self._claim.project_id, write=True)


def _as_probes(message: Probed) -> job_runs.Probes:
    continuations: list[Mapping[str, Any]] = [asdict(item) for item in message.continuations]
    fillings: list[Mapping[str, Any]] = [asdict(item) for item in message.fillings]
    return job_runs.Probes(step=message.step, continuations=continuations, fillings=fillings)
