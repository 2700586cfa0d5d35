"""The YAML document's models: which keys there are, what each is for, and what type it has.

What one key alone can tell is checked in `document_values`; what keys mean together, and conditions, in `meaning`.
The descriptions here are what editors show (`schema`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from watchtower_agent.model.decision import Mode, Severity
from watchtower_agent.policies.files.document_values import (
    LONGEST_TEXT,
    ApproveWithin,
    BudgetInVain,
    BudgetMost,
    BudgetPer,
    BudgetProbe,
    CronText,
    Duration,
    Factor,
    LabelName,
    Name,
    OneOrMany,
    OneOrManyStatuses,
    OneOrManyValues,
    OneOrManyWords,
    OpenFor,
    Signal,
    StopTimeout,
    Version,
    Word,
    ZoneName,
    need,
    needs,
)
from watchtower_agent.policies.files.keys import Keys, utc
from watchtower_agent.policies.files.prune_keys import PruneKeys
from watchtower_agent.policies.files.resize_keys import ResizeKeys
from watchtower_agent.policies.files.scale_keys import ScaleKeys, TargetKeys
from watchtower_agent.policies.policy import Backoff, Budget

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class ComposeKeys(Keys):
    """A Compose project or service."""

    project: OneOrMany | None = Field(default=None, description="The Compose project.")
    service: OneOrMany | None = Field(default=None, description="The Compose service.")


class SelectKeys(Keys):
    """Which containers; all keys must match, a list means any of its items, * ? [ab] [!ab] are wildcards."""

    name: OneOrMany | None = Field(default=None, description='The container\'s name; "*" for every container.')
    image: OneOrMany | None = Field(
        default=None, description="The image as the container names it; without a tag, any tag."
    )
    labels: dict[LabelName, OneOrManyValues] | None = Field(
        default=None, description='Every label given, with this value; "*" for any value.'
    )
    compose: ComposeKeys | None = Field(default=None, description="Its Compose project or service, or both.")
    swarm_service: OneOrMany | None = Field(default=None, description="The Swarm service whose task it is.")
    networks: OneOrMany | None = Field(default=None, description="A network that it is attached to.")
    status: OneOrManyStatuses | None = Field(default=None, description="The engine's state of it.")
    exclude: SelectKeys | None = Field(
        default=None, alias="not", description="The same keys again: what they match is left out."
    )


Needs = Annotated[list[Annotated[SelectKeys, BeforeValidator(need)]], BeforeValidator(needs)]
"""Containers by name or by the keys of `select`, one item or several."""


class NoKeys(Keys):
    """An action without parameters: {}."""


class StopKeys(Keys):
    """Parameters of an action that ends a container."""

    stop_timeout: StopTimeout | None = Field(
        default=None, description="Time between the stop signal and KILL, 1h at most."
    )


class KillKeys(Keys):
    """Parameters of kill."""

    signal: Signal | None = Field(default=None, description="By name or number; KILL without it.")


class NotifyKeys(Keys):
    """Parameters of notify."""

    severity: Annotated[Severity, Field(strict=False)] = Field(default=Severity.WARNING, description="How loudly.")
    message: Text = Field(default="", description="A fixed text; without it the agent says what happened.")


class ThenKeys(Keys):
    """One action, and notify beside it; or notify alone."""

    restart: StopKeys | None = Field(default=None, description="Stop it and start it again.")
    start: NoKeys | None = Field(default=None, description="Start it.")
    stop: StopKeys | None = Field(default=None, description="Stop it.")
    kill: KillKeys | None = Field(default=None, description="Send it a signal.")
    pause: NoKeys | None = Field(default=None, description="Freeze its processes.")
    unpause: NoKeys | None = Field(default=None, description="Let its processes go on.")
    restart_engine: NoKeys | None = Field(
        default=None,
        description="Restart the engine's own service, by systemd; beside a when about the engine, without select. "
        "Only where the agent's settings allow it (allow.restart_engine).",
    )
    notify: NotifyKeys | None = Field(default=None, description="Publish an event for people.")


class ScheduleKeys(Keys):
    """A time of day: a trigger."""

    cron: CronText = Field(description="Minute, hour, day, month, weekday, as cron reads them.")
    timezone: ZoneName = Field(
        default_factory=utc, description="The IANA time zone on whose clocks it is read; UTC without one."
    )


class WindowKeys(Keys):
    """A maintenance window: it opens at a time of day and stays open for a while."""

    cron: CronText = Field(description="When it opens: minute, hour, day, month, weekday, as cron reads them.")
    open_for: OpenFor = Field(alias="for", description="How long it stays open, 31d at most.")
    timezone: ZoneName = Field(
        default_factory=utc, description="The IANA time zone on whose clocks it is read; UTC without one."
    )


class BackoffKeys(Keys):
    """How the waits between attempts to bring a container back grow: after each that did not last, by the factor."""

    initial: Duration = Field(default=Backoff().initial, description="The wait after the first attempt; 0s for none.")
    factor: Factor = Field(default=Backoff().factor, description="By how much each wait is longer than the last.")
    longest: Duration = Field(default=Backoff().longest, alias="max", description="What no wait exceeds.")
    reset_after: Duration = Field(
        default=Backoff().reset_after,
        description="How long the container has to be well before the next attempt is the first again.",
    )

    def value(self) -> Backoff:
        """What the pipeline uses."""
        return Backoff(initial=self.initial, factor=self.factor, longest=self.longest, reset_after=self.reset_after)


class BudgetKeys(Keys):
    """How many actions on a container this policy puts up with, and on how many in vain; past it a breaker opens."""

    most: BudgetMost = Field(default=Budget().most, alias="max", description="Actions, by whichever policy.")
    per: BudgetPer = Field(default=Budget().per, description="Within how long, 1d at most.")
    probe_after: BudgetProbe = Field(
        default=Budget().probe_after,
        description="How long the breaker is open before one action is tried; twice as long each time, 6h at most.",
    )
    in_vain: BudgetInVain = Field(
        default=Budget().in_vain,
        description="Containers within that time on which what this policy did was of no use; past it the policy's own "
        "breaker opens, and the policy does nothing more for a while.",
    )
    on_open: Literal["notify", "stop"] = Field(
        default="notify", description="When the container's breaker opens: tell people, or stop the container as well."
    )

    def value(self) -> Budget:
        """What the pipeline uses."""
        stops = self.on_open == "stop"
        return Budget(most=self.most, per=self.per, probe_after=self.probe_after, stops=stops, in_vain=self.in_vain)


class PolicyKeys(Keys):
    """One policy: whom it is about, what sets it off, what is then done."""

    name: Name = Field(description="Letters, digits, - and _; unique over the folder.")
    description: Text = Field(default="", description="For people.")
    mode: Annotated[Mode, Field(strict=False)] = Field(
        default=Mode.ENFORCE,
        description="enforce acts; shadow only publishes what it would do; approve acts once a person has approved it; "
        "off is checked and not evaluated.",
    )
    approve_within: ApproveWithin | None = Field(
        default=None,
        description="How long a person is asked, and an approval counts; 1h without it. Beside mode: approve.",
    )
    select: SelectKeys | None = Field(default=None, description="Which containers it is about.")
    when: Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT})] | None = Field(
        default=None, description="A trigger: a condition that is asked all the time."
    )
    hold: Duration | None = Field(
        default=None, alias="for", description="How long when must hold without a break; beside when only."
    )
    keep_for: Duration | None = Field(
        default=None,
        description="How long it goes on firing after when has ceased to hold; beside when only.",
    )
    on: dict[Word, OneOrManyWords] | None = Field(
        default=None, description="A trigger: kinds of events, and for each an action, a list of them, or *."
    )
    where: Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT})] | None = Field(
        default=None, description="A condition on the event and its container; beside on only."
    )
    schedule: ScheduleKeys | None = Field(default=None, description="A trigger: a time of day.")
    then: ThenKeys | None = Field(default=None, description="What is done.")
    target: TargetKeys | None = Field(default=None, description="Which service is scaled; beside scale only.")
    scale: ScaleKeys | None = Field(
        default=None, description="Keep as many replicas of a service as it needs; beside target, without a trigger."
    )
    resize: ResizeKeys | None = Field(
        default=None, description="Keep limits that fit what containers use; beside select, without a trigger."
    )
    prune: PruneKeys | None = Field(
        default=None, description="Delete what nothing needs from the engine's disk; beside when or schedule."
    )
    windows: list[WindowKeys] | None = Field(
        default=None,
        description="Maintenance windows: outside of them no action begins. Notifications are told at any time.",
    )
    cooldown: Duration | None = Field(
        default=None,
        description="How long this policy leaves a container alone after acting on it; 30s without it. Of prune: how "
        "long after a pass; 10m without it. Of restart_engine: 15m without it.",
    )
    backoff: BackoffKeys | None = Field(
        default=None, description="How the waits between restarts or starts of one container grow."
    )
    budget: BudgetKeys | None = Field(
        default=None,
        description="How many actions on one container there may be; 5 in 30m without it. Of prune: how many passes; 6 "
        "in 1h without it. Of restart_engine: how many by all policies; 2 in 6h without it.",
    )
    depends: Needs | None = Field(
        default=None,
        description="Containers that have to be well before this policy acts: names, or keys as under select.",
    )
    restart_stopped: bool = Field(default=False, description="Act also on what a person stopped.")


class FileKeys(Keys):
    """One file of a policy folder."""

    version: Version = Field(description="Of the policy language.")
    policies: list[PolicyKeys] = Field(description="The policies of this file.")
