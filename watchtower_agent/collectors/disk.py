"""The file system that holds the engine's data-root."""

from __future__ import annotations

import os

from watchtower_agent.collectors.tick import Tick


class DiskCollector:
    """Asks statvfs, a system call of 2 µs, at each tick. The data-root itself is never walked.

    `host.disk.percent` is what `df` shows: used / (used + free for ordinary users). A file system without a fixed
    number of inodes (btrfs) has `host.disk.inodes_percent` unknown.
    """

    name = "disk"

    def collect(self, tick: Tick) -> None:
        """Read it. The data of an engine on another host is unknown, and no failure."""
        data_root = tick.request.engine.data_root
        if not data_root:
            return
        try:
            facts = os.statvfs(data_root)
        except FileNotFoundError:
            tick.failures[self.name] = (
                f"The engine's data-root {data_root} does not exist here: host.disk is unknown. An agent in a "
                f"container needs a volume there, it is on the same file system (-v watchtower-disk:{data_root}:ro). "
                "An engine in a virtual machine keeps its data out of reach."
            )
            return
        except OSError as error:
            tick.failures[self.name] = f"The file system of {data_root} can't be asked: {error.strerror}."
            return
        used = facts.f_blocks - facts.f_bfree
        if used + facts.f_bavail > 0:
            tick.host["host.disk.percent"] = 100 * used / (used + facts.f_bavail)
            tick.host["host.disk.free"] = facts.f_bavail * facts.f_frsize
        if facts.f_files > 0:
            tick.host["host.disk.inodes_percent"] = 100 * (facts.f_files - facts.f_ffree) / facts.f_files

    def close(self) -> None:
        """Nothing is kept open here."""
