"""The unix socket by which the command line talks to the running agent. Its file mode is the access control."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import structlog

from watchtower_agent.errors import FatalError, WatchtowerError
from watchtower_agent.ports.control import Control
from watchtower_agent.serving.asking import ask
from watchtower_agent.serving.protocol import LARGEST_REQUEST, LONGEST_SOCKET_PATH, VERSION, line
from watchtower_agent.serving.request import RequestError, parsed

REQUEST_TIME: Final = 10.0
"""Seconds in which a request must have come after the connection was made."""
WRITE_TIME: Final = 30.0
"""Seconds in which a follower must take one line; then it is let go."""
MOST_CONNECTIONS: Final = 64
BACKLOG: Final = 100
ACCEPT_AGAIN: Final = 1.0
"""Seconds until the next try, where the process or the host has no file left for a connection."""

_log = structlog.get_logger()


class ControlServer:
    """Answers over the socket, from `start` until `close`. Also an async context."""

    def __init__(
        self,
        control: Control,
        path: Path,
        *,
        mode: int = 0o660,
        request_time: float = REQUEST_TIME,
        write_time: float = WRITE_TIME,
    ) -> None:
        """Answer nothing yet.

        Args:
            control: What knows the answers.
            path: Of the socket file.
            mode: Of the socket file.
            request_time: Seconds in which a request must have come.
            write_time: Seconds in which a line must be taken.
        """
        self._control = control
        self._path = path
        self._mode = mode
        self._request_time = request_time
        self._write_time = write_time
        self._listener: socket.socket | None = None
        self._again: asyncio.TimerHandle | None = None
        self._inode = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Make the socket and begin to answer.

        Raises:
            FatalError: The socket can't be made, or another agent answers on it.
        """
        self._listener = self._bound_socket()
        self._listener.setblocking(False)  # noqa: FBT003 - it takes no name
        self._listener.listen(BACKLOG)
        self._listen(self._listener)

    async def close(self) -> None:
        """Stop answering, let every connection go, and remove the socket file if it is still ours."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        if self._again is not None:
            self._again.cancel()
        self._listener.close()
        self._listener = None
        await asyncio.sleep(0)  # a task that has not begun would leave its socket open
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _listen(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Take one. Not by asyncio's own server: what that has accepted but not begun with, nobody can let go."""
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # gone again
        except OSError as error:
            _log.warning("control_accept_failed", error=error.strerror, again_in=ACCEPT_AGAIN)
            loop.remove_reader(listener)
            self._again = loop.call_later(ACCEPT_AGAIN, self._listen, listener)
            return
        task = loop.create_task(self._connected(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _bound_socket(self) -> socket.socket:
        length = len(os.fsencode(self._path))
        if length > LONGEST_SOCKET_PATH:
            raise FatalError(
                f"The control socket's path {self._path} has {length} bytes; Linux takes {LONGEST_SOCKET_PATH} "
                "at most. Set control.socket to a shorter one."
            )
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._clear_the_way()
            # Nobody may connect between bind and chmod: the file is made closed, then opened to its mode.
            before = os.umask(0o777)
            try:
                bound.bind(str(self._path))
            finally:
                os.umask(before)
            self._path.chmod(self._mode)
            self._inode = self._path.lstat().st_ino
        except OSError as error:
            bound.close()
            raise FatalError(
                f"The control socket {self._path} can't be made: {error.strerror}. "
                "Set control.socket to a path where the agent may write."
            ) from None
        except FatalError:
            bound.close()
            raise
        return bound

    def _clear_the_way(self) -> None:
        """Remove what an agent that was killed left. A file that is no socket is somebody's, and stays."""
        if not self._path.is_socket():
            if self._path.exists():
                raise FatalError(f"{self._path} is there and is no socket. Set control.socket to another path.")
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._path))
            except (ConnectionRefusedError, FileNotFoundError):
                self._path.unlink(missing_ok=True)
                return
            except TimeoutError:
                pass  # a full backlog: somebody listens
        raise FatalError(
            f"Another agent answers at {self._path}. "
            "Stop it first, or give this one its own control.socket and state_dir."
        )

    async def _connected(self, connection: socket.socket) -> None:
        full = len(self._connections) > MOST_CONNECTIONS
        try:
            connection.setblocking(False)  # noqa: FBT003 - it takes no name
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LARGEST_REQUEST)
        except (OSError, asyncio.CancelledError):
            connection.close()
            return
        try:
            await self._serve(reader, writer, full=full)
        except (OSError, TimeoutError):
            pass  # whoever asked is gone or does not read
        except asyncio.CancelledError:
            pass  # the agent stops; nothing awaits this task but `close`
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, full: bool) -> None:
        try:
            command, arguments = await self._request(reader)
        except RequestError as error:
            await self._send(writer, _refusal(str(error)))
            return
        if full:
            await self._send(writer, _refusal("too many connections to the agent, close some"))
        elif command == "follow":
            await self._follow(reader, writer)
        else:
            await self._send(writer, await self._answer(command, arguments))

    async def _answer(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        try:
            return {"version": VERSION, "ok": True, "result": await ask(self._control, command, arguments)}
        except WatchtowerError as error:
            return _refusal(str(error))
        except Exception:  # noqa: BLE001 - a fault in one answer must not end the agent; it is logged with its stack
            _log.exception("control_request_failed")
            return _refusal("the agent could not answer because of a fault of its own, see its log")

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, Mapping[str, object]]:
        try:
            async with asyncio.timeout(self._request_time):
                line_read = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        except asyncio.LimitOverrunError:
            # A socket that is closed over unread bytes resets the connection, and the refusal in it is lost.
            async with asyncio.timeout(self._request_time):
                await reader.read(LARGEST_REQUEST * 4)
            raise RequestError(f"the request is longer than {LARGEST_REQUEST} bytes") from None
        return parsed(line_read)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send events until the other side goes. Only this task waits for a slow reader; the agent never does."""
        gone = asyncio.create_task(reader.read(1), name="control-follower-gone")
        sending = asyncio.create_task(self._send_events(writer), name="control-follower")
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)

    async def _send_events(self, writer: asyncio.StreamWriter) -> None:
        events = self._control.follow()
        # The first is asked for before the answer goes out: who has the answer misses nothing from then on.
        following = asyncio.ensure_future(anext(events, None))
        try:
            await self._send(writer, {"version": VERSION, "ok": True, "result": {}})
            while (event := await following) is not None:
                await self._send(writer, event)
                following = asyncio.ensure_future(anext(events, None))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _send(self, writer: asyncio.StreamWriter, message: Mapping[str, object]) -> None:
        writer.write(line(message))
        async with asyncio.timeout(self._write_time):
            await writer.drain()


def _refusal(sentence: str) -> Mapping[str, object]:
    return {"version": VERSION, "ok": False, "error": sentence}
