"""Every request that the agent makes of an engine. What is not here is not sent."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.model.values import dataclass


class Need(StrEnum):
    """What an endpoint is needed for."""

    WATCH = "watching: events, containers, signs of life"
    SWARM = "a host that is a node of a Swarm"
    STATS = "samples where no cgroup files can be read, of a remote engine, say"
    HEAL = "policies with restart, start, stop, kill, pause or unpause"
    SERVICES = "policies that scale services of a Swarm"
    CLONES = "policies that clone containers on this host"
    RESIZE = "policies that resize"
    PRUNE = "policies that prune, and `watchtower-agent prune`"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of request.

    Attributes:
        method: Of HTTP.
        path: Without the API's version; `{id}` and `{name}` stand for something.
        needs: What it is needed for.
    """

    method: str
    path: str
    needs: tuple[Need, ...]


ENDPOINTS: Final = (
    Endpoint("GET", "/_ping", (Need.WATCH,)),
    Endpoint("GET", "/version", (Need.WATCH,)),
    Endpoint("GET", "/info", (Need.WATCH,)),
    Endpoint("GET", "/events", (Need.WATCH,)),
    Endpoint("GET", "/containers/json", (Need.WATCH,)),
    Endpoint("GET", "/containers/{id}/json", (Need.WATCH,)),
    Endpoint("GET", "/nodes/{id}", (Need.SWARM,)),
    Endpoint("GET", "/containers/{id}/stats", (Need.STATS,)),
    Endpoint("POST", "/containers/{id}/restart", (Need.HEAL,)),
    Endpoint("POST", "/containers/{id}/start", (Need.HEAL, Need.CLONES)),
    Endpoint("POST", "/containers/{id}/stop", (Need.HEAL, Need.CLONES)),
    Endpoint("POST", "/containers/{id}/kill", (Need.HEAL,)),
    Endpoint("POST", "/containers/{id}/pause", (Need.HEAL,)),
    Endpoint("POST", "/containers/{id}/unpause", (Need.HEAL,)),
    Endpoint("GET", "/services", (Need.SERVICES, Need.PRUNE)),
    Endpoint("GET", "/services/{id}", (Need.SERVICES,)),
    Endpoint("GET", "/tasks", (Need.SERVICES,)),
    Endpoint("POST", "/services/{id}/update", (Need.SERVICES,)),
    Endpoint("POST", "/containers/create", (Need.CLONES,)),
    Endpoint("POST", "/networks/{id}/connect", (Need.CLONES,)),
    Endpoint("DELETE", "/containers/{id}", (Need.CLONES, Need.PRUNE)),
    Endpoint("GET", "/images/{name}/json", (Need.CLONES, Need.PRUNE)),
    Endpoint("GET", "/containers/{id}/changes", (Need.CLONES,)),
    Endpoint("HEAD", "/containers/{id}/archive", (Need.CLONES,)),
    Endpoint("POST", "/containers/{id}/update", (Need.RESIZE,)),
    Endpoint("GET", "/system/df", (Need.PRUNE,)),
    Endpoint("GET", "/images/json", (Need.PRUNE,)),
    Endpoint("GET", "/volumes", (Need.PRUNE,)),
    Endpoint("GET", "/networks", (Need.PRUNE,)),
    Endpoint("GET", "/networks/{id}", (Need.PRUNE,)),
    Endpoint("GET", "/volumes/{id}", (Need.PRUNE,)),
    Endpoint("DELETE", "/images/{name}", (Need.PRUNE,)),
    Endpoint("POST", "/images/{name}/tag", (Need.PRUNE,)),
    Endpoint("DELETE", "/networks/{id}", (Need.PRUNE,)),
    Endpoint("DELETE", "/volumes/{id}", (Need.PRUNE,)),
    Endpoint("POST", "/build/prune", (Need.PRUNE,)),
)

# The name of an image may have slashes; all else is one segment, in which they are quoted.
_SEGMENTS: Final = {r"\{id\}": "[^/]+", r"\{name\}": "[^/].*"}


def _pattern(endpoint: Endpoint) -> re.Pattern[str]:
    pattern = re.escape(endpoint.path)
    for written, meant in _SEGMENTS.items():
        pattern = pattern.replace(written, meant)
    return re.compile(f"{endpoint.method} {pattern}")


_PATTERNS: Final = {endpoint: _pattern(endpoint) for endpoint in ENDPOINTS}


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint that such a request uses; None when the agent has no business there.

    Args:
        method: Of HTTP.
        path: Quoted, without the API's version and the query.
    """
    if {".", ".."} & set(path.split("/")):
        return None  # a name that leads elsewhere
    request = f"{method} {path}"
    # The plain ones first: `/images/json` is no image's name.
    found = [endpoint for endpoint, pattern in _PATTERNS.items() if pattern.fullmatch(request)]
    return min(found, key=lambda endpoint: endpoint.path.count("{"), default=None)


def ours(method: str, path: str) -> str:
    """The path, when the agent has business there: a mistake here, or in a name, must not become any other request.

    Raises:
        PermanentError: It has not.
    """
    if endpoint_of(method, path) is None:
        raise PermanentError(
            f"the agent never asks an engine for {method} {path[:200]}; this is a mistake of the agent's"
        )
    return path
