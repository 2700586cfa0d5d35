"""What no sequence of events may make the agent do. Each looks at the world as it is, not as the agent knows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

from tests.support.simulation.agent import Act, SimulatedAgent
from tests.support.simulation.world import World, first_name
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.pause import Paused, PauseScope
from watchtower_agent.policies.guards.ledger import ScopeKind
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.policy import Policy
from watchtower_agent.state.wellness import RUNNING_FOR

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

    def name(self, act: Act) -> str:
        """The target's first name, whatever it is called now."""
        return self.world.name(act.container.id)

    def policy(self, act: Act) -> Policy:
        """Whose action it is."""
        return next(each for each in self.agent.policies.policies if each.name == act.intent.decision.policy)


def _begun(act: Act) -> float:
    """When it was begun, on the monotonic clock."""
    assert act.intent.moment is not None
    return act.intent.moment.monotonic


class NothingProtected(Invariant):
    guards = frozenset({"protected"})

    def wrong(self, act: Act) -> str:
        return "it is protected" if self.name(act) in self.world.protected else ""


class NothingInShadow(Invariant):
    guards = frozenset({"mode"})

    def wrong(self, act: Act) -> str:
        return "its policy only looks on" if self.policy(act).mode is Mode.SHADOW else ""


class NothingUnapproved(Invariant):
    """What a policy in approve mode does, a person has approved: exactly that, in time, and once."""

    guards = frozenset({"mode"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._used: set[str] = set()

    def wrong(self, act: Act) -> str:
        policy, done = self.policy(act), act.intent.decision
        if policy.mode is not Mode.APPROVE:
            return ""
        asked = self.agent.questions.get(done.approval)
        if asked is None or not self.agent.answers.get(done.approval, False):
            return "nobody approved it"
        question, at = asked
        published, used = question.decision, done.approval in self._used
        self._used.add(done.approval)
        if used:
            return "its approval was used before"
        if (published.verb, published.target.id, published.parameters) != (done.verb, done.target.id, done.parameters):
            return f"approved was a {published.verb} of {published.target.name} with {published.parameters}"
        since = act.at - at
        return f"it was approved {since:.0f} s ago" if since > policy.approve_within + _SLACK else ""


class OnlyInWindows(Invariant):
    """The simulated policies' windows are from two to five, UTC."""

    guards = frozenset({"outside_window"})

    def wrong(self, act: Act) -> str:
        hour = datetime.fromtimestamp(act.wall, UTC).hour
        return f"no window is open at {hour} o'clock" if self.policy(act).windows and not 2 <= hour < 5 else ""


class NothingAgainstPeople(Invariant):
    guards = frozenset({"operator_intent"})

    def wrong(self, act: Act) -> str:
        name = self.name(act)
        if name in self.world.stopped_by_people:
            return "a person stopped it"
        touched, life = self.world.touched_by_people.get(name, (-1e9, 0))
        since = act.at - touched
        # what a person restarted, and what then ended by itself and was started again, is nobody's any more
        if since < _HANDS_OFF - 1 and act.container.running and self.world.lives[name] == life:
            return f"a person restarted it {since:.0f} s ago"
        return ""


class NothingWhileTheEngineIsAway(Invariant):
    """An engine that is lost is not listed either, so `stale` holds, too: until a listing comes that was on its way."""

    guards = frozenset({"engine_down"})

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
        uptime = act.at - self.world.started[self.name(act)]
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
        key = policy.name, self.name(act)
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
        backoff, name = self.policy(act).backoff, self.name(act)
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
        name, target = self.name(act), self.policy(act).budget
        host = self.agent.protection.host_budget
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
        key = {
            ScopeKind.CONTAINER: first_name(target["name"]),
            ScopeKind.POLICY: f"policy {target['name']}",
            ScopeKind.HOST: _HOST,
        }[target["kind"]]
        if fact.action == "breaker_closed":
            self._open.pop(key, None)
        elif fact.action == "breaker_open":
            self._open[key] = self.world.clock.monotonic, float(str(fact.data["probe_after"]))

    def wrong(self, act: Act) -> str:
        begun = _begun(act)
        for key in (self.name(act), f"policy {act.intent.decision.policy}", _HOST):
            since, wait = self._open.get(key, (act.at, 0.0))
            if begun > since and act.at < since + wait - 1:
                return f"the breaker of {key} has been open for {act.at - since:.0f} s, not {wait:g}"
        return ""


class NothingOfAPolicyThatIsOfNoUse(Invariant):
    """Once what it did is told not to have helped on so many containers, and on most, it does nothing for a while.

    What follows another container tells nothing of it, nor does what comes of anything while many fail at once.
    """

    guards = frozenset({"breaker"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._in_vain: dict[str, dict[str, float]] = {}
        self._seemed_to_help: dict[str, dict[str, float]] = {}
        self._stops: dict[str, float] = {}
        self._shared_cause = False
        agent.told.append(self._hears)

    def _hears(self, fact: Fact) -> None:
        now = self.world.clock.monotonic
        if isinstance(fact, Notice) and fact.action in {"shared_cause", "shared_cause_over"}:
            self._shared_cause = fact.action == "shared_cause"
        closed = isinstance(fact, Notice) and fact.action == "breaker_closed"
        if isinstance(fact, Notice) and closed and fact.data["target"] == {"kind": "policy", "name": fact.subject}:
            self._in_vain.pop(fact.subject, None)
            self._stops.pop(fact.subject, None)
        if not isinstance(fact, Outcome) or fact.decision.verb is Verb.NOTIFY or fact.decision.follows:
            return
        policy, name = fact.decision.policy, self.world.name(fact.decision.target.id)
        in_vain, helped = self._in_vain.setdefault(policy, {}), self._seemed_to_help.setdefault(policy, {})
        if fact.result in {Result.INEFFECTIVE, Result.FAILED}:
            helped.pop(name, None)
            if not self._shared_cause:
                in_vain[name] = now
        elif fact.result in {Result.SUCCEEDED, Result.INTERRUPTED}:
            in_vain.pop(name, None)  # whether this one helps is to be seen
            helped[name] = now
        self._count(policy, now)

    def _count(self, policy: str, now: float) -> None:
        rules = next(each for each in self.agent.policies.policies if each.name == policy)
        in_vain, helped = self._in_vain[policy], self._seemed_to_help[policy]
        lasted = [name for name, at in helped.items() if now - at >= rules.backoff.reset_after]
        for name in lasted:
            del helped[name]
        if lasted:
            in_vain.clear()
        for name in [name for name, at in in_vain.items() if now - at > rules.budget.per - 1]:
            del in_vain[name]
        if len(in_vain) >= rules.budget.in_vain and len(in_vain) > len(helped):
            self._stops.setdefault(policy, now)

    def wrong(self, act: Act) -> str:
        policy = self.policy(act)
        since, begun = self._stops.get(policy.name, act.at), _begun(act)
        if begun <= since:
            return ""
        if act.at >= since + policy.budget.probe_after - 1:
            del self._stops[policy.name]  # its probe, if it is one
            return ""
        return f"what its policy did was of no use on {policy.budget.in_vain} containers {act.at - since:.0f} s ago"


class NothingThatIsPaused(Invariant):
    guards = frozenset({"paused"})

    def wrong(self, act: Act) -> str:
        whole = Paused(scope=PauseScope.AGENT)
        policy = Paused(scope=PauseScope.POLICY, name=act.intent.decision.policy)
        target = Paused(scope=PauseScope.CONTAINER, name=self.name(act))
        left = max(self.agent.paused.get(what, -1e9) - act.at for what in (whole, policy, target))
        return f"a person told it to keep still, {left:.0f} s more" if left > _SLACK else ""


class NothingBeforeWhatItNeeds(Invariant):
    guards = frozenset({"dependency"})

    def wrong(self, act: Act) -> str:
        need = self.world.there(self.world.needs.get(self.name(act), ""))
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
        agent.told.append(self._is_told)

    def _is_told(self, fact: Fact) -> None:
        """What failed up to the end of one cause, if that is not too early, is no sign of another."""
        over = isinstance(fact, Notice) and fact.action == "shared_cause_over"
        if over and self.world.clock.monotonic >= self._until:
            self._failed.clear()

    def _hears(self, events: Sequence[EngineEvent]) -> None:
        if not self.agent.connected:
            self._failed.clear()
            self._until = -1e9
            return
        rule, now, failure = self.agent.shared_cause, self.world.clock.monotonic, False
        for event in events:
            died = event.action == "die" and event.attributes.get("exitCode") in _FAILURES
            name = self.world.name(event.actor_id)
            if (died or event.detail == Health.UNHEALTHY) and name not in self.world.protected:
                self._failed[name], failure = now, True
        if not failure:
            return
        failing = {name for name, at in self._failed.items() if now - at < rule.within}
        running = {self.world.name(each.id) for each in self.world.docker.containers.values() if each.running}
        counted = len((running | failing) - self.world.protected)
        if len(failing) >= rule.at_least and len(failing) > rule.share / 100 * counted:
            self._until = now + rule.hold

    def wrong(self, act: Act) -> str:
        left = self._until - act.at
        # which failure was the last that counts, the agent and this may see differently by a second or two
        seen = self.agent.connected and left > 3 and _begun(act) > act.at - 1
        return f"many have failed at once; {left:.0f} s more to wait" if seen else ""


INVARIANTS: Final[tuple[type[Invariant], ...]] = (
    NothingProtected,
    NothingInShadow,
    NothingUnapproved,
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
    NothingOfAPolicyThatIsOfNoUse,
    NothingThatIsPaused,
    NothingBeforeWhatItNeeds,
    NothingForASharedCause,
)
"""All that is looked at before each action. A new guard brings its own."""


class WhoFollowsIsBehind(Invariant):
    """Whoever is restarted after another container lost something with its last life: it is older than that one."""

    guards = frozenset()

    def wrong(self, act: Act) -> str:
        root = self.world.now_called(act.intent.decision.follows)
        behind = not root or self.world.started[self.name(act)] <= self.world.started[root]
        return "" if behind else f"it has been started since {root} was"


class WhatDidNotHelpIsTold(Invariant):
    """Once, by the time that it takes to know; and never of what is well. Of what the agent saw from begin to end."""

    guards = frozenset()
    _TOLD_BY: ClassVar[float] = 180.0
    """Seconds: start period, two checks and 30 s, and as long as a sampler may hang here."""
    _ELSE: ClassVar[frozenset[str]] = frozenset({"kill", "stop", "start", "restart", "destroy", "pause"})

    def __init__(self, world: World, agent: SimulatedAgent) -> None:
        super().__init__(world, agent)
        self._attempts: dict[str, tuple[str, float]] = {}
        self._told: set[str] = set()
        self._helped: set[str] = set()
        self._wrong = ""
        agent.told.append(self._hears)
        world.listeners.append(self._sees)

    def _sees(self, events: Sequence[EngineEvent]) -> None:
        if not (self.agent.alive and self.agent.connected and self.agent.listed):
            self._attempts.clear()
        for event in events:
            name = self.world.name(event.actor_id)
            _, since = self._attempts.get(name, ("", self.world.clock.monotonic))
            ran = event.action == "die" and self.world.clock.monotonic - since >= RUNNING_FOR
            if event.action in self._ELSE or event.detail == Health.HEALTHY or ran:
                decision, _ = self._attempts.pop(name, ("", 0.0))
                self._helped |= {decision} if event.detail == Health.HEALTHY else set()

    def _hears(self, fact: Fact) -> None:
        if isinstance(fact, Intent) and fact.decision.verb is not Verb.NOTIFY:
            self._still_unhealthy(self.world.name(fact.decision.target.id))
        if not isinstance(fact, Outcome):
            return
        decision, name = fact.decision, self.world.name(fact.decision.target.id)
        if fact.result is Result.SUCCEEDED and decision.verb in {Verb.RESTART, Verb.START}:
            self._attempts[name] = decision.id, self.world.clock.monotonic
        elif fact.result is Result.INEFFECTIVE:
            if decision.id in self._helped:
                self._wrong = f"{name} is said not to have been helped, and was healthy"
            if decision.id in self._told:
                self._wrong = f"of {name} it was told twice"
            self._told.add(decision.id)
            self._attempts.pop(name, None)

    def _still_unhealthy(self, name: str) -> None:
        here = self.world.there(name)
        down = here is not None and here.status is ContainerStatus.EXITED
        unhealthy = here is not None and here.running and here.health is Health.UNHEALTHY
        if self._attempts.pop(name, None) and (down or unhealthy):
            self._wrong = f"nobody was told that {name} was not helped before it is acted on again"

    def wrong(self, act: Act) -> str:
        self._sees(())
        for name, (_, at) in list(self._attempts.items()):
            here = self.world.there(name)
            if here is None or (here.status is ContainerStatus.RUNNING and here.health is Health.NONE):
                del self._attempts[name]
            elif act.at - at > self._TOLD_BY and here.status is not ContainerStatus.PAUSED:
                self._wrong = f"nobody was told that {name} was not helped {act.at - at:.0f} s ago"
                del self._attempts[name]
        said, self._wrong = self._wrong, ""
        return said


OTHERS: Final[tuple[type[Invariant], ...]] = (WhoFollowsIsBehind, WhatDidNotHelpIsTold)
"""What no guard keeps."""
