"""One HTTP request, as little of it as is answered: GET or HEAD of a path, and which formats are accepted. Pure."""

from __future__ import annotations

import re
from typing import Final

from watchtower_agent.model.values import dataclass

LONGEST_HEAD: Final = 8192
"""Bytes of a request up to the empty line that ends its head."""

_LINE: Final = re.compile(r"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]\Z")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\Z")
_OPENMETRICS: Final = "application/openmetrics-text"
_VERSIONS: Final = frozenset({"", "0.0.1", "1.0.0"})


class BadRequestError(Exception):
    """It is none that is answered; the text says why.

    Attributes:
        status: HTTP's number for it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What is asked for.

    Attributes:
        path: Without what follows a question mark.
        head_only: Only the answer's head is wanted (HEAD).
        openmetrics: OpenMetrics is accepted.
    """

    path: str
    head_only: bool
    openmetrics: bool


def parsed(head: bytes) -> HttpRequest:
    """The request with this head, its last empty line included.

    Raises:
        BadRequestError: It is none that is answered.
    """
    try:
        first, *headers = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    except UnicodeDecodeError:
        raise BadRequestError(400, "the request is not in ASCII") from None
    line = _LINE.match(first)
    if line is None:
        raise BadRequestError(400, "this is no HTTP/1 request")
    if line[1] not in {"GET", "HEAD"}:
        raise BadRequestError(405, "only GET and HEAD are answered")
    accepted = ""
    for header in headers:
        found = _HEADER.match(header)
        if found is None:
            raise BadRequestError(400, "a header is malformed")
        if found[1].lower() == "accept":
            accepted += f",{found[2]}"
    path, _, _ = line[2].partition("?")
    return HttpRequest(path=path, head_only=line[1] == "HEAD", openmetrics=_takes_openmetrics(accepted))


def _takes_openmetrics(accepted: str) -> bool:
    for item in accepted.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        named = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if kind == _OPENMETRICS and named.get("version", "") in _VERSIONS and named.get("q") not in {"0", "0.0"}:
            return True
    return False
