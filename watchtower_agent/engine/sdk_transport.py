"""Requests through the docker SDK, to engines over TCP: it knows TLS as the docker CLI does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import docker
import requests
import urllib3
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import DockerException, TLSParameterError
from docker.tls import TLSConfig

from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.transport import NO_HEADERS, Answer
from watchtower_agent.errors import SettingsError

POOLS = 4
"""The SDK keys its pools by host: few are needed."""
_CHUNK = 65536


def tls_of(address: EngineAddress) -> TLSConfig | None:
    """The files of the address, as the SDK takes them.

    Raises:
        SettingsError: They do not fit.
    """
    files = address.tls
    if files is None:
        return None
    pair = (os.fspath(files.cert), os.fspath(files.key)) if files.cert and files.key else None
    try:
        return TLSConfig(client_cert=pair, ca_cert=os.fspath(files.ca) if files.ca else None, verify=files.verify)
    except TLSParameterError as error:
        raise SettingsError(f"TLS for {address.url}: {error}") from error


class SdkTransport:
    """Implements `Transport`.

    Args:
        url: Of the engine.
        tls: None without TLS.
        timeout: Seconds for an answer where a request names none.
    """

    def __init__(self, url: str, tls: TLSConfig | None, timeout: float) -> None:
        with sdk_errors():
            self._client = docker.APIClient(
                base_url=url,
                version=MINIMUM_DOCKER_API_VERSION,  # else it would ask the engine here
                timeout=timeout,  # type: ignore[arg-type] # the stubs say int, the library passes it on
                tls=tls or False,
                num_pools=POOLS,
            )
        # The engine is spoken to directly, and believed by its own authority: REQUESTS_CA_BUNDLE would
        # override that one. Looking for proxies in the environment is a quarter of a call's price, too.
        self._client.trust_env = False

    def ask(self, method: str, target: str, *, body: Mapping[str, object] | None = None, timeout: float) -> Answer:
        """One request, with JSON or without; `timeout` in seconds for each part of the answer."""
        with sdk_errors():
            response = self._client.request(method, f"{self._client.base_url}{target}", json=body, timeout=timeout)
            headers = (
                {name.lower(): value for name, value in response.headers.items()} if method == "HEAD" else NO_HEADERS
            )
            return Answer(status=response.status_code, content=response.content, headers=headers)

    def open(self, target: str, *, timeout: float) -> SdkStream:
        """GET what has no end; `timeout` in seconds until its begin.

        Requested through the SDK's session, because the SDK's own `events()` has no timeout: against a frozen engine
        it hangs for ever, even before there is a stream.
        """
        with sdk_errors():
            return SdkStream(self._client.get(f"{self._client.base_url}{target}", timeout=timeout, stream=True))

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()


class SdkStream:
    """Implements `Stream`.

    Args:
        response: Of a streaming request whose head was read.
    """

    gathers = False  # what is held between the socket and us, TLS among it, does not tell what it holds

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._raw: urllib3.HTTPResponse = response.raw

    def status(self) -> int:
        """Of HTTP."""
        return self._response.status_code

    def chunks(self) -> Iterator[bytes]:
        """Its body as it arrives, waited for without a limit."""
        connection = self._raw.connection
        if connection is not None and connection.sock is not None:
            # The time limit was for the answer's head. Whether a silent stream lives is the pings' business.
            connection.sock.settimeout(None)
        with sdk_errors():
            if self._raw.chunked:
                yield from self._raw.read_chunked()
                return
            # A proxy may have turned the chunked answer into one that ends with the connection.
            while data := self._raw.read1(_CHUNK):
                yield data

    def leave(self, seconds: float) -> None:
        """Not asked for."""

    def more(self) -> bool:
        """Not asked for."""
        return False

    def rest(self) -> bytes:
        """What is left of its body, where it has an end after all: within the request's time limit."""
        with sdk_errors():
            return self._response.content

    def abort(self) -> None:
        """Make a blocked read return."""
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._raw.shutdown()

    def close(self) -> None:
        """Close the connection. Only by the thread that reads, after it has stopped."""
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
            self._response.close()


@contextlib.contextmanager
def sdk_errors() -> Iterator[None]:
    """Turn what the SDK and what is below it raise into Python's own errors, which `translation` knows."""
    try:
        yield
    except requests.Timeout as error:
        raise TimeoutError(str(error)) from error
    except (urllib3.exceptions.HTTPError, DockerException) as error:
        raise OSError(str(error)) from error
