"""How far a corpus is, added up over everybody who works on it, written once a second."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from core.errors import Unavailable
from core.lifecycle import PieceStage, WorkKind
from db.unit_of_work import UnitOfWork
from services import making
from services.attempts import Claim
from workers.messages import FromChild, Progressed
from workers.workplace import Workplace

_SECONDS_BETWEEN_WRITES: Final = 1.0
_SLOWEST_EVENTS_SECONDS: Final = 5.0
_EVENTS_SLOW_DOWN: Final = 0.01
"""Events come every second at first, and more rarely as the work goes on: history stays short."""
_ENOUGH_TO_GO_BY: Final = 0.01
"""Before this share is done, nobody can tell how long the rest will take."""
_RATE_SECONDS: Final = 15.0
"""The time over which a rate is taken."""
_WHOLE: Final = (0.0, 1.0)
_SHARES: Final[Mapping[WorkKind, Mapping[str, tuple[float, float]]]] = {
    WorkKind.CORPUS: {
        "reading": (0.0, 0.45),
        "assembling": (0.45, 0.6),
        "tokenizer": (0.6, 0.75),
        "encoding": (0.75, 1.0),
    },
}
"""What each part takes of the whole, roughly; what has one part alone is not listed."""
_log = logging.getLogger(__name__)
_PIECES: Final = {"reading": PieceStage.READ, "encoding": PieceStage.ENCODE}


class ProgressBoard:
    """Written by the coordinator; a database that is away costs a few figures, no more."""

    def __init__(self, place: Workplace, claim: Claim) -> None:
        self._place = place
        self._claim = claim
        self._part = "reading"
        self._stage = "reading"
        self._fraction = 0.0
        self._began_at = time.monotonic()
        self._began_with: float | None = None
        self._written_at = float("-inf")
        self._told_at = float("-inf")
        self._moments: deque[tuple[float, int]] = deque()

    def turn_to(self, part: str) -> None:
        """Another part of the work begins, one of the keys of the shares."""
        self._part = self._stage = part
        self._fraction = 0.0
        self._moments.clear()

    def hear(self, message: FromChild) -> None:
        """Note what our own child says about a part that is not done in pieces."""
        if isinstance(message, Progressed):
            self._stage, self._fraction = message.stage, message.fraction

    def write(self) -> None:
        """Write it if it is time."""
        now = time.monotonic()
        if now - self._written_at < _SECONDS_BETWEEN_WRITES:
            return
        self._written_at = now
        try:
            with self._place.database.unit_of_work(self._claim.project_id, write=True) as uow:
                self._write(uow, now)
                uow.commit()
        except Unavailable as error:
            _log.warning("Progress cannot be written: %s", error)

    def _write(self, uow: UnitOfWork, now: float) -> None:
        processing = self._count(uow, now)
        start, end = _SHARES.get(self._claim.kind, {}).get(self._part, _WHOLE)
        fraction = start + (end - start) * self._fraction
        if self._began_with is None:
            self._began_with = fraction
        done, elapsed = fraction - self._began_with, now - self._began_at
        processing["eta_seconds"] = (
            round(elapsed * (1 - fraction) / done, 1) if done >= _ENOUGH_TO_GO_BY else None
        )
        tells = now - self._told_at >= self._seconds_between_events(now)
        making.advance(
            uow,
            self._claim,
            stage=self._stage,
            fraction=fraction,
            processing=processing,
            tells=tells,
        )
        self._told_at = now if tells else self._told_at

    def _count(self, uow: UnitOfWork, now: float) -> dict[str, Any]:
        """The sums over all pieces of the present part, wherever they are made."""
        stage = _PIECES.get(self._part)
        if stage is None:
            return {}
        tally = uow.pieces.tally(self._claim.subject_id, stage)
        self._fraction = tally.bytes_done / max(1, tally.num_bytes)
        self._moments.append((now, tally.bytes_done))
        while now - self._moments[0][0] > _RATE_SECONDS:
            self._moments.popleft()
        counted = {
            "num_bytes": tally.bytes_done,
            "total_bytes": tally.num_bytes,
            "bytes_per_second": self._rate(),
        }
        if stage is PieceStage.READ:
            counted |= {
                "num_files": tally.files_done,
                "total_files": tally.num_files,
                "num_records": tally.records_done,
            }
        return counted

    def _rate(self) -> float | None:
        (first_at, first), (last_at, last) = self._moments[0], self._moments[-1]
        return round((last - first) / (last_at - first_at), 1) if last_at > first_at else None

    def _seconds_between_events(self, now: float) -> float:
        slower = _EVENTS_SLOW_DOWN * (now - self._began_at)
        return min(_SLOWEST_EVENTS_SECONDS, max(_SECONDS_BETWEEN_WRITES, slower))
