"""A policy as the pipeline uses it: loaded, checked, compiled. Made by `load`, never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Mode, Number, Severity, Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.source import SourcesWanted
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.problem import Problem
from watchtower_agent.policies.selector import Selector
from watchtower_agent.policies.strategies.prune import Prune
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.strategies.sources import means_wanted, sources_wanted
from watchtower_agent.policies.times.moments import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the policy folder something stands. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenTrigger:
    """A condition that is sampled.

    Attributes:
        condition: What must hold.
        hold: Seconds for which it must hold throughout (`for`).
        keep: Seconds for which it goes on firing after the condition has ceased to hold (`keep_for`).
    """

    condition: Condition
    hold: float = 0.0
    keep: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTrigger:
    """An event, of the engine or the agent's own.

    Attributes:
        events: Pairs of kind and action; the action `*` means every action of that kind.
        where: A filter on the event and its container; None lets all pass.
    """

    events: frozenset[tuple[EventKind, str]]
    where: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTrigger:
    """A time of day.

    Attributes:
        schedule: When.
    """

    schedule: Schedule


Trigger = WhenTrigger | OnTrigger | ScheduleTrigger | ScaleStrategy | ResizeStrategy
"""What can set a policy off. A strategy does so by itself: it looks at its target at every sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow:
    """When actions may begin.

    Attributes:
        opens: When it opens.
        open_for: Seconds for which it stays open, as time passes: a change to or from daylight saving does not count.
    """

    opens: Schedule
    open_for: float


APPROVE_WITHIN: Final = 3600.0
"""Seconds for which a person is asked unless a policy says otherwise."""
_STEEPEST: Final = 64
"""Attempts after which the delay grows no more, so that no number overflows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How the waits between attempts to bring a target back grow.

    Attributes:
        initial: Seconds after the first attempt; 0 for no backoff.
        factor: By how much each wait is longer than the one before.
        longest: Seconds that no wait exceeds, jitter aside.
        reset_after: Seconds for which the target has to be well before the next attempt counts as the first.
    """

    initial: float = 10.0
    factor: float = 2.0
    longest: float = 900.0
    reset_after: float = 600.0

    def delay(self, attempts: int, seed: str) -> float:
        """Seconds to wait after so many attempts.

        Args:
            attempts: At least one.
            seed: Draws the jitter of up to a fifth, always the same: what was announced is what happens.
        """
        drawn = int.from_bytes(hashlib.sha256(f"jitter\0{seed}".encode(errors="surrogatepass")).digest()[:4]) / 2**32
        return self._grown(attempts) * (0.8 + 0.4 * drawn)

    def longest_delay(self, attempts: int) -> float:
        """Seconds to wait after so many attempts, whatever the jitter."""
        return self._grown(attempts) * 1.2

    def _grown(self, attempts: int) -> float:
        grown: float = self.initial * self.factor ** min(attempts - 1, _STEEPEST)
        return min(self.longest, grown)

    def calm(self, attempts: int, seed: str) -> float:
        """Seconds for which the target has to be well after so many attempts before they are forgotten."""
        return max(self.reset_after, 2 * self.delay(attempts, seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many actions there may be within a time, and what happens when more are wanted.

    Attributes:
        most: Actions on a target, or on all of the host.
        per: Seconds, at most a day.
        probe_after: Seconds after which one action is tried, once more were wanted and the breaker has opened.
        stops: When the breaker opens the container is stopped, once.
        in_vain: Targets on which a policy may act to no use within that time before its own breaker opens.
    """

    most: int = 5
    per: float = 1800.0
    probe_after: float = 1800.0
    stops: bool = False
    in_vain: int = 5


ENGINE_BUDGET: Final = Budget(most=2, per=6 * 3600.0)
"""How often the engine may be restarted unless a policy says otherwise."""
ENGINE_COOLDOWN: Final = 900.0
"""Seconds between two restarts of the engine unless a policy says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell people.

    Attributes:
        severity: How loudly.
        message: A fixed text for the event; empty lets the agent describe what happened.
    """

    severity: Severity = Severity.WARNING
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """What a policy does.

    Attributes:
        verb: What is done to the target; None when the policy only notifies.
        parameters: The verb's own: `stop_timeout` in seconds, `signal`.
        notify: Tell people as well, or only.
    """

    verb: Verb | None = None
    parameters: Mapping[str, Number] = field(default_factory=dict)
    notify: Notify | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy.

    Attributes:
        name: Unique over the folder.
        description: For people.
        mode: How far it may go. Policies that are `off` are loaded and checked, and never evaluated.
        selector: Which containers; None for a policy about the host or the engine.
        trigger: What sets it off.
        then: What it does.
        prune: What it deletes when its trigger sets it off; None: nothing, it does something else.
        windows: Outside of which no action of it begins; empty: it may act at any time.
        cooldown: Seconds between two actions of this policy on one target; None for the verb's default.
        backoff: How long it waits between attempts to bring a target back.
        budget: How many actions on a target, by whichever policy, it puts up with.
        depends: Which containers have to be well before it acts; nothing waits for itself.
        restart_stopped: Also act on what someone else stopped, and on what ended unseen.
        approve_within: In mode `approve`, seconds for which a person is asked, and an approval counts.
        place: Where it is written.
        digest: Over whom it is about, what sets it off and what it does: with another one it is another policy.
    """

    name: str
    description: str = ""
    mode: Mode = Mode.ENFORCE
    selector: Selector | None
    trigger: Trigger
    then: Then
    prune: Prune | None = None
    windows: tuple[MaintenanceWindow, ...] = ()
    cooldown: float | None = None
    backoff: Backoff = Backoff()
    budget: Budget = Budget()
    depends: tuple[Selector, ...] = ()
    restart_stopped: bool = False
    approve_within: float = APPROVE_WITHIN
    place: Place
    digest: str = ""

    def selects(self, container: Container) -> bool:
        """Whether its `select` picks it."""
        return self.selector is not None and self.selector.matches(container)

    def picks_needs(self, container: Container) -> bool:
        """Whether it has to be well before this policy acts."""
        return any(each.matches(container) for each in self.depends)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """All policies of a folder, taken whole.

    Attributes:
        policies: In the order of file name, then of writing.
        digest: A hash over the texts they were loaded from.
        loaded_at: Seconds since the epoch.
        warnings: What is doubtful about them, in the order of the policies.
    """

    policies: tuple[Policy, ...] = ()
    digest: str = ""
    loaded_at: float = 0.0
    warnings: tuple[Problem, ...] = ()

    def named(self, name: str) -> Policy | None:
        """The one of that name."""
        return next((policy for policy in self.policies if policy.name == name), None)

    @property
    def names(self) -> frozenset[str]:
        """Catalogue names that its policies use."""
        return frozenset().union(
            *(condition.names for condition in self._conditions()),
            *(scale.names for scale in self._scaled()),
            *(resize.names for resize in self._resized()),
        )

    @property
    def windows(self) -> frozenset[Window]:
        """What its policies ask of the recent past."""
        return frozenset().union(
            *(condition.windows for condition in self._conditions()), *(scale.windows for scale in self._scaled())
        )

    @property
    def sources(self) -> SourcesWanted:
        """What its policies ask of others than this host."""
        return sources_wanted(self._scaled())

    @property
    def means(self) -> Mapping[str, tuple[Window, ...]]:
        """What the other nodes of a Swarm are told of the replicas here: service -> windows."""
        return means_wanted(self._scaled())

    def _conditions(self) -> Iterator[Condition]:
        for policy in self.policies:
            trigger, condition = policy.trigger, None
            if isinstance(trigger, WhenTrigger):
                condition = trigger.condition
            elif isinstance(trigger, OnTrigger):
                condition = trigger.where
            if policy.mode is not Mode.OFF and condition is not None:
                yield condition

    def _scaled(self) -> Iterator[ScaleStrategy]:
        for policy in self.policies:
            if policy.mode is not Mode.OFF and isinstance(policy.trigger, ScaleStrategy):
                yield policy.trigger

    def _resized(self) -> Iterator[ResizeStrategy]:
        for policy in self.policies:
            if policy.mode is not Mode.OFF and isinstance(policy.trigger, ResizeStrategy):
                yield policy.trigger
