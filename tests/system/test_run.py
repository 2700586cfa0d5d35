"""`scripts/run`: the agent in the foreground, on the engine and broker that are there or its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

CHECKOUT = Path(__file__).resolve().parents[2]

BARE = """
set -e
trap : INT
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
PATH=$TMPDIR/bin:$PATH scripts/run || echo "ended with $?"
echo mounts:
cat /proc/mounts
"""
"""Runs it where no engine and no broker answers, on a machine of systemd's: network and mounts of its own."""


@contextmanager
def run(
    *command: str, environment: Mapping[str, str], cwd: Path = CHECKOUT
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The script as started from a shell, and the lines that were read of what it said."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, []
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def read_until(process: subprocess.Popen[str], words: list[str], pattern: str) -> re.Match[str]:
    """Read on up to the first line that matches."""
    assert process.stdout
    for line in process.stdout:
        words.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"it ended without a line like {pattern!r}:\n{''.join(words)}")


@pytest.fixture
def bare() -> Iterator[Path]:
    """A folder with a copy of the checkout, a systemctl that can start nothing, and room for temporary files."""
    with tempfile.TemporaryDirectory(prefix="wt-") as name:
        folder = Path(name)
        tree = folder / "a checkout"
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("scripts", "config", "watchtower_agent"):
            shutil.copytree(CHECKOUT / part, tree / part, ignore=ignored)
        (tree / ".venv").symlink_to(sys.prefix)
        (folder / "bin").mkdir()
        (folder / "bin/systemctl").write_text("#!/bin/sh\nexit 1\n")
        (folder / "bin/systemctl").chmod(0o755)
        yield folder


@contextmanager
def run_bare(bare: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`scripts/run` on a bare machine, then a list of what is still mounted there."""
    environment = {"TMPDIR": str(bare), "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    command = ("unshare", "--net", "--mount", "--propagation=private", "bash", "-c", BARE)
    with run(*command, environment=environment, cwd=bare / "a checkout") as running:
        yield running


def test_the_agent_runs_with_the_shipped_configuration_until_ctrl_c(
    engine: PrivateEngine, broker: PrivateBroker, tmp_path: Path
) -> None:
    environment = os.environ | {
        "DOCKER_HOST": engine.url,
        "WATCHTOWER_AGENT_HOST": "bench",
        "WATCHTOWER_AGENT_MQTT__URL": broker.url,
        "WATCHTOWER_AGENT_STATE_DIR": str(tmp_path / "state"),
    }
    with run("scripts/run", environment=environment) as (process, words):
        socket = read_until(process, words, r"SOCKET=(\S+)")[1]
        read_until(process, words, '"event":"mqtt_up"|"event":"engine_up"')
        read_until(process, words, '"event":"mqtt_up"|"event":"engine_up"')
        status = subprocess.run(
            [sys.executable, "-m", "watchtower_agent", "status", "--json"],
            cwd=CHECKOUT,
            env=os.environ | environment | {"WATCHTOWER_AGENT_CONTROL__SOCKET": socket},
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        second = subprocess.run(
            ["scripts/run"],
            cwd=CHECKOUT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)

    assert process.returncode == 0, (words, rest)
    assert json.loads(status.stdout)["agent"]["host"] == "bench"
    assert '"agent_stopped"' in rest
    before = "".join(words).split("the agent starts")[0]
    assert "starting" not in before  # an engine and a broker that answer are used as they are
    assert not Path(socket).parent.exists()

    assert second.returncode == 3
    assert second.stderr == (
        f"run: scripts/run runs here already, as process {process.pid}; end that one first: "
        f"Ctrl-C in its terminal, or kill {process.pid}\n"
    )


def test_a_service_that_does_not_start_is_told_before_another_way_is_gone(bare: Path) -> None:
    with run_bare(bare) as (process, words):
        for service, instead in (("docker", "starting one of our own"), ("mosquitto", "starting an MQTT broker")):
            read_until(process, words, instead)
            assert f"run: the service {service} did not start; to see why: journalctl -u {service}\n" in words


def test_an_engine_of_its_own_leaves_no_process_and_no_mount_though_it_was_killed(bare: Path) -> None:
    with run_bare(bare) as (process, words):
        read_until(process, words, "engine_up")
        daemon = int(next(bare.glob("*/dockerd.pid")).read_text())
        os.kill(daemon, signal.SIGKILL)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)

    mounts = rest.split("mounts:\n")[1]
    assert "a\\040checkout" not in mounts
    assert str(bare) not in mounts
    folder = str(bare).encode()
    assert [p.parent.name for p in Path("/proc").glob("[0-9]*/cmdline") if folder in p.read_bytes()] == []
    assert [path.name for path in bare.iterdir() if path.name.startswith("watchtower-")] == []
