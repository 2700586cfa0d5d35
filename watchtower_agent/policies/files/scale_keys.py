"""The YAML document's models of `target` and `scale`: which keys there are, what each is for, and what type it has.

What one key alone can tell is checked in `amounts` and `sources`; what keys mean together in `scale_meaning`.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from watchtower_agent.policies.files.amounts import (
    Below,
    Bytes,
    Cooldown,
    DownStep,
    Every,
    Fast,
    IdleFor,
    Least,
    MetricTarget,
    Most,
    PerReplica,
    StaleAfter,
    Step,
    Tolerance,
    UpStep,
    WindowLength,
)
from watchtower_agent.policies.files.document_values import CronText, OpenFor, ZoneName
from watchtower_agent.policies.files.keys import Keys, utc
from watchtower_agent.policies.files.sources import GroupLabels, ServiceName, Topic, Url, ValuePath
from watchtower_agent.policies.scaling.rules import Growth, Shrinking
from watchtower_agent.policies.strategies.scale import IdleRule

_UP: Final = Growth()
_DOWN: Final = Shrinking()


class ComposeServiceKeys(Keys):
    """One service of a Compose project."""

    project: ServiceName = Field(description="The Compose project.")
    service: ServiceName = Field(description="The Compose service.")


class GroupKeys(Keys):
    """Containers that are replicas of each other without Compose."""

    labels: GroupLabels = Field(
        description="Each of its containers has all of these labels, with exactly these values."
    )


class TargetKeys(Keys):
    """Which service is scaled; one of these. Names are exact."""

    swarm_service: ServiceName | None = Field(default=None, description="A service of the Swarm, by its name.")
    compose: ComposeServiceKeys | None = Field(default=None, description="A service of Compose, on this host.")
    group: GroupKeys | None = Field(default=None, description="Containers of this host by their labels.")


class MetricKeys(Keys):
    """What the service is scaled by: a metric of its replicas, or one from outside."""

    metric: str | None = Field(default=None, description="A metric of each replica, by its name in the catalogue.")
    target: MetricTarget | None = Field(default=None, description="What that metric should be of each replica.")
    mqtt: Topic | None = Field(default=None, description="A topic on which a metric of the whole service is published.")
    http: Url | None = Field(default=None, description="Where a metric of the whole service is asked for.")
    value: ValuePath | None = Field(
        default=None, description="Where in a JSON payload the number is: keys and places of lists, with dots between."
    )
    target_per_replica: PerReplica | None = Field(
        default=None, description="How much of a metric from outside one replica is for."
    )
    stale_after: StaleAfter | None = Field(
        default=None, description="How long a metric from outside is known; 1m without it."
    )
    every: Every | None = Field(default=None, description="How long between two questions over HTTP; 15s without it.")


class UpKeys(Keys):
    """How it grows."""

    window: WindowLength = Field(
        default=_UP.window,
        description="Of how long a replica's metric is the mean.",
        json_schema_extra={"default": "20s"},
    )
    tolerance: Tolerance = Field(
        default=_UP.tolerance,
        description="What more than there is has to be needed, as a share of it.",
        json_schema_extra={"default": "12%"},
    )
    step: UpStep = Field(
        default=Step(share=_UP.step, per=_UP.per),
        description="How much of what there is may be added within a time; one may always.",
        json_schema_extra={"default": "100% per 30s"},
    )
    cooldown: Cooldown = Field(
        default=_UP.cooldown,
        description="How long after any change it grows again.",
        json_schema_extra={"default": "15s"},
    )

    def value(self) -> Growth:
        """What decides."""
        step = self.step
        return Growth(
            window=self.window, tolerance=self.tolerance, step=step.share, per=step.per, cooldown=self.cooldown
        )


class DownKeys(Keys):
    """How it shrinks."""

    window: WindowLength = Field(
        default=_DOWN.window,
        description="What was needed at any moment of so long is kept.",
        json_schema_extra={"default": "8m"},
    )
    fast: Fast = Field(
        default=Step(share=_DOWN.fast, per=_DOWN.fast_after),
        description="A share of the replicas that goes sooner once it has been needless for so long.",
        json_schema_extra={"default": "25% after 150s"},
    )
    step: DownStep = Field(
        default=Step(share=_DOWN.step, per=_DOWN.per),
        description="How much of what there is may go at once, and how long until more may.",
        json_schema_extra={"default": "50% per 60s"},
    )

    def value(self) -> Shrinking:
        """What decides."""
        fast, step = self.fast, self.step
        return Shrinking(window=self.window, fast=fast.share, fast_after=fast.per, step=step.share, per=step.per)


class BoundsKeys(Keys):
    """A time in which other bounds are in force; of several the last one wins."""

    cron: CronText = Field(description="When it begins: minute, hour, day, month, weekday, as cron reads them.")
    open_for: OpenFor = Field(alias="for", description="How long it lasts, 31d at most.")
    timezone: ZoneName = Field(
        default_factory=utc, description="The IANA time zone on whose clocks it is read; UTC without one."
    )
    least: Least | None = Field(default=None, alias="min", description="The fewest replicas meanwhile.")
    most: Most | None = Field(default=None, alias="max", description="The most replicas meanwhile.")


class IdleKeys(Keys):
    """When the last replica goes, where min is 0."""

    below: Below = Field(
        default=IdleRule().below,
        description="The share of its target up to which a metric is idle; one from outside always is at 0.",
        json_schema_extra={"default": "5%"},
    )
    idle_for: IdleFor = Field(
        default=IdleRule().idle_for,
        alias="for",
        description="How long all metrics have to be, 15m at least.",
        json_schema_extra={"default": "15m"},
    )

    def value(self) -> IdleRule:
        """What decides."""
        return IdleRule(below=self.below, idle_for=self.idle_for)


class ScaleKeys(Keys):
    """How many replicas a service has: as many as its metrics need. min, max and metrics are required."""

    least: Least | None = Field(default=None, alias="min", description="The fewest replicas; 0 with idle.")
    most: Most | None = Field(default=None, alias="max", description="The most replicas, 1000 at most.")
    metrics: list[MetricKeys] | None = Field(
        default=None, description="What it is scaled by; of several the one that needs most."
    )
    up: UpKeys | None = Field(default=None, description="How it grows.")
    down: DownKeys | None = Field(default=None, description="How it shrinks.")
    schedule: list[BoundsKeys] | None = Field(default=None, description="Times in which other bounds are in force.")
    idle: IdleKeys | None = Field(default=None, description="When the last replica goes, where min is 0.")
    reserve: Bytes | None = Field(
        default=None, description="Memory of the host that new containers leave free; 256MiB without it."
    )
    shared: bool | None = Field(
        default=None, description="New containers may share the writable volumes of the first; false without it."
    )
