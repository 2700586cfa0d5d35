"""An engine's disk made by hand, on a clock of the test's own, and what the agent knows of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from watchtower_agent.model.boots import Boots
from watchtower_agent.model.disk_usage import (
    CacheRecord,
    DiskUsage,
    Image,
    KeptContainer,
    Network,
    Volume,
)
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Cause, Circumstances
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.plan import Plan, plan
from watchtower_agent.policies.pruning.rows import Row
from watchtower_agent.policies.pruning.rules import (
    DAY,
    CacheRules,
    ContainerRules,
    ImageRules,
    NetworkRules,
    Rules,
    VolumeRules,
)
from watchtower_agent.policies.pruning.usage import Usage

MIB = 2**20
BEGIN = 1.7e9
EVERYTHING = Rules(
    build_cache=CacheRules(),
    images=ImageRules(keep_newest=0),
    containers=ContainerRules(),
    networks=NetworkRules(),
    volumes=VolumeRules(only=("*",)),
)
QUIET = Circumstances(cause=Cause.SCHEDULE, engine_up=30 * DAY)


def sha(name: str) -> str:
    """An image's id."""
    return f"sha256:{name.encode().hex():0<64}"


def image(name: str, *tags: str, pulled: bool = True, parent: str = "", **more: Any) -> Image:  # noqa: ANN401 - fields by name
    """An image that came from a registry, unless it did not."""
    repositories = sorted({tag.rpartition(":")[0] for tag in tags}) or ["lost"]
    made = Image(
        id=sha(name),
        tags=tags,
        parent=sha(parent) if parent else "",
        digests=tuple(f"{each}@{sha(name)}" for each in repositories) if pulled else (),
        created_at=BEGIN - 90 * DAY,
        size=100 * MIB,
        shared=0,
    )
    return replace(made, **more)


def container(name: str, of: str, status: str = "exited", **more: Any) -> KeptContainer:  # noqa: ANN401 - fields by name
    """A container that has ended long ago, unless its status says otherwise."""
    ended = BEGIN - 60 * DAY if status in {"exited", "dead"} else None
    made = KeptContainer(id=f"{name}-id", name=name, image_id=sha(of), status=status, finished_at=ended, size=MIB)
    return replace(made, **more)


def network(name: str, **more: Any) -> Network:  # noqa: ANN401 - fields by name
    """A network that somebody made."""
    return replace(Network(id=f"{name}-id", name=name), **more)


def volume(name: str, **more: Any) -> Volume:  # noqa: ANN401 - fields by name
    """A volume that somebody named."""
    return replace(Volume(name=name, size=MIB), **more)


def record(name: str, *parents: str, **more: Any) -> CacheRecord:  # noqa: ANN401 - fields by name
    """A record of the build cache that nothing uses."""
    made = CacheRecord(id=name, parents=parents, size=MIB, used_at=BEGIN - DAY, created_at=BEGIN - DAY)
    return replace(made, **more)


@dataclass
class Host:
    """An engine's disk, and an agent that follows it.

    Attributes:
        disk: What is on it, at the time of the last listing.
        usage: What the agent knows.
        passed: Seconds since the begin.
        step: Seconds by which its wall clock was put forward.
        boot: Which one of the host.
        rows: What is stored.
    """

    disk: DiskUsage = field(default_factory=lambda: DiskUsage(at=BEGIN))
    usage: Usage = field(default_factory=Usage)
    passed: float = 0.0
    step: float = 0.0
    boot: str = "first"
    booted: float = 0.0
    rows: dict[str, Row] = field(default_factory=dict)
    events: int = 0

    @property
    def now(self) -> Instant:
        """The present, on both clocks."""
        return Instant(
            wall=BEGIN + self.passed + self.step, monotonic=1000.0 + self.passed - self.booted, boot=self.boot
        )

    def has(self, **parts: Any) -> Host:  # noqa: ANN401 - fields by name
        """Put something else on its disk."""
        self.disk = replace(self.disk, **parts)
        return self

    def list(self) -> DiskUsage:
        """Have the agent list it, now."""
        self.disk = replace(self.disk, at=self.now.wall)
        self.usage.listed(self.disk, self.now)
        return self.disk

    def wait(self, seconds: float) -> Host:
        """Let time pass."""
        self.passed += seconds
        return self

    def aged(self, seconds: float = 30 * DAY) -> Host:
        """All of it seen, twice, and left alone for long."""
        self.list()
        self.wait(60.0)
        self.list()
        return self.wait(seconds)

    def event(
        self,
        kind: EventKind,
        action: str,
        actor: str,
        attributes: Mapping[str, str] | None = None,
        *,
        image_id: str = "",
        ago: float = 0.0,
    ) -> None:
        """Have the agent take an event."""
        self.events += 1
        event = EngineEvent(
            id=str(self.events),
            kind=kind,
            action=action,
            actor_id=actor,
            attributes=attributes or {},
            time_ns=int((self.now.wall + 0.001 - ago) * 1e9),
        )
        self.usage.event(event, self.now, image_id)

    def ran(self, reference: str, labels: Mapping[str, str] | None = None, *, ago: float = 0.0) -> None:
        """A container of that name's image was created, and was gone before anybody could look."""
        attributes = {"image": reference, "name": "c", **(labels or {})}
        self.event(EventKind.CONTAINER, "create", f"once-{self.events}", attributes, ago=ago)

    def store(self) -> None:
        """Write what changed."""
        for key, row in json.loads(json.dumps(self.usage.changes(self.now))).items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row

    def sleep(self) -> None:
        """There is no policy that prunes any more, for a while: nobody looks."""
        self.usage, self.rows = self.usage.projects_alone(), {}
        self.usage.remember_again()

    def restart(self, *, seen: Instant | None = None) -> None:
        """End the agent, and start it anew."""
        self.store()
        self.usage = Usage.restored(self.rows, self.now, Boots(seen=seen).in_boot_of(self.now))

    def plan(self, rules: Rules = EVERYTHING, circumstances: Circumstances = QUIET) -> Plan:
        """A plan of a fresh listing."""
        self.list()
        return plan(rules, self.usage, self.disk, circumstances, self.now)


def names(items: tuple[Item, ...], kind: Kind | None = None) -> list[str]:
    """Names of all that is to be deleted, in order."""
    return [item.name for item in items if kind is None or item.kind is kind]


def why(made: Plan, name: str) -> tuple[Protection, str]:
    """Why that one is kept, and for whom."""
    assert name not in names(made.items), f"{name} would be deleted"
    kept: Kept = next(each for each in made.kept if each.name == name)
    return kept.protection, kept.by
