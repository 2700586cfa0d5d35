"""The virtual machine of `scripts/machine`: a host with systemd and cgroup v2, and its engine as seen from here."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support.engine import EngineFailedError, PrivateEngine

CHECKOUT = Path(__file__).resolve().parents[2]
SLOW = 20.0
"""How many times slower than a usual machine an emulated one may be."""
CPUS = int(os.environ.get("WATCHTOWER_MACHINE_CPUS", "1"))
"""How many processors it has."""
BROKER = "mqtt://10.0.2.100:1883"
"""Where the machine finds the broker that runs here."""


class EngineInside(PrivateEngine):
    """The machine's engine, through a socket here. Not started or ended by us."""

    def __init__(self, directory: Path) -> None:  # the parent's starts an engine of its own
        self.directory = directory
        self.socket = directory / "engine.sock"
        self.url = f"unix://{self.socket}"


class Machine:
    """One machine, booted from a fresh disk. Use as a context manager.

    Args:
        broker_port: The port here that it reaches as `BROKER`.

    Attributes:
        engine: Its engine. While the machine boots nobody answers.
    """

    def __init__(self, broker_port: int) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="wt-machine-"))
        self._environment = os.environ | {"WATCHTOWER_MACHINE_BROKER": str(broker_port)}
        self._forwarding: subprocess.Popen[bytes] | None = None
        self.engine = EngineInside(self._directory)

    def __enter__(self) -> Self:
        try:
            self._script("up", timeout=1800)
            self.reach_engine()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; its disk is gone."""
        self._forget_engine()
        self._script("down", check=False)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _script(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        command = [str(CHECKOUT / "scripts/machine"), *arguments]
        done = subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    # --- what is done in it ----------------------------------------------------------------------------------------

    def run(self, command: str, *, check: bool = True, timeout: float = 600) -> str:
        """What a command of its shell writes, as root."""
        return self._script("ssh", command, check=check, timeout=timeout)

    def put(self, what: Path, where: str) -> None:
        """Copy a file, or what is in a folder."""
        self._script("put", str(what), where)

    def unit(self, name: str) -> str:
        """A property of the agent's unit."""
        return self.run(f"systemctl show --value --property={name} watchtower-agent.service")

    # --- its life --------------------------------------------------------------------------------------------------

    def reboot(self) -> None:
        """As an administrator does it; returns when it is up again."""
        before = self._boot()
        self._forget_engine()
        self.run("systemctl reboot", check=False)
        deadline = time.monotonic() + 600
        while self._boot() in {before, ""}:  # its last seconds answer, too
            assert time.monotonic() < deadline, self._script("console")[-2000:]
            time.sleep(1)
        self._script("wait")
        self.reach_engine()

    def lose_power(self) -> None:
        """What it had not written is gone; returns when it is up again."""
        self._forget_engine()
        self._script("cut")
        self._script("up")
        self.reach_engine()

    def _boot(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id", check=False, timeout=60)

    def reach_engine(self) -> None:
        """Bring its engine's socket here, and wait until it answers."""
        self._forget_engine()
        command = [str(CHECKOUT / "scripts/machine"), "engine", str(self.engine.socket)]
        self._forwarding = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=self._environment)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException, EngineFailedError):
                self.engine.api("GET", "/_ping", timeout=30)
                return
            time.sleep(0.2)
        raise AssertionError("the machine's engine does not answer")

    def _forget_engine(self) -> None:
        forwarding, self._forwarding = self._forwarding, None
        if forwarding is not None:
            forwarding.terminate()
            forwarding.wait(30)
