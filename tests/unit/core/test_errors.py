from __future__ import annotations

from core.errors import Conflict, ErrorDetail, InvalidRequest, did_you_mean


def test_the_nearest_known_name_is_offered_first() -> None:
    assert did_you_mean("tinny", ["small", "tiny"]) == " Did you mean 'tiny'? Known: small, tiny."


def test_nothing_is_offered_when_nothing_is_near() -> None:
    assert did_you_mean("elephant", ["small", "tiny"]) == " Known: small, tiny."


def test_an_error_without_details_is_its_own_only_detail() -> None:
    error = Conflict("The job has ended.", code="job_already_finished")
    assert error.details == (ErrorDetail("The job has ended.", "job_already_finished", None),)


def test_details_are_kept_in_order() -> None:
    details = (ErrorDetail("a", "x", "model.width"), ErrorDetail("b", "y", "seed"))
    assert InvalidRequest("a", details=details).details == details
