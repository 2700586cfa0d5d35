"""A TCP relay that can be told to misbehave: cut, swallow, delay, refuse."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class TcpProxy:
    """Relays 127.0.0.1:`port` to a target on the same host. Lives in the test's event loop.

    Args:
        target_port: Where to, on 127.0.0.1.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.delay = 0.0
        """Seconds by which every piece is late, in both directions."""
        self.accepted = 0
        """Connections taken so far."""

    async def start(self) -> Self:
        """Listen; a later start after `refuse` takes the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def cut(self) -> None:
        """Reset every connection; new ones are taken."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def blackhole(self) -> None:
        """From now on nothing passes in either direction, and nobody is told."""
        self._open.clear()

    def pass_again(self) -> None:
        """End a blackhole; what was swallowed meanwhile arrives late."""
        self._open.set()

    async def refuse(self) -> None:
        """Reset every connection and listen no more, until the next start."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def stop(self) -> None:
        """End it."""
        await self.refuse()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.accepted += 1
        try:
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers.add(back_writer)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._relay(reader, back_writer))
                    both.create_task(self._relay(back_reader, writer))
            finally:
                self._writers.discard(back_writer)
                back_writer.transport.abort()
        except (OSError, asyncio.CancelledError, BaseExceptionGroup):
            pass  # either end went away, or the proxy was stopped: the other end is told below
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._open.wait()
                writer.write(piece)
                await writer.drain()
        await self._open.wait()  # a silent network does not tell of an end, either
        with contextlib.suppress(OSError):
            writer.write_eof()
