import json
import logging
import sys

from core import log


def record(message: str, *, error: BaseException | None = None) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "services.jobs"})
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    for keep in log.make_handler(log_format="text").filters:
        assert callable(keep)
        keep(made)
    return made


def test_bound_ids_stand_in_every_record_of_the_block() -> None:
    with log.bound(job_id="job_1"), log.bound(request_id="req_2"):
        inside = record("claimed")
    outside = record("idle")

    assert log.TextFormatter().format(inside).endswith("claimed  job_id=job_1  request_id=req_2")
    assert log.TextFormatter().format(outside).endswith("services.jobs: idle")


def test_json_is_one_line_whatever_the_message_holds() -> None:
    with log.bound(job_id="job_1"):
        line = log.JsonFormatter().format(record("two\nlines"))

    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines"
    assert json.loads(line)["job_id"] == "job_1"


def test_traceback_follows_its_line() -> None:
    try:
        int("broken")
    except ValueError as error:
        made = record("failed", error=error)

    assert "ValueError: invalid" in log.TextFormatter().format(made)
    assert "ValueError: invalid" in json.loads(log.JsonFormatter().format(made))["exception"]


def test_configure_replaces_what_was_set_up_before() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        log.configure(level="warning")
        log.configure(level="debug", log_format="json")

        assert len(root.handlers) == 1
        assert isinstance(root.handlers[0], logging.StreamHandler)
        assert root.handlers[0].stream is sys.stderr
        assert root.level == logging.DEBUG
    finally:
        root.handlers[:] = before
        root.setLevel(level)
