import os
import sysconfig
from pathlib import Path

import pytest

from training.compiling import CACHE_VARIABLE, can_compile, keep_kernels


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A g++ that is the only program there is."""
    program = tmp_path / "g++"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return program


@pytest.mark.usefixtures("compiler")
def test_without_the_headers_of_python_nothing_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert not can_compile()
    (tmp_path / "Python.h").touch()
    assert can_compile()


def test_without_a_compiler_nothing_is_compiled(
    compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("CXX", "a-compiler-that-is-not-there")
    assert not can_compile()
    monkeypatch.delenv("CXX")
    compiler.unlink()
    assert not can_compile()


def test_kernels_are_kept_where_the_environment_says_else_with_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, "/given")
    keep_kernels()
    assert os.environ[CACHE_VARIABLE] == "/given"
    monkeypatch.delenv(CACHE_VARIABLE)
    keep_kernels()
    assert os.environ[CACHE_VARIABLE] == str(tmp_path / "pretrainer" / "kernels")
