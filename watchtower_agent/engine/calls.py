"""Blocking calls to the engine.

Every thread may use one EngineCalls. The asyncio side is in `client.py`, `session.py` and `inventory.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.container import inspected_container, listed_container, parse_time
from watchtower_agent.engine.event import stamp_text
from watchtower_agent.engine.feed import EventFeed, split_lines
from watchtower_agent.engine.heartbeat import Heartbeat
from watchtower_agent.engine.link import EngineLink
from watchtower_agent.engine.peer import peer_process, process_age
from watchtower_agent.engine.podman import podman_id
from watchtower_agent.engine.translation import accepted, translated
from watchtower_agent.engine.transport import Answer
from watchtower_agent.errors import PermanentError, WatchtowerError
from watchtower_agent.model.container import Container
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock

_PODMAN_REACH_NS = 3600 * 1_000_000_000
"""How far back Podman is asked: its log of events reaches back for days. What is older counts as forgotten."""
_PODMAN_MOST = 4096
"""Events of its log that count, the newest: fewer than the ids by which duplicates are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineGreeting:
    """What a fresh connection learns.

    Attributes:
        info: Which engine.
        process: Pid and start ticks of the process behind a unix socket, where the kernel tells. Another one
            later means that the daemon (or a proxy before it) was restarted.
    """

    info: EngineInfo
    process: tuple[int, int] | None


class EngineCalls(EngineLink):
    """The engine's API, blocking. Every call raises AbsentError, PermanentError or TemporaryError.

    Args:
        address: Where the engine is.
        clock: The host's clocks.
        timeout: Seconds for an answer, beyond what a call takes by its nature.

    Attributes:
        clock_offset: Seconds to add to our wall clock to get the engine's; 0 for an engine on this host.
    """

    def __init__(self, address: EngineAddress, *, clock: Clock, timeout: float = 10.0) -> None:
        super().__init__(address, timeout=timeout)
        self._clock = clock
        self._heartbeat = Heartbeat(address.socket_path, timeout) if address.socket_path else None
        self._without_cgroups = False
        self.clock_offset = 0.0

    def connect(self) -> EngineGreeting:
        """Connect anew and ask who answers: called after every outage."""
        self.connect_anew()
        begun = self._clock.now().wall
        raw = self.get("/info", what="asking for its description")
        if not self.address.socket_path:
            self.clock_offset = _offset(raw, (begun + self._clock.now().wall) / 2)
        process = peer_process(self.address.socket_path)
        age = process_age(process)
        started_at = None if age is None else self._clock.now().wall - age
        info = replace(self._info(raw), pid=process[0] if process else 0, started_at=started_at)
        return EngineGreeting(info=info, process=process)

    def describe(self, before: EngineInfo) -> EngineInfo:
        """Ask the engine who it is by now: it may have joined a Swarm, or lead one.

        Args:
            before: What it said of itself when it was connected to. The process behind the socket is still that one.
        """
        raw = self.get("/info", what="asking for its description")
        return replace(self._info(raw), pid=before.pid, started_at=before.started_at)

    def close(self) -> None:
        """Close idle connections."""
        super().close()
        if self._heartbeat is not None:
            self._heartbeat.close()

    def ping(self) -> float:
        """Ask for a sign of life.

        Returns:
            Seconds until it came.
        """
        begun = self._clock.now().monotonic
        with translated("a ping"):
            if self._heartbeat is not None:
                self._heartbeat.ask()
            else:
                accepted(self.linked().transport.ask("GET", "/_ping", timeout=self.timeout))
        return self._clock.now().monotonic - begun

    def containers(self) -> tuple[Container, ...]:
        """All containers in any state, without detail."""
        raw = self.get("/containers/json", what="listing containers", params={"all": "1"})
        entries = raw if isinstance(raw, list) else []
        return tuple(container for entry in entries if (container := listed_container(entry)) is not None)

    def images(self) -> int | None:
        """How many images it has; None when it does not say."""
        count = _object(self.get("/info", what="counting images")).get("Images")
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    def inspect(self, container_id: str) -> Container:
        """One container with its detail."""
        raw = self.get(f"/containers/{_quoted(container_id)}/json", what=f"inspecting {_short(container_id)}")
        container = inspected_container(raw)
        if container is None:
            raise PermanentError(f"inspecting {_short(container_id)}: the engine's answer is not a container")
        return container

    def stats(self, container_id: str) -> object:
        """What the engine measures of a container, in one look: it does not wait for a second one.

        Without cgroups, as a rootless engine may be, it answers with what its whole host uses: that is refused.
        """
        if self._without_cgroups:
            raise PermanentError(
                f"asking for the statistics of {_short(container_id)}: the engine runs without cgroups, "
                "so what it measures is not the container's; give it cgroup v2 with systemd, or do without numbers"
            )
        params = {"stream": "false", "one-shot": "true"}
        path = f"/containers/{_quoted(container_id)}/stats"
        return self.get(path, what=f"asking for the statistics of {_short(container_id)}", params=params)

    def past_events(self, since_ns: int, until_ns: int) -> Sequence[bytes]:
        """Lines of the engine's ring between two stamps (both inclusive), oldest first.

        Returns at once when `until_ns` is past on the engine's clock, else then. Skips what is stamped later, and goes
        back no further than to the first event that is stamped earlier.
        """
        if self.linked().podman:
            return self._podman_log(since_ns, until_ns)
        return self._ring(stamp_text(since_ns), stamp_text(max(since_ns, until_ns)))

    def whole_ring(self) -> Sequence[bytes]:
        """Lines of the engine's whole ring, oldest first, also of events that are stamped in the engine's future.

        For the engine an end at 0 is past, so it answers at once, and is no limit. Podman's log reaches back for days:
        of that the last hour is asked for.
        """
        if self.linked().podman:
            return self._podman_log(self._now_ns() - _PODMAN_REACH_NS, 0)
        return self._ring("0", "0")

    def _podman_log(self, since_ns: int, until_ns: int) -> Sequence[bytes]:
        """As `past_events`. Podman waits for no moment, and tells all only to who names no end."""
        threading.Event().wait(min(self.timeout, max(0, until_ns - self._now_ns()) / 1e9))
        since_ns = max(since_ns, self._now_ns() - _PODMAN_REACH_NS)
        return self._lines({"since": stamp_text(since_ns), "stream": "false"})[-_PODMAN_MOST:]

    def _now_ns(self) -> int:
        return int((self._clock.now().wall + self.clock_offset) * 1e9)

    def _ring(self, since: str, until: str) -> Sequence[bytes]:
        return self._lines({"since": since, "until": until})

    def _lines(self, params: Mapping[str, str]) -> Sequence[bytes]:
        with translated("reading past events", "GET", "/events"):
            link = self.linked()
            answer = accepted(link.transport.ask("GET", link.target("/events", params), timeout=self.timeout))
            return [line for lines in split_lines((answer.content, b"\n")) for line in lines]

    def open_events(self, since_ns: int) -> EventFeed:
        """Subscribe, with a replay of what the ring has since that stamp. The feed waits for events without a limit."""
        with translated("subscribing to events", "GET", "/events"):
            link = self.linked()
            if link.podman:
                since_ns = max(since_ns, self._now_ns() - _PODMAN_REACH_NS)
            target = link.target("/events", {"since": stamp_text(since_ns)})
            stream = link.transport.open(target, timeout=self.timeout)
            try:
                if stream.status() != HTTPStatus.OK:
                    accepted(Answer(status=stream.status(), content=stream.rest()))
            except BaseException:
                stream.close()
                raise
            return EventFeed(stream)

    def _info(self, raw: object) -> EngineInfo:
        info = _object(raw)
        swarm = _object(info.get("Swarm"))
        node = str(swarm.get("NodeID") or "")
        manager = bool(node) and swarm.get("ControlAvailable") is True
        self._without_cgroups = info.get("CgroupDriver") == "none"
        link, name, data_root = self.linked(), str(info.get("Name") or ""), str(info.get("DockerRootDir") or "")
        return EngineInfo(
            id=podman_id(name, data_root) if link.podman else str(info.get("ID") or ""),
            name=name,
            version=str(info.get("ServerVersion") or ""),
            api_version=link.version,
            data_root=data_root,
            cgroup_driver=str(info.get("CgroupDriver") or ""),
            cgroup_version=str(info.get("CgroupVersion") or ""),
            swarm_node_id=node,
            swarm_manager=manager,
            swarm_leader=manager and self.leads_swarm(node),
            cpus=_count(info.get("NCPU")),
            url=self.address.url,
            url_source=self.address.source,
            podman=link.podman,
        )

    def leads_swarm(self, node: str) -> bool:
        """Whether the node of that id leads its Swarm; only managers can tell."""
        try:
            raw = self.get(f"/nodes/{_quoted(node)}", what="asking for the Swarm's leader")
        except WatchtowerError:
            return False  # a Swarm without a quorum has no leader, and can't say so
        return _object(_object(raw).get("ManagerStatus")).get("Leader") is True


def _offset(raw: object, wall: float) -> float:
    stamp = parse_time(_object(raw).get("SystemTime"))
    return 0.0 if stamp is None else stamp - wall


def _object(raw: object) -> Mapping[str, object]:
    return raw if isinstance(raw, dict) else {}


def _count(raw: object) -> int:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0 else 0


def _quoted(identity: str) -> str:
    return quote(identity, safe="")


def _short(container_id: str) -> str:
    return f"container {container_id[:12]}"
