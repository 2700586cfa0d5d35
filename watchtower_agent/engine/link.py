"""The way to the engine, and what is asked over it: the version is negotiated, and answers are checked.

What the calls mean is in `calls.py` and in the other modules of calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.endpoints import ours
from watchtower_agent.engine.fields import mapping
from watchtower_agent.engine.podman import is_podman
from watchtower_agent.engine.socket_transport import SocketConnection, SocketTransport
from watchtower_agent.engine.translation import EngineRefusedError, accepted, translated
from watchtower_agent.engine.transport import Transport
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A way to the engine, and the version of the API that is spoken over it.

    Attributes:
        transport: The way.
        version: Of the API, without a "v".
        podman: Whether that answers in place of a Docker Engine.
    """

    transport: Transport
    version: str
    podman: bool = False

    def target(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """What is asked for, as it is on the wire."""
        return f"/v{self.version}{path}{'?' if params else ''}{urlencode(params or {})}"


class EngineLink:
    """Asks one engine. Every thread may use it. Every question raises AbsentError, PermanentError or TemporaryError.

    Args:
        address: Where the engine is.
        timeout: Seconds for an answer, beyond what a call takes by its nature.
    """

    def __init__(self, address: EngineAddress, *, timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self._way = _way(address, timeout)
        self._lock = threading.Lock()
        self._link: Connected | None = None
        self._closed = False

    def connect_anew(self) -> None:
        """Negotiate the API's version again.

        It is fixed for a connection's life, so this is for after every outage: the daemon may be a new one.
        """
        fresh = self._build()
        with self._lock:
            left, self._link = (fresh, None) if self._closed else (self._link, fresh)
        if left is not None:
            left.transport.close()

    def close(self) -> None:
        """Close idle connections. Whoever still asks, in a thread of its own, is answered; nothing is kept after it."""
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
        if link is not None:
            link.transport.close()

    def not_podman(self, what: str) -> None:
        """Refuse what has not been made sure of with Podman.

        Args:
            what: What is refused, as the beginning of a sentence for people.

        Raises:
            PermanentError: It is Podman.
        """
        if self.linked().podman:
            raise PermanentError(f"{what}: the agent does that with a Docker Engine only, and this is Podman")

    def get(
        self, path: str, *, what: str, params: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> object:
        """GET a JSON document.

        Args:
            path: Without the version, quoted.
            what: What it is for, in words that follow "the engine refused".
            params: The query.
            timeout: Seconds until EngineTimeoutError; None for those of every call.
        """
        with translated(what, "GET", path):
            link = self.linked()
            limit = self.timeout if timeout is None else timeout
            return accepted(link.transport.ask("GET", link.target(ours("GET", path), params), timeout=limit)).json()

    def head(self, path: str, *, what: str, params: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """HEAD: what an answer's headers say, by their names in small letters; arguments as of `get`."""
        with translated(what, "HEAD", path):
            link = self.linked()
            target = link.target(ours("HEAD", path), params)
            return accepted(link.transport.ask("HEAD", target, timeout=self.timeout)).headers

    def post(
        self,
        path: str,
        *,
        what: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        timeout: float,
    ) -> object:
        """POST, without a body or with JSON.

        Args:
            path: Without the version, quoted.
            what: What it is for, in words that follow "the engine refused".
            params: The query.
            body: A JSON object.
            timeout: Seconds until EngineTimeoutError.

        Returns:
            The answer to JSON, which is JSON; None for nothing.
        """
        with translated(what, "POST", path):
            link = self.linked()
            target = link.target(ours("POST", path), params)
            answer = accepted(link.transport.ask("POST", target, body=body, timeout=timeout))
            return answer.json() if body is not None and answer.content else None

    def delete(self, path: str, *, what: str, params: Mapping[str, str] | None = None, timeout: float) -> None:
        """DELETE; arguments as of `post`."""
        with translated(what, "DELETE", path):
            link = self.linked()
            target = link.target(ours("DELETE", path), params)
            accepted(link.transport.ask("DELETE", target, timeout=timeout))

    def linked(self) -> Connected:
        """The way that is in use; a new one where there is none."""
        with self._lock:
            link = self._link
        if link is not None:
            return link
        fresh = self._build()
        with self._lock:
            link = self._link
            if link is None and not self._closed:
                self._link = fresh
                return fresh
        fresh.transport.close()
        return link or fresh

    def _build(self) -> Connected:
        """A way whose version is negotiated."""
        with translated(f"connecting to {self.address.url}", "GET", "/version"):
            self._look_at_socket()
            transport = self._way()
            try:
                answer = accepted(transport.ask("GET", "/version", timeout=self.timeout))
                said = mapping(answer.json())
                return Connected(transport=transport, version=str(said["ApiVersion"]), podman=is_podman(said))
            except BaseException:
                transport.close()
                raise

    def _look_at_socket(self) -> None:
        """Connecting to a file or a folder is refused as if nobody listened: say what is wrong."""
        path = self.address.socket_path
        if path and Path(path).exists() and not Path(path).is_socket():
            raise EngineRefusedError(
                f"connecting to {self.address.url}: {path} is no socket; set engine.url to the engine's"
            )


def _way(address: EngineAddress, timeout: float) -> Callable[[], Transport]:
    """Makes ways to the engine.

    Raises:
        SettingsError: Its TLS files do not fit.
    """
    if address.socket_path:
        return lambda: SocketTransport(partial(SocketConnection, address.socket_path))
    if address.ssh is not None:
        from watchtower_agent.engine.ssh_connection import ssh_transport  # noqa: PLC0415 - few need it

        return partial(ssh_transport, address.ssh, address.ssh_config)
    # Only an engine elsewhere needs it, and it takes a tenth of the start to load.
    from watchtower_agent.engine.sdk_transport import SdkTransport, tls_of  # noqa: PLC0415

    tls = tls_of(address)
    return lambda: SdkTransport(address.url, tls, timeout)
