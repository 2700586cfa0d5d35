"""A cgroup for containers to be started in, limited itself: by files, or as a slice where systemd owns the tree."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.engine import PrivateEngine
from watchtower_agent.collectors.cgroup_tree import discover

ROOT = Path("/sys/fs/cgroup")
PERIOD = 100_000
"""Microseconds."""


@contextlib.contextmanager
def limited_parent(engine: PrivateEngine, *, cores: float, memory: int) -> Iterator[str]:
    """Make one, and remove it afterwards.

    Args:
        engine: Starts containers in it.
        cores: Its quota.
        memory: Its limit in bytes.

    Yields:
        What `--cgroup-parent` takes.
    """
    name = f"wt{os.getpid()}x{secrets.token_hex(3)}"
    if engine.api("GET", "/info")["CgroupDriver"] == "systemd":
        made, parent = _slice(name, cores, memory), f"{name}.slice"
    else:
        made, parent = _directories(name, cores, memory), f"/{name}"
    with made:
        yield parent
        engine.sweep()


@contextlib.contextmanager
def _slice(name: str, cores: float, memory: int) -> Iterator[None]:
    properties = [f"CPUQuota={100 * cores:g}%", f"MemoryMax={memory}"]
    subprocess.run(["systemctl", "set-property", "--runtime", f"{name}.slice", *properties], check=True)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "stop", f"{name}.slice"], check=True)
        subprocess.run(["systemctl", "revert", f"{name}.slice"], check=True, capture_output=True)


@contextlib.contextmanager
def _directories(name: str, cores: float, memory: int) -> Iterator[None]:
    tree = discover(str(ROOT))
    quota = round(cores * PERIOD)
    if tree.v1:
        limits = {"cpu": {"cpu.cfs_quota_us": f"{quota}"}, "memory": {"memory.limit_in_bytes": f"{memory}"}}
        files = {Path(tree.v1[controller], name): wanted for controller, wanted in limits.items()}
    else:
        (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
        files = {ROOT / name: {"cpu.max": f"{quota} {PERIOD}", "memory.max": f"{memory}"}}
    for directory, wanted in files.items():
        directory.mkdir()
        for file, value in wanted.items():
            (directory / file).write_text(value)
    try:
        yield
    finally:
        for hierarchy in {*map(os.path.realpath, (ROOT, *ROOT.iterdir()))}:  # the engine made it in all of them
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                Path(hierarchy, name).rmdir()
