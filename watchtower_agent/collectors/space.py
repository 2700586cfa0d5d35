"""How much space there is on a file system at this moment: asked between two deletions, not sampled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import Final

from watchtower_agent.model.removal import Space

PATIENCE: Final = 5.0
"""Seconds after which a file system that does not answer is not waited for."""


async def measure(
    path: str, *, statvfs: Callable[[str], os.statvfs_result] = os.statvfs, patience: float = PATIENCE
) -> Space | None:
    """How much there is, as `df` counts it for ordinary users; None: that can't be told.

    Asked on a thread of its own, which is left behind if no answer ever comes: a disk in the network may be gone.

    Args:
        path: On the file system.
        statvfs: The system call.
        patience: Seconds.
    """
    if not path:
        return None
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[os.statvfs_result | None] = loop.create_future()

    def ask() -> None:
        facts = None
        with contextlib.suppress(OSError):
            facts = statvfs(path)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, answer, facts)

    threading.Thread(target=ask, name="space", daemon=True).start()
    try:
        facts = await asyncio.wait_for(answer, patience)
    except TimeoutError:
        return None
    return None if facts is None else space_of(facts)


def space_of(facts: os.statvfs_result) -> Space | None:
    """What statvfs says; None for a file system that says nothing. Blocks that only root may use count as used."""
    total = facts.f_blocks - facts.f_bfree + facts.f_bavail
    if total <= 0:
        return None
    return Space(
        total=total * facts.f_frsize,
        free=facts.f_bavail * facts.f_frsize,
        inodes=facts.f_files,
        free_inodes=facts.f_ffree,
    )


def _settle(answer: asyncio.Future[os.statvfs_result | None], facts: os.statvfs_result | None) -> None:
    if not answer.done():
        answer.set_result(facts)
