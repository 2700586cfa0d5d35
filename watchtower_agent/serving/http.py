"""HTTP for monitoring: /metrics, /healthz, /readyz. One request a connection, everything bounded."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog

from watchtower_agent.ports.monitoring import Monitored
from watchtower_agent.serving.http_request import LONGEST_HEAD, BadRequestError, HttpRequest, parsed

if TYPE_CHECKING:
    from watchtower_agent.serving.exposition import Writer

REQUEST_TIME: Final = 5.0
"""Seconds in which a request must have come after the connection was made."""
ANSWER_TIME: Final = 10.0
"""Seconds in which an answer is made, and in which it must be taken."""
MOST_CONNECTIONS: Final = 32
MOST_SCRAPES: Final = 4
"""Answers to /metrics that are being made or sent: each of a full host is a megabyte. Others wait."""
REST: Final = 4.0
"""After an answer to /metrics was made the next one is made no sooner than after so many times what that took: whoever
asks all the time has a fifth of the loop's time at most."""
RETRY: Final = 10.0
"""Seconds between tries to listen where the port is in use."""
_UNREAD: Final = 1 << 16
"""Bytes of what follows a request that are read and thrown away."""

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_PLAIN: Final = "text/plain; charset=utf-8"

_log = structlog.get_logger("watchtower_agent")


class HttpServer:
    """Answers over HTTP while `run` runs.

    Args:
        host: Of the address to listen on.
        port: Of it.
        labels: A container's label -> under which name it stands beside its series.
        request_time: Seconds in which a request must have come.
        answer_time: Seconds in which an answer must be taken.
        retry: Seconds between tries to listen.

    Attributes:
        listening: Where it listens: `host:port`; empty while it does not.
        error: Why it does not listen; empty while it does.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        labels: Mapping[str, str],
        request_time: float = REQUEST_TIME,
        answer_time: float = ANSWER_TIME,
        retry: float = RETRY,
    ) -> None:
        self._host, self._port = host, port
        self._labels = labels
        self._request_time, self._answer_time, self._retry = request_time, answer_time, retry
        self._writer: Writer | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._scrapes = asyncio.Semaphore(MOST_SCRAPES)
        self._writing = asyncio.Lock()
        self._rest_until = 0.0
        self.listening = ""
        self.error = ""

    async def run(self, monitored: Monitored) -> None:
        """Listen, and answer until cancelled. Where the port is in use it is tried for ever.

        Args:
            monitored: What knows the answers.
        """
        server = await self._listen(monitored)
        try:
            await asyncio.Event().wait()
        finally:
            self.listening = ""
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _listen(self, monitored: Monitored) -> asyncio.Server:
        address = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        while True:
            try:
                server = await asyncio.start_server(
                    functools.partial(self._connected, monitored),
                    self._host,
                    self._port,
                    limit=LONGEST_HEAD,
                    backlog=MOST_CONNECTIONS,
                )
            except OSError as error:
                reason = f"The address {address} (http.listen) can't be listened on: {_words(error)}."
                if reason != self.error:
                    consequence = (
                        f"/metrics, /healthz and /readyz are not answered; it is tried again every {self._retry:g} s"
                    )
                    remedy = "end what uses it, or set http.listen to another address, or to null for none"
                    _log.warning("http_not_listening", error=reason, consequence=consequence, remedy=remedy)
                self.error = reason
                await asyncio.sleep(self._retry)
            else:
                self.listening, self.error = address, ""
                _log.info("http_listening", address=address)
                return server

    async def _connected(
        self, monitored: Monitored, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > MOST_CONNECTIONS:
                writer.transport.abort()  # not a word: an answer would have to be waited for
                return
            await self._serve(monitored, reader, writer)
            await self._part(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # whoever asked is gone, says nothing or does not read
        except asyncio.CancelledError:
            pass  # the agent stops; nothing awaits this task but `run`
        except Exception:  # noqa: BLE001 - a fault in one answer must not end the agent; it is logged with its stack
            _log.exception("http_request_failed")
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _part(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let the answer arrive: a connection that is closed over unread bytes is reset, and the answer is lost."""
        async with asyncio.timeout(self._answer_time):
            await writer.drain()
            writer.write_eof()
            left = _UNREAD
            while left > 0 and (unread := await reader.read(left)):
                left -= len(unread)

    async def _serve(self, monitored: Monitored, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._request_time):
                request = parsed(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            self._say(writer, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")
            return
        except BadRequestError as error:
            self._say(writer, HTTPStatus(error.status), str(error))
            return
        match request.path:
            case "/metrics":
                await self._metrics(monitored, request, writer)
            case "/healthz":
                self._tell(writer, "alive", monitored.ailing(), head_only=request.head_only)
            case "/readyz":
                self._tell(writer, "ready", monitored.not_ready(), head_only=request.head_only)
            case "/":
                paths = "/metrics\n/healthz\n/readyz"
                self._say(writer, HTTPStatus.OK, paths, head_only=request.head_only)
            case _:
                there_is = "there is /metrics, /healthz and /readyz"
                self._say(writer, HTTPStatus.NOT_FOUND, there_is, head_only=request.head_only)

    def _tell(self, writer: asyncio.StreamWriter, well: str, reasons: Sequence[str], *, head_only: bool) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        self._say(writer, status, "\n".join(reasons) or well, head_only=head_only)

    async def _metrics(self, monitored: Monitored, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._answer_time):
                await self._scrapes.acquire()
        except TimeoutError:
            self._say(writer, HTTPStatus.SERVICE_UNAVAILABLE, "too many ask for the metrics at once")
            return
        try:
            pieces = await self._made(monitored, openmetrics=request.openmetrics)
            if pieces is None:
                self._say(writer, HTTPStatus.SERVICE_UNAVAILABLE, "the metrics can't be told in time")
                return
            content_type = _OPENMETRICS if request.openmetrics else _TEXT
            _head(writer, HTTPStatus.OK, content_type, sum(map(len, pieces)))
            async with asyncio.timeout(self._answer_time):
                for piece in () if request.head_only else pieces:
                    writer.write(piece)
                    await writer.drain()
        finally:
            self._scrapes.release()

    def label(self, labels: Mapping[str, str]) -> None:
        """From the next scrape on these labels stand beside their series."""
        self._labels, self._writer = labels, None

    async def _made(self, monitored: Monitored, *, openmetrics: bool) -> list[bytes] | None:
        try:
            async with asyncio.timeout(self._answer_time):
                return await self._written(monitored, openmetrics=openmetrics)
        except TimeoutError:
            return None

    async def _written(self, monitored: Monitored, *, openmetrics: bool) -> list[bytes]:
        """The text of all metrics, made with turns of the loop in between for whoever has something to do."""
        loop = asyncio.get_running_loop()
        async with self._writing:
            await asyncio.sleep(max(0.0, self._rest_until - loop.time()))
            while (writer := self._writer) is None:
                labels = self._labels
                made = await asyncio.to_thread(_writer, labels)
                if labels is self._labels:  # else they were changed meanwhile
                    self._writer = made
            began = loop.time()
            exposition = await monitored.exposition()
            pieces = []
            for piece in writer.written(exposition, openmetrics=openmetrics):
                pieces.append(piece)
                await asyncio.sleep(0)
            ended = loop.time()
            self._rest_until = ended + REST * (ended - began)
            return pieces

    def _say(self, writer: asyncio.StreamWriter, status: HTTPStatus, words: str, *, head_only: bool = False) -> None:
        body = f"{words}\n".encode("utf-8", "replace")
        _head(writer, status, _PLAIN, len(body))
        if not head_only:
            writer.write(body)


def _head(writer: asyncio.StreamWriter, status: HTTPStatus, content_type: str, length: int) -> None:
    allow = "Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    writer.write(
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n"
        f"{allow}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n".encode()
    )


def _writer(labels: Mapping[str, str]) -> Writer:
    """Made at the first scrape, in a thread: an agent that nobody scrapes does without the library behind it."""
    from watchtower_agent.serving.exposition import Writer  # noqa: PLC0415 - see above

    return Writer(labels)


def _words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error.strerror or error)
