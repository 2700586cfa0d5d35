"""What the agent itself depends on, so that no policy can saw off the branch it sits on."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from watchtower_agent.model.observation import Resume
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.linter.surroundings import Surroundings, surroundings
from watchtower_agent.policies.policy import Budget
from watchtower_agent.settings import LoadedSettings, Settings, with_host

log = structlog.get_logger("watchtower_agent.identity")

_CONTAINER_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SHORT_ID: Final = re.compile(r"[0-9a-f]{12}\Z")
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "tcp": 2375, "http": 80, "https": 443}
_THIS_MACHINE: Final = frozenset({"localhost", "host.docker.internal", "gateway.docker.internal"}) | {
    "host.containers.internal"
}
"""Names that mean the host whatever they resolve to: from within a container that is no address of its own."""
_SOCKET_OF_DOCKER: Final = "/var/run/docker.sock"
"""Where the engine listens that the default unit runs."""
_MAY_TAKE: Final = 2.0
"""Seconds that the start waits for names to be resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Something over the network that the agent can't do without: its broker, a proxy before the engine's socket.

    Attributes:
        host: A name or an address.
        port: Where it listens.
    """

    host: str
    port: int


def own_containers(proc_root: Path) -> tuple[str, ...]:
    """Ids of the containers that this process runs in; empty on a plain host.

    The process's own cgroup names them; under a private cgroup namespace the files that the engine mounts do.
    """
    found: dict[str, None] = {}
    for name, only in (("cgroup", ""), ("mountinfo", "/containers/")):
        try:
            lines = (proc_root / "self" / name).read_text(errors="replace").splitlines()
        except OSError:
            continue
        for text in lines:
            if only in text:
                found.update(dict.fromkeys(_CONTAINER_ID.findall(text)))
    return tuple(found)


def is_container_id(host: str, containers: tuple[str, ...]) -> bool:
    """Whether a host name is what the engine gives to a container without one: the begin of its id."""
    return bool(_SHORT_ID.match(host)) and any(own.startswith(host) for own in containers)


def settled_host(loaded: LoadedSettings, resume: Resume) -> Settings:
    """The settings with a host name that lasts.

    The engine names a container by its id, so each time it is made anew it would be another host to all who subscribe.
    Where nobody named the host, the first such name is kept for as long as the store is.

    Args:
        loaded: The configuration.
        resume: What the store remembers, the name of the host among it.
    """
    settings = loaded.settings
    if loaded.host_given or not _SHORT_ID.match(settings.host):
        return settings  # the question below reads all mounts, which takes 10 ms where 400 containers have theirs
    if not is_container_id(settings.host, own_containers(settings.sampling.proc_root)):
        return settings
    kept = resume.records.get("host", {}).get("name", {}).get("is")
    host = kept if isinstance(kept, str) and kept else settings.host
    log.error(
        "host_is_a_container_id",
        host=host,
        machine=settings.host,
        consequence=f"topics are under {host}, which names no host; without the state folder it is another one each "
        "time the container is made anew",
        remedy='give the container the host\'s name: --env WATCHTOWER_AGENT_HOST="$(hostname)", or --network host',
    )
    return with_host(settings, host)


def dependencies(*urls: str | None) -> tuple[Dependency, ...]:
    """What these addresses lead to; none for unix sockets and for what has no address."""
    found: dict[Dependency, None] = {}
    for url in urls:
        parts = urlsplit(url) if url else None
        if parts is None or parts.hostname is None or parts.scheme not in _PORTS:
            continue
        found[Dependency(host=parts.hostname, port=parts.port or _PORTS[parts.scheme])] = None
    return tuple(found)


def gateways(proc_root: Path) -> frozenset[str]:
    """The routers of this network: seen from a container in a network of the engine, that is the host."""
    try:
        lines = (proc_root / "self" / "net" / "route").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        # The kernel writes addresses as it holds them, the lowest byte first on every machine that has an engine.
        found = {socket.inet_ntoa(bytes.fromhex(row[2])[::-1]) for row in fields if int(row[1], 16) == 0}
    except (OSError, ValueError, IndexError):
        return frozenset()
    return frozenset(found - {"0.0.0.0"})  # noqa: S104 - compared with, not listened on


def is_this_machine(host: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether a name or an address leads to this machine. Blocks while the name is resolved.

    Args:
        host: A name or an address.
        also: Further addresses that do.

    Raises:
        OSError: The name can't be resolved.
    """
    if host.lower() in _THIS_MACHINE:
        return True
    for family, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM):
        if address[0] in also:
            return True
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address[0], 0, *address[2:]))  # only an address of this machine can be bound to
        except OSError:
            continue
        return True
    return False


async def protection(
    settings: Settings,
    engine_url: str,
    *,
    here: Callable[[str, frozenset[str]], bool] = is_this_machine,
    within: float = _MAY_TAKE,
) -> Protection:
    """What no policy may touch on this host. Never fails: what can't be resolved in time is known by its name only.

    Args:
        settings: The agent's.
        engine_url: As it was found.
        here: Tells whether a host is this machine; called in threads of its own.
        within: Seconds that resolving may take.
    """
    proc_root = settings.sampling.proc_root
    own = own_containers(proc_root)
    also = gateways(proc_root) if own else frozenset()
    needed = dependencies(settings.mqtt.url, engine_url)
    local = await asyncio.gather(*(_known(needs.host, lambda host: here(host, also), within) for needs in needed))
    peers = frozenset(needs.host for needs, is_local in zip(needed, local, strict=True) if not is_local)
    ports = frozenset(needs.port for needs, is_local in zip(needed, local, strict=True) if is_local)
    log.info("own_dependencies", containers=list(own), names=sorted(peers), ports=sorted(ports))
    return protected_by(
        settings,
        Protection(own_containers=own, peers=peers, peer_ports=ports, engine_here=is_run_by_unit(settings, engine_url)),
    )


def protected_by(settings: Settings, known: Protection) -> Protection:
    """The same protection of what the agent itself depends on, and all else as the settings say."""
    return replace(
        known,
        observe=settings.mode == "observe",
        prune_volumes=settings.allow.prune_volumes,
        restart_engine=settings.allow.restart_engine,
        stateful_images=frozenset(settings.guards.stateful_images),
        host_budget=Budget(most=settings.guards.host_budget.max, per=settings.guards.host_budget.per),
    )


async def _known(host: str, here: Callable[[str], bool], within: float) -> bool:
    """Whether a host is this machine; False, and said, when that can't be found out in time."""
    answer: Future[bool | Exception] = Future()

    def look() -> None:
        try:
            answer.set_result(here(host))
        except (OSError, UnicodeError) as error:  # the latter for a name that no resolver can be asked for
            answer.set_result(error)  # no exception: when it comes too late nobody asks for it

    # A daemon, unlike an executor's thread: a resolver that hangs does not hold up the agent's end.
    threading.Thread(target=look, name=f"resolve {host}", daemon=True).start()
    try:
        found = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(answer)), within)
    except TimeoutError:
        found = OSError(f"no answer within {within:g} s")
    if isinstance(found, bool):
        return found
    log.warning(
        "host_not_resolved",
        host=host,
        error=str(found),
        consequence=f"a container is protected as the agent's broker or socket proxy only if it is called {host}",
        remedy="if it runs on this host under another name, give it the label watchtower-agent.protect=true",
    )
    return False


def is_run_by_unit(settings: Settings, engine_url: str) -> bool:
    """Whether `engine.unit` runs the engine at that address: what the agent restarts is what it watches, or nothing.

    An engine of a user is run by that user's systemd. That the default unit runs what answers at any other socket than
    its own, an operator has to say, by naming the unit.

    Args:
        settings: The configuration.
        engine_url: Of the engine; empty: the default socket.
    """
    url = engine_url or f"unix://{_SOCKET_OF_DOCKER}"
    if not url.startswith(("unix://", "/")):
        return False
    path = os.path.realpath(url.removeprefix("unix://"))
    if path.startswith("/run/user/"):
        return False
    named = settings.engine.unit != type(settings.engine).model_fields["unit"].default
    return named or path == os.path.realpath(_SOCKET_OF_DOCKER)


def surroundings_of(settings: Settings, engine_url: str | None = None) -> Surroundings:
    """Where policies are to work, as far as the settings tell.

    Args:
        settings: The configuration.
        engine_url: The address that is used; None for the configured one, where nothing was connected yet.
    """
    url = settings.engine.url if engine_url is None else engine_url
    return surroundings(
        engine_here=is_run_by_unit(settings, url),
        source=settings.sampling.source,
        engine_url=url,
        interval=settings.sampling.interval,
        stateful_images=frozenset(settings.guards.stateful_images),
        host_budget=Budget(most=settings.guards.host_budget.max, per=settings.guards.host_budget.per),
        prune_volumes=settings.allow.prune_volumes,
        restart_engine=settings.allow.restart_engine,
    )
