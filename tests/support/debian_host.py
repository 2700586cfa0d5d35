"""The Debian package on a host that is a folder: real dpkg and scripts, stand-ins for systemd and the agent."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.support.agent import CHECKOUT
from tests.support.engine import busybox_root

_COMMON: Final = """
say() { echo "$*" >&2; }
fail() { echo "$2" >&2; exit "$1"; }
"""
_TREE: Final = """
HOME_OF_AGENT=/opt/watchtower-agent CONFIGURATION=/etc/watchtower-agent
agent_tree() {
  mkdir -p "$1/dist" "$1$HOME_OF_AGENT/bin" "$1$HOME_OF_AGENT/share"
  touch "$1/dist/agent.whl"
  cp -r config "$1$HOME_OF_AGENT/share/"
  printf '#!/bin/sh\\n[ ! -e /refuses ] || { cat /refuses; exit 1; }\\n' >"$1$HOME_OF_AGENT/bin/watchtower-agent"
  chmod +x "$1$HOME_OF_AGENT/bin/watchtower-agent"
}
"""
_SYSTEMCTL: Final = """#!/bin/sh
[ "$1" != is-active ] || exec test -e /active
[ "$1" != is-failed ] || exec test -e /failed
echo "$*" >>/calls
"""


class Package:
    """What `scripts/package` makes of this checkout, but for the agent: here a program that accepts all.

    Args:
        folder: An empty one.

    Attributes:
        configuration: The `config/` of the next version that is built.
    """

    def __init__(self, folder: Path) -> None:
        self._source = folder / "source"
        self.configuration = self._source / "config"
        scripts = self._source / "scripts"
        scripts.mkdir(parents=True)
        shutil.copytree(CHECKOUT / "config", self.configuration)
        for name in ("pyproject.toml", "LICENSE", "scripts/package"):
            shutil.copy(CHECKOUT / name, self._source / name)
        (scripts / "common.sh").write_text(_COMMON)
        (scripts / "tree.sh").write_text(_TREE)

    def build(self, version: str) -> Path:
        """The package, in that version."""
        (self._source / "pyproject.toml").write_text(f'version = "{version}"\n')
        subprocess.run(
            ["bash", str(self._source / "scripts/package")], check=True, capture_output=True, text=True, timeout=120
        )
        (built,) = (self._source / "dist").glob(f"*_{version}_*.deb")
        return built


class DebianHost:
    """A host with dpkg and systemd.

    Args:
        folder: An empty one.

    Attributes:
        root: Its `/`.
        configuration: Its `/etc/watchtower-agent`.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.configuration = self.root / "etc/watchtower-agent"
        for name in ("tmp", "run/systemd/system", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
            (self.root / name).mkdir(parents=True)
        for name in ("status", "available"):
            (self.root / "var/lib/dpkg" / name).touch()
        with tarfile.open(fileobj=io.BytesIO(busybox_root())) as tools:
            tools.extractall(self.root, filter="tar")
        for name, text in (("systemctl", _SYSTEMCTL), ("systemd-sysusers", "#!/bin/sh\n")):
            (self.root / "bin" / name).write_text(text)
            (self.root / "bin" / name).chmod(0o755)

    def runs(self, *, active: bool) -> None:
        """Whether the agent is running, from now on."""
        note = self.root / "active"
        if active:
            note.touch()
        else:
            note.unlink(missing_ok=True)

    def fails(self) -> None:
        """The agent has given up: its unit failed too often."""
        self.runs(active=False)
        (self.root / "failed").touch()

    def dpkg(self, *arguments: str | Path) -> str:
        """Run dpkg without a person who could answer it; what it and the package's scripts said."""
        command = ["dpkg", f"--root={self.root}", "--log=/dev/null", "--force-depends", "--force-confdef"]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def told_systemd(self) -> list[str]:
        """What systemd was told since this was asked last."""
        calls = self.root / "calls"
        said = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return said

    def policies(self) -> set[str]:
        """The files of its policy folder."""
        return {path.name for path in (self.configuration / "policies").iterdir()}

    def hidden(self) -> list[str]:
        """What only the installers note down for each other."""
        return [path.name for path in self.configuration.iterdir() if path.name.startswith(".")]
