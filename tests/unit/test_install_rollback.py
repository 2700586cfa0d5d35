"""An upgrade in place whose new version does not start: the version before is back, with the configuration it had."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

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
_SYSTEMCTL = '#!/bin/sh\n[ "$1" != restart ]\n'


def test_a_failed_upgrade_leaves_the_configuration_as_it_was(tmp_path: Path) -> None:
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
    for name in ("systemctl", "journalctl", "systemd-sysusers", "dpkg-query"):
        (stubs / name).write_text(_SYSTEMCTL if name == "systemctl" else "#!/bin/sh\n")
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
        check=False,
    )

    assert done.returncode == 1
    assert "the version before is back" in done.stderr
    assert (configuration / "agent.yaml").read_text() == "# what the version before shipped\n"
    assert [path.name for path in configuration.rglob("*") if path.is_file()] == ["agent.yaml"]
