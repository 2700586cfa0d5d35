"""What no sequence of events may make the agent do. Each looks at the world as it is, not as the agent knows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

from tests.support.simulation.agent import Act, SimulatedAgent
from tests.support.simulation.world import World
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Mode, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.pause import Paused, PauseScope
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.policy import Policy

_HANDS_OFF: Final = 900.0
"""Seconds that a container is left alone after a person restarted it."""
_SLACK: Final = 1e-6
_FAILURES: Final = frozenset({"1", "137"})
"""Exit codes with which simulated containers end by themselves and not well."""
_DAY: Final = 86_400.0
_HOST: Final = "this host"


class Invariant(ABC):
    """Something that always holds.

    Attributes:
        guards: Names of the guards that keep it: without them it is broken.
    """

    guards: ClassVar[frozenset[str]]

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        self.world = world
        self.agent = agent

    @abstractmethod
    def wrong(self, act: Act) -> str:
        """What is wrong with an action that is about to be done; empty when nothing is."""

    def policy(self, act: Act) -> Policy:
        """Whose action it is."""
        return next(each for each in self.agent.policies.policies if each.name == act.intent.decision.policy)


class NothingProtected(Invariant):
    guards = frozenset({"protected"})

    def wrong(self, act: Act) -> str:
        return "it is protected" if act.container.name in self.world.protected else ""


class NothingInShadow(Invariant):
    guards = frozenset({"mode"})

    def wrong(self, act: Act) -> str:
        return "" if self.policy(act).mode is Mode.ENFORCE else "its policy only looks on"


class OnlyInWindows(Invariant):
    """The simulated policies' windows are from two to five, UTC."""

    guards = frozenset({"outside_window"})

    def wrong(self, act: Act) -> str:
        hour = datetime.fromtimestamp(act.wall, UTC).hour
        return f"no window is open at {hour} o'clock" if self.policy(act).windows and not 2 <= hour < 5 else ""


class NothingAgainstPeople(Invariant):
    guards = frozenset({"operator_intent"})

    def wrong(self, act: Act) -> str:
        name = act.container.name
        if name in self.world.stopped_by_people:
            return "a person stopped it"
        touched, life = self.world.touched_by_people.get(name, (-1e9, 0))
        since = act.at - touched
        # what a person restarted, and what then ended by itself and was started again, is nobody's any more
        if since < _HANDS_OFF - 1 and act.container.running and self.world.lives[name] == life:
            return f"a person restarted it {since:.0f} s ago"
        return ""


class NothingWhileTheEngineIsAway(Invariant):
    guards = frozenset({"engine_down", "stale"})

    def wrong(self, act: Act) -> str:  # noqa: ARG002 - whatever it is
        return "" if self.world.reachable else "the engine does not answer"


class NothingOnWhatIsNotKnown(Invariant):
    """The containers were listed, and the numbers that led to it are at most two ticks old."""

    guards = frozenset({"stale"})

    def wrong(self, act: Act) -> str:
        if not self.agent.listed:
            return "the containers have not been listed since the engine came back"
        if "memory.percent" not in act.intent.decision.numbers:
            return ""
        at, percent = self.agent.memory.get(act.container.id, (-1e9, 0.0))
        age = act.at - at
        if age > 2 * self.agent.interval + 1:
            return f"its memory was last known {age:.0f} s ago"
        return "" if percent > 50 else f"its memory is at {percent:.0f} %"


class NothingThatStarts(Invariant):
    guards = frozenset({"starting"})

    def wrong(self, act: Act) -> str:
        here = act.container
        if not here.running or here.health is Health.NONE or here.detail is None or here.detail.started_at is None:
            return ""
        wait = here.detail.health_start_period + here.detail.health_interval
        uptime = act.wall - here.detail.started_at
        return (
            f"its health counts only after {wait:.0f} s, it has been up for {uptime:.1f}"
            if uptime < wait - 1e-3
            else ""
        )


class NothingBesideTheEngine(Invariant):
    """What the engine is about to start by itself is not started by the agent as well."""

    guards = frozenset({"restart_policy"})

    def wrong(self, act: Act) -> str:
        starts = act.intent.decision.verb in {Verb.RESTART, Verb.START}
        racing = act.container.status is ContainerStatus.RESTARTING
        return "the engine is about to start it by itself" if starts and racing else ""


class NothingWithinItsCooldown(Invariant):
    guards = frozenset({"cooldown"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._last: dict[tuple[str, str], float] = {}

    def wrong(self, act: Act) -> str:
        policy = self.policy(act)
        key = policy.name, act.container.name
        since = act.at - self._last.get(key, -1e9)
        self._last[key] = act.at
        cooldown = DEFAULT_COOLDOWN[act.intent.decision.verb] if policy.cooldown is None else policy.cooldown
        return f"the same policy did so {since:.1f} s ago (cooldown: {cooldown:g})" if since < cooldown - _SLACK else ""


class NothingWithinItsBackoff(Invariant):
    """The k-th attempt to bring a target back is followed by the next no sooner than its delay, jitter at its least."""

    guards = frozenset({"backoff"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._last: dict[str, tuple[int, float]] = {}

    def wrong(self, act: Act) -> str:
        if act.intent.decision.verb not in {Verb.RESTART, Verb.START}:
            return ""
        backoff, name = self.policy(act).backoff, act.container.name
        attempts, last = self._last.get(name, (0, -1e9))
        since = act.at - last
        attempts = attempts if since < backoff.reset_after else 0  # it may have been well since
        self._last[name] = attempts + 1, act.at
        least = 0.8 * min(backoff.longest, backoff.initial * backoff.factor ** (attempts - 1)) if attempts else 0.0
        return (
            f"the last of {attempts} attempts was {since:.1f} s ago, not {least:.1f}" if since < least - _SLACK else ""
        )


class NothingBeyondABudget(Invariant):
    """Of a target, by its policy's count, and of the host."""

    guards = frozenset({"budget"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._acts: list[tuple[float, str]] = []

    def wrong(self, act: Act) -> str:
        name, target, host = act.container.name, self.policy(act).budget, self.agent.protection.host_budget
        before = [each for at, each in self._acts if act.at - at < target.per and each == name]
        everywhere = [each for at, each in self._acts if act.at - at < host.per]
        self._acts = [(at, each) for at, each in self._acts if act.at - at < _DAY] + [(act.at, name)]
        if len(before) >= target.most:
            return f"there were {len(before)} on it within {target.per:g} s"
        return (
            f"there were {len(everywhere)} on this host within {host.per:g} s" if len(everywhere) >= host.most else ""
        )


class NothingThroughAnOpenBreaker(Invariant):
    """From when it says that one is open until its time is over, even as a probe; what had begun before is let pass."""

    guards = frozenset({"breaker"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._open: dict[str, tuple[float, float]] = {}
        agent.told.append(self._hears)

    def _hears(self, fact: Fact) -> None:
        if not isinstance(fact, Notice) or not fact.action.startswith("breaker_"):
            return
        target = fact.data["target"]
        assert isinstance(target, Mapping)
        key = target["name"] if target["kind"] == TargetKind.CONTAINER else _HOST
        if fact.action == "breaker_closed":
            self._open.pop(key, None)
        elif fact.action == "breaker_open":
            self._open[key] = self.world.clock.wall, float(str(fact.data["probe_after"]))

    def wrong(self, act: Act) -> str:
        for key in (act.container.name, _HOST):
            since, wait = self._open.get(key, (act.wall, 0.0))
            if act.intent.at > since and act.wall < since + wait - 1:
                return f"the breaker of {key} has been open for {act.wall - since:.0f} s, not {wait:g}"
        return ""


class NothingThatIsPaused(Invariant):
    guards = frozenset({"paused"})

    def wrong(self, act: Act) -> str:
        whole = Paused(scope=PauseScope.AGENT)
        policy = Paused(scope=PauseScope.POLICY, name=act.intent.decision.policy)
        target = Paused(scope=PauseScope.CONTAINER, name=act.container.name)
        left = max(self.agent.paused.get(what, -1e9) - act.at for what in (whole, policy, target))
        return f"a person told it to keep still, {left:.0f} s more" if left > _SLACK else ""


class NothingBeforeWhatItNeeds(Invariant):
    guards = frozenset({"dependency"})

    def wrong(self, act: Act) -> str:
        need = self.world.there(self.world.needs.get(act.container.name, ""))
        if need is None:
            return ""
        well = need.status is ContainerStatus.RUNNING and need.health in {Health.NONE, Health.HEALTHY}
        return "" if well else f"it needs {need.name}, which is {need.status} and {need.health}"


class NothingForASharedCause(Invariant):
    """So many failed in so short a time, seen by an agent that was there, that it can only be one cause."""

    guards = frozenset({"shared_cause"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._failed: dict[str, float] = {}
        self._until = -1e9
        world.listeners.append(self._hears)

    def _hears(self, events: Sequence[EngineEvent]) -> None:
        if not self.agent.connected:
            self._failed.clear()
            self._until = -1e9
            return
        rule, now = self.agent.shared_cause, self.world.clock.monotonic
        for event in events:
            died = event.action == "die" and event.attributes.get("exitCode") in _FAILURES
            if (died or event.detail == Health.UNHEALTHY) and event.name not in self.world.protected:
                self._failed[event.name] = now
        failing = sum(1 for at in self._failed.values() if now - at < rule.within)
        if failing >= rule.at_least and failing > rule.share / 100 * len(self.world.docker.containers):
            self._until = now + rule.hold

    def wrong(self, act: Act) -> str:
        left = self._until - act.at
        # which failure was the last that counts, the agent and this may see differently by a second or two
        seen = self.agent.connected and left > 3 and act.intent.at > self.world.clock.wall - 1
        return f"many have failed at once; {left:.0f} s more to wait" if seen else ""


INVARIANTS: Final[tuple[type[Invariant], ...]] = (
    NothingProtected,
    NothingInShadow,
    OnlyInWindows,
    NothingAgainstPeople,
    NothingWhileTheEngineIsAway,
    NothingOnWhatIsNotKnown,
    NothingThatStarts,
    NothingBesideTheEngine,
    NothingWithinItsCooldown,
    NothingWithinItsBackoff,
    NothingBeyondABudget,
    NothingThroughAnOpenBreaker,
    NothingThatIsPaused,
    NothingBeforeWhatItNeeds,
    NothingForASharedCause,
)
"""All that is looked at before each action. A new guard brings its own."""
