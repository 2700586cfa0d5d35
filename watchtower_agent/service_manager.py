"""What systemd is told, by the protocol of sd_notify(3), and its watchdog. Without systemd nothing is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping, Sequence

import structlog

log = structlog.get_logger(__name__)

_FEED_LEAST = 1.0
_SLACK = 30.0
"""Seconds that a sign of life may be late."""
_STATUS_EVERY = 10.0
"""Seconds between looks at how the agent is doing where there is no watchdog."""


class ServiceManager:
    """Tells whoever runs this process as a service how far it is.

    Args:
        address: Of its socket; empty: nobody runs it as a service.
        watchdog: Seconds without a sign of life after which it starts the process anew; 0: never.
    """

    def __init__(self, address: str = "", *, watchdog: float = 0.0) -> None:
        self._address = address
        self._watchdog = watchdog
        self._told_stuck: list[str] = []
        self._told_status = ""

    @classmethod
    def of(cls, environment: MutableMapping[str, str], pid: int) -> ServiceManager:
        """As systemd's variables tell. They are taken out, since they are meant for this process alone."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", "")
        watchdog = 0.0
        if microseconds.isascii() and microseconds.isdigit() and meant in {"", str(pid)}:
            watchdog = int(microseconds) / 1e6
        return cls(address, watchdog=watchdog)

    def ready(self, status: str) -> None:
        """The agent does its work."""
        self._tell("READY=1", f"STATUS={_line(status)}")

    def waits_for(self, what: str, seconds: float) -> None:
        """It can't be ready yet, and tells so again within that time: it is not to be ended for it."""
        extended = round((seconds + _SLACK) * 1e6)
        self._tell(f"EXTEND_TIMEOUT_USEC={extended}", f"STATUS=waits for {_line(what)}")

    def reloading(self, now: float) -> None:
        """It reads its policies anew; `ready` follows. `now` is monotonic."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={round(now * 1e6)}")

    def stopping(self) -> None:
        """It has begun to end."""
        self._tell("STOPPING=1", "STATUS=ends: actions under way, then what is left to publish")

    async def watch(self, stuck: Callable[[], Sequence[str]], status: Callable[[], str]) -> None:
        """Give signs of life for as long as nothing is stuck, until cancelled.

        Args:
            stuck: What stands still, in words.
            status: How the agent is doing, in a line.
        """
        every = max(_FEED_LEAST, self._watchdog / 4) if self._watchdog else _STATUS_EVERY
        while self._address:
            self._feed(stuck(), status())
            await asyncio.sleep(every)
        await asyncio.Event().wait()

    def _feed(self, stuck: Sequence[str], status: str) -> None:
        if stuck and not self._told_stuck:
            log.critical(
                "stands_still",
                what=list(stuck),
                consequence=f"systemd starts the agent anew in {self._watchdog:g} s at the latest, unless it goes on"
                if self._watchdog
                else "nothing watches over the agent: start it anew",
            )
        elif self._told_stuck and not stuck:
            log.warning("goes_on_again", what=self._told_stuck)
        self._told_stuck = list(stuck)
        lines = [] if stuck or not self._watchdog else ["WATCHDOG=1"]
        text = f"stands still: {', '.join(stuck)}" if stuck else status
        if text != self._told_status:
            self._told_status = text
            lines.append(f"STATUS={_line(text)}")
        self._tell(*lines)

    def _tell(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        # An address that begins with @ is in the abstract namespace, which the kernel spells with a zero byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # systemd may be too busy, or started anew: what it missed now it is told again soon.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line,
        ):
            line.setblocking(False)  # noqa: FBT003 - the standard library's
            line.sendto("\n".join(lines).encode("utf-8", "replace"), address)


def _line(text: str) -> str:
    return " ".join(text.split())


def of_this_process() -> ServiceManager:
    """As the environment of this process tells."""
    return ServiceManager.of(os.environ, os.getpid())
