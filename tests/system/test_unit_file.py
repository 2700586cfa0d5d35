"""The unit of systemd, as systemd itself reads it: no word of it is misspelt, and it allows little."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

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


def test_it_is_hardly_exposed() -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(UNIT))
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert level is not None, said
    assert float(level[1]) <= MOST_EXPOSED
