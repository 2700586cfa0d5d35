"""A socket as systemd's, on which a service tells how far it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Self


class Ear:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(0)

    async def hear(self) -> list[str]:
        said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 4096), 10)
        return said.decode().split("\n")

    def silent(self) -> bool:
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    async def nothing_for(self, seconds: float) -> bool:
        """Whether nothing is said for so long."""
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 4096), seconds)
        except TimeoutError:
            return True
        return False

    async def until(self, heard: Callable[[list[str]], bool]) -> list[str]:
        """The next message of which it holds."""
        while not heard(said := await self.hear()):
            pass
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
