"""An engine as it is in another container or in LXC: with cgroups, mounts and processes of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from watchtower_agent.collectors.cgroup_tree import CgroupTree, discover

ROOT = Path("/sys/fs/cgroup")

_ENTER = """
set -e
for directory in {directories}; do echo $$ > $directory/cgroup.procs; done
exec "$@"
"""
_MOUNT_V1 = """
set -e
umount -R /sys/fs/cgroup
mount -t tmpfs tmpfs /sys/fs/cgroup
for controllers in {hierarchies}; do
  mkdir /sys/fs/cgroup/$controllers
  mount -t cgroup -o $controllers cgroup /sys/fs/cgroup/$controllers
done
exec "$@"
"""
_MOUNT_V2 = """
set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/init # a cgroup hands controllers down only while no process is in itself
echo $$ > /sys/fs/cgroup/init/cgroup.procs
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
  echo +$controller > /sys/fs/cgroup/cgroup.subtree_control
done
exec "$@"
"""


class OuterCgroup:
    """A cgroup in every hierarchy, to live in. Its end has to be awaited by those who lived there.

    Attributes:
        name: Its path below the root of each hierarchy.
    """

    def __init__(self) -> None:
        self._tree = discover(str(ROOT))
        self.name = f"wt-outer-{os.getpid()}-{secrets.token_hex(3)}"

    @property
    def hierarchies(self) -> list[str]:
        """Names of the v1 hierarchies, as their controllers are mounted."""
        return _v1_hierarchies(self._tree)

    @property
    def directories(self) -> list[Path]:
        """It, in every hierarchy."""
        hierarchies = [ROOT / name for name in self.hierarchies]
        return [each / self.name for each in (hierarchies or [Path(self._tree.unified)])]

    def make(self) -> None:
        """Make it, with every controller that there is."""
        if not self._tree.v1:
            for controller in sorted(self._tree.unified_controllers & {"cpu", "cpuset", "io", "memory", "pids"}):
                (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
        for directory in self.directories:
            directory.mkdir()
            if directory.parent.name == "cpuset":  # v1: it takes no process before it has both
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (directory / name).write_text((directory.parent / name).read_text())

    def limit_memory(self, limit: int) -> None:
        """Allow so many bytes for all that is in it."""
        name = "memory.limit_in_bytes" if self._tree.v1 else "memory.max"
        Path(self._tree.memory, self.name, name).write_text(str(limit))

    def remove(self) -> None:
        """Remove it and what is left below it. Processes that were killed take a moment to be gone."""
        deadline = time.monotonic() + patient(10)
        for top in self.directories:
            for directory in [*sorted((each for each in top.rglob("*") if each.is_dir()), reverse=True), top]:
                while directory.exists():
                    try:
                        directory.rmdir()
                    except OSError:
                        assert time.monotonic() < deadline, f"{directory} is still in use"
                        time.sleep(0.01)

    def command(self, *, remounted: bool, processes: bool = False) -> list[str]:
        """What runs another command in this cgroup and a cgroup namespace with it as the root.

        Args:
            remounted: Whether `/sys/fs/cgroup` shows the namespace's own tree, as in a container, or the host's.
            processes: Whether it has a namespace of processes, too.
        """
        enter = _ENTER.format(directories=" ".join(map(str, self.directories)))
        mount = _MOUNT_V1.format(hierarchies=" ".join(self.hierarchies)) if self._tree.v1 else _MOUNT_V2
        inner = ["sh", "-c", mount, "sh"] if remounted else []
        if processes:  # last: who waits outside of it has to have left the cgroup itself by then
            inner += ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return ["sh", "-c", enter, "sh", "unshare", "--cgroup", "--mount", *inner]


def _v1_hierarchies(tree: CgroupTree) -> list[str]:
    mounted = {Path(os.path.realpath(directory)).name for directory in tree.v1.values()}
    return sorted(mounted - {"systemd"})


@contextlib.contextmanager
def outer_cgroup() -> Iterator[OuterCgroup]:
    """One that is removed afterwards."""
    outer = OuterCgroup()
    outer.make()
    try:
        yield outer
    finally:
        outer.remove()


class NestedEngine(PrivateEngine):
    """A dockerd that is the first process of a container, as far as the kernel is concerned. Use as a context manager.

    Its containers have pids that mean other processes here, or none.

    Args:
        outer: What it lives in.
    """

    def __init__(self, outer: OuterCgroup) -> None:
        options = ("--exec-opt=native.cgroupdriver=cgroupfs",)
        super().__init__(options=options, inside=outer.command(remounted=True, processes=True))

    def stop(self) -> None:
        """As `kill`: with its first process all others end."""
        self.kill()

    def kill(self) -> None:
        """End the first process; the kernel kills what is left in its namespace."""
        if self._daemon is not None and self._daemon.poll() is None:
            os.kill(self.first_process, signal.SIGKILL)
        if self._daemon is not None:
            self._daemon.wait(10)

    @property
    def first_process(self) -> int:
        """The pid, here, of what is process 1 there."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text())

    def command_beside(self) -> list[str]:
        """What runs another command where the engine lives."""
        return ["nsenter", f"--target={self.first_process}", "--cgroup", "--mount", "--pid"]


def run_in(command: list[str], *arguments: str) -> str:
    """Run a program somewhere else, and give back what it wrote."""
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=patient(60))
    assert done.returncode == 0, done.stderr
    return done.stdout
