"""This machine's packages, services and Python: by scripts/common.sh, which other scripts use, too."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final

from scripts.launch.processes import Processes
from scripts.launch.words import RefusalError, say

# An interrupt lets the command that runs end, and begins no other.
_COMMON: Final = "set -euo pipefail; source scripts/common.sh; trap 'interrupted=true' INT; "


def is_root() -> bool:
    """Whether this may start an engine and install packages."""
    return os.geteuid() == 0


def has_systemd() -> bool:
    """Whether systemd runs this machine's services."""
    return Path("/run/systemd/system").is_dir()


def debian_packages(processes: Processes, why: str, *packages: str) -> None:
    """Install what is missing of these, after saying so.

    Raises:
        RefusalError: They can't be installed; why has been said.
    """
    _shared(processes, 'debian_packages "$@" || exit 3', why, *packages)


def virtual_environment(processes: Processes) -> None:
    """Make or refresh `.venv`.

    Raises:
        RefusalError: It can't be made; why has been said.
    """
    _shared(processes, 'virtual_environment .venv "$@"', sys.executable, "requirements.lock", "requirements-build.lock")


def static_busybox(processes: Processes) -> str:
    """The path of a busybox that needs no libraries."""
    return _shared(processes, "static_busybox").strip()


def start_service(processes: Processes, name: str) -> bool:
    """Ask systemd for a service; whether it started."""
    status, _ = processes.result(["bash", "-c", 'systemctl start "$1" 2>/dev/null', "run", name])
    if status:
        say(f"the service {name} did not start; to see why: journalctl -u {name}")
    else:
        say(f"started the service {name}; it goes on running until: systemctl stop {name}")
    return status == 0


def _shared(processes: Processes, words: str, *arguments: str) -> str:
    command = ["bash", "-c", _COMMON + words, "run", *arguments]
    status, output = processes.result(command, ended_by=signal.SIGINT)  # apt-get lets dpkg end first
    if status:
        raise RefusalError(status)
    return output
