"""The unit of systemd, as systemd itself reads it: no word of it is misspelt, and it allows little."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from watchtower_agent.engine import client, inventory

UNIT = Path(__file__).parents[2] / "config/systemd/watchtower-agent.service"
MOST_EXPOSED = 2.0


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"LC_ALL": "C.UTF-8"},
    )
    return done.stdout + done.stderr


def test_systemd_understands_every_word(tmp_path: Path) -> None:
    there = tmp_path / UNIT.name
    there.write_text(UNIT.read_text().replace("/opt/watchtower-agent/bin/watchtower-agent", "/bin/true"))
    said = analyze("verify", "--man=no", str(there))
    about_it = [line for line in said.splitlines() if UNIT.name in line]
    assert about_it == [], said


@pytest.mark.parametrize("name", ["container/compose.yaml", "container/stack.yaml"])
def test_a_container_is_given_as_long_to_end_as_the_service(name: str) -> None:
    given = re.findall(r"^ +stop_grace_period: (\d+)s$", (UNIT.parents[1] / name).read_text(), re.MULTILINE)
    assert given == re.findall(r"^TimeoutStopSec=(\d+)s$", UNIT.read_text(), re.MULTILINE)


def test_there_is_room_for_every_thread_that_the_agent_may_have() -> None:
    (most,) = re.findall(r"^TasksMax=(\d+)$", UNIT.read_text(), re.MULTILINE)
    hanging = inventory.AT_ONCE + inventory.HELD_UP
    assert int(most) >= 2 * (client.THREADS + hanging), "over ssh each call has a process of its own, too"


def exposure(unit: Path) -> float:
    said = analyze("security", "--offline=true", "--no-pager", str(unit))
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert level is not None, said
    return float(level[1])


def test_it_is_hardly_exposed() -> None:
    assert exposure(UNIT) <= MOST_EXPOSED


def test_the_drop_in_for_a_rootless_engine_shows_its_socket_and_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    page = (UNIT.parents[2] / "docs/engines.md").read_text()
    (drop_in,) = re.findall(r"^    \[Service\]\n((?:    .+\n)+)", page, re.MULTILINE)
    settings = dict(line.strip().split("=", 1) for line in drop_in.splitlines())
    assert settings["ProtectHome"] == "read-only"
    lines = [line for line in UNIT.read_text().splitlines() if line.partition("=")[0] not in settings]
    at = lines.index("[Service]") + 1
    changed = tmp_path / UNIT.name
    changed.write_text("\n".join([*lines[:at], *(f"{key}={value}" for key, value in settings.items()), *lines[at:]]))
    assert exposure(changed) <= MOST_EXPOSED
