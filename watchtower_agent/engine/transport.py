"""The SDK's way over a unix socket, with two of its faults mended.

Its pool is keyed by full URL, so a call per container leaves an idle connection per container; and a connection that is
refused is never closed. Nothing else is changed.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

CONNECTIONS = 16
"""Idle connections kept: as many as there are threads that call."""


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(self.timeout)
            link.connect(self.unix_socket)
        except BaseException:
            link.close()
            raise
        self.sock = link


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> _Connection:  # type: ignore[override] # a connection of the SDK, as in the method it replaces
        return _Connection(self.base_url, self.socket_path, self.timeout)  # type: ignore[arg-type] # urllib3 takes both


class UnixAdapter(UnixHTTPAdapter):
    """One pool for all URLs.

    Args:
        path: Of the socket.
        timeout: Seconds for a connection.
    """

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(f"http+unix://{path}", timeout)  # type: ignore[arg-type] # the stubs say int
        self._pool = _Pool(
            "http+docker://localhost",
            path,
            timeout,  # type: ignore[arg-type] # the stubs say int
            maxsize=CONNECTIONS,
        )

    def get_connection(self, url: str | bytes, proxies: Mapping[str, str] | None = None) -> _Pool:  # noqa: ARG002 - the SDK's signature
        """The pool, whatever the URL."""
        return self._pool

    def close(self) -> None:
        """Close idle connections."""
        super().close()
        self._pool.close()
