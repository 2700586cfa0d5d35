"""The process behind a unix socket: another one means that the daemon (or a proxy before it) was restarted."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path


def peer_process(socket_path: str) -> tuple[int, int] | None:
    """Pid and start ticks of the process that listens on a unix socket; None where that is not to be known.

    With socket activation it is the init process that listens, which outlives every daemon: that tells nothing.
    """
    if not socket_path:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        probe.connect(socket_path)
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", credentials)[0]
        if pid > 1:
            after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
            return pid, int(after_name.split()[19])
    return None


def process_age(process: tuple[int, int] | None) -> float | None:
    """Seconds since that process started; None where that is not to be known."""
    if process is None:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        age = uptime - process[1] / os.sysconf("SC_CLK_TCK")
        if age >= 0:  # else a container's own uptime was shown
            return age
    return None
