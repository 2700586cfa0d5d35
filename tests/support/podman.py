"""A Podman of a test's own, which speaks the Docker Engine's API: its service, its storage, its containers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.support.engine import EngineFailedError, PrivateEngine
from tests.support.patience import patient
from tests.support.service_process import end

_QUIET = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


class PodmanEngine(PrivateEngine):
    """As a private engine, for what both can. Use as a context manager."""

    def __init__(self) -> None:
        if shutil.which("podman") is None:
            raise EngineFailedError("podman is not installed: apt-get install podman")
        self.directory = Path(tempfile.mkdtemp(prefix="wt-podman-"))
        self.socket = self.directory / "podman.sock"
        self.url = f"unix://{self.socket}"
        self.log = self.directory / "podman.log"
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.load_image("docker.io/library/busybox:local")
        except BaseException:
            self.close()
            raise
        return self

    @property
    def pid(self) -> int:
        """Of the service's process."""
        assert self._service is not None
        return self._service.pid

    @property
    def running(self) -> bool:
        """Whether the service lives."""
        return self._service is not None and self._service.poll() is None

    def podman(self, *arguments: str, check: bool = True) -> str:
        """Run the podman command on this storage."""
        done = subprocess.run(
            [*self._command(), *arguments],
            env=os.environ | _QUIET,
            capture_output=True,
            text=True,
            timeout=patient(60),
            check=False,
        )
        if check and done.returncode != 0:
            raise EngineFailedError(f"podman {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self, *, wait: bool = True) -> None:
        """Start the service."""
        with self.log.open("ab") as log:
            self._service = subprocess.Popen(
                [*self._command(), "system", "service", "--time=0", self.url],
                env=os.environ | _QUIET,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_up()

    def stop(self) -> None:
        """End the service. Its containers live on."""
        if self._service is None:
            return
        end(self._service)
        self._service = None

    def close(self) -> None:
        """End everything that it started, and remove what it left."""
        self.stop()
        with contextlib.suppress(EngineFailedError, subprocess.TimeoutExpired):
            self.podman("rm", "--all", "--force", "--time=0", check=False)
        for pid in self._monitors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def check_health(self, name: str) -> None:
        """Have a container's health checked now: only systemd's timers would do so by themselves."""
        self.podman("healthcheck", "run", name, check=False)

    def _command(self) -> list[str]:
        root = self.directory
        # files rather than the journal, cgroups rather than systemd's: as on a machine without it
        return [
            *("podman", f"--root={root / 'root'}", f"--runroot={root / 'run'}", f"--tmpdir={root / 'tmp'}"),
            *("--cgroup-manager=cgroupfs", "--events-backend=file"),
        ]

    def _monitors(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.fsencode(self.directory) in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]
