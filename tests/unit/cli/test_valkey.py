from pathlib import Path

from cli.valkey import PrivateValkey, server_binary


def test_server_is_found_in_its_wheel() -> None:
    assert server_binary().is_file()


def test_socket_lies_in_the_data_directory(tmp_path: Path) -> None:
    short = tmp_path / "d"
    short.mkdir()

    assert PrivateValkey(short).socket == short / "valkey" / "valkey.sock"


def test_socket_of_a_deep_data_directory_gets_a_short_private_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    valkey = PrivateValkey(deep)

    assert len(bytes(valkey.socket)) < 100
    assert valkey.socket.parent.stat().st_mode & 0o077 == 0
    valkey.remove_socket()
    assert not valkey.socket.parent.exists()


def test_server_listens_on_no_port_and_runs_no_code(tmp_path: Path) -> None:
    command = " ".join(PrivateValkey(tmp_path).command)

    assert "--port 0" in command
    assert "--enable-debug-command no" in command
    assert "--enable-module-command no" in command
