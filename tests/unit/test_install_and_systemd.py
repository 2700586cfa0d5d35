"""What `scripts/install` asks of systemd, and leaves there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import CHECKOUT

_COMMON = """
say() { echo "$*" >&2; }
fail() { echo "$2" >&2; exit "$1"; }
is_root() { true; }
has_systemd() { true; }
choose_python() { PYTHON=true; }
"""
_TREE = """
SERVICE=watchtower-agent.service HOME_OF_AGENT=%(root)s/opt/watchtower-agent
CONFIGURATION=%(root)s/etc/watchtower-agent STATE=%(root)s/var
agent_tree() {
  mkdir -p "$1$HOME_OF_AGENT/bin" "$1$HOME_OF_AGENT/share"
  cp -r config "$1$HOME_OF_AGENT/share/"
  touch "$1$HOME_OF_AGENT/new"
  ln -s /bin/true "$1$HOME_OF_AGENT/bin/python"
}
"""
_SYSTEMCTL = """#!/bin/sh
case $1 in
  reset-failed) rm -f %(root)s/failed-too-often ;;
  restart)
    [ ! -e %(root)s/failed-too-often ] || exit 1
    [ %(new)s = starts ] || [ ! -e %(root)s/opt/watchtower-agent/new ] || { touch %(root)s/failed-too-often; exit 1; }
    touch %(root)s/runs ;;
esac
"""


def install(tmp_path: Path, *options: str, new: str) -> subprocess.CompletedProcess[str]:
    """The script on a host that is a folder, where an older version is."""
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
    for name in ("systemctl", "journalctl", "systemd-sysusers", "dpkg-query", "userdel"):
        stub = _SYSTEMCTL % {"root": root, "new": f'"{new}"'} if name == "systemctl" else "#!/bin/sh\n"
        (stubs / name).write_text(stub)
        (stubs / name).chmod(0o755)
    (root / "opt" / "watchtower-agent" / "share").mkdir(parents=True)
    (root / "etc" / "systemd" / "system" / "watchtower-agent.service.d").mkdir(parents=True)
    (root / "failed-too-often").touch()
    return subprocess.run(
        ["bash", str(source / "scripts" / "install"), *options],
        env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("new", ["starts", "fails, too"])
def test_what_has_failed_too_often_is_started_again(tmp_path: Path, new: str) -> None:
    done = install(tmp_path, new=new)
    root = tmp_path / "root"
    assert (root / "runs").exists(), done.stderr
    assert done.returncode == (0 if new == "starts" else 1), done.stderr
    assert (root / "opt" / "watchtower-agent" / "new").exists() == (new == "starts"), "else the version before is back"


def test_after_a_purge_nothing_stays_of_the_unit_and_after_a_removal_what_was_edited(tmp_path: Path) -> None:
    edited = tmp_path / "root" / "etc" / "systemd" / "system" / "watchtower-agent.service.d"
    assert install(tmp_path, "--uninstall", new="starts").returncode == 0
    assert edited.exists()
    shutil.rmtree(tmp_path / "source")
    shutil.rmtree(tmp_path / "root")
    shutil.rmtree(tmp_path / "stubs")
    assert install(tmp_path, "--uninstall", "--purge", new="starts").returncode == 0
    assert not edited.exists()
