"""Which file a thread waits for that does not come back, as the kernel tells it. Asked only when something hangs."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final, NamedTuple


class _Calls(NamedTuple):
    """Numbers of system calls (Linux, `arch/*/…/syscall.tbl`)."""

    pread64: int
    openat: int


_CALLS: Final = {"x86_64": _Calls(17, 257), "aarch64": _Calls(67, 56)}
_LONGEST_PATH: Final = 4096


def file_waited_for(thread_id: int) -> str:
    """The file that a thread of this process opens or reads at this moment; empty where that can't be told.

    Args:
        thread_id: As the kernel counts (`threading.Thread.native_id`).
    """
    calls = _CALLS.get(platform.machine())
    if calls is None:
        return ""
    try:
        words = Path(f"/proc/self/task/{thread_id}/syscall").read_text().split()
        # A number and six arguments, or `running`, or of a call that is not known only where it stands.
        call, arguments = int(words[0]), [int(word, 16) for word in words[1:]]
        if call == calls.pread64:
            return os.readlink(f"/proc/self/fd/{arguments[0]}")  # noqa: PTH115 - what it names need not be a path
        if call == calls.openat:
            return _text_at(arguments[1])
    except (OSError, ValueError, IndexError):  # it has come back meanwhile, or a kernel without this file
        pass
    return ""


def _text_at(address: int) -> str:
    """The text at an address of this process. Of memory that was given back the kernel answers with an error."""
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        text, end, _ = os.pread(memory.fileno(), _LONGEST_PATH, address).partition(b"\0")
    return os.fsdecode(text) if end and text.startswith(b"/") else ""
