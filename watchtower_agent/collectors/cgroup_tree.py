"""Which cgroup hierarchies this host has, and where: v2, v1, or both at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from watchtower_agent.collectors.files import UnreadableError, read_once
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.values import dataclass

NOTHING_KNOWN = "CPU and memory of containers are unknown"
"""Stands in what is told of a tree that can't be used, where nothing else is asked instead."""

MEMORY_OFF = (
    "The kernel's memory controller is off: the memory of containers is unknown. Add "
    "cgroup_enable=memory swapaccount=1 to the kernel's command line (Raspberry Pi: /boot/firmware/cmdline.txt) and "
    "reboot."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupTree:
    """The hierarchies below one root.

    Attributes:
        root: Where the tree is mounted, usually `/sys/fs/cgroup`.
        v1: Controller -> the directory where its v1 hierarchy is mounted. Controllers may share one.
        unified: Where the v2 hierarchy is mounted, empty when it is not.
        unified_controllers: Controllers that the v2 hierarchy offers; on a hybrid host often none.
    """

    root: str
    v1: Mapping[str, str] = field(default_factory=dict)
    unified: str = ""
    unified_controllers: frozenset[str] = frozenset()

    @property
    def accounting(self) -> str:
        """The hierarchy that accounts CPU time: v1's `cpuacct`, else v2, which always does."""
        return self.v1.get("cpuacct") or self.unified

    @property
    def memory(self) -> str:
        """The hierarchy that accounts memory, empty when the kernel's memory controller is off."""
        return self.v1.get("memory") or (self.unified if "memory" in self.unified_controllers else "")


def discover(root: str) -> CgroupTree:
    """Look what is mounted below a root.

    Raises:
        UnreadableError: There is no cgroup tree, or it can't be read. The text says what to do.
    """
    controllers = _unified_controllers(root)
    if controllers is not None:
        return CgroupTree(root=root, unified=root, unified_controllers=controllers)
    v1: dict[str, str] = {}
    unified, offered = "", frozenset[str]()
    for name in _directories(root):
        directory = f"{root}/{name}"
        controllers = _unified_controllers(directory)
        if controllers is not None:
            unified, offered = directory, controllers
        elif Path(directory, "cgroup.procs").exists():
            # `cpu` is often a link to `cpu,cpuacct`: either name leads to the same files
            v1.update(dict.fromkeys(name.split(","), directory))
    if "cpuacct" not in v1 and not unified:
        raise UnreadableError(
            f"There is no cgroup hierarchy below {root}: {NOTHING_KNOWN}. Set "
            "sampling.cgroup_root to where the host's tree is mounted."
        )
    return CgroupTree(root=root, v1=v1, unified=unified, unified_controllers=offered)


def _directories(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise UnreadableError(
            f"The cgroup tree {root} can't be read ({error.strerror}): {NOTHING_KNOWN}. "
            "Give the agent read access to it, or set sampling.cgroup_root to where the host's tree is mounted."
        ) from error


def _unified_controllers(directory: str) -> frozenset[str] | None:
    try:
        data = read_once(f"{directory}/cgroup.controllers", 1024)
    except PermanentError:
        return None
    return frozenset(data.decode("ascii", "replace").split())
