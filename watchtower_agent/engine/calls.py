"""Blocking calls to the engine.

Every thread may use one EngineCalls. The asyncio side is in `client.py`, `session.py` and `inventory.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.container import inspected_container, listed_container, parse_time
from watchtower_agent.engine.endpoints import ours
from watchtower_agent.engine.event import stamp_text
from watchtower_agent.engine.feed import EventFeed, split_lines
from watchtower_agent.engine.heartbeat import Heartbeat
from watchtower_agent.engine.peer import peer_process, process_age
from watchtower_agent.engine.podman import is_podman, podman_id
from watchtower_agent.engine.socket_transport import SocketConnection, SocketTransport
from watchtower_agent.engine.translation import EngineRefusedError, accepted, translated
from watchtower_agent.engine.transport import Answer, Transport
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A way to the engine, and the version of the API that is spoken over it."""

    transport: Transport
    version: str
    podman: bool = False

    def target(self, path: str, params: Mapping[str, str] | None = None) -> str:
        return f"/v{self.version}{path}{'?' if params else ''}{urlencode(params or {})}"


class EngineCalls:
    """The engine's API, blocking. Every call raises AbsentError, PermanentError or TemporaryError.

    Args:
        address: Where the engine is.
        clock: The host's clocks.
        timeout: Seconds for an answer, beyond what a call takes by its nature.

    Attributes:
        clock_offset: Seconds to add to our wall clock to get the engine's; 0 for an engine on this host.
    """

    def __init__(self, address: EngineAddress, *, clock: Clock, timeout: float = 10.0) -> None:
        self.address = address
        self.timeout = timeout
        self._clock = clock
        self._way = _way(address, timeout)
        self._lock = threading.Lock()
        self._link: _Link | None = None
        self._heartbeat = Heartbeat(address.socket_path, timeout) if address.socket_path else None
        self._without_cgroups = False
        self.clock_offset = 0.0

    def connect(self) -> EngineGreeting:
        """Make a new client, which negotiates the API's version, and ask who answers.

        The version is fixed for a client's life, so this is called after every outage: the daemon may be a new one.
        """
        fresh = self._build()
        with self._lock:
            old, self._link = self._link, fresh
        if old is not None:
            old.transport.close()
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

    def not_podman(self, what: str) -> None:
        """Refuse what has not been made sure of with Podman.

        Args:
            what: What is refused, as the beginning of a sentence for people.

        Raises:
            PermanentError: It is Podman.
        """
        if self._linked().podman:
            raise PermanentError(f"{what}: the agent does that with a Docker Engine only, and this is Podman")

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.transport.close()
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
                accepted(self._linked().transport.ask("GET", "/_ping", timeout=self.timeout))
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
        if self._linked().podman:
            return self._podman_log(since_ns, until_ns)
        return self._ring(stamp_text(since_ns), stamp_text(max(since_ns, until_ns)))

    def whole_ring(self) -> Sequence[bytes]:
        """Lines of the engine's whole ring, oldest first, also of events that are stamped in the engine's future.

        For the engine an end at 0 is past, so it answers at once, and is no limit. Podman's log reaches back for days:
        of that the last hour is asked for.
        """
        if self._linked().podman:
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
            link = self._linked()
            answer = accepted(link.transport.ask("GET", link.target("/events", params), timeout=self.timeout))
            return [line for lines in split_lines((answer.content, b"\n")) for line in lines]

    def open_events(self, since_ns: int) -> EventFeed:
        """Subscribe, with a replay of what the ring has since that stamp. The feed waits for events without a limit."""
        with translated("subscribing to events", "GET", "/events"):
            link = self._linked()
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
            link = self._linked()
            limit = self.timeout if timeout is None else timeout
            return accepted(link.transport.ask("GET", link.target(ours("GET", path), params), timeout=limit)).json()

    def head(self, path: str, *, what: str, params: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """HEAD: what an answer's headers say, by their names in small letters; arguments as of `get`."""
        with translated(what, "HEAD", path):
            link = self._linked()
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
            link = self._linked()
            target = link.target(ours("POST", path), params)
            answer = accepted(link.transport.ask("POST", target, body=body, timeout=timeout))
            return answer.json() if body is not None and answer.content else None

    def delete(self, path: str, *, what: str, params: Mapping[str, str] | None = None, timeout: float) -> None:
        """DELETE; arguments as of `post`."""
        with translated(what, "DELETE", path):
            link = self._linked()
            target = link.target(ours("DELETE", path), params)
            accepted(link.transport.ask("DELETE", target, timeout=timeout))

    def _linked(self) -> _Link:
        with self._lock:
            link = self._link
        if link is not None:
            return link
        fresh = self._build()
        with self._lock:
            if self._link is None:
                self._link = fresh
                return fresh
            link = self._link
        fresh.transport.close()
        return link

    def _build(self) -> _Link:
        """A way whose version is negotiated."""
        with translated(f"connecting to {self.address.url}", "GET", "/version"):
            self._look_at_socket()
            transport = self._way()
            try:
                answer = accepted(transport.ask("GET", "/version", timeout=self.timeout))
                said = _object(answer.json())
                return _Link(transport=transport, version=str(said["ApiVersion"]), podman=is_podman(said))
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

    def _info(self, raw: object) -> EngineInfo:
        info = _object(raw)
        swarm = _object(info.get("Swarm"))
        node = str(swarm.get("NodeID") or "")
        manager = bool(node) and swarm.get("ControlAvailable") is True
        self._without_cgroups = info.get("CgroupDriver") == "none"
        link, name, data_root = self._linked(), str(info.get("Name") or ""), str(info.get("DockerRootDir") or "")
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
