"""What the agent itself depends on, so that no policy can saw off the branch it sits on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from watchtower_agent.policies.guards import Protection
from watchtower_agent.settings import Settings

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


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


def protection(settings: Settings, engine_url: str) -> Protection:
    """What no policy may touch on this host."""
    peers: set[str] = set()
    ports: set[int] = set()
    for url in (settings.mqtt.url, engine_url):
        parts = urlsplit(url) if url else None
        if parts is None or parts.hostname is None or parts.scheme == "unix":
            continue
        if parts.hostname in _LOCAL:
            port = parts.port or _MQTT_PORTS.get(parts.scheme)
            if port is not None:
                ports.add(port)
        else:
            peers.add(parts.hostname)
    return Protection(
        observe=settings.mode == "observe",
        stateful_images=frozenset(settings.guards.stateful_images),
        own_containers=own_containers(settings.sampling.proc_root),
        peers=frozenset(peers),
        peer_ports=frozenset(ports),
    )
