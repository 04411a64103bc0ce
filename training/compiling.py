"""torch's compiler: whether it can work here, and where it keeps what it has made."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import torch

CACHE_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"
_COMPILERS: Final = ("g++", "clang++")
_MOST_SHAPES: Final = 128
"""Each stage of a job has a shape of its own, and again with each smaller micro-batch that is
tried. torch fails after eight, taking more for an oversight."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def can_compile() -> bool:
    """Whether there is what kernels are built with: a C++ compiler and Python's headers."""
    names = (os.environ["CXX"],) if os.environ.get("CXX") else _COMPILERS
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return headers.is_file() and any(shutil.which(name) for name in names)


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """``function`` as kernels made for the shapes of its arguments, at its first call.

    Shapes are static and nothing falls back to Python by halves: what cannot be compiled whole
    fails at the first call.
    """
    # Brings torch's compiler along, which takes seconds to import.
    from torch._dynamo import config  # noqa: PLC0415

    keep_kernels()
    config.recompile_limit = _MOST_SHAPES
    return torch.compile(function, dynamic=False, fullgraph=True)


def keep_kernels() -> None:
    """Have the compiler keep what it makes for later jobs, in a directory of the user's own.

    Whoever starts the process says where through the environment. torch's own default is a
    directory under /tmp that anyone may have made before.
    """
    os.environ.setdefault(CACHE_VARIABLE, str(_user_cache() / "pretrainer" / "kernels"))


def _user_cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else Path.home() / ".cache"
