"""Signs of life over a unix socket: one request every few seconds, for ever, on a connection that is kept."""

from __future__ import annotations

import http.client
import threading

from watchtower_agent.engine.socket_transport import SocketConnection

_LONGEST = 4096
"""Bytes of an answer; the engine's is two."""


class Heartbeat:
    """`GET /_ping` at a quarter of what it costs through the SDK.

    Args:
        path: Of the socket.
        timeout: Seconds for each part of an answer.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._lock = threading.Lock()
        self._kept: SocketConnection | None = None
        self._closed = False

    def ask(self) -> None:
        """Return once the engine has answered.

        Raises:
            OSError: It can't be reached, does not answer in time, or answers with an error.
            http.client.HTTPException: What answers does not speak HTTP.
        """
        with self._lock:
            connection, self._kept = self._kept, None
        if connection is not None:
            try:
                self._ask(connection)
            except ConnectionError:
                pass  # the engine has closed it since, or is another one by now: that says nothing of how it is
            else:
                return
        self._ask(SocketConnection(self._path, self._timeout))

    def close(self) -> None:
        """Close the connection that is kept, and that of who asks at this moment once it was answered."""
        with self._lock:
            self._closed = True
            connection, self._kept = self._kept, None
        if connection is not None:
            connection.close()

    def _ask(self, connection: SocketConnection) -> None:
        try:
            connection.request("GET", "/_ping")
            response = connection.getresponse()
            response.read(_LONGEST)
        except BaseException:
            connection.close()
            raise
        if response.status != http.client.OK or not response.isclosed():
            connection.close()
            raise OSError(f"it answered {response.status} {response.reason}".rstrip())
        with self._lock:
            spare, self._kept = (connection, None) if self._closed else (self._kept, connection)
        if spare is not None:  # two asked at the same time, of which one is enough, or nobody will ask again
            spare.close()
