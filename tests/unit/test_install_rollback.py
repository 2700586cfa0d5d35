"""An upgrade in place whose new version does not start: the version before is back, with the configuration it had."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import CHECKOUT

_COMMON = """
say() { echo "$*"; }
fail() { echo "$2" >&2; exit "$1"; }
is_root() { true; }
has_systemd() { true; }
choose_python() { PYTHON=true; }
"""
_TREE = """
SERVICE=watchtower-agent.service HOME_OF_AGENT=%(root)s/opt/watchtower-agent
CONFIGURATION=%(root)s/etc/watchtower-agent STATE=%(root)s/var
agent_tree() {
  mkdir -p "$1$HOME_OF_AGENT/bin"
  ln -s /bin/true "$1$HOME_OF_AGENT/bin/python"
}
"""
_FAILS = '#!/bin/sh\n[ "$1" != restart ]\n'
_INTERRUPTED = """#!/bin/sh
[ "$1" != restart ] || [ -e %(root)s/interrupted ] || { touch %(root)s/interrupted; kill -%(signal)s 0; }
"""


@pytest.mark.parametrize("end", ["fails", "INT", "TERM"])
def test_an_upgrade_that_does_not_come_to_its_end_leaves_all_as_it_was(tmp_path: Path, end: str) -> None:
    root, source, stubs = tmp_path / "root", tmp_path / "source", tmp_path / "stubs"
    shutil.copytree(CHECKOUT / "config", source / "config")
    shutil.copy(CHECKOUT / "pyproject.toml", source)
    (source / "scripts").mkdir()
    text = (CHECKOUT / "scripts" / "install").read_text()
    for place in ("/etc/", "/opt", "/usr/local/bin"):
        text = text.replace(place, f"{root}{place}")
    (source / "scripts" / "install").write_text(text)
    (source / "scripts" / "common.sh").write_text(_COMMON)
    (source / "scripts" / "tree.sh").write_text(_TREE % {"root": root})
    stubs.mkdir()
    systemctl = _FAILS if end == "fails" else _INTERRUPTED % {"root": root, "signal": end}
    for name in ("systemctl", "journalctl", "systemd-sysusers", "dpkg-query"):
        (stubs / name).write_text(systemctl if name == "systemctl" else "#!/bin/sh\n")
        (stubs / name).chmod(0o755)
    configuration = root / "etc" / "watchtower-agent"
    shipped = root / "opt" / "watchtower-agent" / "share" / "config"
    for folder in (configuration, shipped):
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text("# what the version before shipped\n")
    (root / "etc" / "systemd" / "system").mkdir(parents=True)

    done = subprocess.run(
        ["bash", str(source / "scripts" / "install")],
        env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,  # signals go to all of it, as from a terminal
        check=False,
    )

    assert done.returncode == (1 if end == "fails" else -getattr(signal, f"SIG{end}")), done.stderr
    assert "the version before is" in done.stderr + done.stdout
    assert (configuration / "agent.yaml").read_text() == "# what the version before shipped\n"
    assert [path.name for path in configuration.rglob("*") if path.is_file()] == ["agent.yaml"]
    assert (shipped / "agent.yaml").exists(), "the version before stands where it stood"
    assert [path.name for path in (root / "opt").iterdir()] == ["watchtower-agent"]
