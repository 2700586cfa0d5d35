"""One question over HTTP, from the connection to the last byte: bounded in size and in time. Blocks; for a thread.

The standard library's client, since a question needs no pool and no retries, and its socket has to be in reach: a
server that sends a byte now and then never runs into the time-out of a read, so the connection is cut from outside.
No redirect is followed, no proxy of the environment used: who is asked is who the policy names.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

from watchtower_agent.model.version import VERSION
from watchtower_agent.sources.payload import LARGEST

_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_AS_THEY_ARE: Final = "/?:@!$&'()*+,;=%-._~"
"""What a path and a query may have; whatever else is written (blanks, braces, quotes) is percent-encoded."""


class UnansweredQuestionError(Exception):
    """No answer that can be used; the text says why, in few words that hold neither path nor query."""


class Question:
    """A GET that can be cut off.

    Args:
        url: With `http` or `https`.
        timeout: Seconds for each step of it; the whole may take until `cut`.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._cut = False

    def ask(self) -> bytes:
        """The body of the answer.

        Raises:
            UnansweredQuestionError: There is none that can be used.
        """
        try:
            body = self._answer()
        except Exception as error:  # noqa: BLE001 - whoever answers can make the library raise anything
            why = self._too_late if self._cut else _why(error) or self._too_late
            raise UnansweredQuestionError(why) from None
        if self._cut:  # what has no length looks whole wherever it is cut
            raise UnansweredQuestionError(self._too_late)
        return body

    def cut(self) -> None:
        """End it now, from any thread: `ask` raises as soon as it reads on."""
        self._cut = True
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):  # it has ended
                socket.socket.shutdown(held, socket.SHUT_RDWR)  # TLS's own would have it read on in plain text

    @property
    def _too_late(self) -> str:
        return f"no answer within {self._timeout:g} s"

    def _answer(self) -> bytes:
        connection, target = _taken_apart(self._url, self._timeout)
        with contextlib.closing(connection):
            connection.connect()
            self._socket = connection.sock
            if self._cut:
                raise TimeoutError
            connection.request("GET", target, headers=_HEADERS)
            with connection.getresponse() as response:
                return _body(response)


def _taken_apart(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection to whom the URL names, not opened yet, and what to ask there."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise UnansweredQuestionError("it is no http or https URL without a user")
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_AS_THEY_ARE)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout), target
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=trust()), target


_HEADERS: Final = {
    "Accept": "application/json, text/plain;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": f"watchtower-agent/{VERSION}",
}


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """The authorities that the system trusts, as for the broker. Read once: that takes tens of milliseconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and host names
    context.load_default_certs()
    return context


def _body(response: http.client.HTTPResponse) -> bytes:
    if response.status in _REDIRECTS:
        raise UnansweredQuestionError(
            f"it answers {response.status}, and redirects are not followed: name where it leads"
        )
    if response.status != _OK:
        raise UnansweredQuestionError(f"it answers {response.status}")
    body = response.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise UnansweredQuestionError(f"the answer is larger than {LARGEST // 2**20} MiB")
    if response.length:
        raise UnansweredQuestionError("the answer ended too early")
    return body


def _why(error: Exception) -> str:  # noqa: PLR0911 - one return per kind of failure
    """In few words, without a path or a query; empty for one that came too late."""
    match error:
        case UnansweredQuestionError():
            return str(error)
        case TimeoutError():
            return ""
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case socket.gaierror():
            return "its host is not known"
        case ConnectionResetError() | BrokenPipeError():  # http.client.RemoteDisconnected is one
            return "it hung up before it had answered"
        case OSError():
            return f"no connection: {error.strerror or type(error).__name__}"
        case http.client.IncompleteRead():
            return "the answer ended too early"
        case http.client.HTTPException():
            return "what answers does not speak HTTP"
        case _:
            return "it is no URL that can be asked"
