"""What becomes of an attempt whose child did not do what it was asked to do."""

from __future__ import annotations

from typing import Final, Protocol

from core.lifecycle import FATAL_EXIT_CODES, ExitCode
from db.unit_of_work import UnitOfWork
from services import recovery
from services.attempts import Claim
from services.doorbell import Doorbell
from workers.supervision import Ending
from workers.workplace import Workplace

_HOPELESS: Final = FATAL_EXIT_CODES | {
    ExitCode.OUT_OF_MEMORY,
    ExitCode.DISK_FULL,
    ExitCode.DIVERGED,
}
"""Another attempt would end the same way. Whoever can change the next one does so before."""


class Endings(Protocol):
    """The service module of one kind of work, as far as unfinished attempts go."""

    def leave(
        self, uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell, exit_code: int | None = None
    ) -> None:
        """The child stopped because it was asked to."""

    def fail(
        self,
        uow: UnitOfWork,
        claim: Claim,
        *,
        code: str,
        message: str,
        param: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        """Trying again cannot help."""


def settle_unfinished(place: Workplace, claim: Claim, ending: Ending, *, endings: Endings) -> None:
    """Write the end of an attempt whose child did not finish."""
    failure, code = ending.failure, ending.exit_code
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        if ending.has_left:
            endings.leave(uow, claim, doorbell=place.doorbell, exit_code=code)
        elif failure is not None and code in _HOPELESS:
            endings.fail(
                uow,
                claim,
                code=failure.code,
                message=failure.message,
                param=failure.param,
                exit_code=code,
            )
        else:
            recovery.crashed(
                uow, claim, cause=ending.cause, exit_code=code, doorbell=place.doorbell
            )
        uow.commit()
