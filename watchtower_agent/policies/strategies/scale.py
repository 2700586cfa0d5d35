"""What a policy says of a service that it scales: `target:` and `scale:`, loaded and checked. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.source import JsonPath
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import Bounds
from watchtower_agent.policies.times.moments import Schedule

STALE_AFTER: Final = 60.0
"""Seconds after which a metric from outside is not known any more, unless a policy says otherwise."""
RESERVE: Final = 256.0 * 2**20
"""Bytes of memory that clones leave free on their host, unless a policy says otherwise."""


_WORKING_SET: Final = "memory.working_set"
ROOM_WINDOW: Final = Window(function=WindowFunction.P95, name=_WORKING_SET, seconds=300.0)
"""What one more clone will take is judged by this of its like."""
_OF_ROOM: Final = frozenset({_WORKING_SET, "host.memory.available"})


class ServiceKind(StrEnum):
    """Who keeps the replicas: the engine's Swarm, or the agent itself, by cloning."""

    SWARM = "swarm_service"
    COMPOSE = "compose"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleTarget:
    """Which service. All names are exact.

    Attributes:
        kind: Who keeps its replicas.
        service: Name of the Swarm's service, or of Compose's.
        project: The Compose project; empty for others.
        labels: Of a group: every one of its containers has all of them.
    """

    kind: ServiceKind
    service: str = ""
    project: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people, events and topics: `shop_web`, `shop/web`, or the labels of a group."""
        match self.kind:
            case ServiceKind.SWARM:
                return self.service
            case ServiceKind.COMPOSE:
                return f"{self.project}/{self.service}"
            case ServiceKind.GROUP:
                return ",".join(f"{key}={value}" for key, value in sorted(self.labels.items()))

    @property
    def key(self) -> str:
        """Tells it from every other one, whatever signs are in its labels."""
        return f"{self.kind}:{sorted(self.labels.items()) if self.kind is ServiceKind.GROUP else self.name}"

    def has(self, container: Container) -> bool:
        """Whether the container is one of its replicas."""
        match self.kind:
            case ServiceKind.SWARM:
                return container.swarm_service == self.service
            case ServiceKind.COMPOSE:
                return (container.compose_project, container.compose_service) == (self.project, self.service)
            case ServiceKind.GROUP:
                return all(container.labels.get(key) == value for key, value in self.labels.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetricRule:
    """A metric of the replicas themselves.

    Attributes:
        name: As the catalogue has it.
        target: What it should be of each replica, in the catalogue's unit (60 for 60 %, bytes).
    """

    name: str
    target: float

    def windows(self, rules: Rules) -> tuple[Window, Window]:
        """The means of each replica that are looked at: the usual, and the one of the very last seconds."""
        usual, newest = (
            Window(function=WindowFunction.AVG, name=self.name, seconds=seconds)
            for seconds in (rules.up.window, rules.up.jump_window)
        )
        return usual, newest


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttMetricRule:
    """A metric of the whole service that somebody publishes: the depth of a queue, say.

    Attributes:
        topic: Where, exact: no wildcards.
        value: Where in a JSON payload the number is, keys and places of lists; empty: the payload is the number.
        target: How much of it one replica is for.
        stale_after: Seconds after which nobody knows any more.
    """

    topic: str
    value: JsonPath = ()
    target: float
    stale_after: float = STALE_AFTER

    @property
    def name(self) -> str:
        """As events and explanations name it: another one for each topic and value."""
        return f"mqtt {self.topic}{_of_value(self.value)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMetricRule:
    """A metric of the whole service that is asked for over HTTP: JSON, an answer of Prometheus among it.

    Attributes:
        url: What is asked, with `http` or `https`; without user and password.
        value: Where in the JSON the number is, keys and places of lists; empty: the answer is the number.
        target: How much of it one replica is for.
        stale_after: Seconds after which nobody knows any more.
        every: Seconds between two questions.
    """

    url: str
    value: JsonPath = ()
    target: float
    stale_after: float = STALE_AFTER
    every: float = 15.0

    @property
    def name(self) -> str:
        """As events and explanations name it: another one for each URL and value.

        Without the query, which may be long, or secret: a few digits tell it from others.
        """
        place, asks, query = self.url.partition("?")
        drawn = hashlib.sha256(query.encode(errors="surrogatepass")).hexdigest()[:8] if asks else ""
        return f"http {place}{asks}{drawn}{_of_value(self.value)}"


def _of_value(value: tuple[str | int, ...]) -> str:
    return f" {'.'.join(map(str, value))}" if value else ""


MetricRule = OwnMetricRule | MqttMetricRule | HttpMetricRule
"""What a service is scaled by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundsRule:
    """A time in which other bounds are in force. Of several the last in the file wins, for each bound.

    Attributes:
        opens: When it begins.
        open_for: Seconds for which it lasts.
        least: `min` meanwhile; None: as ever.
        most: `max` meanwhile; None: as ever.
    """

    opens: Schedule
    open_for: float
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleRule:
    """When the last replica goes.

    Attributes:
        below: Share of its target below which a metric is idle; a metric from outside at 0 always is.
        idle_for: Seconds for which all metrics have to be.
    """

    below: float = 0.05
    idle_for: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleStrategy:
    """`target:` and `scale:` of a policy, which needs no other trigger: it looks all the time.

    Attributes:
        target: Which service.
        least: `min`.
        most: `max`.
        metrics: What it is scaled by, at least one.
        rules: How it moves.
        schedule: When other bounds are in force.
        idle: When the last replica goes; None: it stays.
        reserve: Bytes of memory that clones leave free on their host.
        shared: Clones may share the writable volumes of the original.
    """

    target: ScaleTarget
    least: int
    most: int
    metrics: tuple[MetricRule, ...]
    rules: Rules = field(default_factory=Rules)
    schedule: tuple[BoundsRule, ...] = ()
    idle: IdleRule | None = None
    reserve: float = RESERVE
    shared: bool = False

    @property
    def own_metrics(self) -> tuple[OwnMetricRule, ...]:
        """Those of the replicas themselves."""
        return tuple(each for each in self.metrics if isinstance(each, OwnMetricRule))

    @property
    def clones(self) -> bool:
        """Whether the agent itself makes the replicas."""
        return self.target.kind is not ServiceKind.SWARM

    @property
    def names(self) -> frozenset[str]:
        """Catalogue names that have to be sampled for it."""
        return frozenset(each.name for each in self.own_metrics) | (_OF_ROOM if self.clones else frozenset())

    @property
    def windows(self) -> frozenset[Window]:
        """What it asks of the recent past of each replica."""
        own = frozenset(window for each in self.own_metrics for window in each.windows(self.rules))
        return own | {ROOM_WINDOW} if self.clones else own

    def bounds(self, now: float) -> Bounds:
        """How few and how many there may be at a moment, seconds since the epoch.

        Where a time raises `min` above `max`, or lowers `max` below `min`, the bound that it names pushes the other.
        """
        least, most = self.least, self.most
        for each in self.schedule:
            if each.opens.latest(now, each.open_for) is None:
                continue
            if each.least is not None:
                least, most = each.least, max(most, each.least)
            if each.most is not None:
                least, most = min(least, each.most), each.most
        return Bounds(least=least, most=most)
