from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.lifecycle import StopReason
from core.processes import ProcessIdentity
from workers.children import Child, allocator_environment, engine_environment, kill_leftovers
from workers.messages import Done, Failed, FromChild, Progressed

FRAME = """
    import os, subprocess, sys, time
    from core.errors import BadData, InvalidRequest
    from core.lifecycle import ExitCode
    from workers.child_main import run_child
    from workers.messages import Progressed

    def perform(directory, task, output, stop):
{body}

    if __name__ == "__main__":
        sys.exit(run_child(perform))
"""
Start = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a child that does what a piece of code says."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    children: list[Child] = []

    def start_one(body: str) -> Child:
        code = textwrap.indent(textwrap.dedent(body), " " * 8)
        (tmp_path / "some_child.py").write_text(textwrap.dedent(FRAME.format(body=code)))
        child = Child(
            "some_child", tmp_path / "scratch", task={"number": 7}, log=tmp_path / "child.log"
        )
        children.append(child)
        return child

    yield start_one
    for child in children:
        child.kill()
        child.wait()


def listen(child: Child) -> list[FromChild]:
    said: list[FromChild] = []
    deadline = time.monotonic() + 60
    while not (child.is_silent and child.next_message(timeout_seconds=0) is None):
        assert time.monotonic() < deadline
        message = child.next_message(timeout_seconds=0.05)
        if message is not None:
            said.append(message)
    return said


def test_what_anyone_prints_goes_to_the_log_and_not_into_the_protocol(
    start: Start, tmp_path: Path
) -> None:
    child = start(
        """
        print("a stray line")
        os.write(1, b'{"type": "done", "result": {}}\\n')
        subprocess.run(["echo", "from a grandchild"])
        return ExitCode.DONE, {"number": task["number"]}
        """
    )
    assert listen(child) == [Done(result={"number": 7})]
    assert child.wait() == 0
    log = (tmp_path / "child.log").read_text()
    assert "a stray line" in log
    assert "from a grandchild" in log


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels choose by themselves")
def test_a_machine_without_memory_loses_the_child_first(start: Start) -> None:
    child = start(
        """
        with open("/proc/self/oom_score_adj") as score:
            return ExitCode.DONE, {"score": int(score.read())}
        """
    )
    assert listen(child) == [Done(result={"score": 1000})]


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        ("BadData('no text', param='files')", 65, "bad_data"),
        ("InvalidRequest('no such thing')", 64, "invalid_request"),
        ("OSError(28, 'No space left on device')", 73, "disk_full"),
        ("MemoryError()", 70, "out_of_memory"),
        ("KeyError('oops')", 1, "internal_error"),
    ],
)
def test_error_becomes_an_exit_code_and_a_last_message(
    start: Start, error: str, code: int, name: str
) -> None:
    child = start(f"raise {error}")
    *_, last = listen(child)
    assert child.wait() == code
    assert isinstance(last, Failed)
    assert last.code == name


def test_stop_order_reaches_the_child(start: Start) -> None:
    child = start(
        """
        output.send(Progressed(stage="waiting", fraction=0))
        while stop.requested() is None:
            time.sleep(0.01)
        return ExitCode.DRAINED, {"reason": stop.requested()}
        """
    )
    assert child.next_message(timeout_seconds=60) == Progressed(stage="waiting", fraction=0)
    child.ask_to_stop(StopReason.PAUSE)
    assert listen(child) == [Done(result={"reason": "pause"})]
    assert child.wait() == 75


def test_killed_child_takes_its_own_children_along(start: Start) -> None:
    child = start(
        """
        grandchild = subprocess.Popen(["sleep", "100"])
        output.send(Progressed(stage=str(grandchild.pid), fraction=0))
        time.sleep(100)
        """
    )
    message = child.next_message(timeout_seconds=60)
    assert isinstance(message, Progressed)
    grandchild = ProcessIdentity.of(int(message.stage))
    child.kill()
    assert child.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while not grandchild.is_known_dead:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_hanging_child_leaves_its_stack_in_the_log(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.children._DUMP_SECONDS", 60.0)
    child = start(
        """
        def stand_still():
            output.send(Progressed(stage="still", fraction=0))
            time.sleep(100)
        stand_still()
        """
    )
    assert child.next_message(timeout_seconds=60) is not None
    child.kill_with_stack()
    assert child.wait() == -signal.SIGABRT
    assert "stand_still" in (tmp_path / "child.log").read_text()


def test_leftover_of_an_earlier_attempt_is_killed_and_a_stranger_is_not(tmp_path: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, process_group=0) as left,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, process_group=0) as stranger,
    ):
        for name, process, shift in (("a", left, 0), ("b", stranger, -5)):
            identity = ProcessIdentity.of(process.pid).as_json()
            identity["started"] += shift
            (tmp_path / name).mkdir()
            (tmp_path / name / "child.json").write_text(json.dumps(identity))
        kill_leftovers(tmp_path)
        assert left.wait(timeout=60) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()


def test_allocator_is_preloaded_only_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert allocator_environment([str(tmp_path)]) == {}
    library = tmp_path / "cmeel.prefix" / "lib" / "libmimalloc.so"
    library.parent.mkdir(parents=True)
    library.touch()
    assert allocator_environment([str(tmp_path)]) == {"LD_PRELOAD": str(library)}
    monkeypatch.setenv("LD_PRELOAD", "/some/other.so")
    assert allocator_environment([str(tmp_path)]) == {}


def test_threads_of_a_child_spin_shortly_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert "GOMP_SPINCOUNT" in engine_environment()
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert "GOMP_SPINCOUNT" not in engine_environment()


def test_compiled_kernels_are_kept_unless_the_operator_says_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    assert engine_environment(Path("kept"))["TORCHINDUCTOR_CACHE_DIR"] == "kept"
    assert "TORCHINDUCTOR_CACHE_DIR" not in engine_environment()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/the/operators")
    assert "TORCHINDUCTOR_CACHE_DIR" not in engine_environment(Path("kept"))
