"""A rootless Docker Engine of a test's own: dockerd as `nobody`, in a user namespace, without cgroups on cgroup v1."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import Self

from tests.support.engine import EngineFailedError, PrivateEngine
from tests.support.service_process import end

_SCRIPT = "/usr/share/docker.io/contrib/dockerd-rootless.sh"
_NOBODY = 65534
# Whose ids it may use, and that it may make a network of its own, is said in a mount namespace of its own: the
# machine's files stay as they are.
_ENTER = """
mount --bind "$0/ids" /etc/subuid && mount --bind "$0/ids" /etc/subgid && mount --bind "$0/tun" /dev/net/tun &&
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


class RootlessEngine(PrivateEngine):
    """As a private engine. Use as a context manager. Its containers have no network."""

    def __init__(self) -> None:
        for program, package in (("rootlesskit",) * 2, ("newuidmap", "uidmap"), ("slirp4netns",) * 2):
            if shutil.which(program) is None:
                raise EngineFailedError(f"{program} is not installed: apt-get install {package}")
        super().__init__()
        self._rootlesskit: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._rootlesskit is not None and self._rootlesskit.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start it; by default wait until it answers."""
        (self.directory / "ids").write_text("nobody:100000:65536\n")
        if not (self.directory / "tun").exists():
            os.mknod(self.directory / "tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
            (self.directory / "tun").chmod(0o666)
        for folder in ("home", "run"):
            (self.directory / folder).mkdir(exist_ok=True)
        for path in (self.directory, self.directory / "home", self.directory / "run"):
            os.chown(path, _NOBODY, _NOBODY)
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.directory / "home"),
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            # Without a network of its own it fails when it is asked for its version.
            "DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "slirp4netns",
            "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER": "builtin",
        }
        options = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
        with self.log.open("ab") as log:
            self._rootlesskit = subprocess.Popen(
                [
                    *("unshare", "--mount", "sh", "-c", _ENTER, str(self.directory)),
                    *(_SCRIPT, f"--data-root={self.directory / 'data'}", f"--host={self.url}", *options),
                ],
                env=environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_up()

    def stop(self) -> None:
        """End it, with its containers."""
        if self._rootlesskit is not None:
            end(self._rootlesskit)

    def close(self) -> None:
        """End everything, and remove what it left."""
        if self.running:
            self.sweep()
        super().close()
