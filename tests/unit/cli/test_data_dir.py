from pathlib import Path

import pytest

from cli.data_dir import DataDirectory
from core.errors import Conflict


def test_second_service_on_a_directory_is_told_who_has_it(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "data") as first:
        first.describe_owner("process 7, http://127.0.0.1:8000")

        with (
            pytest.raises(Conflict, match="process 7, http"),
            DataDirectory(tmp_path / "data"),
        ):
            pass


def test_directory_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with DataDirectory(tmp_path / "data") as directory:
            assert directory.log_dir.is_dir()


def test_directory_is_closed_to_other_users(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "data") as directory:
        assert directory.path.stat().st_mode & 0o077 == 0
