"""One machine for all of these tests: each goes on where the one before ended."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import AgentWatch
from tests.support.broker import PrivateBroker
from tests.support.engine import busybox_root
from tests.support.machine import CHECKOUT, Machine

PASSWORD = "of the agent's own"
PARTS = ("scripts", "config", "docs", "watchtower_agent", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
LOCKS = ("requirements.lock", "requirements-build.lock")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the agent is installed from: building leaves its marks."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in (*PARTS, *LOCKS):
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, copy)
    return copy


@pytest.fixture(scope="session")
def package(checkout: Path, wheels: Path) -> Path:
    """The Debian package, as `scripts/package` builds it."""
    command = [str(checkout / "scripts/package"), "--wheels", str(wheels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (checkout / "dist").glob("*.deb")
    return built


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The machine and what others see of it.

    Attributes:
        watch: Subscribes from here, with a session that the broker keeps, to all that the machine's agent says.
    """

    machine: Machine
    watch: AgentWatch


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A host with an engine and an image, and a broker elsewhere that wants passwords."""
    users = {"agent": PASSWORD, "watcher": "another"}
    directory = tmp_path_factory.mktemp("broker")
    with (
        PrivateBroker(directory=directory, passwords=users, save_each_change=True) as broker,
        AgentWatch(broker.port, "machine", user=("watcher", users["watcher"])) as watch,
        Machine(broker.port) as machine,
    ):
        archive = directory / "busybox.tar"
        archive.write_bytes(busybox_root())
        machine.put(archive, "/root/busybox.tar")
        machine.run("docker import --change='ENV PATH=/bin' --change='CMD [\"sh\"]' /root/busybox.tar busybox:local")
        yield Story(machine=machine, watch=watch)
