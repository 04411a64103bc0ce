from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidRequest
from db.connections import has_safe_wal, parse_url, sqlite_path


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_the_write_ahead_log_is_used_only_where_its_bug_is_mended(
    version: tuple[int, int, int], *, safe: bool
) -> None:
    assert has_safe_wal(version) is safe


def test_each_engine_has_one_driver() -> None:
    assert parse_url("postgresql://a@h/n").drivername == "postgresql+psycopg"
    assert parse_url("postgres://a@h/n").drivername == "postgresql+psycopg"
    url = parse_url("sqlite:////data/x.db")
    assert (url.drivername, sqlite_path(url)) == ("sqlite+pysqlite", Path("/data/x.db"))


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://h/n", "sqlite://", "sqlite:///:memory:", "file:///x"]
)
def test_a_url_of_another_engine_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_url(url)


def test_a_refused_url_does_not_tell_the_password() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_url("mysql://user:secret@host/name")
    assert "secret" not in caught.value.message
