"""`scripts/install` on a host that is a folder: real script and configuration, stand-ins for systemd and the build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
  cp %(python)s "$1$HOME_OF_AGENT/bin/python"
}
"""
_PYTHON = """#!/bin/sh
[ "$1" != -OOPB ] || { shift; set -- -P "$@"; } # what is compiled here is not for -OO
PYTHONPATH=%s exec %s "$@"
"""
_STAND_INS = ("systemctl", "journalctl", "systemd-sysusers", "dpkg-query")


class Installer:
    """A host, and a checkout of which a test can make another version.

    Args:
        folder: An empty one.
        checks: Whether the new version's `check` is run, or said to be content.

    Attributes:
        root: What is `/` to the script.
        version: The `config/` that it installs.
        configuration: The host's `/etc/watchtower-agent`.
    """

    def __init__(self, folder: Path, *, checks: bool = True) -> None:
        self.root, self._source, self._stubs = folder / "root", folder / "source", folder / "stubs"
        self.version = self._source / "config"
        self.configuration = self.root / "etc" / "watchtower-agent"
        scripts = self._source / "scripts"
        scripts.mkdir(parents=True)
        shutil.copytree(CHECKOUT / "config", self.version)
        shutil.copy(CHECKOUT / "pyproject.toml", self._source)
        text = (CHECKOUT / "scripts" / "install").read_text()
        for place in ("/etc/", "/opt", "/usr/local/bin"):
            text = text.replace(place, f"{self.root}{place}")
        (scripts / "install").write_text(text)
        (scripts / "common.sh").write_text(_COMMON)
        python = self._source / "python"
        python.write_text(_PYTHON % (CHECKOUT, sys.executable) if checks else "#!/bin/sh\n")
        python.chmod(0o755)
        (scripts / "tree.sh").write_text(_TREE % {"root": self.root, "python": python})
        (self.root / "etc" / "systemd" / "system").mkdir(parents=True)
        self._stubs.mkdir()
        for name in _STAND_INS:
            self.stand_in(name, "")

    @property
    def home(self) -> Path:
        """Where the installed version is."""
        return self.root / "opt" / "watchtower-agent"

    def stand_in(self, name: str, script: str) -> None:
        """What one of the host's commands does: shell."""
        (self._stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self._stubs / name).chmod(0o755)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the script; its words are in `stderr`."""
        return subprocess.run(
            ["bash", str(self._source / "scripts" / "install"), *options],
            env={**os.environ, "PATH": f"{self._stubs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            start_new_session=True,  # signals go to all of it, as from a terminal
            check=False,
        )

    def done(self, *options: str) -> str:
        """Run the script, which succeeds; its words."""
        done = self.run(*options)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def policies(self) -> dict[str, str]:
        """What the host has in its policy folder."""
        return {path.name: path.read_text() for path in (self.configuration / "policies").iterdir()}

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Every file below the host's root: when it was written, and what stands in it."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in self.root.rglob("*")
            if path.is_file()
        }
