from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from core.processes import ProcessIdentity


def test_running_process_is_not_dead_and_an_ended_one_is() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as process:
        identity = ProcessIdentity.of(process.pid)
        assert not identity.is_known_dead
        process.kill()
        process.wait()
    assert identity.is_known_dead


def test_pid_that_is_used_again_is_another_process() -> None:
    me = ProcessIdentity.of(os.getpid())
    assert not me.is_known_dead
    assert replace(me, started=me.started - 1).is_known_dead


def test_process_of_an_earlier_boot_is_dead() -> None:
    me = ProcessIdentity.of(os.getpid())
    assert replace(me, boot_id="another/boot").is_known_dead


def test_process_elsewhere_is_never_known_to_be_dead() -> None:
    me = ProcessIdentity.of(os.getpid())
    boot = me.boot_id.partition("/")[0]
    assert not replace(me, host="elsewhere", pid=1, started=0.0).is_known_dead
    assert not replace(me, boot_id=f"{boot}/pid:[1]", started=0.0).is_known_dead
    assert not replace(me, boot_id="", started=0.0).is_known_dead


def test_identity_survives_json() -> None:
    me = ProcessIdentity.of(os.getpid())
    assert ProcessIdentity.from_json(me.as_json()) == me
