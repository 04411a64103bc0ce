import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.leftovers import kill_leftovers
from cli.signals import SignalInbox
from cli.supervisor import ChildSpec, FalseStart, Supervisor
from core.processes import ProcessIdentity

# A test process may have threads; the real parent has one.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

SLEEPS = "import time; time.sleep(60)"
STUBBORN = (
    "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "pathlib.Path('stubborn').touch(); time.sleep(60)"
)
GRACEFUL = (
    "import pathlib, signal, sys, time\n"
    "def end(*_):\n    pathlib.Path('ended').touch(); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "pathlib.Path('graceful').touch()\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def inbox() -> Iterator[SignalInbox]:
    with SignalInbox() as box:
        yield box


@pytest.fixture
def supervisor(inbox: SignalInbox, tmp_path: Path) -> Iterator[Supervisor]:
    (tmp_path / "logs").mkdir()
    watched = Supervisor(inbox, data_dir=tmp_path, environment=dict(os.environ))
    yield watched
    kill_leftovers(tmp_path)
    watched.stop(groups=[["worker"]])  # collects the dead


def python(name: str, code: str, *, stop_seconds: float = 60.0) -> ChildSpec:
    return ChildSpec(name, command=(sys.executable, "-c", code), stop_seconds=stop_seconds)


def soon() -> float:
    """When to give up; a busy machine has not failed yet."""
    return time.monotonic() + 60


def running_pid(data_dir: Path, name: str) -> int:
    return int(json.loads((data_dir / "processes.json").read_text())[name]["pid"])


def send_to_this_thread(what: signal.Signals) -> None:
    signal.pthread_kill(threading.get_ident(), what)


def test_killed_process_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(python("worker", SLEEPS))
    first = running_pid(tmp_path, "worker")

    os.kill(first, signal.SIGKILL)

    deadline = soon()
    received = supervisor.watch(
        until=lambda: running_pid(tmp_path, "worker") != first or time.monotonic() > deadline,
        is_starting=False,
    )
    assert received is None
    assert running_pid(tmp_path, "worker") != first
    supervisor.stop(groups=[["worker"]])


def test_process_that_cannot_start_ends_the_start_and_names_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(python("worker", "raise SystemExit('no such thing')"))

    with pytest.raises(FalseStart, match="worker does not start") as caught:
        supervisor.watch(until=lambda: False, is_starting=True)

    assert caught.value.log == tmp_path / "logs" / "worker.log"
    assert "no such thing" in caught.value.log.read_text()


def test_signal_to_stop_ends_the_watch(supervisor: Supervisor) -> None:
    send_to_this_thread(signal.SIGTERM)

    assert supervisor.watch(until=lambda: False, is_starting=False) is signal.SIGTERM


def test_processes_are_asked_to_end_before_they_are_killed(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(python("worker", GRACEFUL))
    deadline = soon()
    supervisor.watch(
        until=lambda: (tmp_path / "graceful").exists() or time.monotonic() > deadline,
        is_starting=False,
    )

    assert supervisor.stop(groups=[["worker"]])
    assert (tmp_path / "ended").exists()


def test_process_that_will_not_end_is_killed_when_its_time_is_over(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(python("worker", STUBBORN, stop_seconds=0.3))
    deadline = soon()
    supervisor.watch(
        until=lambda: (tmp_path / "stubborn").exists() or time.monotonic() > deadline,
        is_starting=False,
    )
    identity = ProcessIdentity.of(running_pid(tmp_path, "worker"))

    supervisor.stop(groups=[["worker"]])

    assert identity.is_known_dead


def test_second_signal_kills_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(python("worker", STUBBORN, stop_seconds=600))
    deadline = soon()
    supervisor.watch(
        until=lambda: (tmp_path / "stubborn").exists() or time.monotonic() > deadline,
        is_starting=False,
    )
    identity = ProcessIdentity.of(running_pid(tmp_path, "worker"))
    send_to_this_thread(signal.SIGINT)

    assert not supervisor.stop(groups=[["worker"]])
    assert identity.is_known_dead


def test_children_do_not_inherit_the_blocked_signals(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))"

    supervisor.run_once("mask", [sys.executable, "-c", code])

    assert (tmp_path / "logs" / "mask.log").read_text().strip() == "set()"


def test_leftover_of_an_earlier_parent_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(python("worker", SLEEPS))
    identity = ProcessIdentity.of(running_pid(tmp_path, "worker"))

    assert kill_leftovers(tmp_path) == ["worker"]

    assert identity.is_known_dead
    assert kill_leftovers(tmp_path) == []
