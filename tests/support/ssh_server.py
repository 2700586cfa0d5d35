"""An ssh server of a test's own, on loopback, with keys, known hosts and a client configuration of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support.broker import free_port
from tests.support.patience import patient


class SshServer:
    """One sshd. Use as a context manager.

    Attributes:
        port: Where it listens.
        config: For `ssh -F`: with it the client may log in, and knows the server's key.
        known_hosts: Whose keys that configuration trusts.
    """

    def __init__(self) -> None:
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None, "sshd is not installed: apt-get install openssh-server"
        self._program = program
        self._directory = Path(tempfile.mkdtemp(prefix="wt-sshd-"))
        self.port = free_port()
        self.config = self._directory / "client"
        self.known_hosts = self._directory / "known_hosts"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for key in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._directory / key], check=True, timeout=60
            )
        shutil.copy(self._directory / "user.pub", self._directory / "authorized_keys")
        self.know(self._directory / "host.pub")
        self.config.write_text(
            f"IdentityFile {self._directory / 'user'}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {self.known_hosts}\nGlobalKnownHostsFile /dev/null\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd as root wants it; Debian's unit makes it
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._directory)

    def url(self, path: Path) -> str:
        """The address of an engine's socket there."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Let it listen."""
        options = {
            "ListenAddress": "127.0.0.1",
            "Port": self.port,
            "HostKey": self._directory / "host",
            "AuthorizedKeysFile": self._directory / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "PerSourcePenalties": "no",
        }
        arguments = [f"-o{key}={value}" for key, value in options.items()]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-D", "-e", "-f/dev/null", *arguments], stdin=subprocess.DEVNULL, stderr=log
            )
        deadline = time.monotonic() + patient(20)
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            assert self._process.poll() is None, (self._directory / "log").read_text()
            time.sleep(0.02)
        raise AssertionError(f"sshd does not listen: {(self._directory / 'log').read_text()}")

    def kill(self) -> None:
        """End it, and every session, as when its machine fails."""
        if self._process is None:
            return
        for pid in (*reversed(descendants(self._process.pid)), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def know(self, public_key: Path) -> None:
        """Let the client's configuration trust this key, and no other."""
        kind, key, *_ = public_key.read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    @property
    def user_key(self) -> Path:
        """The public key of who may log in."""
        return self._directory / "user.pub"

    def forbid(self) -> None:
        """Let nobody log in any more."""
        (self._directory / "authorized_keys").write_text("")


def descendants(pid: int) -> list[int]:
    """Processes below one, parents first."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found
