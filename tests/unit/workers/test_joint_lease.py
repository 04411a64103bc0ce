from __future__ import annotations

from dataclasses import dataclass

from core.lifecycle import DesiredStatus
from workers.heartbeat import JointLease


@dataclass
class Lease:
    """A lease that somebody else decides about."""

    desired: DesiredStatus = DesiredStatus.RUNNING
    is_lost: bool = False


def test_several_leases_are_lost_with_any_of_them() -> None:
    piece, whole = Lease(), Lease()
    both = JointLease(piece, whole)
    assert not both.is_lost
    whole.is_lost = True
    assert both.is_lost


def test_wish_to_stop_any_of_them_is_heard() -> None:
    calm, stopped = Lease(), Lease(desired=DesiredStatus.CANCELLED)
    assert JointLease(calm, calm).desired is DesiredStatus.RUNNING
    assert JointLease(calm, stopped).desired is DesiredStatus.CANCELLED
