"""Limited children, on the module that shows every way in which a child can go wrong."""

from __future__ import annotations

import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from corpora.readers.extractor import HtmlExtractor
from corpora.sandbox import Sandbox, SandboxDied, SandboxLimits

CHILD = """
import os, sys, time
from corpora.sandbox import Confinement

confinement = Confinement()
while (frame := confinement.receive()) is not None:
    match frame:
        case b"memory":
            try:
                bytearray(2**33)
            except MemoryError:
                confinement.send(b"refused")
        case b"compute":
            while True:
                pass
        case b"work":
            start = time.process_time()
            while time.process_time() < start + 0.3:
                pass
            confinement.send(b"worked")
        case b"file":
            try:
                open(sys.argv[1], "wb").write(b"x" * 10_000)
            except OSError:
                confinement.send(b"refused")
        case b"crash":
            os.abort()
        case b"sleep":
            time.sleep(600)
        case b"flood":
            os.write(confinement._output.fileno(), b"\\xff" * 8 + b"x" * 100)
        case b"print":
            print("hello", flush=True)
            confinement.send(b"printed")
        case _:
            confinement.send(frame, frame)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "misbehaving.py").write_text(CHILD)
    repository = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{repository}")
    return "misbehaving"


@pytest.fixture
def sandbox(module: str, tmp_path: Path) -> Iterator[Sandbox]:
    limits = SandboxLimits(cpu_seconds=1, wall_seconds=60)
    with Sandbox(module, str(tmp_path / "written"), limits=limits) as sandbox:
        yield sandbox


def test_frames_of_any_length_go_both_ways(sandbox: Sandbox) -> None:
    for frame in (b"", b"x", bytes(2**22)):
        sandbox.send(frame)
        assert sandbox.receive() == frame + frame


def test_a_child_that_wants_more_memory_than_allowed_does_not_get_it(sandbox: Sandbox) -> None:
    sandbox.send(b"memory")
    assert sandbox.receive() == b"refused"


def test_a_child_can_write_no_file(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.send(b"file")
    assert sandbox.receive() == b"refused"
    assert not (tmp_path / "written").stat().st_size


def test_what_a_library_prints_is_no_frame(sandbox: Sandbox) -> None:
    sandbox.send(b"print")
    assert sandbox.receive() == b"printed"


@pytest.mark.parametrize("how", [b"compute", b"crash", b"flood"])
def test_a_child_that_goes_wrong_is_told_of_and_gone(sandbox: Sandbox, how: bytes) -> None:
    sandbox.send(how)
    with pytest.raises(SandboxDied):
        sandbox.receive()
    with pytest.raises(SandboxDied):
        sandbox.send(bytes(2**22))


def test_each_answer_has_its_own_processor_time(module: str) -> None:
    with Sandbox(module, limits=SandboxLimits(cpu_seconds=1)) as sandbox:
        for _ in range(4):
            sandbox.send(b"work")
            assert sandbox.receive() == b"worked"


def test_a_child_that_is_silent_for_too_long_is_ended(module: str) -> None:
    with Sandbox(module, limits=SandboxLimits(wall_seconds=0.5)) as sandbox:
        sandbox.send(b"sleep")
        with pytest.raises(SandboxDied):
            sandbox.receive()
        assert not psutil.pid_exists(sandbox._process.pid)


def test_no_child_outlives_its_parent(module: str) -> None:
    script = (
        "import os, sys; from corpora.sandbox import Sandbox;"
        f"sandbox = Sandbox({module!r}); sandbox.send(b'x'); sandbox.receive();"
        "sandbox.send(b'sleep'); print(sandbox._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = psutil.Popen([sys.executable, "-c", script], stdout=-1)
    output, _ = parent.communicate()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(int(output)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_starts_within_its_memory_whatever_allocator_its_parent_has(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocator = Path(sysconfig.get_path("purelib")) / "cmeel.prefix/lib/libmimalloc.so"
    assert allocator.exists()
    monkeypatch.setenv("LD_PRELOAD", str(allocator))
    with Sandbox(module) as sandbox:
        sandbox.send(b"x")
        assert sandbox.receive() == b"xx"


def test_a_child_that_cannot_start_is_no_page_that_cannot_be_extracted() -> None:
    too_little = SandboxLimits(memory_bytes=2**20)
    with HtmlExtractor(limits=too_little) as extractor, pytest.raises(SandboxDied):
        extractor.main_text("<html><p>Once upon a time.")
