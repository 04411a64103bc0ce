import os
from pathlib import Path

from cli import log_files


def test_log_that_grew_too_big_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    writer = log_files.open_log(path)
    os.write(writer, b"old\n" * 10)

    log_files.cap(path, max_bytes=20)
    os.write(writer, b"new\n")
    os.close(writer)

    assert path.read_text() == "new\n"
    assert (tmp_path / "api.log.1").read_text() == "old\n" * 10


def test_small_log_stays(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    path.write_text("line\n")

    log_files.cap(path, max_bytes=20)

    assert path.read_text() == "line\n"
    assert not (tmp_path / "api.log.1").exists()


def test_tail_gives_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    path.write_text("".join(f"line {number}\n" for number in range(5000)))

    assert log_files.tail(path, num_lines=2) == ["line 4998", "line 4999"]
    assert log_files.tail(tmp_path / "absent.log") == []
